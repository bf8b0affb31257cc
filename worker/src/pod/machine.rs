//! The state machine of one pod: containers side by side, restarts, grace periods, one end.
//!
//! Every decision about a pod's containers is made here. The executor carries effects out and
//! reports back.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use stint_common::time;
use stint_common::wire::{ContainerEnd, End, EndedBy, Exit, LogSummary, Outcome, Running};

use super::container::{Container, State};
use super::event::{Effect, Event, Impossible};

/// Kubelet's words for a pod that outlived its own `activeDeadlineSeconds`.
const DEADLINE_REASON: &str = "DeadlineExceeded";
const DEADLINE_MESSAGE: &str = "Pod was active on the node longer than the specified deadline";

/// `restartPolicy` of a Job's pods; Always is refused by Kubernetes there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartPolicy {
    /// A container runs once.
    Never,
    /// A container that failed is started again in its pod.
    OnFailure,
}

/// What the machine has to know of a pod; the same for all pods of a Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Names of its containers, in the template's order.
    pub containers: Vec<Arc<str>>,
    /// `restartPolicy`.
    pub restart_policy: RestartPolicy,
    /// `terminationGracePeriodSeconds`; used when the pod's own deadline ends it.
    pub grace_seconds: u32,
    /// `activeDeadlineSeconds` of the pod, counted from its start here.
    pub active_deadline: Option<Duration>,
}

impl Settings {
    /// Whether the pod is over with the first exit of the only process that it starts. Its start
    /// may then be asked for before there is room for it, since nothing counts from the asking.
    #[must_use]
    pub fn is_one_run(&self) -> bool {
        self.containers.len() == 1
            && self.restart_policy == RestartPolicy::Never
            && self.active_deadline.is_none()
    }
}

/// One pod.
#[derive(Clone, Debug)]
pub struct Machine {
    settings: Arc<Settings>,
    containers: Vec<Container>,
    /// When the first process was started.
    started_at: Option<Timestamp>,
    phase: Phase,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// Claimed; nothing was asked for.
    Pending,
    /// Its containers run, or are started again.
    Active { deadline: Option<Timestamp> },
    /// TERM was sent; KILL follows.
    Stopping { why: Why, kill_at: Timestamp },
    /// KILL was sent.
    Killing { why: Why },
    /// The end was given out.
    Ended,
}

/// Why a pod is stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Why {
    Ordered { message: String },
    Deadline,
}

