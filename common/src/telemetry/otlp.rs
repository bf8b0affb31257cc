//! Whether telemetry is wanted, and in whose name: OpenTelemetry's own variables, read once at
//! start.
//!
//! Headers of traces and metrics are read by the OTLP library itself, certificates by `client`.

use std::sync::Once;
use std::time::Duration;

use opentelemetry::{Key, KeyValue, Value};
use opentelemetry_sdk::Resource;

use super::variables;

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

/// The receiver's address, if this signal is wanted: without one nothing is sent anywhere. Logs
/// are what pods write, and sent only where that is asked for by name.
#[must_use]
pub fn endpoint(signal: Signal) -> Option<String> {
    Some(endpoint_by(signal, variable)?.address)
}

/// Where exactly requests for this signal go, if it is wanted.
#[must_use]
pub fn url(signal: Signal) -> Option<String> {
    let Endpoint { address, is_base } = endpoint_by(signal, variable)?;
    if !is_base {
        return Some(address);
    }
    let path = signal.word().to_ascii_lowercase();
    Some(format!("{}/v1/{path}", address.trim_end_matches('/')))
}

/// What goes with each request for this signal, as `OTEL_EXPORTER_OTLP_HEADERS` has it.
#[must_use]
pub fn headers(signal: Signal) -> Option<String> {
    own(signal, "HEADERS", &variable).map(|(_, text)| text)
}

/// How often metrics are sent, if the variables say.
#[must_use]
pub fn interval() -> Option<Duration> {
    variables::interval(&variable("OTEL_METRIC_EXPORT_INTERVAL")?).ok()
}

/// Says once what is odd about the variables. Only where they ask for something.
fn complain() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let known = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        for (variable, odd) in variables::oddities(known) {
            tracing::warn!(variable, "{odd}");
        }
    });
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A variable of one signal, or that of all; with its name.
pub(super) fn own(
    signal: Signal,
    what: &str,
    read: &impl Fn(&str) -> Option<String>,
) -> Option<(String, String)> {
    let own = format!("OTEL_EXPORTER_OTLP_{}_{what}", signal.word());
    let names = [own, format!("OTEL_EXPORTER_OTLP_{what}")];
    let mut found = names.into_iter().filter_map(|name| read(&name).map(|text| (name, text)));
    found.find(|(_, text)| !text.trim().is_empty())
}

/// A receiver.
struct Endpoint {
    address: String,
    /// A path for the signal comes after it.
    is_base: bool,
}

fn endpoint_by(signal: Signal, read: impl Fn(&str) -> Option<String>) -> Option<Endpoint> {
    let read = |name: &str| read(name).filter(|text| !text.trim().is_empty());
    let word = signal.word();
    let own = |what: &str| own(signal, what, &read);
    let disabled = read("OTEL_SDK_DISABLED").and_then(|text| variables::flag(&text).ok());
    let listed = read(&format!("OTEL_{word}_EXPORTER"));
    let listed = listed.and_then(|list| variables::wants_otlp(&list));
    if disabled == Some(true) || !listed.unwrap_or(signal != Signal::Logs) {
        return None;
    }
    let (name, address) = own("ENDPOINT")?;
    complain();
    variables::address(&address).ok()?;
    Some(Endpoint { address, is_base: name == "OTEL_EXPORTER_OTLP_ENDPOINT" })
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
        let found = endpoint_by(Signal::Traces, read).map(|found| found.address);
        assert_eq!(found.as_deref(), expect, "{variables:?}");
    }

    #[test]
    fn logs_are_sent_where_that_is_asked_for() {
        let is_on = |exporter: Option<&str>| {
            let read = |name: &str| match name {
                "OTEL_LOGS_EXPORTER" => exporter.map(str::to_owned),
                "OTEL_EXPORTER_OTLP_ENDPOINT" => Some("http://a:4318".to_owned()),
                _ => None,
            };
            endpoint_by(Signal::Logs, read).is_some()
        };
        assert!(!is_on(None) && !is_on(Some("none")) && is_on(Some("otlp")));
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
        check(&[on, ("OTEL_TRACES_EXPORTER", "console")], None);
        // What makes no sense is as if it were not there.
        check(&[on, ("OTEL_SDK_DISABLED", "yes")], Some("http://a:4318"));
        check(&[on, ("OTEL_TRACES_EXPORTER", "otpl")], Some("http://a:4318"));
        check(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "a:4318")], None);
    }
}
