//! The machine's clock is set while pods run: whatever waits is set with it.

use jiff::{SignedDuration, Timestamp};

use super::pods::Timer;
use super::run::Agent;
use crate::runtime::Runtime;

impl<R: Runtime> Agent<R> {
    /// Looks whether the clock was set; if so, everything that waits is set with it.
    pub(super) fn look_at_clock(&mut self) {
        let Some(by) = self.wall.was_set() else { return };
        tracing::warn!(by_seconds = by.as_secs_f64(), "the machine's clock was set");
        for pod in self.pods.values_mut() {
            pod.machine.clock_was_set(by);
            shift(&mut pod.wake_at, by);
            if let Some(end) = &mut pod.end {
                end.finished_at = shifted(end.finished_at, by);
                shift(&mut end.started_at, by);
            }
        }
        for (_, at) in self.exits.values_mut() {
            *at = shifted(*at, by);
        }
        for timers in [&mut self.reports, &mut self.wakes, &mut self.look_again] {
            *timers = timers.iter().map(|(at, id)| -> Timer { (shifted(*at, by), *id) }).collect();
        }
        let retries = self.retries.iter().map(|(at, id, what)| (shifted(*at, by), *id, *what));
        self.retries = retries.collect();
        // What they say of themselves is told by the new clock.
        let ids: Vec<_> = self.pods.keys().copied().collect();
        ids.into_iter().for_each(|id| self.note_anew(id));
    }
}

fn shifted(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(at)
}

fn shift(at: &mut Option<Timestamp>, by: SignedDuration) {
    *at = at.map(|at| shifted(at, by));
}
