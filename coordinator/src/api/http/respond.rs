//! From an answer to bytes: codes, headers, forms.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WARNING};
use hyper::{Response, StatusCode};
use serde_json::Value;

use super::accept::Form;
use super::table::{Tables, metadata_alone};
use crate::registry::Error;

/// A body, whole or as it comes.
pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// So many warnings are sent; clients and proxies take headers up to a size only.
const MOST_WARNINGS: usize = 50;
/// And so many bytes of each.
const LONGEST_WARNING: usize = 256;

/// How an object is sent.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    Json { pretty: bool },
    Yaml,
    Table(Tables),
    Metadata(&'static str),
}

impl Shape {
    /// The form of a document, which is never a table.
    pub(super) fn of_document(form: Form, pretty: bool) -> Self {
        match form {
            Form::Yaml => Self::Yaml,
            Form::Json | Form::Table(_) | Form::Metadata(_) => Self::Json { pretty },
        }
    }
}

/// An object, a list, a `Status` of success, a document.
pub(super) fn object(code: StatusCode, object: Value, shape: Shape) -> Response<Body> {
    match shape {
        Shape::Json { pretty: true } => json(code, format!("{object:#}\n")),
        Shape::Json { pretty: false } => json(code, object.to_string()),
        Shape::Table(tables) => json(code, tables.of(object).to_string()),
        Shape::Metadata(version) => json(code, metadata_alone(object, version).to_string()),
        Shape::Yaml => match serde_saphyr::to_string(&object) {
            Ok(text) => whole(code, "application/yaml", text.into()),
            Err(error) => refusal(&Error::Internal(format!("writing YAML: {error}"))),
        },
    }
}

/// What was refused, and why.
pub(super) fn refusal(error: &Error) -> Response<Body> {
    if error.code() >= 500 {
        tracing::warn!(code = error.code(), %error, "a request failed");
    }
    let code = StatusCode::from_u16(error.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let status = error.to_status();
    let mut response = json(code, status.to_string());
    if let Some(seconds) = status["details"]["retryAfterSeconds"].as_u64() {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// A document that is JSON already.
pub(super) fn document(bytes: Bytes) -> Response<Body> {
    whole(StatusCode::OK, "application/json", bytes)
}

/// An answer without a body.
pub(super) fn nothing(code: StatusCode) -> Response<Body> {
    let mut response = Response::new(Full::default().boxed_unsync());
    *response.status_mut() = code;
    response
}

fn json(code: StatusCode, text: String) -> Response<Body> {
    whole(code, "application/json", text.into())
}

/// A text.
pub(super) fn text(code: StatusCode, text: String) -> Response<Body> {
    whole(code, "text/plain; charset=utf-8", text.into())
}

/// A file of the page for people.
pub(super) fn file(content_type: &'static str, bytes: Bytes) -> Response<Body> {
    whole(StatusCode::OK, content_type, bytes)
}

/// Metrics, in the text form of Prometheus.
pub(super) fn metrics(text: String) -> Response<Body> {
    whole(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text.into())
}

fn whole(code: StatusCode, content_type: &'static str, body: Bytes) -> Response<Body> {
    with_body(code, content_type, Full::new(body).boxed_unsync())
}

/// A body with what every answer has.
pub(super) fn with_body(
    code: StatusCode,
    content_type: &'static str,
    body: Body,
) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

/// Adds warnings, as many as headers hold; the last one says how many others there were.
pub(super) fn warn(response: &mut Response<Body>, warnings: &[String]) {
    let shown = warnings.len().min(MOST_WARNINGS);
    let others = (warnings.len() > shown)
        .then(|| format!("{} more warnings are not shown", warnings.len() - shown));
    for text in warnings[..shown].iter().chain(&others) {
        if let Ok(value) = HeaderValue::from_str(&warning(text)) {
            response.headers_mut().append(WARNING, value);
        }
    }
}

/// A warning as the header's grammar has it.
fn warning(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 8);
    quoted.push_str("299 - \"");
    for letter in text[..text.floor_char_boundary(LONGEST_WARNING)].chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            letter if letter.is_control() || !letter.is_ascii() => quoted.push(' '),
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_quoted() {
        assert_eq!(warning("unknown field \"a\\b\"\n"), r#"299 - "unknown field \"a\\b\" ""#);
        assert!(warning(&"x".repeat(9999)).len() < 300);
    }

    #[test]
    fn there_are_only_so_many_warnings() {
        let mut response = text(StatusCode::OK, String::new());
        warn(&mut response, &vec!["w".to_owned(); 70]);
        let all: Vec<&HeaderValue> = response.headers().get_all(WARNING).iter().collect();
        assert_eq!(all.len(), 51);
        assert!(all[50].to_str().unwrap().contains("20 more"));
    }
}
