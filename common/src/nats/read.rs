//! Reading a subject's last message from the stream's leader: a direct get may be stale.

use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use bytes::Bytes;
use jiff::Timestamp;

use super::Jet;
use crate::time::from_nanos;

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
        source: async_nats::Error,
    },
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
        let error = |source| ReadError::Ask {
            stream: stream.to_owned(),
            subject: subject.to_owned(),
            source,
        };
        let handle: Stream<()> =
            self.context.get_stream_no_info(stream).await.map_err(|source| error(source.into()))?;
        match handle.get_last_raw_message_by_subject(subject).await {
            Ok(message) => Ok(Some(Stored {
                subject: message.subject.to_string(),
                sequence: message.sequence,
                payload: message.payload,
                time: from_nanos(i64::try_from(message.time.unix_timestamp_nanos()).unwrap_or(0)),
            })),
            Err(source) if matches!(source.kind(), LastRawMessageErrorKind::NoMessageFound) => {
                Ok(None)
            }
            Err(source) => Err(error(source.into())),
        }
    }
}
