//! What OpenTelemetry's variables may say, and what is odd about what they do say. As its
//! specification has it, an empty value is none, and one that makes no sense is passed over with a
//! warning, as if it were not there.

use std::time::Duration;

use super::otlp::Signal;

/// The one protocol that is spoken.
pub(super) const PROTOCOL: &str = "http/protobuf";
/// Exporters of the specification. One is offered.
const EXPORTERS: [&str; 8] =
    ["otlp", "none", "console", "logging", "prometheus", "zipkin", "jaeger", "otlp/stdout"];
/// Variables that the OTLP library, or we, take as they are: files, names.
const FREE: [&str; 4] = ["SERVICE_NAME", "CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"];

/// What is wrong with a value, and what is done instead.
pub(super) type Odd = String;

/// How long is waited for an answer; `None`: without limit, which 0 stands for.
pub(super) fn timeout(text: &str) -> Result<Option<Duration>, Odd> {
    let millis = millis(text).map_err(|odd| format!("{odd}; it is 10 s"))?;
    Ok((millis > 0).then(|| Duration::from_millis(millis)))
}

/// Between two sendings.
pub(super) fn interval(text: &str) -> Result<Duration, Odd> {
    match millis(text) {
        Ok(0) => Err("there must be time between two sendings; it is 60 s".to_owned()),
        Ok(millis) => Ok(Duration::from_millis(millis)),
        Err(odd) => Err(format!("{odd}; it is 60 s")),
    }
}

fn millis(text: &str) -> Result<u64, Odd> {
    // More than these fit nowhere else.
    let millis = text.trim().parse::<u32>().map(u64::from);
    millis.map_err(|_| "this is no number of milliseconds from 0 on".to_owned())
}

/// Only one word is true.
pub(super) fn flag(text: &str) -> Result<bool, Odd> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("this is neither `true` nor `false`; it counts as `false`".to_owned()),
    }
}

/// Whether OTLP is among the exporters of a list; `None`: nothing in it makes sense.
pub(super) fn wants_otlp(list: &str) -> Option<bool> {
    let mut known = words(list).filter(|word| EXPORTERS.contains(&word.as_str())).peekable();
    known.peek()?;
    Some(known.any(|word| word == "otlp"))
}

fn exporters(list: &str) -> Result<(), Odd> {
    let others: Vec<String> =
        words(list).filter(|word| !["otlp", "none"].contains(&word.as_str())).collect();
    match others.as_slice() {
        [] => Ok(()),
        others => Err(format!("{} is not offered, only `otlp` and `none` are", others.join(", "))),
    }
}

fn words(list: &str) -> impl Iterator<Item = String> {
    list.split(',').map(|word| word.trim().to_ascii_lowercase()).filter(|word| !word.is_empty())
}

fn protocol(text: &str) -> Result<(), Odd> {
    if text.trim().eq_ignore_ascii_case(PROTOCOL) {
        return Ok(());
    }
    Err(format!("this protocol is not offered; {PROTOCOL} is used"))
}

fn compression(text: &str) -> Result<(), Odd> {
    if text.trim().eq_ignore_ascii_case("none") {
        return Ok(());
    }
    Err("this compression is not offered; nothing is compressed".to_owned())
}

fn temporality(text: &str) -> Result<(), Odd> {
    if ["cumulative", "delta", "lowmemory"].contains(&text.trim().to_ascii_lowercase().as_str()) {
        return Ok(());
    }
    Err("this is none of `cumulative`, `delta`, `lowmemory`; it is `cumulative`".to_owned())
}

/// An address that requests can go to.
pub(super) fn address(text: &str) -> Result<(), Odd> {
    let url = reqwest::Url::parse(text.trim());
    match url {
        Ok(url) if ["http", "https"].contains(&url.scheme()) && url.has_host() => Ok(()),
        Ok(_) | Err(_) => {
            Err("this is no address that begins with http:// or https://; nothing is \
                               sent there"
                .to_owned())
        }
    }
}

/// `name=value,…`
fn pairs(text: &str) -> Result<(), Odd> {
    let is_pair =
        |pair: &str| pair.split_once('=').is_some_and(|(name, _)| !name.trim().is_empty());
    let odd = text.split(',').filter(|pair| !pair.trim().is_empty() && !is_pair(pair)).count();
    match odd {
        0 => Ok(()),
        // Headers are secrets: they are not shown.
        odd => Err(format!("{odd} of its parts are not `name=value`; they are passed over")),
    }
}

