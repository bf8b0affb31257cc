//! Whether the Job's end is decided: ordered rules, the first that applies wins (SEMANTICS 2.12).
//!
//! Success by plain completions is not here: it is looked at when none of these applied and pods
//! were seen to, since it needs that none is active ([`reached_completions`]).

use std::time::Duration;

use jiff::Timestamp;
use stint_common::time;

use super::findings::Findings;
use super::record::{Condition, condition};
use super::totals::Totals;
use super::view::Job;

/// How a Job ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Succeeded,
    Failed,
}

/// A Job's end, decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) outcome: Outcome,
    pub(super) reason: String,
    pub(super) message: String,
    /// An interim condition says so already: it was decided, and stored, earlier.
    pub(super) standing: bool,
}

impl Verdict {
    fn new(outcome: Outcome, reason: &str, message: &str) -> Self {
        Self { outcome, reason: reason.to_owned(), message: message.to_owned(), standing: false }
    }

    fn standing(outcome: Outcome, condition: &Condition) -> Self {
        Self { standing: true, ..Self::new(outcome, &condition.reason, &condition.message) }
    }

    pub(super) fn failed(&self) -> bool {
        self.outcome == Outcome::Failed
    }
}

/// What the rules read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case<'a> {
    pub(super) job: &'a Job,
    pub(super) totals: Totals,
    pub(super) findings: &'a Findings,
    pub(super) now: Timestamp,
}

type Rule = fn(&Case<'_>) -> Option<Verdict>;

/// Failure beats success when both hold at once; what was decided earlier beats everything.
const RULES: [Rule; 9] = [
    standing_success,
    standing_failure,
    failure_policy,
    backoff_limit,
    restart_limit,
    active_deadline,
    max_failed_indexes,
    failed_indexes,
    success_policy,
];

/// The first rule's word.
pub(super) fn judge(case: &Case<'_>) -> Option<Verdict> {
    RULES.iter().find_map(|rule| rule(case))
}

fn standing_success(case: &Case<'_>) -> Option<Verdict> {
    let met = case.job.status.condition(condition::SUCCESS_CRITERIA_MET)?;
    Some(Verdict::standing(Outcome::Succeeded, met))
}

fn standing_failure(case: &Case<'_>) -> Option<Verdict> {
    let target = case.job.status.condition(condition::FAILURE_TARGET)?;
    Some(Verdict::standing(Outcome::Failed, target))
}

/// A pod ended in a way that a rule of `podFailurePolicy` fails the Job for.
fn failure_policy(case: &Case<'_>) -> Option<Verdict> {
    let message = case.findings.fatal.as_deref()?;
    Some(Verdict::new(Outcome::Failed, "PodFailurePolicy", message))
}

/// `failed > backoffLimit`.
fn backoff_limit(case: &Case<'_>) -> Option<Verdict> {
    (case.totals.failed > case.job.spec.backoff_limit).then(backoff_limit_exceeded)
}

/// restartPolicy OnFailure: restarts of pods that have not ended, `>= backoffLimit`; with a limit
/// of 0 any.
fn restart_limit(case: &Case<'_>) -> Option<Verdict> {
    let spec = &case.job.spec;
    let limit = u64::from(spec.backoff_limit.max(1));
    let past = spec.restart_on_failure && case.job.tally.restarts >= limit;
    past.then(backoff_limit_exceeded)
}

fn backoff_limit_exceeded() -> Verdict {
    let message = "Job has reached the specified backoff limit";
    Verdict::new(Outcome::Failed, "BackoffLimitExceeded", message)
}

/// `activeDeadlineSeconds` since `startTime`, never while suspended.
fn active_deadline(case: &Case<'_>) -> Option<Verdict> {
    deadline(case.job, case.now).filter(|deadline| *deadline <= case.now)?;
    let message = "Job was active longer than specified deadline";
    Some(Verdict::new(Outcome::Failed, "DeadlineExceeded", message))
}

/// `failedIndexes > maxFailedIndexes`.
fn max_failed_indexes(case: &Case<'_>) -> Option<Verdict> {
    case.job.spec.backoff_limit_per_index?;
    let limit = case.job.spec.max_failed_indexes?;
    let message = "Job has exceeded the specified maximal number of failed indexes";
    (case.totals.failed_indexes > limit)
        .then(|| Verdict::new(Outcome::Failed, "MaxFailedIndexesExceeded", message))
}

/// Every index has succeeded or failed, and some failed.
fn failed_indexes(case: &Case<'_>) -> Option<Verdict> {
    case.job.spec.backoff_limit_per_index?;
    let Totals { succeeded, failed_indexes, .. } = case.totals;
    let needed = case.job.needed()?;
    let over = failed_indexes > 0 && failed_indexes.saturating_add(succeeded) >= needed;
    over.then(|| Verdict::new(Outcome::Failed, "FailedIndexes", "Job has failed indexes"))
}

/// Enough indexes have succeeded for a rule of `successPolicy`.
fn success_policy(case: &Case<'_>) -> Option<Verdict> {
    let policy = case.job.spec.success_policy.as_ref().filter(|_| case.totals.succeeded > 0)?;
    let rule = policy.first_met(&case.job.progress, &case.findings.progress)?;
    let message = format!("Matched rules at index {rule}");
    Some(Verdict::new(Outcome::Succeeded, "SuccessPolicy", &message))
}

/// When the Job has been active for too long; `None` if it never will have been.
pub(super) fn deadline(job: &Job, now: Timestamp) -> Option<Timestamp> {
    let seconds = job.spec.active_deadline_seconds.filter(|_| !job.spec.suspend)?;
    let start = job.status.start_time.unwrap_or_else(|| time::whole_seconds(now));
    Some(time::after(start, Duration::from_secs(seconds)))
}

/// Success by completions: all of them reached and no pod active any more; a work queue
/// (`completions` absent): any success and no pod active.
pub(super) fn reached_completions(job: &Job, totals: Totals, active: u32) -> Option<Verdict> {
    let enough = match job.needed() {
        None => totals.succeeded > 0,
        Some(needed) => totals.succeeded >= needed,
    };
    let message = "Reached expected number of succeeded pods";
    (enough && active == 0).then(|| Verdict::new(Outcome::Succeeded, "CompletionsReached", message))
}
