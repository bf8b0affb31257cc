//! A pod's life after pending: the record that a chain of compare-and-set writes carries from claim
//! to end.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::work::IndexFailures;
use crate::id::Incarnation;

/// Conditions that every pod shows that a worker had and that has ended, and whether they hold;
/// `Initialized` is left out: [`End::is_initialized`] says it.
pub const ENDED_CONDITIONS: [(&str, bool); 4] = [
    ("PodReadyToStartContainers", false),
    ("Ready", false),
    ("ContainersReady", false),
    ("PodScheduled", true),
];

/// `status.reason` of a pod that ended without ever being started: no client is shown it.
pub const NOT_STARTED: &str = "NotStarted";

/// `status.reason` of a pod whose worker has lost it, or is lost itself.
pub const WORKER_LOST: &str = "WorkerLost";

/// The value at a pod's subject.
///
/// `writer` and `nonce` make every write's bytes unique, so that reading back tells whose write it
/// was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodRecord {
    /// Format version.
    pub v: u8,
    /// Who wrote this: a worker's or a coordinator's incarnation.
    pub writer: Incarnation,
    /// Counts the writer's writes.
    pub nonce: u64,
    /// Hash of the Job's template.
    pub template: String,
    /// When the attempt was issued: the pod's `creationTimestamp`.
    pub created_at: Timestamp,
    /// As its work item says: how often its index had failed before, where that is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index_failures: Option<IndexFailures>,
    /// Who runs it. `None` only for a pod that was ended before anybody claimed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// Its machine's address, once there is something to say of its processes. Not of a claim,
    /// which is written again to the byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Where in its life the pod is.
    pub state: PodState,
    /// What a claimed pod waits for before anything of it can be started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
}

/// Why a container, or no container of the pod, is started yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// `name` of the container; empty if all wait.
    pub container: String,
    /// `reason`: `CreateContainerConfigError`, `ContainerCreating`.
    pub reason: String,
    /// `message`.
    pub message: String,
}

/// An incarnation's durable word that it, and nobody else, runs the pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// The worker's name.
    pub worker: String,
    /// The life of the worker that claimed.
    pub incarnation: Incarnation,
    /// When it claimed, by its own clock.
    pub claimed_at: Timestamp,
}

/// Where in its life a pod is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PodState {
    /// Claimed; no process is known to have started.
    Claimed,
    /// Processes run. Pods that end within 100 ms never write this.
    Running(Running),
    /// Over, once and for all.
    Terminated(Box<End>),
}

/// What a running pod reports of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Running {
    /// When its first process was started.
    pub started_at: Timestamp,
    /// None was yet: that is when one was first tried, or found to lack something.
    #[serde(default, skip_serializing_if = "is_false")]
    pub only_tried: bool,
    /// The pod's Ready condition.
    pub ready: bool,
    /// Restarts of all containers, summed: also those of init containers.
    pub restarts: u32,
    /// What there is to say beyond that; absent while one container runs and never did anything
    /// else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Box<Detail>>,
}

/// A running pod, container by container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Detail {
    /// How far its init containers are; absent if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initialized: Option<Initialized>,
    /// When the Ready condition last changed; absent: when its first process was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_changed_at: Option<Timestamp>,
    /// Its containers in the template's order, then its init containers.
    pub containers: Vec<ContainerNow>,
}

/// How far the init containers of a pod are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Initialized {
    /// Not all have done their part: the pod is Pending.
    Not,
    /// All had done their part at this time.
    At(Timestamp),
}

/// What one container of a running pod does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerNow {
    /// `name` of the container.
    pub name: String,
    /// What it does.
    pub state: ContainerState,
    /// `ready`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ready: bool,
    /// `started`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub started: bool,
    /// `restartCount`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub restarts: u32,
    /// How its run before this one ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Box<ContainerEnd>>,
    /// What it waits for, if more than its turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<Box<WaitsFor>>,
}

/// Why one container is not started yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitsFor {
    /// `reason`: `CreateContainerConfigError`.
    pub reason: String,
    /// `message`.
    pub message: String,
}

