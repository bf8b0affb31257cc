//! What clients say of a pod: the part of its metadata that is theirs. Written by coordinators, and
//! read by them alone.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::Incarnation;

/// The value at a word's subject: all of it, in place of what the pod was made with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodWord {
    /// Format version.
    pub v: u8,
    /// Who wrote this.
    pub writer: Incarnation,
    /// Counts the writer's writes.
    pub nonce: u64,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `metadata.annotations`.
    pub annotations: BTreeMap<String, String>,
    /// `metadata.finalizers`, without the one that says that its end is still to be counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finalizers: Vec<String>,
    /// `metadata.managedFields`, once it was applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed_fields: Option<Value>,
    /// When the pod was deleted, if it had ended by then: it is shown to nobody any more, once it
    /// has no finalizers. (One that runs is told to end by an order.)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Timestamp>,
}

impl PodWord {
    /// Whether both say the same, whoever wrote them.
    #[must_use]
    pub fn says_as(&self, other: &Self) -> bool {
        self.labels == other.labels
            && self.annotations == other.annotations
            && self.finalizers == other.finalizers
            && self.managed_fields == other.managed_fields
            && self.deleted == other.deleted
    }
}
