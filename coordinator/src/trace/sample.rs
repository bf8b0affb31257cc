//! Which successful pods of a large Job are kept. Pure: the same pod is always kept or always not,
//! whoever asks.

use stint_common::id::PodId;

use crate::job::JobSpec;

/// A Job with no more pods than this keeps them all.
const ALL: u32 = 4_990;
/// Of a larger one so many are kept on average: by chance seldom more than [`ALL`], so that the
/// Job's own spans and a few retries still fit into 5,000.
const SOME: u32 = 4_600;

/// How many pods a Job is expected to have.
pub(super) fn pods(spec: &JobSpec) -> u32 {
    spec.completions.unwrap_or(spec.parallelism)
}

/// Which part of the successful pods is kept.
pub(super) fn share(pods: u32) -> f64 {
    if pods <= ALL { 1.0 } else { f64::from(SOME) / f64::from(pods) }
}

/// Whether a successful pod of a Job with so many pods is kept.
pub(super) fn keeps(pod: PodId, pods: u32) -> bool {
    if pods <= ALL {
        return true;
    }
    let place = (u128::from(spread(pod)) * u128::from(pods)) >> 64;
    place < u128::from(SOME)
}

/// All 64 bits of a uid that has fixed bits, mixed (the finalizer of splitmix64).
fn spread(pod: PodId) -> u64 {
    let (high, low) = pod.uid().0.as_u64_pair();
    let mut bits = high ^ low.rotate_left(32);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stint_common::id::{Attempt, JobUid, Slot};
    use uuid::Uuid;

    fn kept(job: u128, pods: u32) -> usize {
        let job = JobUid(Uuid::from_u128(job));
        let all = (0..pods).map(|slot| PodId { job, slot: Slot(slot), attempt: Attempt(0) });
        all.filter(|pod| keeps(*pod, pods)).count()
    }

    #[test]
    fn small_jobs_keep_all_and_large_ones_some() {
        for pods in [1, 1000, ALL] {
            assert_eq!(kept(1, pods), usize::try_from(pods).unwrap());
        }
        for (job, pods) in [(1, 5_100), (2, 10_000), (3, 100_000), (4, 300_000)] {
            let kept = kept(job, pods);
            assert!((4_300..=4_990).contains(&kept), "{kept} of {pods}");
        }
    }
}
