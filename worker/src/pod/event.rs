//! What a pod's machine is told, and what it wants done.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use stint_common::wire::{End, Exit, LogSummary, Running};

/// Something that happened to a pod or to one of its containers.
///
/// `index` is always the container's place in [`Settings::containers`](super::Settings).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The claim is durable: its containers may start.
    Start,
    /// What the container's variables come from was read: the answer to an
    /// [`Effect::Configure`].
    Configured {
        /// Which container.
        index: usize,
    },
    /// It could not be read, or something is missing: the other answer.
    NotConfigured {
        /// Which container.
        index: usize,
        /// What is missing, in kubelet's words; `None` if that is not known.
        missing: Option<String>,
    },
    /// A process of the container at `index` runs.
    ContainerStarted {
        /// Which container.
        index: usize,
        /// When its process was started.
        at: Timestamp,
    },
    /// The container could not be started, and that is its own fault.
    StartFailed {
        /// Which container.
        index: usize,
        /// Why, for people: it names the file.
        message: String,
    },
    /// The container's start was withdrawn before it had a process.
    StartCancelled {
        /// Which container.
        index: usize,
    },
    /// The container's process and its whole tree are gone.
    ContainerExited {
        /// Which container.
        index: usize,
        /// The truth of the exit.
        exit: Exit,
        /// When the process ended.
        at: Timestamp,
        /// Something of it was killed for want of memory.
        out_of_memory: bool,
        /// What became of its output.
        logs: LogSummary,
        /// Its termination message.
        message: String,
    },
    /// An action is over, and nothing of it is left. Exactly one for each
    /// [`Effect::RunAction`], also for those that were cancelled.
    ActionDone {
        /// Which action.
        action: ActionId,
        /// What came of it.
        outcome: ActionOutcome,
    },
    /// From outside: the pod is to end. May come again and again.
    StopOrdered {
        /// Seconds between TERM and KILL; 0 kills at once.
        grace_seconds: u32,
        /// Why, for people.
        reason: String,
        /// When it was first said.
        at: Timestamp,
    },
    /// The pod is to end now, without grace.
    Kill,
    /// The pod's processes may stand still: probes prove nothing until
    /// [`Resumed`](Event::Resumed).
    Paused,
    /// The pod's processes go on.
    Resumed,
    /// [`Machine::next_wake`](super::Machine::next_wake) has come.
    Wake,
}

/// One action of a pod. Never used twice by one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ActionId(pub u64);

/// What an action is for; what it does stands in the template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ActionKind {
    /// `lifecycle.postStart`.
    PostStart,
    /// `lifecycle.preStop`.
    PreStop,
    /// One try of a probe.
    Probe(ProbeKind),
}

/// Which probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ProbeKind {
    /// `startupProbe`.
    Startup,
    /// `livenessProbe`.
    Liveness,
    /// `readinessProbe`.
    Readiness,
}

/// What came of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionOutcome {
    /// It did what it should.
    Succeeded,
    /// It did not.
    Failed,
    /// It could not be tried, and that says nothing about the container.
    Unknown,
}

/// Something that the machine wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Read what variables of the container at `index` come from. Exactly one answer is expected.
    Configure {
        /// Which container.
        index: usize,
    },
    /// Start a process for the container at `index`: the first one, or a restart.
    StartContainer {
        /// Which container.
        index: usize,
    },
    /// Send TERM to the whole tree of the container at `index`, or withdraw its start.
    SignalTerm {
        /// Which container.
        index: usize,
    },
    /// Send KILL to the whole tree of the container at `index`, or withdraw its start.
    Kill {
        /// Which container.
        index: usize,
    },
    /// Do what the template says for `kind` of the container at `index`.
    RunAction {
        /// Names it from now on.
        action: ActionId,
        /// Which container.
        index: usize,
        /// What it is for.
        kind: ActionKind,
    },
    /// End an action at once; its outcome is of no interest any more.
    CancelAction {
        /// Which action.
        action: ActionId,
    },
    /// The pod runs, and this is what its record should say by and by.
    ReportRunning(Running),
    /// The pod is over: nothing follows.
    Ended(Box<End>),
}

/// An event that cannot happen in the state the pod is in: a bug of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{event} cannot happen to a container that is {state}")]
pub struct Impossible {
    /// What was said to have happened.
    pub event: &'static str,
    /// What the container was doing.
    pub state: &'static str,
}
