//! One container of a pod: what it is doing, and how it last ended.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use stint_common::time;
use stint_common::wire::{ContainerEnd, Exit, LogSummary, STATUS_UNKNOWN};

use super::backoff::RestartBackoff;
use super::event::{ActionId, Effect};
use super::probe::Probes;
use super::settings::{ContainerSettings, Role};

/// What is missing is asked for again after this, and after twice as long each time.
const FIRST_AGAIN: Duration = Duration::from_secs(1);
const LONGEST_AGAIN: Duration = Duration::from_secs(15);

/// What a container is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum State {
    /// Nothing was asked for yet.
    Waiting,
    /// It would be started if it had its variables.
    Configuring(Configuring),
    /// Its start was asked for; no answer yet.
    Starting,
    /// A process of it runs.
    Running {
        /// Since when.
        since: Timestamp,
    },
    /// It ended and is to be started again.
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
            Self::Configuring(_) => "waiting for its variables",
            Self::Starting => "starting",
            Self::Running { .. } => "running",
            Self::BackingOff { .. } => "backing off",
            Self::Over => "over",
        }
    }
}

/// How far a container is with having its variables.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Configuring {
    /// What is missing, as far as that is known.
    pub(super) missing: Option<String>,
    /// How often they were asked for in vain.
    pub(super) tries: u32,
    /// They are asked for again then; `None` while an answer is expected.
    pub(super) again: Option<Timestamp>,
}

impl Configuring {
    /// Something is missing, or was not to be read: asked for again, each time later.
    pub(super) fn in_vain(&mut self, missing: Option<String>, now: Timestamp) {
        let pause = FIRST_AGAIN.saturating_mul(1 << self.tries.min(8)).min(LONGEST_AGAIN);
        self.again = Some(time::after(now, pause));
        self.tries += 1;
        // What was missing when it was last known is still the best that there is to say.
        if missing.is_some() {
            self.missing = missing;
        }
    }
}

/// What a hook waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum HookWait {
    /// The executor's word.
    Action(ActionId),
    /// A time.
    Until(Timestamp),
}

/// How far the stopping of a container is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Stop {
    /// Its `preStop` hook runs; TERM follows.
    Hook {
        /// What for.
        wait: HookWait,
        /// TERM comes then at the latest.
        until: Timestamp,
    },
    /// TERM was sent.
    Term {
        /// KILL follows then.
        kill_at: Timestamp,
    },
    /// KILL was sent.
    Killed,
}

/// One container of a pod.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Container {
    pub(super) name: Arc<str>,
    pub(super) role: Role,
    pub(super) state: State,
    /// It has its variables, and keeps them.
    #[serde(default)]
    pub(super) configured: bool,
    /// Its `postStart` hook runs.
    pub(super) post_start: Option<HookWait>,
    /// It is being stopped.
    pub(super) stop: Option<Stop>,
    /// It is stopped to be started again, whatever its exit code.
    pub(super) start_again: bool,
    /// Of an init container: it has done its part.
    pub(super) initialized: bool,
    pub(super) probes: Option<Box<Probes>>,
    pub(super) restarts: u32,
    pub(super) backoff: RestartBackoff,
    /// How it last ended: `lastState` while it is started again, the end once it is over.
    pub(super) last: Option<ContainerEnd>,
}

impl Container {
    pub(super) fn new(name: Arc<str>, role: Role) -> Self {
        Self {
            name,
            role,
            state: State::Waiting,
            configured: false,
            post_start: None,
            stop: None,
            start_again: false,
            initialized: false,
            probes: None,
            restarts: 0,
            backoff: RestartBackoff::default(),
            last: None,
        }
    }

    /// Whether a process of it may exist.
    pub(super) fn is_live(&self) -> bool {
        matches!(self.state, State::Starting | State::Running { .. })
    }

