//! The delay before a retry: doubles from a base up to a cap. Pure; jitter is the caller's.

use std::time::Duration;

/// A doubling delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The delay after the first failure.
    pub base: Duration,
    /// No delay is longer.
    pub cap: Duration,
}

impl Backoff {
    /// Kubernetes' delay before a failed pod is replaced: 10 s × 2^(n−1), at most 10 min
    /// (`DefaultJobPodFailureBackOff`, `MaxJobPodFailureBackOff`).
    pub const POD_FAILURE: Self =
        Self { base: Duration::from_secs(10), cap: Duration::from_secs(600) };

    /// Reconnecting to JetStream: quick at first, since a restarted server is back within a second.
    pub const STORE: Self = Self { base: Duration::from_millis(20), cap: Duration::from_secs(2) };

    /// The delay after `failures` failures in a row; none after none.
    #[must_use]
    pub fn delay(&self, failures: u32) -> Duration {
        // Nothing doubled is nothing, however often.
        if failures == 0 || self.base.is_zero() {
            return Duration::ZERO;
        }
        let factor = 1_u32.checked_shl(failures - 1).filter(|factor| *factor != 0);
        factor.map_or(self.cap, |factor| self.base.saturating_mul(factor).min(self.cap))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pod_failures_wait_ten_seconds_doubling_to_ten_minutes() {
        let seconds: Vec<u64> =
            (0..10).map(|failures| Backoff::POD_FAILURE.delay(failures).as_secs()).collect();
        assert_eq!(seconds, [0, 10, 20, 40, 80, 160, 320, 600, 600, 600]);
        assert_eq!(Backoff::POD_FAILURE.delay(u32::MAX).as_secs(), 600);
        assert_eq!(Backoff::POD_FAILURE.delay(33).as_secs(), 600);
    }

    #[test]
    fn no_delay_stays_none_whatever_the_number_of_failures() {
        let none = Backoff { base: Duration::ZERO, ..Backoff::POD_FAILURE };
        assert!([0, 1, 32, 33, u32::MAX].iter().all(|it| none.delay(*it).is_zero()));
    }
}
