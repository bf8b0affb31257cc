//! When a failed pod may be replaced (SEMANTICS 5). Pure arithmetic over finish times.
//!
//! Differs from Kubernetes: the record is durable, so a coordinator's restart forgets no failure.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use stint_common::backoff::Backoff;
use stint_common::time;

/// Failures in a row: what the delay is computed from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BackoffRecord {
    /// Pods that failed after the last one that succeeded.
    pub failures: u32,
    /// When the last of them finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<Timestamp>,
}

impl BackoffRecord {
    /// Whether nothing failed since the last success.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        *self == Self::default()
    }

    /// Takes in one batch of finish times. Failures up to the batch's last success are forgiven,
    /// whatever order they were heard in.
    #[must_use]
    pub fn after(self, succeeded: &[Timestamp], failed: &[Timestamp]) -> Self {
        let Some(last_success) = succeeded.iter().max() else {
            return Self {
                failures: self.failures.saturating_add(count(failed.len())),
                last_failure: failed.iter().max().copied().or(self.last_failure),
            };
        };
        let later = || failed.iter().filter(|time| *time > last_success);
        Self { failures: count(later().count()), last_failure: later().max().copied() }
    }

    /// The same, with nothing that is yet to come: the clock of a worker is ahead, or ours was set
    /// back. A back-off is never longer than it was to be, whatever clocks do.
    #[must_use]
    pub fn not_to_come(self, now: Timestamp) -> Self {
        Self { last_failure: self.last_failure.map(|last| last.min(now)), ..self }
    }

    /// From when on a failed pod may be replaced; `None`: at any time.
    #[must_use]
    pub fn ready_at(&self, backoff: Backoff) -> Option<Timestamp> {
        let delay = backoff.delay(self.failures);
        self.last_failure.filter(|_| delay > Duration::ZERO).map(|last| time::after(last, delay))
    }

    /// How long from `now` until a failed pod may be replaced.
    #[must_use]
    pub fn remaining(&self, now: Timestamp, backoff: Backoff) -> Duration {
        self.ready_at(backoff).map_or(Duration::ZERO, |ready| time::since(ready, now))
    }
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn check(
        record: (u32, Option<i64>),
        succeeded: &[i64],
        failed: &[i64],
        expect: (u32, Option<i64>),
    ) {
        let times = |seconds: &[i64]| seconds.iter().map(|second| at(*second)).collect::<Vec<_>>();
        let record = BackoffRecord { failures: record.0, last_failure: record.1.map(at) };
        let after = record.after(&times(succeeded), &times(failed));
        assert_eq!((after.failures, after.last_failure.map(Timestamp::as_second)), expect);
    }

    #[test]
    fn failures_add_up_until_a_success() {
        check((0, None), &[], &[], (0, None));
        check((1, Some(5)), &[], &[9, 7], (3, Some(9)));
        check((1, Some(5)), &[6], &[], (0, None));
        check((4, Some(5)), &[8], &[9, 7, 8, 11], (2, Some(11)));
        check((4, Some(5)), &[12, 2], &[9], (0, None));
    }

    #[test]
    fn no_failure_is_yet_to_come() {
        let record = BackoffRecord { failures: 2, last_failure: Some(at(100)) };
        assert_eq!(record.not_to_come(at(100)), record);
        assert_eq!(
            record.not_to_come(at(40)).remaining(at(40), Backoff::POD_FAILURE).as_secs(),
            20
        );
    }

    #[test]
    fn the_delay_is_measured_from_the_finish() {
        let record = BackoffRecord { failures: 2, last_failure: Some(at(100)) };
        for (now, remaining) in [(100, 20), (115, 5), (120, 0), (500, 0)] {
            assert_eq!(record.remaining(at(now), Backoff::POD_FAILURE).as_secs(), remaining);
        }
        assert!(BackoffRecord::default().ready_at(Backoff::POD_FAILURE).is_none());
    }
}
