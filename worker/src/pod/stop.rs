//! Ending containers: hooks, TERM, KILL; sidecars behind what they serve, the last one first.

use std::time::Duration;

use jiff::Timestamp;
use stint_common::time;

use super::container::{Container, HookWait, State, Stop};
use super::event::{ActionKind, Effect};
use super::machine::{Machine, Phase, Why};
use super::settings::Role;

/// What was held up by a hook, or by others that ended before it, has so long between TERM and
/// KILL, even if the grace period is over (the kubelet's `minimumGracePeriodInSeconds`).
const LEAST_GRACE: Duration = Duration::from_secs(2);

impl Machine {
    /// The pod is to end. May be said again: only less grace changes anything then.
    pub(super) fn stop(&mut self, why: Why, grace_seconds: u32, now: Timestamp) {
        let kill_at = time::after(now, Duration::from_secs(u64::from(grace_seconds)));
        let hard = grace_seconds == 0;
        match &mut self.phase {
            Phase::Pending | Phase::Active => {
                self.phase = Phase::Stopping { why, kill_at, hard };
            }
            Phase::Stopping { kill_at: known, hard: known_hard, .. } => {
                *known = kill_at.min(*known);
                *known_hard |= hard;
            }
            Phase::Ended => return,
        }
        for container in &mut self.containers {
            match container.state {
                State::Waiting | State::Configuring(_) | State::BackingOff { .. } => {
                    container.over();
                }
                State::Starting | State::Running { .. } | State::Over => {}
            }
            match &mut container.stop {
                Some(Stop::Hook { until, .. }) => *until = kill_at.min(*until),
                Some(Stop::Term { kill_at: known }) => *known = kill_at.min(*known),
                Some(Stop::Killed) | None => {}
            }
        }
    }

    /// A pod that is past its own deadline at `at` is stopped.
    pub(super) fn check_deadline(&mut self, at: Timestamp, now: Timestamp) {
        if matches!(self.phase, Phase::Pending | Phase::Active) && self.is_past_deadline(at) {
            self.stop(Why::Deadline, self.settings.grace_seconds, now);
        }
    }

    pub(super) fn is_past_deadline(&self, at: Timestamp) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= at)
    }

    /// While the pod is stopped: everything whose turn has come is stopped.
    pub(super) fn stop_in_order(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let Phase::Stopping { kill_at, hard, .. } = self.phase else { return };
        if !self.containers.iter().any(Container::is_live) {
            return;
        }
        let all = 0..self.containers.len();
        let (sidecars, others): (Vec<usize>, Vec<usize>) = all.partition(|it| self.is_sidecar(*it));
        let mut held_up = false;
        for index in others {
            held_up |= self.containers[index].is_live();
            self.begin_stop(index, kill_at, hard, now, effects);
        }
        for index in sidecars.into_iter().rev() {
            if !held_up || kill_at <= now {
                let least = if hard { now } else { time::after(now, LEAST_GRACE) };
                self.begin_stop(index, kill_at.max(least), hard, now, effects);
            }
            held_up |= self.containers[index].is_live();
        }
    }

    fn is_sidecar(&self, index: usize) -> bool {
        self.containers[index].role == Role::Sidecar
    }

    /// Whether a sidecar runs on until those before it in line have ended.
    pub(super) fn waits_in_line(&self) -> bool {
        self.containers.iter().any(|it| it.is_live() && it.stop.is_none())
    }

    /// One container is to end, whatever becomes of the pod.
    pub(super) fn stop_container(
        &mut self,
        index: usize,
        grace_seconds: u32,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let kill_at = time::after(now, Duration::from_secs(u64::from(grace_seconds)));
        self.begin_stop(index, kill_at, grace_seconds == 0, now, effects);
    }

    /// Begins to stop a live container, unless that has begun already.
    fn begin_stop(
        &mut self,
        index: usize,
        kill_at: Timestamp,
        hard: bool,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let container = &self.containers[index];
        if !container.is_live() || container.stop.is_some() {
            return;
        }
        let runs = matches!(container.state, State::Running { .. });
        if let Some(HookWait::Action(action)) = container.post_start {
            self.cancel_action(action, effects);
        }
        self.containers[index].post_start = None;
        let hook = self.settings.containers[index].pre_stop.filter(|_| runs && !hard);
        let stop = match hook {
            Some(hook) if kill_at > now => {
                let wait = self.begin_hook(hook, index, ActionKind::PreStop, now, effects);
                Stop::Hook { wait, until: kill_at }
            }
            Some(_) | None => {
                // With no grace, KILL comes at once: a TERM would only race with it.
                if !hard && kill_at > now {
                    effects.push(Effect::SignalTerm { index });
                }
                Stop::Term { kill_at }
            }
        };
        self.containers[index].stop = Some(stop);
    }

    /// The hook of a container is over, or its time is: TERM.
    pub(super) fn terminate(&mut self, index: usize, now: Timestamp, effects: &mut Vec<Effect>) {
        let Some(Stop::Hook { until, .. }) = self.containers[index].stop else { return };
        let kill_at = until.max(time::after(now, LEAST_GRACE));
        self.containers[index].stop = Some(Stop::Term { kill_at });
        effects.push(Effect::SignalTerm { index });
    }

    /// What has had its time gets the next signal.
    pub(super) fn kills_due(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let hard = matches!(self.phase, Phase::Stopping { hard: true, .. });
        for index in 0..self.containers.len() {
            match self.containers[index].stop {
                Some(Stop::Hook { wait, until }) if until <= now || hard => {
                    if let HookWait::Action(action) = wait {
                        self.cancel_action(action, effects);
                    }
                    if hard {
                        self.kill(index, effects);
                    } else {
                        self.terminate(index, now, effects);
                    }
                }
                Some(Stop::Term { kill_at }) if kill_at <= now => self.kill(index, effects),
                Some(Stop::Hook { .. } | Stop::Term { .. } | Stop::Killed) | None => {}
            }
        }
    }

    fn kill(&mut self, index: usize, effects: &mut Vec<Effect>) {
        if self.containers[index].is_live() {
            self.containers[index].stop = Some(Stop::Killed);
            effects.push(Effect::Kill { index });
        }
    }
}
