//! Reading from the stream's leader (a direct get may be stale): a subject's last message, and
//! which subjects there are.

use std::collections::BTreeMap;

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

impl ReadError {
    /// Whether there is no such stream (yet).
    #[must_use]
    pub fn is_missing_stream(&self) -> bool {
        matches!(self, Self::Ask { source, .. } if source.is_refusal(404))
    }
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

#[derive(Deserialize)]
struct Page {
    state: PageState,
    /// How many subjects there are, on all pages.
    #[serde(default)]
    total: usize,
}

#[derive(Deserialize)]
struct PageState {
    /// How many messages stand at each subject.
    #[serde(default)]
    subjects: Option<BTreeMap<String, u64>>,
}

impl Jet {
    /// The subjects matching `filter` at which something stands, from the leader. The server gives
    /// them in pages of 100,000, which may be larger than its largest message.
    ///
    /// # Errors
    ///
    /// As [`Jet::read_last`].
    pub async fn subjects(&self, stream: &str, filter: &str) -> Result<Vec<String>, ReadError> {
        let mut found = Vec::new();
        loop {
            let body = json!({ "subjects_filter": filter, "offset": found.len() });
            let page: Result<Page, _> = self.ask(&format!("STREAM.INFO.{stream}"), &body).await;
            let page = page.map_err(|source| {
                let (stream, subject) = (stream.to_owned(), filter.to_owned());
                ReadError::Ask { stream, subject, source }
            })?;
            let subjects = page.state.subjects.unwrap_or_default();
            let is_last = subjects.is_empty();
            found.extend(subjects.into_keys());
            if is_last || found.len() >= page.total {
                return Ok(found);
            }
        }
    }

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

    /// The first message at `subject` from a sequence on, from the leader; `None` if there is none.
    ///
    /// # Errors
    ///
    /// As [`Jet::read_last`].
    pub async fn read_next(
        &self,
        stream: &str,
        subject: &str,
        from: u64,
    ) -> Result<Option<Stored>, ReadError> {
        self.read(stream, subject, &json!({ "seq": from, "next_by_subj": subject })).await
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
