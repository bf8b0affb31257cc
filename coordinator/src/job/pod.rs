//! What is known of one pod: facts from its record and orders, as the owner hears them.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// News of a pod. Facts may come twice or late; what they add up to does not depend on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodFact {
    /// A worker runs it, and nobody else will.
    Claimed,
    /// Its processes run.
    Running {
        /// The pod's Ready condition.
        ready: bool,
        /// Restarts of all its containers, summed.
        restarts: u32,
    },
    /// It is over, once and for all.
    Ended(EndFact),
    /// Somebody deleted it through the API: its `deletionTimestamp` is `at` plus the grace period.
    StopOrdered {
        /// `deletionGracePeriodSeconds`.
        grace_seconds: u32,
        /// When it was deleted.
        at: Timestamp,
        /// It was evicted: if it fails, that is a disruption.
        evicted: bool,
    },
}

/// How a pod ended, as far as rules read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndFact {
    /// Its last phase was Succeeded, else Failed.
    pub succeeded: bool,
    /// When, by a clock that decisions may rest on: the worker's, but not after the record's.
    pub finished_at: Timestamp,
    /// Exit codes of its containers in the template's order, init containers last (SEMANTICS 8).
    pub exits: Vec<ContainerExit>,
    /// Its conditions, all that the API shows of it.
    pub conditions: Vec<PodCondition>,
}

/// One of a pod's conditions, as far as rules read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodCondition {
    /// `type`.
    pub kind: Cow<'static, str>,
    /// `status`.
    pub status: ConditionStatus,
}

/// `status` of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// Nobody knows.
    Unknown,
}

impl ConditionStatus {
    /// Reads `True`, `False` or `Unknown`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "True" => Some(Self::True),
            "False" => Some(Self::False),
            "Unknown" => Some(Self::Unknown),
            _ => None,
        }
    }
}

/// The exit of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerExit {
    /// `name`.
    pub container: String,
    /// `exitCode`.
    pub code: i32,
}

/// Where in its life a pod is, as far as the owner knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Issued; an earlier attempt of its slot has not durably ended, so nobody may hear of it (I5).
    Held,
    /// Issued; its work item may be published.
    Queued,
    /// Its work item was taken to be published; no claim is known.
    Published,
    /// A worker has claimed it.
    Claimed,
    /// Its processes run.
    Running {
        /// The pod's Ready condition.
        ready: bool,
        /// Restarts of all its containers, summed.
        restarts: u32,
    },
    /// It is over.
    Ended(Box<EndFact>),
}

impl Stage {
    /// Whether some worker has, or had, the pod.
    #[must_use]
    pub fn is_claimed(&self) -> bool {
        matches!(self, Self::Claimed | Self::Running { .. })
    }

    /// How the pod ended, if it did.
    #[must_use]
    pub fn end(&self) -> Option<&EndFact> {
        match self {
            Self::Ended(end) => Some(end),
            Self::Held | Self::Queued | Self::Published | Self::Claimed | Self::Running { .. } => {
                None
            }
        }
    }

    pub(super) fn restarts(&self) -> u32 {
        match self {
            Self::Running { restarts, .. } => *restarts,
            Self::Held | Self::Queued | Self::Published | Self::Claimed | Self::Ended(_) => 0,
        }
    }
}

/// That a pod must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stop {
    /// When it was decided: the pod's `deletionTimestamp` is this plus the grace period.
    pub at: Timestamp,
    /// `deletionGracePeriodSeconds`.
    pub grace_seconds: u32,
    /// Why.
    pub reason: StopReason,
}

/// Why a pod must end. `Display` is the sentence for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum StopReason {
    /// The pod was deleted through the API.
    PodDeleted,
    /// The pod was evicted through the API.
    PodEvicted,
    /// `spec.suspend` was set.
    JobSuspended,
    /// More pods were active than wanted (`spec.parallelism` was lowered, or the Job needs no
    /// more).
    ScaledDown,
    /// `spec.completions` was lowered below the pod's index.
    IndexRemoved,
    /// The Job failed.
    JobFailed,
    /// The Job succeeded without this pod.
    JobSucceeded,
    /// The Job was deleted.
    JobDeleted,
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PodDeleted => "Pod was deleted",
            Self::PodEvicted => "Pod was evicted",
            Self::JobSuspended => "Job was suspended",
            Self::ScaledDown => "Job needs fewer pods",
            Self::IndexRemoved => "Job no longer has this index",
            Self::JobFailed => "Job failed",
            Self::JobSucceeded => "Job succeeded",
            Self::JobDeleted => "Job was deleted",
        })
    }
}

/// A pod in the owner's memory: issued, and not yet both closed and ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pod {
    pub(super) stage: Stage,
    /// The API's word that it must end.
    pub(super) order: Option<Stop>,
    /// The Job's word that it must end.
    pub(super) doom: Option<Stop>,
    /// The Job's record has taken its end in, or will never.
    pub(super) closed: bool,
}

impl Pod {
    pub(super) fn new(stage: Stage) -> Self {
        Self { stage, order: None, doom: None, closed: false }
    }

    /// What was heard of it, without what the Job's record says; `None` if nothing was.
    pub(super) fn heard(self) -> Option<Self> {
        let unheard = matches!(self.stage, Stage::Held | Stage::Queued | Stage::Published);
        if unheard && self.order.is_none() {
            return None;
        }
        let stage = if unheard { Stage::Held } else { self.stage };
        Some(Self { stage, order: self.order, doom: None, closed: false })
    }

    /// That it must end, by whoever's word. The earlier word is the API's: the Job's own decisions
    /// spare pods that are already terminating.
    pub(super) fn stop(&self) -> Option<&Stop> {
        self.order.as_ref().or(self.doom.as_ref())
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.stage, Stage::Ended(_))
    }

    /// Neither ended nor told to end: what `status.active` counts.
    pub(super) fn is_active(&self) -> bool {
        !self.closed && !self.has_ended() && self.stop().is_none()
    }

    pub(super) fn is_ready(&self) -> bool {
        matches!(self.stage, Stage::Running { ready: true, .. })
    }
}
