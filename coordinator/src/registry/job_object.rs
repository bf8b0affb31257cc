//! The Job that a client sees: the stored object, its revision, and the status that the owner
//! keeps.
//!
//! Takes a plain view of the status, so that the API does not depend on how Jobs are decided.

use std::fmt::Display;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use stint_common::id::Revision;
use stint_common::time::format_seconds;

/// `status` of a Job. Numbers that Kubernetes leaves out when zero are plain, the others `Option`s.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StatusView {
    /// In the order in which they were added.
    pub conditions: Vec<JobCondition>,
    /// Not set before the first sync, nor while suspended.
    pub start_time: Option<Timestamp>,
    /// Only of a Job that is Complete.
    pub completion_time: Option<Timestamp>,
    /// Pods that are neither ended nor being ended.
    pub active: u32,
    /// Pods that succeeded, or indexes that did.
    pub succeeded: u32,
    /// Pods that failed.
    pub failed: u32,
    /// Pods being ended; shown from the first sync on, also when zero.
    pub terminating: Option<u32>,
    /// Active pods that are ready; shown from the first sync on, also when zero.
    pub ready: Option<u32>,
    /// Indexes that succeeded, as text; empty for a NonIndexed Job.
    pub completed_indexes: String,
    /// Indexes that failed for good; only with a back-off limit per index.
    pub failed_indexes: Option<String>,
    /// Ended pods on their way into the counters; shown from the first sync on.
    pub uncounted: Option<Uncounted>,
}

/// A condition of a Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobCondition {
    /// `type`: `Complete`, `Failed`, `Suspended`, `FailureTarget`, `SuccessCriteriaMet`.
    pub kind: String,
    /// `status`: True or False.
    pub status: bool,
    /// `reason`.
    pub reason: String,
    /// `message`.
    pub message: String,
    /// `lastTransitionTime`.
    pub at: Timestamp,
    /// `lastProbeTime`, which Kubernetes' controller sets alike.
    pub probed: Timestamp,
}

/// `uncountedTerminatedPods`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uncounted {
    /// Uids of pods that succeeded.
    pub succeeded: Vec<String>,
    /// Uids of pods that failed.
    pub failed: Vec<String>,
}

/// The Job as a client sees it, from what is stored of it.
#[must_use]
pub fn job_object(mut job: Value, status: &StatusView, revision: Revision) -> Value {
    if let Some(job) = job.as_object_mut() {
        job.insert("status".to_owned(), status_value(status));
    }
    set_revision(&mut job, revision);
    job
}

/// Writes `metadata.resourceVersion`; an object that was not stored (a dry run's) has none: 0 would
/// mean any to whoever sends it back.
pub fn set_revision(object: &mut Value, revision: impl Display) {
    let revision = revision.to_string();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut)
        && revision != "0"
    {
        metadata.insert("resourceVersion".to_owned(), Value::from(revision));
    }
}

/// `status` as Kubernetes writes it, in its order.
#[must_use]
pub fn status_value(status: &StatusView) -> Value {
    let mut members = Map::new();
    let mut put = |name: &str, value: Value| {
        members.insert(name.to_owned(), value);
    };
    if !status.conditions.is_empty() {
        put("conditions", status.conditions.iter().map(condition).collect());
    }
    for (name, time) in
        [("startTime", status.start_time), ("completionTime", status.completion_time)]
    {
        if let Some(time) = time {
            put(name, Value::from(format_seconds(time)));
        }
    }
    for (name, count) in
        [("active", status.active), ("succeeded", status.succeeded), ("failed", status.failed)]
    {
        if count > 0 {
            put(name, Value::from(count));
        }
    }
    if let Some(count) = status.terminating {
        put("terminating", Value::from(count));
    }
    if !status.completed_indexes.is_empty() {
        put("completedIndexes", Value::from(status.completed_indexes.as_str()));
    }
    if let Some(indexes) = &status.failed_indexes {
        put("failedIndexes", Value::from(indexes.as_str()));
    }
    if let Some(uncounted) = &status.uncounted {
        put("uncountedTerminatedPods", uncounted_value(uncounted));
    }
    if let Some(count) = status.ready {
        put("ready", Value::from(count));
    }
    Value::Object(members)
}

fn condition(condition: &JobCondition) -> Value {
    let mut value = json!({
        "type": condition.kind,
        "status": if condition.status { "True" } else { "False" },
        "lastProbeTime": format_seconds(condition.probed),
        "lastTransitionTime": format_seconds(condition.at),
    });
    for (name, text) in [("reason", &condition.reason), ("message", &condition.message)] {
        if !text.is_empty() {
            value[name] = Value::from(text.as_str());
        }
    }
    value
}

fn uncounted_value(uncounted: &Uncounted) -> Value {
    let mut value = json!({});
    for (name, uids) in [("succeeded", &uncounted.succeeded), ("failed", &uncounted.failed)] {
        if !uids.is_empty() {
            value[name] = json!(uids);
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_job_has_an_empty_status() {
        let stored = json!({"metadata": {"name": "pi"}, "spec": {}, "status": {"active": 7}});
        let job = job_object(stored, &StatusView::default(), Revision(12));
        assert_eq!(job["status"], json!({}));
        assert_eq!(job["metadata"]["resourceVersion"], "12");
    }

    #[test]
    fn zeros_are_left_out_where_kubernetes_leaves_them_out() {
        let at = "2026-01-15T12:00:00.7Z".parse().unwrap();
        let status = StatusView {
            conditions: vec![JobCondition {
                kind: "Complete".to_owned(),
                status: true,
                reason: "CompletionsReached".to_owned(),
                message: String::new(),
                at,
                probed: at,
            }],
            start_time: Some(at),
            terminating: Some(0),
            ready: Some(0),
            failed_indexes: Some(String::new()),
            uncounted: Some(Uncounted::default()),
            succeeded: 2,
            ..StatusView::default()
        };
        assert_eq!(
            status_value(&status),
            json!({
                "conditions": [{
                    "type": "Complete",
                    "status": "True",
                    "lastProbeTime": "2026-01-15T12:00:00Z",
                    "lastTransitionTime": "2026-01-15T12:00:00Z",
                    "reason": "CompletionsReached",
                }],
                "startTime": "2026-01-15T12:00:00Z",
                "succeeded": 2,
                "terminating": 0,
                "failedIndexes": "",
                "uncountedTerminatedPods": {},
                "ready": 0,
            })
        );
    }
}
