//! Removing messages: one by its sequence, or all at a subject. Either may be done twice.

use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use serde::Deserialize;
use serde_json::json;

use super::Jet;

/// JetStream's codes for a sequence at which there is nothing.
const NOT_THERE: [u64; 2] = [10037, 10043];

/// Why something was not removed. Always worth another try.
#[derive(Debug, thiserror::Error)]
#[error("removing {what} from stream {stream}")]
pub struct RemoveError {
    stream: String,
    what: String,
    #[source]
    source: async_nats::Error,
}

#[derive(Deserialize)]
struct Removed {
    #[serde(default)]
    success: bool,
}

impl Jet {
    /// Removes the message at a sequence; that it is gone already is as good.
    ///
    /// # Errors
    ///
    /// When the stream refuses or does not answer.
    pub async fn remove(&self, stream: &str, sequence: u64) -> Result<(), RemoveError> {
        let error = |source: async_nats::Error| RemoveError {
            stream: stream.to_owned(),
            what: format!("message {sequence}"),
            source,
        };
        // Not overwritten with noise, as the crate's own call would have it: that costs a sync.
        let order = json!({"seq": sequence, "no_erase": true});
        let subject = format!("STREAM.MSG.DELETE.{stream}");
        let answer = self.context.request(subject, &order).await;
        match answer.map_err(|source| error(source.into()))? {
            Response::Ok(Removed { success: true }) => Ok(()),
            Response::Ok(Removed { success: false }) => Err(error("it was not removed".into())),
            Response::Err { error: refused } => {
                if NOT_THERE.contains(&refused.error_code().0)
                    || !self.is_there(stream, sequence).await
                {
                    return Ok(());
                }
                Err(error(refused.into()))
            }
        }
    }

    /// Whether there is a message at a sequence; taken to be so when nobody answers.
    async fn is_there(&self, stream: &str, sequence: u64) -> bool {
        let Ok(handle) = self.context.get_stream_no_info(stream).await else { return true };
        let handle: Stream<()> = handle;
        let found = handle.get_raw_message(sequence).await;
        !found.is_err_and(|error| matches!(error.kind(), RawMessageErrorKind::NoMessageFound))
    }

    /// Removes all messages at a subject (wildcards allowed).
    ///
    /// # Errors
    ///
    /// When the stream refuses or does not answer.
    pub async fn purge(&self, stream: &str, subject: &str) -> Result<(), RemoveError> {
        let error = |source: async_nats::Error| RemoveError {
            stream: stream.to_owned(),
            what: format!("`{subject}`"),
            source,
        };
        let handle = self.context.get_stream_no_info(stream).await;
        let handle: Stream<()> = handle.map_err(|source| error(source.into()))?;
        handle.purge().filter(subject).await.map(drop).map_err(|source| error(source.into()))
    }
}
