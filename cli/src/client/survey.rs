//! Questions to NATS itself rather than to the API: for looking at an installation.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use serde_json::Value;

use super::Client;

/// JetStream answers within this time, when it is asked again in between: a question to servers
/// that are choosing a leader is lost.
const LIMIT: Duration = Duration::from_secs(5);
const TRIES: u32 = 3;

impl Client {
    /// Where it is connected, as it was told.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The version of the server at the other end.
    #[must_use]
    pub fn server_version(&self) -> String {
        self.nats.server_info().version
    }

    /// Asks JetStream's API; `operation` is the part of the subject after its prefix.
    ///
    /// # Errors
    ///
    /// What went wrong, in the server's words where it answered.
    pub async fn ask_jetstream(&self, operation: &str, body: &Value) -> Result<Value, String> {
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let mut tries = 0;
        let answer = loop {
            tries += 1;
            let asked = self.nats.request(format!("$JS.API.{operation}"), body.clone());
            match tokio::time::timeout(LIMIT / TRIES, asked).await {
                Ok(Ok(answer)) => break answer,
                Ok(Err(error)) => return Err(error.to_string()),
                Err(_) if tries < TRIES => {}
                Err(_) => return Err(format!("no answer within {} s", LIMIT.as_secs())),
            }
        };
        let answer: Value =
            serde_json::from_slice(&answer.payload).map_err(|error| error.to_string())?;
        match answer["error"]["description"].as_str() {
            Some(description) => Err(description.to_owned()),
            None => Ok(answer),
        }
    }

    /// The instances of an ADR-32 service that answer within `wait`.
    pub async fn ping_service(&self, service: &str, wait: Duration) -> Vec<Value> {
        let inbox = self.nats.new_inbox();
        let Ok(answers) = self.nats.subscribe(inbox.clone()).await else { return Vec::new() };
        let subject = format!("$SRV.PING.{service}");
        if self.nats.publish_with_reply(subject, inbox, Bytes::new()).await.is_err() {
            return Vec::new();
        }
        let until = tokio::time::sleep(wait);
        let answers = answers.take_until(until);
        let answers: Vec<_> = answers.collect().await;
        answers.iter().filter_map(|answer| serde_json::from_slice(&answer.payload).ok()).collect()
    }
}
