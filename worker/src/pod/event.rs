//! What a pod's machine is told, and what it wants done.

use jiff::Timestamp;
use stint_common::wire::{End, Exit, LogSummary, Running};

/// Something that happened to a pod or to one of its containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The claim is durable: its containers may start.
    Start,
    /// A process of the container at `index` runs.
    ContainerStarted {
        /// Place of the container in the template.
        index: usize,
        /// When its process was started.
        at: Timestamp,
    },
    /// The container could not be started, and that is its own fault.
    StartFailed {
        /// Place of the container in the template.
        index: usize,
        /// Why, for people: it names the file.
        message: String,
    },
    /// The container's start was withdrawn before it had a process.
    StartCancelled {
        /// Place of the container in the template.
        index: usize,
    },
    /// The container's process and its whole tree are gone.
    ContainerExited {
        /// Place of the container in the template.
        index: usize,
        /// The truth of the exit.
        exit: Exit,
        /// When the process ended.
        at: Timestamp,
        /// What became of its output.
        logs: LogSummary,
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
    /// [`Machine::next_wake`](super::Machine::next_wake) has come.
    Wake,
}

/// Something that the machine wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Start a process for the container at `index`: the first one, or a restart.
    StartContainer {
        /// Place of the container in the template.
        index: usize,
    },
    /// Send TERM to the whole tree of the container at `index`.
    SignalTerm {
        /// Place of the container in the template.
        index: usize,
    },
    /// Send KILL to the trees of all containers.
    KillAll,
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
