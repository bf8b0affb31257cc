//! Hooks and probes: when they run, and what follows from their outcome.

use jiff::Timestamp;
use stint_common::time;

use super::container::{Container, HookWait, State, Stop};
use super::event::{ActionId, ActionKind, ActionOutcome, Effect, Impossible, ProbeKind};
use super::machine::{Action, Machine, Phase};
use super::probe::{Probes, Turn};
use super::settings::{Hook, RestartPolicy, Role};

impl Machine {
    /// A process of a container runs; its hook, if any, comes before its probes.
    pub(super) fn container_started(
        &mut self,
        index: usize,
        at: Timestamp,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        self.containers[index].state = State::Running { since: at };
        let stopping = self.containers[index].stop.is_some();
        match self.settings.containers[index].post_start.filter(|_| !stopping) {
            Some(hook) => {
                let wait = self.begin_hook(hook, index, ActionKind::PostStart, now, effects);
                self.containers[index].post_start = Some(wait);
            }
            None => self.container_up(index),
        }
    }

    fn container_up(&mut self, index: usize) {
        let container = &mut self.containers[index];
        container.post_start = None;
        if let State::Running { since } = container.state {
            container.probes = Probes::of(&self.settings.containers[index], since);
        }
    }

    pub(super) fn begin_hook(
        &mut self,
        hook: Hook,
        index: usize,
        kind: ActionKind,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) -> HookWait {
        match hook {
            Hook::Sleep(duration) => HookWait::Until(time::after(now, duration)),
            Hook::Run => HookWait::Action(self.begin_action(index, kind, effects)),
        }
    }

    fn begin_action(
        &mut self,
        index: usize,
        kind: ActionKind,
        effects: &mut Vec<Effect>,
    ) -> ActionId {
        self.last_action += 1;
        let id = ActionId(self.last_action);
        self.actions.push(Action { id, index, kind, cancelled: false });
        effects.push(Effect::RunAction { action: id, index, kind });
        id
    }

    pub(super) fn cancel_action(&mut self, id: ActionId, effects: &mut Vec<Effect>) {
        let found = self.actions.iter_mut().find(|action| action.id == id && !action.cancelled);
        if let Some(action) = found {
            action.cancelled = true;
            effects.push(Effect::CancelAction { action: id });
        }
    }

    /// Nothing of a container outlives it.
    pub(super) fn cancel_actions_of(&mut self, index: usize, effects: &mut Vec<Effect>) {
        for action in self.actions.iter_mut().filter(|it| it.index == index && !it.cancelled) {
            action.cancelled = true;
            effects.push(Effect::CancelAction { action: action.id });
        }
    }

    pub(super) fn action_done(
        &mut self,
        id: ActionId,
        outcome: ActionOutcome,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Impossible> {
        let place = self.actions.iter().position(|action| action.id == id);
        let unknown = Impossible { event: "the end of an action", state: "not doing it" };
        let action = self.actions.swap_remove(place.ok_or(unknown)?);
        if action.cancelled {
            return Ok(());
        }
        match action.kind {
            ActionKind::PostStart => self.post_start_done(action.index, outcome, now, effects),
            ActionKind::PreStop => self.terminate(action.index, now, effects),
            ActionKind::Probe(kind) => {
                self.probe_done(action.index, kind, id, outcome, now, effects);
            }
        }
        Ok(())
    }

    fn post_start_done(
        &mut self,
        index: usize,
        outcome: ActionOutcome,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        self.container_up(index);
        if outcome != ActionOutcome::Succeeded {
            // What it exits with then says whether it is started again.
            self.stop_container(index, self.settings.grace_seconds, now, effects);
        }
    }

    /// Hooks that sleep wake up.
    pub(super) fn hooks_due(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        for index in 0..self.containers.len() {
            let container = &self.containers[index];
            if matches!(container.post_start, Some(HookWait::Until(at)) if at <= now) {
                self.container_up(index);
            }
            if let Some(Stop::Hook { wait: HookWait::Until(at), .. }) = self.containers[index].stop
                && at <= now
            {
                self.terminate(index, now, effects);
            }
        }
    }

    /// Tries that are due begin; those that take too long have failed.
    pub(super) fn probes_due(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        if self.phase == Phase::Ended {
            return;
        }
        for index in 0..self.containers.len() {
            if self.containers[index].probes.is_some() {
                self.end_overdue_tries(index, now, effects);
                self.begin_due_tries(index, now, effects);
            }
        }
    }

    fn end_overdue_tries(&mut self, index: usize, now: Timestamp, effects: &mut Vec<Effect>) {
        let container = &mut self.containers[index];
        let overdue: Vec<(ProbeKind, ActionId)> =
            container.probes.as_mut().map_or_else(Vec::new, |probes| {
                let each = probes.in_use_mut(false);
                each.filter_map(|probe| Some((probe.kind, probe.overdue(now)?))).collect()
            });
        for (kind, action) in overdue {
            self.cancel_action(action, effects);
            self.probe_done(index, kind, action, ActionOutcome::Failed, now, effects);
        }
    }

    fn begin_due_tries(&mut self, index: usize, now: Timestamp, effects: &mut Vec<Effect>) {
        let stopping = self.is_stopping(&self.containers[index]);
        let Some(mut probes) = self.containers[index].probes.take() else { return };
        if !self.paused {
            for probe in probes.in_use_mut(stopping).filter(|probe| probe.is_due(now)) {
                let kind = ActionKind::Probe(probe.kind);
                // One that cannot be killed must not get company.
                if self.actions.iter().any(|it| it.index == index && it.kind == kind) {
                    probe.skip(now);
                } else {
                    let action = self.begin_action(index, kind, effects);
                    probe.begin(action, now);
                }
            }
        }
        self.containers[index].probes = Some(probes);
    }

    fn probe_done(
        &mut self,
        index: usize,
        kind: ProbeKind,
        action: ActionId,
        outcome: ActionOutcome,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let probes = self.containers[index].probes.as_mut();
        let Some(probe) = probes.and_then(|probes| probes.get_mut(kind)) else { return };
        let (turn, grace) = (probe.done(action, outcome), probe.grace_seconds());
        let stopping = self.is_stopping(&self.containers[index]);
        if turn != Some(Turn::Bad) || kind == ProbeKind::Readiness || stopping {
            return;
        }
        let on_failure = self.settings.restart_policy == RestartPolicy::OnFailure;
        let container = &mut self.containers[index];
        container.start_again = on_failure || container.role == Role::Sidecar;
        self.stop_container(index, grace.unwrap_or(self.settings.grace_seconds), now, effects);
    }

    /// Whether a container is being stopped, by itself or with its pod.
    pub(super) fn is_stopping(&self, container: &Container) -> bool {
        container.stop.is_some() || matches!(self.phase, Phase::Stopping { .. })
    }
}
