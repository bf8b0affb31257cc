//! Coordinator to worker: a pod to be run. Small, since there is one per pod: it names the
//! template.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The body of a work item; class and pod stand in its subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkItem {
    /// Format version.
    pub v: u8,
    /// Hash of the template (the last token of its subject).
    pub template: String,
    /// When the attempt was issued: the pod's `creationTimestamp`.
    pub created_at: Timestamp,
    /// With a back-off limit per index: how often the index has failed before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index_failures: Option<IndexFailures>,
}

/// Failures in a row of a pod's index before the pod, as its annotations say them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IndexFailures {
    /// Those that count to the limit (`job-index-failure-count`).
    #[serde(default)]
    pub counted: u32,
    /// Those that a failure policy ignores (`job-index-ignored-failure-count`).
    #[serde(default)]
    pub ignored: u32,
}
