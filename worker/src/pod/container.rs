//! One container of a pod: what it is doing, and how it last ended.

use std::sync::Arc;

use jiff::Timestamp;
use stint_common::wire::{ContainerEnd, Exit, LogSummary};

use super::backoff::RestartBackoff;

/// What a container is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing was asked for yet.
    Waiting,
    /// Its start was asked for; no answer yet.
    Starting,
    /// A process of it runs.
    Running {
        /// Since when.
        since: Timestamp,
    },
    /// It failed and is to be started again.
    BackingOff {
        /// When it ended.
        exited: Timestamp,
        /// When it is to be started.
        until: Timestamp,
    },
    /// It will not run again.
    Over,
}

impl State {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Running { .. } => "running",
            Self::BackingOff { .. } => "backing off",
            Self::Over => "over",
        }
    }
}

/// One container of a pod.
#[derive(Clone, Debug)]
pub(super) struct Container {
    pub(super) name: Arc<str>,
    pub(super) state: State,
    pub(super) restarts: u32,
    pub(super) backoff: RestartBackoff,
    /// How it last ended: `lastState` while it is started again, the end once it is over.
    pub(super) last: Option<ContainerEnd>,
}

impl Container {
    pub(super) fn new(name: Arc<str>) -> Self {
        Self {
            name,
            state: State::Waiting,
            restarts: 0,
            backoff: RestartBackoff::default(),
            last: None,
        }
    }

    /// Whether a process of it may exist.
    pub(super) fn is_live(&self) -> bool {
        matches!(self.state, State::Starting | State::Running { .. })
    }

    pub(super) fn is_running(&self) -> bool {
        matches!(self.state, State::Running { .. })
    }

    pub(super) fn succeeded(&self) -> bool {
        self.last.as_ref().is_some_and(|last| last.exit == Exit::Code(0))
    }

    /// Takes in the end of its process.
    pub(super) fn exited(&mut self, exit: Exit, since: Timestamp, at: Timestamp, logs: LogSummary) {
        let reason = if exit == Exit::Code(0) { "Completed" } else { "Error" };
        let end = self.end(exit, reason, String::new(), at);
        self.ended(ContainerEnd { started_at: Some(since), logs, ..end });
    }

    /// Takes in that it could not be started.
    pub(super) fn start_failed(&mut self, message: String, at: Timestamp) {
        self.ended(self.end(Exit::NotStarted, "StartError", message, at));
    }

    fn ended(&mut self, end: ContainerEnd) {
        self.last = Some(end);
        self.state = State::Over;
    }

    fn end(&self, exit: Exit, reason: &str, message: String, at: Timestamp) -> ContainerEnd {
        ContainerEnd {
            name: (*self.name).to_owned(),
            exit,
            reason: reason.to_owned(),
            message,
            started_at: None,
            finished_at: at,
            restarts: self.restarts,
            logs: LogSummary::default(),
        }
    }

    /// Its part of the pod's end, which comes at `at`.
    pub(super) fn into_end(mut self, at: Timestamp) -> ContainerEnd {
        match self.last.take() {
            Some(last) => ContainerEnd { restarts: self.restarts, ..last },
            // As kubelet says of a container that had no process when its pod was ended.
            None => self.end(Exit::NotStarted, "ContainerStatusUnknown", NEVER_RAN.to_owned(), at),
        }
    }
}

const NEVER_RAN: &str = "The pod was ended before this container was started";