    /// Its turn has come, for the first time or again: it is started, once it has its variables.
    pub(super) fn begin(
        &mut self,
        index: usize,
        settings: &ContainerSettings,
        effects: &mut Vec<Effect>,
    ) {
        if settings.is_configured && !self.configured {
            self.state = State::Configuring(Configuring::default());
            effects.push(Effect::Configure { index });
        } else {
            self.state = State::Starting;
            effects.push(Effect::StartContainer { index });
        }
    }

    /// Its variables were asked for, for the first time, and nothing has been heard.
    pub(super) fn is_asked_for(&self) -> bool {
        matches!(&self.state, State::Configuring(it) if it.tries == 0 && it.again.is_none())
    }

    /// What it lacks to be started, if that is known.
    pub(super) fn missing(&self) -> Option<&str> {
        match &self.state {
            State::Configuring(configuring) => configuring.missing.as_deref(),
            State::Waiting
            | State::Starting
            | State::Running { .. }
            | State::BackingOff { .. }
            | State::Over => None,
        }
    }

    /// Running, its `postStart` hook done.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.state, State::Running { .. }) && self.post_start.is_none()
    }

    /// Up, and its startup probe content: `started`.
    pub(super) fn is_started(&self) -> bool {
        self.is_up() && self.probes.as_ref().is_none_or(|probes| probes.is_started())
    }

    /// `ready`: an init container is when it has succeeded.
    pub(super) fn is_ready(&self) -> bool {
        match self.role {
            Role::Init => self.initialized,
            Role::Main | Role::Sidecar => {
                self.is_started() && self.probes.as_ref().is_none_or(|probes| probes.is_ready())
            }
        }
    }

    pub(super) fn succeeded(&self) -> bool {
        self.last.as_ref().is_some_and(|last| last.exit == Exit::Code(0))
    }

    /// Whether there was ever anything of it.
    pub(super) fn was_tried(&self) -> bool {
        self.last.is_some()
    }

    /// Whether a process of it runs, or did.
    pub(super) fn has_run(&self) -> bool {
        let mut last = self.last.as_ref();
        while let Some(end) = last {
            if end.started_at.is_some() {
                return true;
            }
            last = end.before.as_deref();
        }
        matches!(self.state, State::Running { .. })
    }

    /// Why a process ended so. What was killed for want of memory may have been its child.
    pub(super) fn reason(exit: Exit, out_of_memory: bool) -> &'static str {
        match (exit, out_of_memory) {
            (Exit::Code(0), _) => "Completed",
            (_, true) => "OOMKilled",
            (_, false) => "Error",
        }
    }

    /// Takes in the end of its process.
    pub(super) fn exited(
        &mut self,
        (exit, reason): (Exit, &str),
        since: Timestamp,
        at: Timestamp,
        logs: LogSummary,
        message: String,
    ) {
        let end = self.end(exit, reason, message, at);
        self.ended(ContainerEnd { started_at: Some(since), logs, ..end });
    }

    /// Takes in that it could not be started.
    pub(super) fn start_failed(&mut self, message: String, at: Timestamp) {
        self.ended(self.end(Exit::NotStarted, "StartError", message, at));
    }

    fn ended(&mut self, end: ContainerEnd) {
        let before = self.last.take().map(|last| Box::new(last.outlived()));
        self.last = Some(ContainerEnd { before, ..end });
        self.over();
    }

    /// It has no process and will have none, unless it is started again.
    pub(super) fn over(&mut self) {
        self.state = State::Over;
        self.post_start = None;
        self.stop = None;
        self.probes = None;
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
            before: None,
        }
    }

    /// Its part of the pod's end, which comes at `at`.
    pub(super) fn into_end(mut self, at: Timestamp) -> ContainerEnd {
        match self.last.take() {
            Some(last) => ContainerEnd { restarts: self.restarts, ..last },
            // As kubelet says of a container that had no process when its pod was ended.
            None => self.end(Exit::NotStarted, STATUS_UNKNOWN, NEVER_RAN.to_owned(), at),
        }
    }
}

const NEVER_RAN: &str = "The pod was ended before this container was started";
