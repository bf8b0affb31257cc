//! A machine with a clock that tests move.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use stint_common::time;
use stint_common::wire::{ContainerNow, ContainerState, End, Exit};

use super::super::{
    ActionId, ActionKind, ActionOutcome, ContainerSettings, Effect, Event, Machine, ProbeSettings,
    RestartPolicy, Role, Settings,
};

/// A machine, the time, and what the machine wanted since the last look.
pub(super) struct World {
    pub(super) machine: Machine,
    pub(super) now: Timestamp,
    pub(super) effects: Vec<Effect>,
}

/// A pod of `roles`, main containers first: `c0`, `c1`…
pub(super) fn settings(roles: &[Role], restart_policy: RestartPolicy) -> Settings {
    let container = |(index, role): (usize, &Role)| {
        let name = Arc::from(format!("c{index}"));
        ContainerSettings { role: *role, ..ContainerSettings::plain(name) }
    };
    Settings {
        containers: roles.iter().enumerate().map(container).collect(),
        restart_policy,
        grace_seconds: 30,
        active_deadline: None,
    }
}

/// A probe that is tried every ten seconds and believed at once.
pub(super) const PROBE: ProbeSettings = ProbeSettings {
    initial_delay: Duration::ZERO,
    period: Duration::from_secs(10),
    timeout: Duration::from_secs(1),
    success_threshold: 1,
    failure_threshold: 1,
    grace_seconds: None,
};

impl World {
    pub(super) fn new(containers: usize, restart_policy: RestartPolicy) -> Self {
        Self::with(settings(&vec![Role::Main; containers], restart_policy))
    }

    pub(super) fn with(settings: Settings) -> Self {
        let now = Timestamp::UNIX_EPOCH;
        Self { machine: Machine::new(Arc::new(settings), now), now, effects: Vec::new() }
    }

    /// Tells the machine; what it wants done, reports left out.
    pub(super) fn tell(&mut self, event: Event) -> Vec<Effect> {
        let mut all = self.tell_all(event);
        all.retain(|effect| !matches!(effect, Effect::ReportRunning(_)));
        all
    }

    pub(super) fn tell_all(&mut self, event: Event) -> Vec<Effect> {
        self.machine.step(event, self.now, &mut self.effects).unwrap();
        std::mem::take(&mut self.effects)
    }

    pub(super) fn started(&mut self, index: usize) -> Vec<Effect> {
        self.tell(Event::ContainerStarted { index, at: self.now })
    }

    pub(super) fn exited(&mut self, index: usize, exit: Exit) -> Vec<Effect> {
        self.exited_at(index, exit, self.now)
    }

    pub(super) fn exited_at(&mut self, index: usize, exit: Exit, at: Timestamp) -> Vec<Effect> {
        self.ended_at(index, exit, at, false)
    }

    pub(super) fn killed_for_memory(&mut self, index: usize) -> Vec<Effect> {
        self.ended_at(index, Exit::Signal(9), self.now, true)
    }

    fn ended_at(
        &mut self,
        index: usize,
        exit: Exit,
        at: Timestamp,
        out_of_memory: bool,
    ) -> Vec<Effect> {
        let (logs, message) = Default::default();
        self.tell(Event::ContainerExited { index, exit, at, out_of_memory, logs, message })
    }

    pub(super) fn done(&mut self, action: ActionId, outcome: ActionOutcome) -> Vec<Effect> {
        self.tell(Event::ActionDone { action, outcome })
    }

    pub(super) fn stop(&mut self, grace_seconds: u32) -> Vec<Effect> {
        self.tell(Event::StopOrdered { grace_seconds, reason: "why".to_owned(), at: self.now })
    }

    /// Moves time to the next wake; how many seconds that was.
    pub(super) fn wake(&mut self) -> (u64, Vec<Effect>) {
        let at = self.machine.next_wake().unwrap();
        let waited = time::since(at, self.now).as_secs();
        self.now = at;
        (waited, self.tell(Event::Wake))
    }

    pub(super) fn pass(&mut self, seconds: u64) {
        self.now = time::after(self.now, Duration::from_secs(seconds));
    }

    /// Starts all main containers and lets them run.
    pub(super) fn run(&mut self, containers: usize) {
        self.tell(Event::Start);
        for index in 0..containers {
            self.started(index);
        }
    }

    /// What the record would say of a container now.
    pub(super) fn now_of(&self, index: usize) -> ContainerNow {
        self.machine.running().unwrap().detail.unwrap().containers[index].clone()
    }

    pub(super) fn state_of(&self, index: usize) -> ContainerState {
        self.now_of(index).state
    }
}

pub(super) fn start(index: usize) -> Effect {
    Effect::StartContainer { index }
}

pub(super) fn term(index: usize) -> Effect {
    Effect::SignalTerm { index }
}

pub(super) fn kill(index: usize) -> Effect {
    Effect::Kill { index }
}

/// The one action that was asked for, of `index`.
pub(super) fn action(effects: &[Effect], index: usize, kind: ActionKind) -> ActionId {
    match effects {
        [Effect::RunAction { action, index: of, kind: what }] => {
            assert_eq!((*of, *what), (index, kind));
            *action
        }
        other => panic!("not one action in {other:?}"),
    }
}

pub(super) fn end(effects: &[Effect]) -> &End {
    match effects {
        [.., Effect::Ended(end)] => end,
        other => panic!("no end in {other:?}"),
    }
}
