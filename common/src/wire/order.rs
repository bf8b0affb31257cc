//! Coordinator to worker: words from outside a pod to it. Durable as [`Order`], repeated as
//! [`Nudge`] on core NATS until the pod has ended or its worker is lost.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{Incarnation, PodId};

/// The value at an order's subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// Format version.
    pub v: u8,
    /// Who wrote this.
    pub writer: Incarnation,
    /// Counts the writer's writes.
    pub nonce: u64,
    /// What the pod is told.
    pub kind: OrderKind,
    /// It is an eviction: the pod's end is a disruption.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub evicted: bool,
    /// A client deleted the pod, or had it evicted: nothing of it is shown when it has ended, its
    /// output neither.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
}

/// What a pod can be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OrderKind {
    /// End: TERM, then KILL to the whole tree when the grace period is over.
    #[serde(rename_all = "camelCase")]
    Stop {
        /// `deletionGracePeriodSeconds`; 0 kills at once.
        grace_seconds: u32,
        /// When it was first said: the pod's `deletionTimestamp` is this plus the grace period.
        at: Timestamp,
        /// Why, for people (`Job was suspended`).
        reason: String,
    },
}

/// What a worker hears on its nudge subject: orders to pods that it claimed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nudge {
    /// Format version.
    pub v: u8,
    /// The pods, at most [`Nudge::MAX`] a message.
    pub pods: Vec<NudgedPod>,
    /// Whether the worker is to take no more pods; its Node's record says so durably.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cordoned: Option<bool>,
    /// Pods that the worker has claimed and not ended, as far as the owner knows, at most
    /// [`Nudge::MAX`] a message. A worker ends those that it does not know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<PodId>,
}

impl Nudge {
    /// Keeps a nudge (about 190 bytes a pod) below the largest message of any server that is taken.
    pub const MAX: usize = 500;
}

/// One pod and what it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NudgedPod {
    /// Which pod.
    pub pod: PodId,
    /// What it is told.
    pub order: OrderKind,
}
