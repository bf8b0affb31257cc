//! The status that follows: counters, conditions, times. Conditions are added here and nowhere
//! else.
//!
//! Kubernetes' three steps (SEMANTICS 4): a termination is first listed as uncounted, in the write
//! that closes it; the next write counts it, and lists the next ones.

use jiff::Timestamp;
use stint_common::time;

use super::change::CloseOutcome;
use super::dependency::no_longer_waits;
use super::intake::Intake;
use super::note::Event;
use super::pods::Moves;
use super::record::{Condition, JobStatus, Key, condition, ensure_condition};
use super::told::tell;
use super::totals::{Totals, count, stored_successes};
use super::verdict::{Outcome, Verdict, reached_completions};
use super::view::Job;

/// All that was decided.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decided<'a> {
    pub(super) totals: Totals,
    pub(super) verdict: Option<&'a Verdict>,
    pub(super) intake: &'a Intake,
    pub(super) moves: &'a Moves,
    pub(super) now: Timestamp,
}

/// The status after what was decided, and what to tell about it.
pub(super) fn conclude(job: &Job, decided: &Decided<'_>) -> (JobStatus, Vec<Event>) {
    let now = time::whole_seconds(decided.now);
    let mut status = counted(job, decided);
    let mut events = tell(job, decided.intake, decided.moves, &mut status.told);
    if status.start_time.is_none() && !job.spec.suspend {
        status.start_time = Some(now);
    }
    no_longer_waits(&mut status, now);
    let completed = match decided.verdict {
        // Pods of a Job that is deleted in the foreground are stopped, whatever they came to.
        None if !job.deletion.is_some_and(|deletion| deletion.foreground) => {
            reached_completions(job, decided.totals, status.active)
        }
        Some(_) | None => None,
    };
    match decided.verdict.or(completed.as_ref()) {
        Some(verdict) if !verdict.standing => {
            let kind = interim(verdict.outcome);
            let interim = Condition::new(kind, true, &verdict.reason, &verdict.message, now);
            ensure_condition(&mut status.conditions, interim);
        }
        Some(verdict) => {
            let over = status.uncounted() == 0
                && !decided.intake.more
                && status.active == 0
                && status.terminating == 0;
            if over {
                finish(job, &mut status, verdict, now, &mut events);
            }
        }
        None if job.deletion.is_some() => {}
        None => suspension(job, &mut status, now, &mut events),
    }
    (status, events)
}

fn interim(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded => condition::SUCCESS_CRITERIA_MET,
        Outcome::Failed => condition::FAILURE_TARGET,
    }
}

/// Counters and lists; times and conditions as they were.
fn counted(job: &Job, decided: &Decided<'_>) -> JobStatus {
    let old = &job.status;
    let stored = if job.spec.indexed { stored_successes(job) } else { old.succeeded };
    let mut status = JobStatus {
        start_time: old.start_time,
        completion_time: old.completion_time,
        succeeded: stored,
        failed: old.failed.saturating_add(count(old.uncounted_failed.len())),
        conditions: old.conditions.clone(),
        dependencies_met: old.dependencies_met.clone(),
        told: old.told,
        observed: true,
        ..JobStatus::default()
    };
    if !job.spec.indexed {
        status.succeeded = stored.saturating_add(count(old.uncounted_succeeded.len()));
    }
    for close in &decided.intake.closes {
        let key: Key = (close.slot, close.attempt);
        match close.outcome {
            // The completed set is enough to never count an index twice.
            CloseOutcome::Succeeded if job.spec.indexed => status.succeeded += 1,
            CloseOutcome::Succeeded => status.uncounted_succeeded.push(key),
            CloseOutcome::Failed | CloseOutcome::FailedForGood => {
                status.uncounted_failed.push(key);
            }
            CloseOutcome::Ignored | CloseOutcome::Dropped => {}
        }
    }
    status.uncounted_succeeded.sort_unstable();
    status.uncounted_failed.sort_unstable();
    count_live(job, decided, &mut status);
    status
}

/// `active`, `ready` and `terminating` after pods came and went.
fn count_live(job: &Job, decided: &Decided<'_>, status: &mut JobStatus) {
    let tally = &job.tally;
    if decided.verdict.is_some_and(Verdict::failed) {
        status.terminating = tally.terminating().saturating_add(tally.active);
        return;
    }
    let dropped = |ready: bool| {
        let keys = decided.moves.drops.iter().map(|close| (close.slot, close.attempt));
        let pods = keys.filter_map(|key| job.pods.get(&key)).filter(|pod| pod.is_active());
        count(pods.filter(|pod| !ready || pod.is_ready()).count())
    };
    status.active =
        (tally.active - dropped(false)).saturating_add(count(decided.moves.issues.len()));
    status.ready = tally.ready - dropped(true);
    status.terminating = tally.terminating().saturating_add(dropped(false));
}

/// Adds the terminal condition.
fn finish(
    job: &Job,
    status: &mut JobStatus,
    verdict: &Verdict,
    now: Timestamp,
    events: &mut Vec<Event>,
) {
    let kind = match verdict.outcome {
        Outcome::Succeeded => condition::COMPLETE,
        Outcome::Failed => condition::FAILED,
    };
    let terminal = Condition::new(kind, true, &verdict.reason, &verdict.message, now);
    ensure_condition(&mut status.conditions, terminal);
    if verdict.failed() {
        events.push(Event::warning(&verdict.reason, &verdict.message));
        return;
    }
    status.completion_time = Some(now);
    if job.spec.completions.is_some_and(|completions| status.succeeded > completions) {
        let message = "Too many succeeded pods running after completion count reached";
        events.push(Event::warning("TooManySucceededPods", message));
    }
    events.push(Event::normal("Completed", "Job completed"));
}

/// Suspended and resumed Jobs say so; a resumed one starts its clock anew (SEMANTICS 11).
pub(super) fn suspension(
    job: &Job,
    status: &mut JobStatus,
    now: Timestamp,
    events: &mut Vec<Event>,
) {
    let suspended = job.spec.suspend;
    let (reason, event, message) = if suspended {
        ("JobSuspended", "Suspended", "Job suspended")
    } else {
        ("JobResumed", "Resumed", "Job resumed")
    };
    let condition = Condition::new(condition::SUSPENDED, suspended, reason, message, now);
    if ensure_condition(&mut status.conditions, condition) {
        status.start_time = (!suspended).then_some(now);
        events.push(Event::normal(event, message));
    }
}
