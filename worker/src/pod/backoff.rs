//! When a container that failed is started again: kubelet's back-off, of one container.
//!
//! The first restart comes at once; the next ones wait 10 s, 20 s, 40 s… after the exit, at most 5
//! min. More than 10 min between the last restart and the exit forget all that.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use stint_common::time;

/// The first delay (kubelet's `initialCrashLoopBackOff`).
const BASE: Duration = Duration::from_secs(10);
/// No delay is longer (kubelet's `MaxCrashLoopBackOff`).
const CAP: Duration = Duration::from_secs(300);
/// Having run for longer than this wipes the slate: twice the cap, as in client-go's
/// `flowcontrol.Backoff`.
const FORGET_AFTER: Duration = Duration::from_secs(600);

/// The back-off of one container. Default: it never failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RestartBackoff {
    pub(super) last: Option<Restart>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Restart {
    pub(super) at: Timestamp,
    delay: Duration,
}

impl RestartBackoff {
    /// When a container that ended at `exited` may be started again.
    pub(super) fn restart_at(&self, exited: Timestamp) -> Timestamp {
        self.remembered(exited).map_or(exited, |last| time::after(exited, last.delay))
    }

    /// It is started again at `now`, having ended at `exited`.
    pub(super) fn restarted(&mut self, exited: Timestamp, now: Timestamp) {
        let delay = self.remembered(exited).map_or(BASE, |last| (last.delay * 2).min(CAP));
        self.last = Some(Restart { at: now, delay });
    }

    fn remembered(&self, exited: Timestamp) -> Option<Restart> {
        self.last.filter(|last| time::since(exited, last.at) <= FORGET_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: Timestamp, seconds: u64) -> Timestamp {
        time::after(start, Duration::from_secs(seconds))
    }

    #[test]
    fn the_first_restart_is_immediate_the_next_double_to_five_minutes() {
        let mut backoff = RestartBackoff::default();
        let mut now = Timestamp::UNIX_EPOCH;
        let mut delays = Vec::new();
        for _ in 0..8 {
            let restart = backoff.restart_at(now);
            delays.push(time::since(restart, now).as_secs());
            backoff.restarted(now, restart);
            now = restart;
        }
        assert_eq!(delays, [0, 10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn ten_minutes_of_running_wipe_the_slate() {
        let mut backoff = RestartBackoff::default();
        let start = Timestamp::UNIX_EPOCH;
        backoff.restarted(start, start);
        backoff.restarted(start, start);
        assert_eq!(backoff.restart_at(after(start, 600)), after(start, 620));
        assert_eq!(backoff.restart_at(after(start, 601)), after(start, 601));
        backoff.restarted(after(start, 601), after(start, 601));
        assert_eq!(backoff.restart_at(after(start, 602)), after(start, 612));
    }
}
