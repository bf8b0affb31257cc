//! What a pod's record says of it: while it runs, and at its end.

use jiff::Timestamp;
use stint_common::time;
use stint_common::wire::{
    ContainerEnd, ContainerNow, ContainerState, Detail, End, EndedBy, Initialized, Outcome,
    Running, WaitsFor,
};

use super::container::{Container, State};
use super::event::Effect;
use super::machine::{Machine, Phase, Why};
use super::settings::Role;

/// Kubelet's word for a container that lacks something that its variables come from.
const NOT_CONFIGURED: &str = "CreateContainerConfigError";
/// Kubelet's words for a pod that outlived its own `activeDeadlineSeconds`.
const DEADLINE_REASON: &str = "DeadlineExceeded";
const DEADLINE_MESSAGE: &str = "Pod was active on the node longer than the specified deadline";

impl Machine {
    /// What the pod's record should say while it runs; `None` before its first process, or the
    /// first that could not be started, and after its end. Until there is a process all is told
    /// container by container.
    #[must_use]
    pub fn running(&self) -> Option<Running> {
        if self.phase == Phase::Ended {
            return None;
        }
        Some(Running {
            started_at: self.started_at.or(self.tried_at)?,
            only_tried: self.started_at.is_none(),
            ready: self.is_ready(),
            restarts: self.containers.iter().map(|container| container.restarts).sum(),
            detail: self.detail().map(Box::new),
        })
    }

    /// All main containers and sidecars are ready.
    pub(super) fn is_ready(&self) -> bool {
        let mut those = self.containers.iter().filter(|it| it.role != Role::Init);
        self.phase != Phase::Ended && those.all(Container::is_ready)
    }

    fn detail(&self) -> Option<Detail> {
        let runs = self.started_at.is_some();
        if runs && self.settings.is_plain() && self.containers.iter().all(|it| !it.was_tried()) {
            return None;
        }
        Some(Detail {
            initialized: self.initialized(),
            ready_changed_at: self.ready_changed_at.filter(|at| Some(*at) != self.started_at),
            containers: self.containers.iter().map(now).collect(),
        })
    }

    fn initialized(&self) -> Option<Initialized> {
        let known = self.initialized_at.map_or(Initialized::Not, Initialized::At);
        self.settings.has_init_containers().then_some(known)
    }

    /// Gives the pod's end out, if nothing of it is left.
    pub(super) fn end_if_over(&mut self, now: Timestamp, effects: &mut Vec<Effect>) -> bool {
        let over = self.actions.is_empty()
            && self.containers.iter().all(|container| container.state == State::Over);
        if !over || self.phase == Phase::Ended {
            return over;
        }
        let phase = std::mem::replace(&mut self.phase, Phase::Ended);
        effects.push(Effect::Ended(Box::new(self.end(phase, now))));
        true
    }

    fn end(&mut self, phase: Phase, now: Timestamp) -> End {
        let mut main = self.containers.iter().filter(|it| it.role == Role::Main);
        let all_succeeded = main.all(Container::succeeded);
        let own = if all_succeeded { Outcome::Succeeded } else { Outcome::Failed };
        let (outcome, reason, message) = match phase {
            Phase::Stopping { why: Why::Deadline, .. } => {
                // Kubelet's word on a pod past its own deadline is Failed, whatever its containers
                // say.
                (Outcome::Failed, DEADLINE_REASON, DEADLINE_MESSAGE.to_owned())
            }
            Phase::Stopping { why: Why::Ordered { message }, .. } if !all_succeeded => {
                (Outcome::Failed, "", message)
            }
            Phase::Stopping { .. } | Phase::Pending | Phase::Active | Phase::Ended => {
                (own, "", String::new())
            }
        };
        let initialized = self.initialized();
        let containers = self.ends(now);
        let finished = containers.iter().map(|container| container.finished_at).max();
        End {
            outcome,
            by: EndedBy::Worker,
            reason: reason.to_owned(),
            message,
            started_at: self.started_at,
            finished_at: finished.unwrap_or(now),
            containers,
            initialized,
            conditions: Vec::new(),
        }
    }

    /// The ends of the containers; of those that were never tried only where the kubelet takes them
    /// for failed: main containers of an initialized pod, init containers before one that was
    /// tried.
    fn ends(&mut self, now: Timestamp) -> Vec<ContainerEnd> {
        let last_tried = self.containers.iter().rposition(Container::was_tried);
        let initialized = self.initialized_at.is_some();
        let Some(last_tried) = last_tried else {
            self.containers.clear();
            return Vec::new();
        };
        let all = self.containers.drain(..).enumerate();
        let told = all.filter(|(index, container)| {
            let turn_came = match container.role {
                Role::Main => initialized,
                Role::Init | Role::Sidecar => *index < last_tried,
            };
            container.was_tried() || turn_came
        });
        told.map(|(_, container)| container.into_end(now)).collect()
    }
}

/// What a container does now.
fn now(container: &Container) -> ContainerNow {
    let last = container.last.as_ref();
    let state = match container.state {
        State::Over => last.map_or(ContainerState::Waiting, |last| {
            let end = ContainerEnd { restarts: container.restarts, ..last.clone() };
            ContainerState::Terminated(Box::new(end))
        }),
        State::BackingOff { exited, until } => {
            let delay = time::since(until, exited).as_secs();
            ContainerState::BackingOff { delay_seconds: u32::try_from(delay).unwrap_or(u32::MAX) }
        }
        State::Running { since } if container.post_start.is_none() => {
            ContainerState::Running { since }
        }
        State::Waiting | State::Configuring(_) | State::Starting | State::Running { .. } => {
            ContainerState::Waiting
        }
    };
    let waits_for = container
        .missing()
        .map(|message| WaitsFor { reason: NOT_CONFIGURED.to_owned(), message: message.to_owned() });
    let before = last.filter(|_| container.state != State::Over);
    ContainerNow {
        name: (*container.name).to_owned(),
        state,
        ready: container.is_ready(),
        started: container.is_started(),
        restarts: container.restarts,
        last: before.map(|last| Box::new(last.outlived())),
        waits_for: waits_for.map(Box::new),
    }
}
