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
}
