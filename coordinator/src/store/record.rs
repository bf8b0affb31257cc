//! A Job's record: the raw object as the user sent and admission completed it, and beside it what
//! the owner knows: status, ledger, deletion. One value, so that counters and closed attempts
//! change together.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use stint_common::id::Incarnation;
use stint_common::wire::{TraceContext, VERSION};

use crate::job::{Deletion, JobStatus, Ledger};

/// Finalizers that stand for how a Job is deleted. While it is, they are in its [`Deletion`], and
/// only those of others in its object.
pub const OF_DELETION: [&str; 2] = ["orphan", "foregroundDeletion"];

/// The value at a Job's subject.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobRecord {
    /// Format version.
    pub v: u8,
    /// Who wrote this.
    pub writer: Incarnation,
    /// Counts the writer's writes.
    pub nonce: u64,
    /// The Job without status and resourceVersion, as JSON.
    pub object: Box<RawValue>,
    /// Hash of its pod template, as work items name it.
    pub template: String,
    /// The trace that it belongs to, if the submitter sent one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceContext>,
    /// When it was created: `creationTimestamp` holds whole seconds only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// Its status.
    pub status: JobStatus,
    /// What clients wrote into its status, as far as the owner does not keep it: conditions that
    /// it does not know, and the whole status of a Job that another manages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<Box<RawValue>>,
    /// Which attempts were issued and closed.
    pub ledger: Ledger,
    /// Set when it is to be deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion: Option<Deletion>,
    /// A tombstone: the object is gone, this is its last state, for watches.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gone: bool,
}

/// Why bytes are no record of ours.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not JSON of the right shape.
    #[error("reading a record")]
    Shape(#[from] serde_json::Error),
    /// Written by a newer build.
    #[error("a record has version {0}, this build reads up to {VERSION}")]
    Version(u8),
}

impl JobRecord {
    /// Of a Job that nothing has happened to; for tests.
    #[cfg(test)]
    pub(crate) fn of(object: &serde_json::Value) -> Self {
        Self {
            v: VERSION,
            writer: Incarnation(uuid::Uuid::nil()),
            nonce: 0,
            object: serde_json::value::to_raw_value(object).unwrap(),
            template: "t".to_owned(),
            trace: None,
            created_at: None,
            status: JobStatus::default(),
            said: None,
            ledger: Ledger::default(),
            deletion: None,
            gone: false,
        }
    }

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
