//! What the ended pods that are to be taken in come to under the Job's rules: facts for the
//! verdict. Costs what ended.

use stint_common::id::{Attempt, PodId, Slot};
use stint_common::names;

use super::change::CloseOutcome;
use super::failure_policy::{FailureAction, Matched};
use super::pod::Pod;
use super::record::Key;
use super::success_policy::Progress;
use super::view::Job;

/// What is found in pods that ended and are not taken in yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    /// Failures that a failure policy ignores.
    pub(super) ignored: u32,
    /// Indexes that have failed for good.
    pub(super) failed_indexes: u32,
    /// The message of the first pod (by slot and attempt) that a rule fails the Job for.
    /// Kubernetes takes the first in its cache, which has no order.
    pub(super) fatal: Option<String>,
    /// Indexes that have succeeded, for each rule of the success policy.
    pub(super) progress: Progress,
}

/// Looks at every pod that is due, if the Job has rules about them.
pub(super) fn inspect(job: &Job) -> Findings {
    let spec = &job.spec;
    let mut findings = Findings::default();
    if let Some(policy) = &spec.success_policy {
        findings.progress = policy.no_progress();
    } else if spec.failure_policy.is_none() && spec.backoff_limit_per_index.is_none() {
        return findings;
    }
    for (key, pod) in job.tally.due.iter().filter_map(|key| job.pods.get_key_value(key)) {
        match outcome(job, *key, pod) {
            CloseOutcome::Ignored => findings.ignored += 1,
            CloseOutcome::FailedForGood => findings.failed_indexes += 1,
            CloseOutcome::Succeeded => {
                if let Some(policy) = &spec.success_policy {
                    policy.advance(&mut findings.progress, key.0.0);
                }
            }
            CloseOutcome::Failed | CloseOutcome::Dropped => {}
        }
        if findings.fatal.is_none() {
            findings.fatal = judge(job, pod)
                .filter(|matched| matched.action == FailureAction::FailJob)
                .map(|matched| matched.message(&full_name(job, *key)));
        }
    }
    findings
}

/// What a pod counts as that ended, or counts as failed though it has not.
pub(super) fn outcome(job: &Job, (slot, _): Key, pod: &Pod) -> CloseOutcome {
    let end = pod.stage.end();
    if slot.0 >= job.spec.slot_limit() {
        // Indexes that the Job no longer has count for nothing.
        return CloseOutcome::Dropped;
    }
    if end.is_some_and(|end| end.succeeded) {
        return CloseOutcome::Succeeded;
    }
    let action = judge(job, pod).map(|matched| matched.action);
    let limit = job.spec.backoff_limit_per_index;
    match action {
        Some(FailureAction::Ignore) => return CloseOutcome::Ignored,
        Some(FailureAction::FailIndex) if limit.is_some() => return CloseOutcome::FailedForGood,
        Some(FailureAction::FailIndex | FailureAction::FailJob | FailureAction::Count) | None => {}
    }
    // Pods that are stopped because the Job fails say nothing about their indexes.
    let own = end.is_some() || job.doom().is_none();
    let spent = limit.is_some_and(|limit| job.ledger.slot(slot).failures >= limit);
    if own && spent { CloseOutcome::FailedForGood } else { CloseOutcome::Failed }
}

/// The rule that applies to a pod that ended in failure.
fn judge<'a>(job: &'a Job, pod: &'a Pod) -> Option<Matched<'a>> {
    let end = pod.stage.end().filter(|end| !end.succeeded)?;
    job.spec.failure_policy.as_ref()?.judge(end)
}

fn full_name(job: &Job, key: Key) -> String {
    format!("{}/{}", job.object.namespace, pod_name(job, key))
}

impl Job {
    /// What a pod of it is called.
    #[must_use]
    pub fn pod_name(&self, slot: Slot, attempt: Attempt) -> String {
        pod_name(self, (slot, attempt))
    }
}

/// What a pod is called.
pub(super) fn pod_name(job: &Job, (slot, attempt): Key) -> String {
    let pod = PodId { job: job.uid, slot, attempt };
    names::pod_name(&job.object.name, job.spec.indexed, pod)
}
