//! How the spans of a large Job are spread over traces, and which of its successful pods are kept.
//! Pure.

use stint_common::wire::TraceLimits;

use crate::job::JobSpec;

/// The Job's own spans, and a few retries.
const OTHERS: u32 = 10;

/// Limits of traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A Job with more pods than this has them in traces of so many each, linked to its own; 0: in
    /// its own, however many there are.
    pub shard_pods: u32,
    /// So many spans of a Job are sent, about; failures are sent besides.
    pub max_spans: u32,
}

impl Default for Settings {
    /// What usual receivers take: some show no trace of 10^4 spans, some refuse it.
    fn default() -> Self {
        Self { shard_pods: 1000, max_spans: 5000 }
    }
}

impl Settings {
    /// The limits of a Job with so many pods; `None` if all its spans fit into one trace.
    #[must_use]
    pub fn limits(self, pods: u32) -> Option<TraceLimits> {
        let shard_pods = if pods > self.shard_pods { self.shard_pods } else { 0 };
        let shards = shards(pods, shard_pods);
        let room = self.max_spans.saturating_sub(OTHERS).saturating_sub(shards);
        let keep = if pods <= room {
            u32::MAX
        } else {
            // By chance seldom more than there is room for.
            let some = u64::from(room) * 23 / 25;
            u32::try_from((some << 32) / u64::from(pods)).unwrap_or(u32::MAX)
        };
        let all = shard_pods == 0 && keep == u32::MAX;
        (!all).then_some(TraceLimits { shard_pods, keep })
    }

    /// Those of a Job whose record says none: it was created by an older coordinator, or has grown.
    pub(super) fn of_unlimited(self, spec: &JobSpec) -> Option<TraceLimits> {
        // Its workers know of no shards.
        Self { shard_pods: 0, ..self }.limits(pods(spec))
    }
}

/// How many traces the pods are in, if not in the Job's.
pub(super) fn shards(pods: u32, shard_pods: u32) -> u32 {
    if shard_pods == 0 { 0 } else { pods.div_ceil(shard_pods) }
}

/// How many pods a Job is expected to have.
pub(super) fn pods(spec: &JobSpec) -> u32 {
    spec.completions.unwrap_or(spec.parallelism)
}

/// Which part of the successful pods is kept.
pub(super) fn share(limits: Option<TraceLimits>) -> f64 {
    match limits {
        None | Some(TraceLimits { keep: u32::MAX, .. }) => 1.0,
        Some(limits) => f64::from(limits.keep) / 4_294_967_296.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stint_common::id::{Attempt, JobUid, PodId, Slot};
    use stint_common::trace::keeps;
    use uuid::Uuid;

    fn kept(job: u128, pods: u32) -> usize {
        let job = JobUid(Uuid::from_u128(job));
        let all = (0..pods).map(|slot| PodId { job, slot: Slot(slot), attempt: Attempt(0) });
        let limits = Settings::default().limits(pods);
        all.filter(|pod| keeps(*pod, limits)).count()
    }

    #[test]
    fn small_jobs_keep_all_and_large_ones_some() {
        for pods in [1, 1000, 4_980] {
            assert_eq!(kept(1, pods), usize::try_from(pods).unwrap());
        }
        for (job, pods) in [(1, 5_100), (2, 10_000), (3, 100_000), (4, 300_000)] {
            let kept = kept(job, pods);
            assert!((4_000..=4_990).contains(&kept), "{kept} of {pods}");
        }
    }

    #[test]
    fn only_large_jobs_have_limits() {
        let settings = Settings::default();
        assert_eq!(settings.limits(1000), None);
        assert_eq!(settings.limits(1001), Some(TraceLimits { shard_pods: 1000, keep: u32::MAX }));
        let one_trace = Settings { shard_pods: 0, max_spans: 100 };
        assert_eq!(one_trace.limits(90), None);
        let limits = one_trace.limits(1000).unwrap();
        assert_eq!(limits.shard_pods, 0);
        assert!((0.08..0.09).contains(&share(Some(limits))), "{limits:?}");
        assert_eq!(shards(2001, 1000), 3);
    }
}
