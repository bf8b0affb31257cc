//! Reading a subject's last message from the stream's leader: a direct get may be stale.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{AskError, Jet};

/// `JSNoMessageFoundErr`.
const NO_MESSAGE: u32 = 10037;

/// What stands at a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The subject it was stored under.
    pub subject: String,
    /// Its sequence in the stream.
    pub sequence: u64,
    /// Its bytes.
    pub payload: Bytes,
    /// When the stream stored it.
    pub time: Timestamp,
}

/// Why a read failed. Always worth another try.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The stream could not be asked.
    #[error("reading `{subject}` from stream {stream}")]
    Ask {
        /// Which stream.
        stream: String,
        /// Which subject.
        subject: String,
        /// Why.
        #[source]
        source: AskError,
    },
    /// The answer is not what it should be.
    #[error("reading JetStream's answer for `{subject}`")]
    Encoding {
        /// Which subject.
        subject: String,
        /// Why.
        #[source]
        source: base64::DecodeError,
    },
}

#[derive(Deserialize)]
struct Found {
    message: RawMessage,
}

#[derive(Deserialize)]
struct RawMessage {
    subject: String,
    seq: u64,
    #[serde(default)]
    data: String,
    time: Timestamp,
}

impl Jet {
    /// The last message at `subject` (wildcards allowed), from the leader; `None` if there is none.
    ///
    /// # Errors
    ///
    /// When the stream does not answer; nothing is known then.
    pub async fn read_last(
        &self,
        stream: &str,
        subject: &str,
    ) -> Result<Option<Stored>, ReadError> {
        self.read(stream, subject, &json!({ "last_by_subj": subject })).await
    }

    /// The message at a sequence, from the leader; `None` if there is none (any more).
    ///
    /// # Errors
    ///
    /// As [`Jet::read_last`].
    pub async fn read_at(&self, stream: &str, sequence: u64) -> Result<Option<Stored>, ReadError> {
        self.read(stream, &format!("message {sequence}"), &json!({ "seq": sequence })).await
    }

    async fn read(
        &self,
        stream: &str,
        what: &str,
        body: &Value,
    ) -> Result<Option<Stored>, ReadError> {
        let found = self.ask::<Found>(&format!("STREAM.MSG.GET.{stream}"), body).await;
        let message = match found {
            Ok(found) => found.message,
            Err(error) if is_empty(&error) => return Ok(None),
            Err(source) => {
                let (stream, subject) = (stream.to_owned(), what.to_owned());
                return Err(ReadError::Ask { stream, subject, source });
            }
        };
        let payload = STANDARD.decode(&message.data);
        let payload =
            payload.map_err(|source| ReadError::Encoding { subject: what.to_owned(), source })?;
        Ok(Some(Stored {
            subject: message.subject,
            sequence: message.seq,
            payload: payload.into(),
            time: message.time,
        }))
    }
}

/// Whether the server says that no message stands there, and not that there is no stream.
fn is_empty(error: &AskError) -> bool {
    matches!(error, AskError::Refused(refusal) if refusal.err_code == NO_MESSAGE)
}
