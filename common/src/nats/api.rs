//! JetStream's API: requests in JSON, answers or refusals in JSON.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Jet;
use super::port::PortError;
use crate::metrics::jetstream;
use crate::time::Instant;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(5);

/// A refusal, as the server words it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, thiserror::Error)]
#[error("{description} (code {code}, error code {err_code})")]
pub struct Refusal {
    /// As of HTTP.
    pub code: u16,
    /// The server's own number for what is wrong.
    #[serde(default)]
    pub err_code: u32,
    /// For people.
    #[serde(default)]
    pub description: String,
}

/// Why there is no answer to use.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The server says no.
    #[error(transparent)]
    Refused(Refusal),
    /// Nothing is known.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The answer is not what it should be.
    #[error("reading JetStream's answer")]
    Shape(#[from] serde_json::Error),
}

impl AskError {
    /// Whether the server said no with this code.
    #[must_use]
    pub fn is_refusal(&self, wanted: u16) -> bool {
        matches!(self, Self::Refused(Refusal { code, .. }) if *code == wanted)
    }
}

#[derive(Deserialize)]
struct Envelope {
    error: Option<Refusal>,
}

impl Jet {
    /// Asks JetStream: `operation` is the part of the subject after the API's prefix.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        operation: &str,
        body: &Value,
    ) -> Result<T, AskError> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let subject = format!("$JS.API.{operation}");
        let start = Instant::now();
        let answer = self.request(subject, None, body.into(), ANSWER).await;
        jetstream().asked(operation, start.elapsed());
        let answer = answer?;
        let envelope: Envelope = serde_json::from_slice(&answer.payload)?;
        match envelope.error {
            Some(refusal) => Err(AskError::Refused(refusal)),
            None => Ok(serde_json::from_slice(&answer.payload)?),
        }
    }
}
