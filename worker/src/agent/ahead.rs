//! How many pods to claim beyond those that can start at once. Pure.
//!
//! Claimed ahead is only what recent run times say will start within about a round trip: short pods
//! leave no gap, and no pod waits behind a long one while another worker idles.

use std::time::Duration;

use stint_common::collections::HashMap;
use stint_common::id::JobUid;
use stint_common::time::Instant;

/// Never more than so many pods ahead: one claim's group.
const MOST: usize = 512;
/// A pod that has run so much longer than its like no longer counts as soon over.
const OVERDUE: u32 = 4;
/// Shorter runs are counted as this long.
const SHORTEST: Duration = Duration::from_micros(20);
/// Jobs whose run times are remembered.
const JOBS: usize = 1024;
/// A pod may wait for about so many round trips.
const ROUND_TRIPS: u32 = 2;
/// Or for this long, if that is longer: claims that go out together cost a fraction of single ones.
const SHORT_WAIT: Duration = Duration::from_millis(20);

/// Recent run times by Job, and how long a claim takes.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    runs: HashMap<JobUid, Duration>,
    round_trip: Duration,
}

impl Ahead {
    /// A pod of `job` ran for `took`.
    pub(super) fn ran(&mut self, job: JobUid, took: Duration) {
        if self.runs.len() >= JOBS && !self.runs.contains_key(&job) {
            self.runs.clear();
        }
        let average = self.runs.entry(job).or_insert(took);
        *average = (*average * 7 + took) / 8;
    }

    /// How long a pod of `job` usually runs, if one ran here lately.
    pub(super) fn usual(&self, job: JobUid) -> Option<Duration> {
        self.runs.get(&job).copied()
    }

    /// From sending a claim to its confirmation.
    pub(super) fn claimed(&mut self, took: Duration) {
        self.round_trip =
            if self.round_trip.is_zero() { took } else { (self.round_trip * 7 + took) / 8 };
    }

    /// Whether the pods that occupy places are soon over: of `running`, (Job, started) each, how
    /// many are.
    pub(super) fn soon_over(
        &self,
        running: impl Iterator<Item = (JobUid, Instant)>,
        now: Instant,
    ) -> usize {
        running
            .filter(|(job, since)| {
                let usual = self.runs.get(job).copied();
                usual.is_some_and(|usual| {
                    now.duration_since(*since) <= usual * OVERDUE + self.round_trip
                })
            })
            .count()
    }

    /// How many pods of `job` may be claimed beyond the free places, if `places` are free or soon
    /// over.
    pub(super) fn allowance(&self, job: JobUid, places: usize) -> usize {
        let Some(run) = self.runs.get(&job) else { return 0 };
        let wait = (self.round_trip * ROUND_TRIPS).max(SHORT_WAIT).as_secs_f64();
        let ratio = wait / run.max(&SHORTEST).as_secs_f64();
        let pods = (ratio * f64::from(u32::try_from(places).unwrap_or(u32::MAX))).min(512.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 512"
        )]
        let pods = pods as usize;
        pods.min(MOST)
    }

    /// The largest allowance of any Job that ran here lately: what is worth pulling.
    pub(super) fn pull_allowance(&self, recent: Option<JobUid>, places: usize) -> usize {
        recent.map_or(0, |job| self.allowance(job, places))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn job(number: u128) -> JobUid {
        JobUid(Uuid::from_u128(number))
    }

    #[test]
    fn long_pods_are_never_claimed_ahead_and_short_ones_are() {
        let mut ahead = Ahead::default();
        assert_eq!(ahead.allowance(job(1), 4), 0);
        ahead.claimed(Duration::from_millis(2));
        ahead.ran(job(1), Duration::from_secs(10));
        ahead.ran(job(2), Duration::from_millis(1));
        ahead.ran(job(3), Duration::ZERO);
        assert_eq!(ahead.allowance(job(1), 4), 0);
        assert_eq!(ahead.allowance(job(2), 4), 80);
        assert_eq!(ahead.allowance(job(3), 4), MOST);
        assert_eq!(ahead.allowance(job(9), 4), 0);
    }

    #[test]
    fn a_place_held_far_too_long_does_not_count() {
        let mut ahead = Ahead::default();
        let now = Instant::now();
        ahead.ran(job(1), Duration::from_millis(10));
        let later = now + Duration::from_secs(1);
        assert_eq!(ahead.soon_over([(job(1), now), (job(2), now)].into_iter(), now), 1);
        assert_eq!(ahead.soon_over([(job(1), now)].into_iter(), later), 0);
    }
}
