//! Whether traces are wanted, and in whose name: OpenTelemetry's own variables, read once at start.
//!
//! Endpoint, headers, timeout and compression are read by the OTLP library itself.

use opentelemetry::{Key, KeyValue, Value};
use opentelemetry_sdk::Resource;

/// Either one set turns traces on: without a receiver's address nothing is sent anywhere.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
const PROTOCOLS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
/// The one protocol that is spoken.
const PROTOCOL: &str = "http/protobuf";

/// The receiver's address, if traces are wanted.
pub(super) fn endpoint() -> Option<String> {
    endpoint_by(|name| std::env::var(name).ok())
}

fn endpoint_by(read: impl Fn(&str) -> Option<String>) -> Option<String> {
    let read = |name: &str| read(name).filter(|text| !text.trim().is_empty());
    let disabled = read("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true"));
    let otlp = read("OTEL_TRACES_EXPORTER")
        .is_none_or(|list| list.split(',').any(|exporter| exporter.trim() == "otlp"));
    let endpoint = ENDPOINTS.into_iter().find_map(&read);
    if disabled || !otlp {
        return None;
    }
    let protocol = PROTOCOLS.into_iter().find_map(&read);
    if let Some(protocol) = protocol.filter(|protocol| protocol != PROTOCOL && endpoint.is_some()) {
        tracing::warn!(protocol, "this protocol for traces is not offered; {PROTOCOL} is used");
    }
    endpoint
}

/// Who says it: `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`, else `stint`.
pub(super) fn resource() -> Resource {
    let given = Resource::builder().build();
    let unnamed = given
        .get(&Key::from_static_str("service.name"))
        .is_none_or(|name| name.as_str().starts_with("unknown_service"));
    let mut resource = Resource::builder();
    if unnamed {
        resource = resource.with_service_name("stint");
    }
    if given.get(&Key::from_static_str("service.version")).is_none() {
        let version = Value::from(env!("CARGO_PKG_VERSION"));
        resource = resource.with_attribute(KeyValue::new("service.version", version));
    }
    resource.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(variables: &[(&str, &str)], expect: Option<&str>) {
        let read = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        assert_eq!(endpoint_by(read).as_deref(), expect, "{variables:?}");
    }

    #[test]
    fn an_endpoint_turns_traces_on_unless_something_turns_them_off() {
        let on = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4318");
        check(&[], None);
        check(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")], None);
        check(&[on], Some("http://a:4318"));
        check(&[on, (ENDPOINTS[0], "http://b/x")], Some("http://b/x"));
        check(&[on, ("OTEL_SDK_DISABLED", "TRUE")], None);
        check(&[on, ("OTEL_SDK_DISABLED", "false")], Some("http://a:4318"));
        check(&[on, ("OTEL_TRACES_EXPORTER", "none")], None);
        check(&[on, ("OTEL_TRACES_EXPORTER", "console, otlp")], Some("http://a:4318"));
    }
}
