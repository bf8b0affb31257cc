//! Removing messages: one by its sequence, or all at a subject. Either may be done twice.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{AskError, Jet};

/// JetStream's codes for a sequence at which there is nothing.
const NOT_THERE: [u32; 2] = [10037, 10043];

/// Why something was not removed. Always worth another try.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// The stream could not be asked, or refuses.
    #[error("removing {what} from stream {stream}")]
    Ask {
        /// Which stream.
        stream: String,
        /// What was to go.
        what: String,
        /// Why it did not.
        #[source]
        source: AskError,
    },
    /// It says neither that it was removed nor why not.
    #[error("{what} of stream {stream} was not removed")]
    Kept {
        /// Which stream.
        stream: String,
        /// What was to go.
        what: String,
    },
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
        let (name, what) = (stream.to_owned(), format!("message {sequence}"));
        // Not overwritten with noise: that costs a sync.
        let order = json!({"seq": sequence, "no_erase": true});
        match self.ask::<Removed>(&format!("STREAM.MSG.DELETE.{stream}"), &order).await {
            Ok(Removed { success: true }) => Ok(()),
            Ok(Removed { success: false }) => Err(RemoveError::Kept { stream: name, what }),
            Err(AskError::Refused(refusal)) => {
                let is_gone = NOT_THERE.contains(&refusal.err_code)
                    || matches!(self.read_at(stream, sequence).await, Ok(None));
                let source = AskError::Refused(refusal);
                if is_gone { Ok(()) } else { Err(RemoveError::Ask { stream: name, what, source }) }
            }
            Err(source) => Err(RemoveError::Ask { stream: name, what, source }),
        }
    }

    /// Removes all messages at a subject (wildcards allowed).
    ///
    /// # Errors
    ///
    /// When the stream refuses or does not answer.
    pub async fn purge(&self, stream: &str, subject: &str) -> Result<(), RemoveError> {
        let body = json!({ "filter": subject });
        let purged = self.ask::<Value>(&format!("STREAM.PURGE.{stream}"), &body).await;
        purged.map(drop).map_err(|source| {
            let (stream, what) = (stream.to_owned(), format!("`{subject}`"));
            RemoveError::Ask { stream, what, source }
        })
    }
}
