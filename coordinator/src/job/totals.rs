//! How often a Job succeeded and failed, counted up to the last fact heard (SEMANTICS 2.9).

use super::findings::Findings;
use super::view::Job;

/// Counters as the rules read them: stored, taken in but not counted, and not yet taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Totals {
    /// Pods that succeeded; of an Indexed Job, completed indexes.
    pub(super) succeeded: u32,
    /// Pods that failed, without those that a failure policy ignores.
    pub(super) failed: u32,
    /// Indexes that failed for good.
    pub(super) failed_indexes: u32,
}

impl Totals {
    pub(super) fn of(job: &Job, findings: &Findings) -> Self {
        let status = &job.status;
        Self {
            succeeded: stored_successes(job).saturating_add(job.tally.succeeded),
            failed: status
                .failed
                .saturating_add(count(status.uncounted_failed.len()))
                .saturating_add(job.tally.failed)
                .saturating_sub(findings.ignored),
            failed_indexes: job
                .ledger
                .failed
                .count_below(job.spec.slot_limit())
                .saturating_add(findings.failed_indexes),
        }
    }
}

/// Successes that the record knows. Indexed: always the size of the completed set, without what an
/// elastic Job's fewer completions cut off.
pub(super) fn stored_successes(job: &Job) -> u32 {
    if job.spec.indexed {
        job.ledger.succeeded.count_below(job.spec.slot_limit())
    } else {
        job.status.succeeded.saturating_add(count(job.status.uncounted_succeeded.len()))
    }
}

pub(super) fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
