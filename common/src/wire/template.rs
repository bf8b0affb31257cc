//! What all pods of a Job share; immutable, written before the Job, named by work items and
//! records.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::id::JobUid;

/// A pod template with what a worker needs to know of its Job.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Template {
    /// Format version.
    pub v: u8,
    /// `metadata.namespace` of the Job and its pods.
    pub namespace: String,
    /// `metadata.name` of the Job.
    pub job_name: String,
    /// `metadata.uid` of the Job.
    pub job_uid: JobUid,
    /// Whether `completionMode` is Indexed: pods then have an index, a hostname and the index'
    /// label.
    pub indexed: bool,
    /// `spec.template` of the Job as stored: defaulted, with the generated labels.
    pub pod_template: Box<RawValue>,
    /// The trace that the Job belongs to.
    pub trace: Option<TraceContext>,
    /// Written when the Job was changed, not when it was created: the Job may have a
    /// [`Seal`](super::Seal) that is older.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub changed: bool,
}

/// A W3C trace context as the submitter sent it, and what a large Job's pods make of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceContext {
    /// `traceparent` header; empty if there was none.
    pub traceparent: String,
    /// `tracestate` header, when there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<String>,
    /// `baggage` header, when there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baggage: Option<String>,
    /// Absent for Jobs whose spans all fit into one trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<TraceLimits>,
}

/// How the spans of a large Job are spread, decided when it is created: coordinators that send
/// spans, and workers that tell pods theirs, must agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TraceLimits {
    /// Slots that share a trace of their own; 0: all are in the Job's trace.
    pub shard_pods: u32,
    /// Of 2^32 successful pods so many are kept; all, if it is the largest number.
    pub keep: u32,
}
