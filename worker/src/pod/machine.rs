//! The state machine of one pod: from its claim to one end.
//!
//! Every decision about a pod's containers is made here and in the modules beside it: `order` says
//! what starts when, `actions` runs hooks and probes, `stop` ends things, `report` says what is to
//! be seen. The executor carries effects out and reports back.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use stint_common::time;
use stint_common::wire::Exit;

use super::container::{Configuring, Container, HookWait, State, Stop};
use super::event::{ActionId, ActionKind, Effect, Event, Impossible};
use super::settings::{RestartPolicy, Role, Settings};

/// One pod.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    pub(super) settings: Arc<Settings>,
    pub(super) containers: Vec<Container>,
    /// Actions of which something may be left.
    pub(super) actions: Vec<Action>,
    pub(super) last_action: u64,
    /// When the first process was started.
    pub(super) started_at: Option<Timestamp>,
    /// When the first start failed, or something was missing for one: there is something to be
    /// told then, although nothing ran.
    #[serde(default)]
    pub(super) tried_at: Option<Timestamp>,
    /// When all init containers had done their part.
    pub(super) initialized_at: Option<Timestamp>,
    /// When the pod last became ready, or ceased to be.
    pub(super) ready_changed_at: Option<Timestamp>,
    /// `activeDeadlineSeconds` are over then.
    pub(super) deadline: Option<Timestamp>,
    pub(super) paused: bool,
    pub(super) phase: Phase,
}

/// An action that was asked for and is not known to be over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Action {
    pub(super) id: ActionId,
    pub(super) index: usize,
    pub(super) kind: ActionKind,
    /// Nobody waits for its outcome any more.
    pub(super) cancelled: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Phase {
    /// Claimed; nothing was asked for.
    Pending,
    /// Its containers run, or are started again.
    Active,
    /// No container is started any more, and those that run are being stopped.
    Stopping {
        why: Why,
        kill_at: Timestamp,
        /// Without any grace: KILL and nothing else.
        hard: bool,
    },
    /// The end was given out.
    Ended,
}

/// Why a pod is stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Why {
    /// From outside.
    Ordered { message: String },
    /// Its own deadline.
    Deadline,
    /// Its main containers are over: what is left are sidecars.
    Over,
    /// An init container failed for good.
    NotInitialized,
}

/// What a machine waits to hear of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaits {
    /// Nothing.
    Nothing,
    /// Its variables.
    Configuration,
    /// Whether its process was started.
    Start,
    /// The end of its process.
    Exit,
}

/// Rounds after which a machine that still has something to do at once is thought to be at fault.
const MOST_ROUNDS: usize = 10_000;

impl Machine {
    /// A pod that was claimed at `claimed_at` and not started.
    #[must_use]
    pub fn new(settings: Arc<Settings>, claimed_at: Timestamp) -> Self {
        let container =
            |it: &super::settings::ContainerSettings| Container::new(it.name.clone(), it.role);
        Self {
            containers: settings.containers.iter().map(container).collect(),
            actions: Vec::new(),
            last_action: 0,
            started_at: None,
            tried_at: None,
            initialized_at: None,
            ready_changed_at: None,
            deadline: settings.active_deadline.map(|seconds| time::after(claimed_at, seconds)),
            paused: false,
            phase: Phase::Pending,
            settings,
        }
    }

