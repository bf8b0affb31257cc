//! One request to the receiver, tried again as OTLP says, for as long as one may take.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Method, Request, Response, StatusCode};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use percent_encoding::percent_decode_str;
use prost::Message as _;
use stint_common::id;
use stint_common::telemetry::batch::block_on;
use stint_common::telemetry::client::Client;

/// A request is tried again after this, then after twice as long…
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// No pause is longer, whatever a receiver asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Why a request was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotTaken {
    #[error("no answer from {url}: {reason}")]
    NoAnswer { url: String, reason: String },
    #[error("{url} answers {status}")]
    Refused { url: String, status: StatusCode },
    #[error("{url} is no address for requests")]
    Address {
        url: String,
        #[source]
        source: http::Error,
    },
}

/// Where requests go.
#[derive(Debug)]
pub(super) struct Sender {
    client: Client,
    url: String,
    headers: HeaderMap,
}

impl Sender {
    pub(super) fn new(client: Client, url: String, headers: &str) -> Self {
        Self { client, url, headers: parse(headers) }
    }

    /// Sends a request, and blocks until it is taken or that has taken too long. Says how many
    /// records the receiver has refused.
    pub(super) fn post(&self, body: Vec<u8>) -> Result<u64, NotTaken> {
        let body = Bytes::from(body);
        // However long an answer is waited for, a request that is refused holds up the next ones.
        let until = Instant::now() + self.client.timeout.unwrap_or(LONGEST_PAUSE);
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match block_on(self.client.send(self.request(&body)?)) {
                Ok(answer) if answer.status().is_success() => return Ok(refused(answer.body())),
                Ok(answer) => {
                    if let Some(asked) = retry_after(&answer) {
                        pause = asked;
                    }
                    let (url, status) = (self.url.clone(), answer.status());
                    let error = NotTaken::Refused { url, status };
                    if !passes(status) {
                        return Err(error);
                    }
                    error
                }
                Err(error) => {
                    NotTaken::NoAnswer { url: self.url.clone(), reason: error.to_string() }
                }
            };
            // Many workers that lost one receiver do not come back to it together.
            let wait = pause.mul_f64(1.0 + chance());
            if Instant::now() + wait >= until {
                return Err(error);
            }
            std::thread::sleep(wait);
            pause *= 2;
        }
    }

    fn request(&self, body: &Bytes) -> Result<Request<Bytes>, NotTaken> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(&self.url)
            .body(body.clone())
            .map_err(|source| NotTaken::Address { url: self.url.clone(), source })?;
        *request.headers_mut() = self.headers.clone();
        let kind = HeaderValue::from_static("application/x-protobuf");
        request.headers_mut().insert(CONTENT_TYPE, kind);
        Ok(request)
    }
}

/// Between 0 and 1.
fn chance() -> f64 {
    f64::from(u8::try_from(id::draw().as_u128() & 0xff).unwrap_or(0)) / 256.0
}

/// Answers that OTLP says to try again after.
fn passes(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502 | 503 | 504)
}

fn retry_after(answer: &Response<Bytes>) -> Option<Duration> {
    let seconds = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    // Longer than anything is kept for it means the same.
    Some(Duration::from_secs(seconds).min(LONGEST_PAUSE))
}

/// Records that a receiver did not take of a request that it took.
fn refused(answer: &Bytes) -> u64 {
    let answer = ExportLogsServiceResponse::decode(answer.clone()).unwrap_or_default();
    let partial = answer.partial_success.map_or(0, |partial| partial.rejected_log_records);
    u64::try_from(partial).unwrap_or(0)
}

/// `name=value,…`, values as in URLs; what is no header is left out.
fn parse(headers: &str) -> HeaderMap {
    let pairs = headers.split(',').filter_map(|pair| pair.split_once('='));
    let pairs = pairs.filter_map(|(name, value)| {
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        let name = HeaderName::try_from(name.trim()).ok()?;
        Some((name, HeaderValue::try_from(&*value).ok()?))
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_opentelemetry_writes_them() {
        let headers = parse("authorization=Basic%20eA==, x-tenant = a,no header,=b,c=\u{7f}");
        let found: Vec<(&str, &[u8])> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(found, [("authorization", &b"Basic eA=="[..]), ("x-tenant", b"a")]);
    }
}