/// What is odd about a variable, if anything is.
fn oddity(name: &str, value: &str) -> Option<Odd> {
    let rest = name.strip_prefix("OTEL_")?;
    if value.trim().is_empty() {
        return None;
    }
    let signals = [Signal::Traces, Signal::Metrics, Signal::Logs].map(Signal::word);
    if signals.iter().any(|signal| rest.strip_suffix("_EXPORTER") == Some(*signal)) {
        return exporters(value).err();
    }
    let of_otlp = rest.strip_prefix("EXPORTER_OTLP_").map(|what| {
        let own = signals.iter().find_map(|it| what.strip_prefix(it)?.strip_prefix('_'));
        own.unwrap_or(what)
    });
    let judged = match of_otlp.unwrap_or(rest) {
        "SDK_DISABLED" => flag(value).map(drop),
        "ENDPOINT" => address(value),
        "TIMEOUT" => timeout(value).map(drop),
        "PROTOCOL" => protocol(value),
        "COMPRESSION" => compression(value),
        "HEADERS" | "RESOURCE_ATTRIBUTES" => pairs(value),
        "METRIC_EXPORT_INTERVAL" => interval(value).map(drop),
        "TEMPORALITY_PREFERENCE" => temporality(value),
        free if FREE.contains(&free) => Ok(()),
        _ => Err("Stint does not heed this variable".to_owned()),
    };
    judged.err()
}

/// What is odd about OpenTelemetry's variables: each with what is done about it.
pub(super) fn oddities(
    environment: impl IntoIterator<Item = (String, String)>,
) -> Vec<(String, Odd)> {
    let odd = environment
        .into_iter()
        .filter_map(|(name, value)| oddity(&name, &value).map(|odd| (name, odd)));
    let mut odd: Vec<(String, Odd)> = odd.collect();
    odd.sort();
    odd
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_time_is_no_limit_and_nonsense_is_none() {
        assert_eq!(timeout("2500"), Ok(Some(Duration::from_millis(2500))));
        assert_eq!(timeout(" 0 "), Ok(None));
        for text in ["-1", "1.5", "10s", "ten", "99999999999999999999"] {
            assert!(timeout(text).is_err(), "{text}");
        }
        assert_eq!(interval("200"), Ok(Duration::from_millis(200)));
        for text in ["0", "-200", "1m"] {
            assert!(interval(text).is_err(), "{text}");
        }
    }

    #[test]
    fn words_are_known_in_any_case() {
        assert_eq!((flag("True"), flag("FALSE")), (Ok(true), Ok(false)));
        assert!(flag("1").is_err() && flag("yes").is_err());
        assert_eq!(wants_otlp("OTLP"), Some(true));
        assert_eq!(wants_otlp("console, otlp"), Some(true));
        assert_eq!(wants_otlp("none"), Some(false));
        assert_eq!(wants_otlp("console"), Some(false));
        assert_eq!(wants_otlp("otpl"), None);
    }

    #[test]
    fn what_is_odd_is_said_with_what_is_done() {
        let check = |name: &str, value: &str, expect: Option<&str>| {
            let all = oddities([(name.to_owned(), value.to_owned())]);
            let said = all.first().map(|(_, odd)| odd.as_str());
            match expect {
                None => assert_eq!(said, None, "{name}={value}"),
                Some(part) => assert!(said.is_some_and(|it| it.contains(part)), "{name}: {said:?}"),
            }
        };
        check("PATH", "nonsense", None);
        for name in
            ["OTEL_SDK_DISABLED", "OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_ENDPOINT"]
        {
            check(name, "", None);
            check(name, " ", None);
            check(name, "nonsense", Some(""));
        }
        check("OTEL_SDK_DISABLED", "yes", Some("counts as `false`"));
        check("OTEL_EXPORTER_OTLP_TIMEOUT", "0", None);
        check("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "-5", Some("it is 10 s"));
        check("OTEL_METRIC_EXPORT_INTERVAL", "0", Some("it is 60 s"));
        check("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318", None);
        check("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "collector:4318", Some("begins with http://"));
        check("OTEL_EXPORTER_OTLP_ENDPOINT", "http://", Some("nothing is sent there"));
        check("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", Some("http/protobuf is used"));
        check("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "HTTP/Protobuf", None);
        check("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip", Some("nothing is compressed"));
        check("OTEL_EXPORTER_OTLP_COMPRESSION", "none", None);
        check("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20eA==,x=", None);
        check("OTEL_EXPORTER_OTLP_HEADERS", "secret,x=1", Some("1 of its parts"));
        check("OTEL_RESOURCE_ATTRIBUTES", "a=b,=c,d", Some("2 of its parts"));
        check("OTEL_TRACES_EXPORTER", "console,otlp", Some("console is not offered"));
        check("OTEL_LOGS_EXPORTER", "none", None);
        let temporality = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
        check(temporality, "Delta", None);
        check(temporality, "sometimes", Some("it is `cumulative`"));
        check("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem", None);
        check("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "/key.pem", None);
        check("OTEL_SERVICE_NAME", "mine", None);
        check("OTEL_TRACES_SAMPLER", "always_off", Some("does not heed"));
        check("OTEL_EXPORTER_OTLP_ENDPIONT", "http://a", Some("does not heed"));
    }
}