    /// Takes in what happened and appends to `effects` what is to be done.
    ///
    /// # Errors
    ///
    /// When `event` cannot happen in this state. Nothing has changed then.
    pub fn step(
        &mut self,
        event: Event,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Impossible> {
        let before = self.running();
        let was_ready = self.is_ready();
        self.take(event, now, effects)?;
        self.act(now, effects);
        if self.is_ready() != was_ready {
            self.ready_changed_at = Some(now);
        }
        if !self.end_if_over(now, effects) {
            let running = self.running();
            if running != before {
                effects.extend(running.map(Effect::ReportRunning));
            }
        }
        Ok(())
    }

    /// What it was made with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether [`Effect::Ended`] was given out.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    /// What the executor owes it of the container at `index`.
    #[must_use]
    pub fn awaits(&self, index: usize) -> Awaits {
        match self.containers.get(index).map(|container| &container.state) {
            Some(State::Configuring(Configuring { again: None, .. })) => Awaits::Configuration,
            Some(State::Starting) => Awaits::Start,
            Some(State::Running { .. }) => Awaits::Exit,
            Some(
                State::Configuring(_) | State::Waiting | State::BackingOff { .. } | State::Over,
            )
            | None => Awaits::Nothing,
        }
    }

    /// An agent that knew less of the template noted it: it goes by `settings` from now on.
    pub fn goes_by(&mut self, settings: &Arc<Settings>) {
        if settings.containers.len() == self.containers.len() {
            self.settings = Arc::clone(settings);
        }
    }

    /// Whether each container runs or has run, so that what the pod is set up with is there.
    #[must_use]
    pub fn has_run_all(&self) -> bool {
        self.containers.iter().all(Container::has_run)
    }

    /// How often the container at `index` was started again.
    #[must_use]
    pub fn restarts(&self, index: usize) -> u32 {
        self.containers.get(index).map_or(0, |container| container.restarts)
    }

    /// Whether anything of it is looked at by probes.
    #[must_use]
    pub fn has_probes(&self) -> bool {
        self.settings.containers.iter().any(|container| container.has_probes())
    }

    /// When [`Event::Wake`] is due, if nothing else happens before.
    #[must_use]
    pub fn next_wake(&self) -> Option<Timestamp> {
        let pod = match self.phase {
            Phase::Pending | Phase::Active => self.deadline,
            Phase::Stopping { kill_at, .. } => self.waits_in_line().then_some(kill_at),
            Phase::Ended => return None,
        };
        let containers = self.containers.iter().flat_map(|it| self.wakes_of(it));
        containers.flatten().chain(pod).min()
    }

    fn wakes_of(&self, container: &Container) -> [Option<Timestamp>; 4] {
        let restart = match container.state {
            State::BackingOff { until, .. } => Some(until),
            State::Configuring(Configuring { again, .. }) => again,
            State::Waiting | State::Starting | State::Running { .. } | State::Over => None,
        };
        let hook = match container.post_start {
            Some(HookWait::Until(until)) => Some(until),
            Some(HookWait::Action(_)) | None => None,
        };
        let stop = match container.stop {
            Some(Stop::Hook { wait: HookWait::Until(at), until }) => Some(at.min(until)),
            Some(Stop::Hook { until, .. }) => Some(until),
            Some(Stop::Term { kill_at }) => Some(kill_at),
            Some(Stop::Killed) | None => None,
        };
        let probe = container.probes.as_ref().and_then(|probes| {
            let stopping = self.is_stopping(container);
            probes.in_use(stopping).filter_map(|probe| probe.next_wake(self.paused)).min()
        });
        [restart, hook, stop, probe]
    }

    fn take(
        &mut self,
        event: Event,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Impossible> {
        match event {
            Event::Start => {
                // A stop may have come before the start; then there is nothing to start.
                if self.phase == Phase::Pending && !self.is_past_deadline(now) {
                    self.phase = Phase::Active;
                }
            }
            Event::Configured { index } => {
                self.expect_configuring(index, "a configuration")?;
                let container = &mut self.containers[index];
                container.configured = true;
                container.begin(index, &self.settings.containers[index], effects);
            }
            Event::NotConfigured { index, missing } => {
                let is_known = missing.is_some();
                self.expect_configuring(index, "a want of variables")?.in_vain(missing, now);
                if is_known {
                    // There is something to be told now.
                    self.tried_at.get_or_insert(now);
                }
            }
            Event::ContainerStarted { index, at } => {
                self.expect_starting(index, "a start")?;
                self.started_at.get_or_insert(at);
                self.container_started(index, at, now, effects);
            }
            Event::StartFailed { index, message } => {
                self.expect_starting(index, "a failed start")?.start_failed(message, now);
                self.tried_at.get_or_insert(now);
                self.container_ended(index, now, now, effects);
            }
            Event::StartCancelled { index } => {
                self.expect_starting(index, "a cancelled start")?.over();
            }
            Event::ContainerExited { index, exit, at, out_of_memory, logs, message } => {
                let since = self.expect_running(index, "an exit")?;
                // Words come late when the agent is busy: what counts is when it happened.
                self.check_deadline(at, now);
                let reason = Container::reason(exit, out_of_memory);
                self.containers[index].exited((exit, reason), since, at, logs, message);
                self.container_ended(index, at, now, effects);
            }
            Event::ActionDone { action, outcome } => {
                self.action_done(action, outcome, now, effects)?;
            }
            Event::StopOrdered { grace_seconds, reason, .. } => {
                self.stop(Why::Ordered { message: reason }, grace_seconds, now);
            }
            Event::Kill => self.stop(Why::Ordered { message: String::new() }, 0, now),
            Event::Paused => {
                self.paused = true;
                self.containers.iter_mut().flat_map(|it| &mut it.probes).for_each(|it| it.void());
            }
            Event::Resumed => self.paused = false,
            Event::Wake => {}
        }
        Ok(())
    }

    /// Does what is due at `now`, and what follows from that.
    fn act(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        for round in 0.. {
            self.hooks_due(now, effects);
            self.probes_due(now, effects);
            self.finish_if_over(now);
            self.check_deadline(now, now);
            self.start_due(now, effects);
            self.stop_in_order(now, effects);
            self.kills_due(now, effects);
            let due = self.next_wake().is_some_and(|at| at <= now);
            if !due || round > MOST_ROUNDS {
                debug_assert!(!due, "a machine that never comes to rest");
                return;
            }
        }
    }

    fn container_at(
        &mut self,
        index: usize,
        event: &'static str,
    ) -> Result<&mut Container, Impossible> {
        self.containers.get_mut(index).ok_or(Impossible { event, state: "not of this pod" })
    }

    /// The container's variables were asked for.
    fn expect_configuring(
        &mut self,
        index: usize,
        event: &'static str,
    ) -> Result<&mut Configuring, Impossible> {
        let container = self.container_at(index, event)?;
        let state = container.state.name();
        match &mut container.state {
            State::Configuring(asked) if asked.again.is_none() => Ok(asked),
            State::Configuring(_)
            | State::Waiting
            | State::Starting
            | State::Running { .. }
            | State::BackingOff { .. }
            | State::Over => Err(Impossible { event, state }),
        }
    }

    fn expect_starting(
        &mut self,
        index: usize,
        event: &'static str,
    ) -> Result<&mut Container, Impossible> {
        let container = self.container_at(index, event)?;
        if container.state == State::Starting {
            return Ok(container);
        }
        Err(Impossible { event, state: container.state.name() })
    }

    /// Since when the container runs.
    fn expect_running(
        &mut self,
        index: usize,
        event: &'static str,
    ) -> Result<Timestamp, Impossible> {
        let container = self.container_at(index, event)?;
        match container.state {
            State::Running { since } => Ok(since),
            State::Waiting
            | State::Configuring(_)
            | State::Starting
            | State::BackingOff { .. }
            | State::Over => Err(Impossible { event, state: container.state.name() }),
        }
    }

    /// Whether a container that ends now is to be started again.
    fn is_restarted(&self, container: &Container, failed: bool) -> bool {
        let on_failure = self.settings.restart_policy == RestartPolicy::OnFailure;
        let wanted = match container.role {
            Role::Sidecar => true,
            Role::Main | Role::Init => on_failure && (failed || container.start_again),
        };
        wanted && self.phase == Phase::Active
    }

    /// Whether the container at `index` would be started again if it ended now as `exit`.
    #[must_use]
    pub fn would_restart(&self, index: usize, exit: Exit) -> bool {
        let container = self.containers.get(index);
        container.is_some_and(|it| self.is_restarted(it, exit != Exit::Code(0)))
    }

    /// A container is over, unless it is to be started again.
    fn container_ended(
        &mut self,
        index: usize,
        exited: Timestamp,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        self.cancel_actions_of(index, effects);
        let active = self.phase == Phase::Active;
        let failed = !self.containers[index].succeeded();
        let restarts = self.is_restarted(&self.containers[index], failed);
        let container = &mut self.containers[index];
        container.start_again = false;
        if restarts {
            let until = container.backoff.restart_at(exited);
            container.state = State::BackingOff { exited, until };
        } else if container.role == Role::Init {
            container.initialized = !failed;
            if active && failed {
                self.stop(Why::NotInitialized, self.settings.grace_seconds, now);
            }
        }
    }
}