impl Machine {
    /// A pod that was claimed and not started.
    #[must_use]
    pub fn new(settings: Arc<Settings>) -> Self {
        let containers = settings.containers.iter().cloned().map(Container::new).collect();
        Self { settings, containers, started_at: None, phase: Phase::Pending }
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
        match event {
            Event::Start => self.start(now, effects),
            Event::ContainerStarted { index, at } => self.container_started(index, at)?,
            Event::StartFailed { index, message } => {
                self.expect_starting(index, "a failed start")?.start_failed(message, now);
                self.container_ended(index, now);
            }
            Event::StartCancelled { index } => {
                self.expect_starting(index, "a cancelled start")?.state = State::Over;
            }
            Event::ContainerExited { index, exit, at, logs } => {
                self.container_exited(index, exit, at, logs)?;
            }
            Event::StopOrdered { grace_seconds, reason, .. } => {
                self.stop(Why::Ordered { message: reason }, grace_seconds, now, effects);
            }
            Event::Kill => self.stop(Why::Ordered { message: String::new() }, 0, now, effects),
            Event::Wake => {}
        }
        self.wake(now, effects);
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

    /// When [`Event::Wake`] is due, if nothing else happens before.
    #[must_use]
    pub fn next_wake(&self) -> Option<Timestamp> {
        match &self.phase {
            Phase::Pending | Phase::Killing { .. } | Phase::Ended => None,
            Phase::Stopping { kill_at, .. } => Some(*kill_at),
            Phase::Active { deadline } => {
                let restarts =
                    self.containers.iter().filter_map(|container| match container.state {
                        State::BackingOff { until, .. } => Some(until),
                        State::Waiting | State::Starting | State::Running { .. } | State::Over => {
                            None
                        }
                    });
                restarts.chain(*deadline).min()
            }
        }
    }

    /// Whether [`Effect::Ended`] was given out.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    /// What the pod's record should say while it runs; `None` before its first process and after
    /// its end.
    #[must_use]
    pub fn running(&self) -> Option<Running> {
        if self.phase == Phase::Ended {
            return None;
        }
        Some(Running {
            started_at: self.started_at?,
            ready: self.containers.iter().all(Container::is_running),
            restarts: self.containers.iter().map(|container| container.restarts).sum(),
        })
    }

    /// How the container at `index` last ended: `lastState` of one that was started again.
    #[must_use]
    pub fn last_end(&self, index: usize) -> Option<&ContainerEnd> {
        self.containers.get(index)?.last.as_ref()
    }

    fn start(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        // A stop may have come before the start; then there is nothing to start.
        if self.phase != Phase::Pending {
            return;
        }
        let deadline = self.settings.active_deadline.map(|deadline| time::after(now, deadline));
        self.phase = Phase::Active { deadline };
        for (index, container) in self.containers.iter_mut().enumerate() {
            container.state = State::Starting;
            effects.push(Effect::StartContainer { index });
        }
    }

    fn container_at(
        &mut self,
        index: usize,
        event: &'static str,
    ) -> Result<&mut Container, Impossible> {
        self.containers.get_mut(index).ok_or(Impossible { event, state: "not of this pod" })
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

    fn container_started(&mut self, index: usize, at: Timestamp) -> Result<(), Impossible> {
        self.expect_starting(index, "a start")?.state = State::Running { since: at };
        self.started_at.get_or_insert(at);
        Ok(())
    }

    fn container_exited(
        &mut self,
        index: usize,
        exit: Exit,
        at: Timestamp,
        logs: LogSummary,
    ) -> Result<(), Impossible> {
        let event = "an exit";
        let container = self.container_at(index, event)?;
        let State::Running { since } = container.state else {
            return Err(Impossible { event, state: container.state.name() });
        };
        container.exited(exit, since, at, logs);
        self.container_ended(index, at);
        Ok(())
    }

    /// A container is over, unless its failure has it started again.
    fn container_ended(&mut self, index: usize, exited: Timestamp) {
        let active = matches!(self.phase, Phase::Active { .. });
        let container = &mut self.containers[index];
        let restarts = self.settings.restart_policy == RestartPolicy::OnFailure;
        if active && restarts && !container.succeeded() {
            let until = container.backoff.restart_at(exited);
            container.state = State::BackingOff { exited, until };
        }
    }

    fn stop(&mut self, why: Why, grace_seconds: u32, now: Timestamp, effects: &mut Vec<Effect>) {
        let kill_at = time::after(now, Duration::from_secs(u64::from(grace_seconds)));
        match &mut self.phase {
            Phase::Pending => self.phase = Phase::Stopping { why, kill_at },
            Phase::Active { .. } => {
                self.phase = Phase::Stopping { why, kill_at };
                // With no grace, `wake` kills at once: a TERM would only race with the KILL.
                if grace_seconds > 0 {
                    effects.extend(self.live().map(|index| Effect::SignalTerm { index }));
                }
            }
            // The same order again, or a more urgent one: only a shorter grace changes anything.
            Phase::Stopping { kill_at: known, .. } => *known = kill_at.min(*known),
            Phase::Killing { .. } | Phase::Ended => return,
        }
        for container in &mut self.containers {
            if let State::Waiting | State::BackingOff { .. } = container.state {
                container.state = State::Over;
            }
        }
    }

    fn live(&self) -> impl Iterator<Item = usize> + '_ {
        let containers = self.containers.iter().enumerate();
        containers.filter(|(_, container)| container.is_live()).map(|(index, _)| index)
    }

    /// Does what is due at `now`.
    fn wake(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        if let Phase::Active { deadline: Some(deadline) } = self.phase
            && deadline <= now
        {
            self.stop(Why::Deadline, self.settings.grace_seconds, now, effects);
        }
        match &self.phase {
            Phase::Active { .. } => self.restart_due(now, effects),
            Phase::Stopping { why, kill_at } if *kill_at <= now => {
                if self.live().next().is_some() {
                    effects.push(Effect::KillAll);
                }
                self.phase = Phase::Killing { why: why.clone() };
            }
            Phase::Pending | Phase::Stopping { .. } | Phase::Killing { .. } | Phase::Ended => {}
        }
    }

    fn restart_due(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        for (index, container) in self.containers.iter_mut().enumerate() {
            if let State::BackingOff { exited, until } = container.state
                && until <= now
            {
                container.backoff.restarted(exited, now);
                container.restarts = container.restarts.saturating_add(1);
                container.state = State::Starting;
                effects.push(Effect::StartContainer { index });
            }
        }
    }

    fn end_if_over(&mut self, now: Timestamp, effects: &mut Vec<Effect>) -> bool {
        let over = self.containers.iter().all(|container| container.state == State::Over);
        if !over || self.phase == Phase::Ended {
            return over;
        }
        let phase = std::mem::replace(&mut self.phase, Phase::Ended);
        effects.push(Effect::Ended(Box::new(self.end(phase, now))));
        true
    }

    fn end(&mut self, phase: Phase, now: Timestamp) -> End {
        let all_succeeded = self.containers.iter().all(Container::succeeded);
        let (outcome, reason, message) = match phase {
            Phase::Stopping { why, .. } | Phase::Killing { why } => match why {
                // Kubelet's word on a pod past its own deadline is Failed, whatever its containers
                // say.
                Why::Deadline => (Outcome::Failed, DEADLINE_REASON, DEADLINE_MESSAGE.to_owned()),
                Why::Ordered { .. } if all_succeeded => (Outcome::Succeeded, "", String::new()),
                Why::Ordered { message } => (Outcome::Failed, "", message),
            },
            Phase::Pending | Phase::Active { .. } | Phase::Ended => {
                let outcome = if all_succeeded { Outcome::Succeeded } else { Outcome::Failed };
                (outcome, "", String::new())
            }
        };
        let ends = self.containers.drain(..).map(|container| container.into_end(now));
        let mut containers: Vec<ContainerEnd> = ends.collect();
        let finished = containers.iter().map(|container| container.finished_at).max();
        if self.started_at.is_none() && containers.iter().all(|end| end.reason != "StartError") {
            containers.clear();
        }
        End {
            outcome,
            by: EndedBy::Worker,
            reason: reason.to_owned(),
            message,
            started_at: self.started_at,
            finished_at: finished.unwrap_or(now),
            containers,
            conditions: Vec::new(),
        }
    }
}
