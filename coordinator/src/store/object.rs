//! The record of an object that is kept as it was sent.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use stint_common::id::Incarnation;
use stint_common::wire::VERSION;

use super::DecodeError;

/// The value at an object's subject. Has no `Debug`: it may be a Secret.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRecord {
    /// Format version.
    pub v: u8,
    /// Who wrote this.
    pub writer: Incarnation,
    /// Counts the writer's writes.
    pub nonce: u64,
    /// The object without its resourceVersion, as JSON.
    pub object: Box<RawValue>,
    /// A tombstone: the object is gone, this is its last state, for watches.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gone: bool,
}

impl ObjectRecord {
    /// Reads a record.
    ///
    /// # Errors
    ///
    /// When the bytes are not a record, or one of a newer version.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let record: Self = serde_json::from_slice(bytes)?;
        if record.v > VERSION {
            return Err(DecodeError::Version(record.v));
        }
        Ok(record)
    }

    /// The bytes to be stored.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let bytes = serde_json::to_vec(self).expect("a record has only string keys and raw JSON");
        Bytes::from(bytes)
    }
}