/// `state` of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ContainerState {
    /// It has not been started, or is being started.
    Waiting,
    /// It failed, and is to be started again.
    #[serde(rename_all = "camelCase")]
    BackingOff {
        /// How long it waits from its last end to its next start.
        delay_seconds: u32,
    },
    /// It runs.
    Running {
        /// Since when.
        since: Timestamp,
    },
    /// It is over.
    Terminated(Box<ContainerEnd>),
}

/// How a pod ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct End {
    /// The pod's last phase.
    pub outcome: Outcome,
    /// Whose word this is.
    pub by: EndedBy,
    /// `status.reason` of the pod (`DeadlineExceeded`, `NotStarted`, `WorkerLost`…); empty for an
    /// ordinary exit.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// `status.message` of the pod; empty for an ordinary exit.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// When its first process was started; absent if none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When its last process ended, by the worker's clock.
    pub finished_at: Timestamp,
    /// Its containers in the template's order, then its init containers. Empty if none was started;
    /// without those whose turn never came because of an init container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<ContainerEnd>,
    /// How far its init containers came; absent if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initialized: Option<Initialized>,
    /// Conditions to show besides the usual ones (`DisruptionTarget`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<PodCondition>,
}

impl End {
    /// Whether its Initialized condition holds.
    #[must_use]
    pub fn is_initialized(&self) -> bool {
        self.initialized != Some(Initialized::Not)
    }
}

/// The last phase of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Every main container ended with exit code 0.
    Succeeded,
    /// Some container did not, or the pod was stopped, lost or never started.
    Failed,
}

/// Whose word an end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndedBy {
    /// The claiming incarnation's own.
    Worker,
    /// The owner's: the pod must not start, or its worker is lost.
    Coordinator,
}

/// How one container ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerEnd {
    /// `name` of the container.
    pub name: String,
    /// The truth of its last exit.
    pub exit: Exit,
    /// `reason`: `Completed`, `Error`, `StartError`, `OOMKilled`…
    pub reason: String,
    /// `message`, for instance why it could not be started; empty if there is nothing to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// When its last process was started; absent if it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When that process ended.
    pub finished_at: Timestamp,
    /// How often it was started again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub restarts: u32,
    /// What became of its output.
    pub logs: LogSummary,
    /// How its run before this one ended, without its output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Box<Self>>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn is_false(value: &bool) -> bool {
    !*value
}

/// `reason` of a container that had no process when its pod was ended.
pub const STATUS_UNKNOWN: &str = "ContainerStatusUnknown";

impl ContainerEnd {
    /// As it is told when another run has followed: its output, and what was before, went with it.
    #[must_use]
    pub fn outlived(&self) -> Self {
        Self { logs: LogSummary::default(), before: None, ..self.clone() }
    }

    /// `exitCode` as Kubernetes shows it: 137 for a container that nothing is known of.
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        if self.reason == STATUS_UNKNOWN { 137 } else { self.exit.code() }
    }
}

/// The truth of an exit; 128 + signal is computed only where Kubernetes shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// It was never started.
    NotStarted,
}

impl Exit {
    /// `exitCode` as Kubernetes shows it: 128 + signal for a signal, 128 for what could not be
    /// started.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
            Self::NotStarted => 128,
        }
    }
}

/// What became of a container's output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogSummary {
    /// Bytes written by the container, stdout and stderr together.
    #[serde(default)]
    pub bytes: u64,
    /// Bytes that a cap kept out of the log.
    #[serde(default)]
    pub dropped: u64,
    /// All of the output, when it is small and none was shipped in chunks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inline: Option<InlineOutput>,
    /// The last lines of stderr of a failed container, at most 1 KiB, when the output is not
    /// inline.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stderr_tail: String,
}

/// Small output, riding in the termination record. Bytes that are not UTF-8 are replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InlineOutput {
    /// Standard output.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stdout: String,
    /// Standard error.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stderr: String,
}

/// A condition of a pod, as in its status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodCondition {
    /// `type`.
    pub kind: String,
    /// `reason`.
    pub reason: String,
    /// `message`.
    pub message: String,
    /// `lastTransitionTime`.
    pub at: Timestamp,
}
