//! Whether telemetry is wanted, and in whose name: OpenTelemetry's own variables, read once at
//! start.
//!
//! Headers and compression are read by the OTLP library itself, certificates by `client`.

use opentelemetry::{Key, KeyValue, Value};
use opentelemetry_sdk::Resource;

/// The one protocol that is spoken.
const PROTOCOL: &str = "http/protobuf";

/// What can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Spans of Jobs and pods.
    Traces,
    /// Counters and histograms of our own processes.
    Metrics,
    /// What pods write.
    Logs,
}

impl Signal {
    /// As it is called in variables.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Metrics => "METRICS",
            Self::Logs => "LOGS",
        }
    }
}

/// The receiver's address, if this signal is wanted: without one nothing is sent anywhere.
#[must_use]
pub fn endpoint(signal: Signal) -> Option<String> {
    endpoint_by(signal, |name| std::env::var(name).ok())
}

fn endpoint_by(signal: Signal, read: impl Fn(&str) -> Option<String>) -> Option<String> {
    let read = |name: &str| read(name).filter(|text| !text.trim().is_empty());
    let word = signal.word();
    let own = |what: &str| read(&format!("OTEL_EXPORTER_OTLP_{word}_{what}"));
    let disabled = read("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true"));
    let otlp = read(&format!("OTEL_{word}_EXPORTER"))
        .is_none_or(|list| list.split(',').any(|exporter| exporter.trim() == "otlp"));
    if disabled || !otlp {
        return None;
    }
    let endpoint = own("ENDPOINT").or_else(|| read("OTEL_EXPORTER_OTLP_ENDPOINT"))?;
    let protocol = own("PROTOCOL").or_else(|| read("OTEL_EXPORTER_OTLP_PROTOCOL"));
    if let Some(protocol) = protocol.filter(|protocol| protocol != PROTOCOL) {
        tracing::warn!(protocol, "this protocol for telemetry is not offered; {PROTOCOL} is used");
    }
    Some(endpoint)
}

/// Who says it: `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`, else `stint`.
#[must_use]
pub fn resource(attributes: impl IntoIterator<Item = KeyValue>) -> Resource {
    let given = Resource::builder().build();
    let unnamed = given
        .get(&Key::from_static_str("service.name"))
        .is_none_or(|name| name.as_str().starts_with("unknown_service"));
    let mut resource = Resource::builder();
    if unnamed {
        resource = resource.with_service_name("stint");
    }
    let version = KeyValue::new("service.version", Value::from(env!("CARGO_PKG_VERSION")));
    for attribute in attributes.into_iter().chain([version]) {
        if given.get(&attribute.key).is_none() {
            resource = resource.with_attribute(attribute);
        }
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
        assert_eq!(endpoint_by(Signal::Traces, read).as_deref(), expect, "{variables:?}");
    }

    #[test]
    fn an_endpoint_turns_traces_on_unless_something_turns_them_off() {
        let on = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4318");
        let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://b/x");
        check(&[], None);
        check(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")], None);
        check(&[on], Some("http://a:4318"));
        check(&[on, own], Some("http://b/x"));
        check(&[("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://c")], None);
        check(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://a")], Some("https://a"));
        check(&[on, ("OTEL_SDK_DISABLED", "TRUE")], None);
        check(&[on, ("OTEL_SDK_DISABLED", "false")], Some("http://a:4318"));
        check(&[on, ("OTEL_TRACES_EXPORTER", "none")], None);
        check(&[on, ("OTEL_METRICS_EXPORTER", "none")], Some("http://a:4318"));
        check(&[on, ("OTEL_TRACES_EXPORTER", "console, otlp")], Some("http://a:4318"));
    }
}
