//! The deadline that the lease's proof sets: beyond it no pod runs on.
//!
//! It counts on CLOCK_BOOTTIME, which goes on while the machine sleeps.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Pods that nobody has proven a right to run for so long are given up: they are killed, and so is
/// this life of the worker.
const GIVE_UP: Duration = Duration::from_secs(3600);

/// What is to be done about all pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing.
    None,
    /// They are to stand still.
    Freeze,
    /// They may go on.
    Thaw,
    /// They are to be killed.
    GiveUp,
}

/// Until when pods may run, and whether they stand still.
#[derive(Debug, Default)]
pub(super) struct Deadline {
    /// 0 before the first proof: until then nothing was started.
    until_ms: i64,
    frozen: bool,
}

impl Deadline {
    /// A proof: it never takes back what an earlier one gave.
    pub(super) fn prove(&mut self, until_ms: i64) {
        self.until_ms = self.until_ms.max(until_ms);
    }

    /// What follows from the time.
    #[must_use]
    pub(super) fn look(&mut self, now_ms: i64) -> Turn {
        if self.until_ms == 0 {
            return Turn::None;
        }
        let open = now_ms < self.until_ms;
        let give_up = i64::try_from(GIVE_UP.as_millis()).unwrap_or(i64::MAX);
        if !open && now_ms.saturating_sub(self.until_ms) > give_up {
            return Turn::GiveUp;
        }
        match (open, self.frozen) {
            (false, false) => {
                self.frozen = true;
                Turn::Freeze
            }
            (true, true) => {
                self.frozen = false;
                Turn::Thaw
            }
            (true, false) | (false, true) => Turn::None,
        }
    }
}

/// Milliseconds on the clock that leases count on.
pub(super) fn boottime_ms() -> i64 {
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default();
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_stand_still_without_proof_and_are_given_up_in_the_end() {
        let mut deadline = Deadline::default();
        assert_eq!(deadline.look(1_000_000_000), Turn::None);
        deadline.prove(100);
        assert_eq!(deadline.look(99), Turn::None);
        assert_eq!(deadline.look(100), Turn::Freeze);
        assert_eq!(deadline.look(101), Turn::None);
        deadline.prove(50);
        assert_eq!(deadline.look(102), Turn::None);
        deadline.prove(200);
        assert_eq!(deadline.look(103), Turn::Thaw);
        assert_eq!(deadline.look(200), Turn::Freeze);
        assert_eq!(deadline.look(3_600_200), Turn::None);
        assert_eq!(deadline.look(3_600_201), Turn::GiveUp);
    }
}
