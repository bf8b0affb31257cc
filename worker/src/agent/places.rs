//! Who has a place: pods never take up more than there is.
//!
//! Pods of one run stand in the runtime's line, so that a place that falls free is taken at once
//! and the agent need not be quick: it looks at floods of short pods now and then, and what it
//! writes goes out in large groups. Other pods (several containers, restarts in place, or with
//! requests of their own) hold what they take up from their start to their end.

use std::time::Duration;

use stint_common::id::PodId;

use super::intake::clock;
use super::outbox::Outbox;
use super::pods::Stage;
use super::run::Agent;
use crate::pod::Event;
use crate::runtime::Runtime;

/// While the line lasts the agent rests at most so long between two looks.
const LONGEST_REST: Duration = Duration::from_millis(6);
/// Shorter rests are none: a timer's step is a millisecond.
const SHORTEST_REST: Duration = Duration::from_millis(1);
/// A rest takes this part of the time that the line is expected to last.
const SHARE: u32 = 3;

/// Pods that have a place, or are next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    /// Pods that run.
    pub(super) running: usize,
    /// Pods in the runtime's line that are not known to have been started.
    pub(super) lined_up: usize,
}

impl<R: Runtime> Agent<R> {
    /// Pods that were claimed get a place, or stand in line for one.
    pub(super) fn start_waiting(&mut self, out: &mut Outbox) {
        if !self.fence.is_open() {
            return;
        }
        while let Some(id) = self.waiting.pop_front() {
            let Some(pod) = self.pods.get_mut(&id).filter(|pod| pod.stage == Stage::Waiting) else {
                continue;
            };
            let is_lined_up = pod.is_lined_up();
            if is_lined_up && pod.machine.settings().asks_first() {
                pod.stage = Stage::Configuring;
                self.configuring.insert(id, 0);
            } else if is_lined_up {
                pod.stage = Stage::LinedUp;
                self.places.lined_up += 1;
            } else if self.room.fits_now(&pod.kind.amounts, self.places.lined_up) {
                pod.stage = Stage::Running(clock());
                pod.apart = true;
                pod.devices = self.devices.assign(&pod.kind.devices);
                self.places.running += 1;
                self.room.run(&pod.kind.amounts, true);
                self.share_places();
            } else {
                self.waiting.push_front(id);
                return;
            }
            self.step(id, Event::Start, out);
            self.settle_pending(out);
        }
    }

    /// Tells the runtime how many places there are for those in its line.
    pub(super) fn share_places(&self) {
        self.runtime.set_places(self.room.places_beside_apart());
    }

    /// A pod that had no place to ask for before it had its variables stands in line.
    pub(super) fn lines_up(&mut self, id: PodId) {
        let configured = self.pods.get_mut(&id).filter(|pod| pod.stage == Stage::Configuring);
        if let Some(pod) = configured {
            pod.stage = Stage::LinedUp;
            self.places.lined_up += 1;
            self.configuring.remove(&id);
        }
    }

    /// A pod in line was started.
    pub(super) fn takes_its_place(&mut self, id: PodId) {
        let lined_up = self.pods.get_mut(&id).filter(|pod| pod.stage == Stage::LinedUp);
        if let Some(pod) = lined_up {
            pod.stage = Stage::Running(clock());
            self.places.lined_up -= 1;
            self.places.running += 1;
            self.room.run(&pod.kind.amounts, false);
        }
    }

    /// A pod is over: whatever it holds is free.
    pub(super) fn vacate(&mut self, id: PodId) {
        let Some(pod) = self.pods.get_mut(&id) else { return };
        let amounts = &pod.kind.amounts;
        match std::mem::replace(&mut pod.stage, Stage::Ending) {
            Stage::Running(_) => {
                self.places.running -= 1;
                self.room.leave(amounts, pod.apart);
            }
            Stage::LinedUp => {
                self.places.lined_up -= 1;
                self.room.unclaim(amounts);
            }
            Stage::Claiming | Stage::Verifying | Stage::Waiting | Stage::Configuring => {
                self.configuring.remove(&id);
                self.room.unclaim(amounts);
            }
            Stage::Ending => {}
        }
        if std::mem::take(&mut pod.apart) {
            self.devices.release(std::mem::take(&mut pod.devices));
            self.share_places();
        }
    }

    /// Pods that are being claimed or wait for a place.
    pub(super) fn not_yet_running(&self) -> usize {
        self.replies.len()
            + self.verifying.len()
            + self.configuring.len()
            + self.waiting.len()
            + self.places.lined_up
    }

    /// How long nothing need be looked at, since the runtime's line lasts longer.
    pub(super) fn rest(&self) -> Option<Duration> {
        let usual = self.ahead.usual(self.recent?)?;
        let lined_up = u32::try_from(self.places.lined_up).unwrap_or(u32::MAX);
        let slots = u32::try_from(self.room.places()).unwrap_or(u32::MAX).max(1);
        let lasts = usual.saturating_mul(lined_up) / slots;
        let rest = (lasts / SHARE).min(LONGEST_REST);
        (rest >= SHORTEST_REST && !self.shutting_down).then_some(rest)
    }
}
