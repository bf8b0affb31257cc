//! The part of a Job's status that is stored: counters, conditions, and what is taken in but not
//! counted.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use stint_common::id::{Attempt, Slot};

/// One pod of a Job: its slot and attempt.
pub type Key = (Slot, Attempt);

/// Names of `status.conditions[].type`.
pub mod condition {
    /// `spec.suspend` is in force.
    pub const SUSPENDED: &str = "Suspended";
    /// Interim: the Job will be Complete when its last pods have ended.
    pub const SUCCESS_CRITERIA_MET: &str = "SuccessCriteriaMet";
    /// Terminal: the Job succeeded.
    pub const COMPLETE: &str = "Complete";
    /// Interim: the Job will be Failed when its last pods have ended.
    pub const FAILURE_TARGET: &str = "FailureTarget";
    /// Terminal: the Job failed.
    pub const FAILED: &str = "Failed";
    /// Ours: the Job has not started because of others that it depends on.
    pub const WAITING: &str = stint_common::annotations::WAITING_CONDITION;
}

/// `status` of a Job, stored next to its manifest.
///
/// The completed indexes are in the [`Ledger`](super::Ledger); their text is made when somebody
/// reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JobStatus {
    /// `startTime`: when the Job, not being suspended, was first seen or last resumed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Timestamp>,
    /// `completionTime`: only of a Job that is Complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Timestamp>,
    /// `active`: pods that are neither ended nor being stopped.
    #[serde(skip_serializing_if = "is_zero")]
    pub active: u32,
    /// `ready`: active pods whose Ready condition is true.
    #[serde(skip_serializing_if = "is_zero")]
    pub ready: u32,
    /// `terminating`: pods that are being stopped and have not ended.
    #[serde(skip_serializing_if = "is_zero")]
    pub terminating: u32,
    /// `succeeded`; of an Indexed Job the number of completed indexes.
    #[serde(skip_serializing_if = "is_zero")]
    pub succeeded: u32,
    /// `failed`: pods, not indexes.
    #[serde(skip_serializing_if = "is_zero")]
    pub failed: u32,
    /// `conditions`, in the order in which they came.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// `uncountedTerminatedPods.succeeded`, ascending. The next change counts them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub uncounted_succeeded: Vec<Key>,
    /// `uncountedTerminatedPods.failed`, ascending. The next change counts them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub uncounted_failed: Vec<Key>,
    /// Jobs that this one depends on and that were seen to be complete. Not shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dependencies_met: Vec<String>,
    /// What was told of single pods. Not shown.
    #[serde(skip_serializing_if = "Told::is_nothing")]
    pub told: Told,
    /// The Job was planned for once: `ready`, `terminating` and `uncountedTerminatedPods` are
    /// shown.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub observed: bool,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// How many pods there were something to be told about, so that a large Job tells of the first ones
/// only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Told {
    /// Pods that came into being.
    pub created: u32,
    /// Pods that the Job told to end.
    pub deleted: u32,
}

impl Told {
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// One of `status.conditions`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// `type`; those that decide are in [`condition`].
    pub kind: String,
    /// Whether `status` is `True`.
    pub status: bool,
    /// `reason`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// `message`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// `lastProbeTime`.
    pub last_probe: Timestamp,
    /// `lastTransitionTime`.
    pub last_transition: Timestamp,
}

impl Condition {
    /// A condition that becomes what it is at `at` (`lastProbeTime` and `lastTransitionTime`).
    #[must_use]
    pub fn new(kind: &str, status: bool, reason: &str, message: &str, at: Timestamp) -> Self {
        Self {
            kind: kind.to_owned(),
            status,
            reason: reason.to_owned(),
            message: message.to_owned(),
            last_probe: at,
            last_transition: at,
        }
    }
}

impl JobStatus {
    /// The condition of this type, if its status is True.
    #[must_use]
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.kind == kind && condition.status)
    }

    /// The terminal condition. Nothing ever re-opens a finished Job.
    #[must_use]
    pub fn finished(&self) -> Option<&Condition> {
        self.condition(condition::COMPLETE).or_else(|| self.condition(condition::FAILED))
    }

    /// Terminations that are taken in and not yet counted.
    #[must_use]
    pub fn uncounted(&self) -> usize {
        self.uncounted_succeeded.len() + self.uncounted_failed.len()
    }
}

/// Sets a condition as Kubernetes does: a `False` that would be new says nothing and is not added.
/// Says whether the list changed.
pub fn ensure_condition(list: &mut Vec<Condition>, condition: Condition) -> bool {
    match list.iter_mut().find(|old| old.kind == condition.kind) {
        Some(old) => {
            let same = old.status == condition.status
                && old.reason == condition.reason
                && old.message == condition.message;
            if !same {
                *old = condition;
            }
            !same
        }
        None if condition.status => {
            list.push(condition);
            true
        }
        None => false,
    }
}
