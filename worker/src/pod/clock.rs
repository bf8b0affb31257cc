//! The clock that a pod's times are told by was set: they are set with it, so that whatever waits
//! goes on waiting for as long as it was to.

use jiff::{SignedDuration, Timestamp};

use super::backoff::RestartBackoff;
use super::container::{Container, HookWait, State, Stop};
use super::machine::{Machine, Phase};
use super::probe::Prober;

/// Something that holds times.
pub(super) trait Shift {
    /// Moves all of them.
    fn shift(&mut self, by: SignedDuration);
}

impl Machine {
    /// The clock was set forward by so much, or back.
    pub fn clock_was_set(&mut self, by: SignedDuration) {
        self.shift(by);
    }
}

impl Shift for Timestamp {
    fn shift(&mut self, by: SignedDuration) {
        let end = if by.is_negative() { Self::MIN } else { Self::MAX };
        *self = self.checked_add(by).unwrap_or(end);
    }
}

impl<T: Shift> Shift for Option<T> {
    fn shift(&mut self, by: SignedDuration) {
        if let Some(it) = self {
            it.shift(by);
        }
    }
}

impl Shift for Machine {
    fn shift(&mut self, by: SignedDuration) {
        self.started_at.shift(by);
        self.initialized_at.shift(by);
        self.tried_at.shift(by);
        self.ready_changed_at.shift(by);
        self.deadline.shift(by);
        match &mut self.phase {
            Phase::Stopping { kill_at, .. } => kill_at.shift(by),
            Phase::Pending | Phase::Active | Phase::Ended => {}
        }
        self.containers.iter_mut().for_each(|container| container.shift(by));
    }
}

impl Shift for Container {
    fn shift(&mut self, by: SignedDuration) {
        match &mut self.state {
            State::Running { since } => since.shift(by),
            State::BackingOff { exited, until } => {
                exited.shift(by);
                until.shift(by);
            }
            State::Configuring(configuring) => configuring.again.shift(by),
            State::Waiting | State::Starting | State::Over => {}
        }
        self.post_start.shift(by);
        self.stop.shift(by);
        self.backoff.shift(by);
        if let Some(probes) = &mut self.probes {
            let all = [&mut probes.startup, &mut probes.liveness, &mut probes.readiness];
            all.into_iter().for_each(|probe| probe.shift(by));
        }
        let mut told = self.last.as_mut();
        while let Some(end) = told {
            end.started_at.shift(by);
            end.finished_at.shift(by);
            told = end.before.as_deref_mut();
        }
    }
}

impl Shift for HookWait {
    fn shift(&mut self, by: SignedDuration) {
        match self {
            Self::Until(at) => at.shift(by),
            Self::Action(_) => {}
        }
    }
}

impl Shift for Stop {
    fn shift(&mut self, by: SignedDuration) {
        match self {
            Self::Hook { wait, until } => {
                wait.shift(by);
                until.shift(by);
            }
            Self::Term { kill_at } => kill_at.shift(by),
            Self::Killed => {}
        }
    }
}

impl Shift for RestartBackoff {
    fn shift(&mut self, by: SignedDuration) {
        if let Some(last) = &mut self.last {
            last.at.shift(by);
        }
    }
}

impl Shift for Prober {
    fn shift(&mut self, by: SignedDuration) {
        self.next.shift(by);
        if let Some(running) = &mut self.under_way {
            running.began.shift(by);
        }
    }
}
