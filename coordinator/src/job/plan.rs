//! The one decision about a Job: what is stored, issued and stopped next.
//!
//! Pure: the same Job and time give the same plan. The executor carries it out and decides nothing.

use jiff::Timestamp;

use super::change::Change;
use super::dependency::wait;
use super::findings::inspect;
use super::intake::{Intake, take_in};
use super::note::{Event, Note};
use super::pod::StopReason;
use super::pods::{Moves, manage, stop};
use super::record::JobStatus;
use super::status::{Decided, conclude};
use super::totals::Totals;
use super::ttl::expires_at;
use super::verdict::{Case, Verdict, deadline, judge};
use super::view::{Deletion, Job};

/// What is to be done for a Job now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Plan {
    /// What to store; `None`: nothing changed. After storing it, plan again at once.
    pub change: Option<Change>,
    /// When to plan again if nothing happens before.
    pub wake_at: Option<Timestamp>,
    /// Events to record when the change is stored, or now if there is none.
    pub events: Vec<Event>,
    /// Why the Job is not further on.
    pub notes: Vec<Note>,
    /// The Job's own end, when there is nothing to store.
    pub dispose: Option<Dispose>,
}

/// What becomes of the Job itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dispose {
    /// Its time to live is over: delete it (Kubernetes: foreground, with its uid as precondition).
    Delete,
    /// It is being deleted and no pod of it is left: remove the record.
    Remove,
    /// The same, but finalizers of others hold it: take off the one that waited for the pods.
    Release,
}

/// Decides what is to be done for a Job at `now`.
pub fn plan(job: &Job, now: Timestamp) -> Plan {
    if job.status.finished().is_some() {
        return finished(job, now);
    }
    if job.spec.managed_by_another || job.spec.unknown_mode {
        return left_alone(job);
    }
    if job.waits() {
        return wait(job, now);
    }
    let findings = inspect(job);
    let totals = Totals::of(job, &findings);
    let verdict = judge(&Case { job, totals, findings: &findings, now });
    let doom = doom(job, verdict.as_ref(), now);
    let intake = take_in(job, doom, now);
    let moves = manage(job, &intake, totals, verdict.as_ref(), now);
    let decided =
        Decided { totals, verdict: verdict.as_ref(), intake: &intake, moves: &moves, now };
    let (status, events) = conclude(job, &decided);
    let notes = notes(job, verdict.as_ref(), &status, &moves);
    let deadline = deadline(job, now).filter(|_| verdict.is_none());
    let wake_at = [moves.wake_at, deadline].into_iter().flatten().min();
    let change = change(job, status, intake, moves);
    let empty = change.is_none() && job.pods.is_empty();
    let deletion = job.deletion.filter(|_| empty);
    let dispose = deletion.and_then(Deletion::without_pods);
    Plan { change, wake_at, events, notes, dispose }
}

/// A finished Job only waits to be deleted.
fn finished(job: &Job, now: Timestamp) -> Plan {
    if let Some(deletion) = job.deletion {
        return Plan { dispose: deletion.without_pods(), ..Plan::default() };
    }
    match expires_at(&job.status, &job.spec) {
        // Whoever waits for its end has yet to write down that it came.
        Some(until) if until <= now && job.has_followers => {
            Plan { notes: vec![Note::Awaited], ..Plan::default() }
        }
        Some(until) if until <= now => Plan { dispose: Some(Dispose::Delete), ..Plan::default() },
        Some(until) => Plan {
            wake_at: Some(until),
            notes: vec![Note::TimeToLive { until }],
            ..Plan::default()
        },
        None => Plan::default(),
    }
}

/// A Job that is another controller's, or of a kind that this build does not know, is never
/// touched: no pods, no status. It goes when it is deleted.
fn left_alone(job: &Job) -> Plan {
    let deletion = job.deletion.filter(|_| job.pods.is_empty());
    let unknown = !job.spec.managed_by_another && job.deletion.is_none();
    let message = "Skipped Job sync because completion mode is unknown";
    let event = unknown.then(|| Event::warning("UnknownCompletionMode", message));
    Plan {
        events: event.into_iter().collect(),
        dispose: deletion.and_then(Deletion::without_pods),
        ..Plan::default()
    }
}

/// What pods are told of a Job that fails, be it decided just now.
fn doom(job: &Job, verdict: Option<&Verdict>, now: Timestamp) -> Option<super::pod::Stop> {
    verdict.filter(|verdict| verdict.failed())?;
    job.doom().or_else(|| Some(stop(job, StopReason::JobFailed, now)))
}

/// The delta, if there is any.
fn change(job: &Job, status: JobStatus, intake: Intake, moves: Moves) -> Option<Change> {
    let limit = job.spec.slot_limit();
    let cut = job.failures_above || job.ledger.has_above(limit);
    let only_live = JobStatus {
        active: job.status.active,
        ready: job.status.ready,
        terminating: job.status.terminating,
        ..status.clone()
    } == job.status;
    let mut closes = intake.closes;
    closes.extend(moves.drops);
    let can_wait = only_live
        && closes.is_empty()
        && intake.ends.is_empty()
        && moves.issues.is_empty()
        && intake.backoff == job.ledger.backoff
        && !cut;
    if can_wait && status == job.status {
        return None;
    }
    Some(Change {
        status,
        closes,
        ends: intake.ends,
        issues: moves.issues,
        backoff: intake.backoff,
        cut: cut.then_some(limit),
        can_wait,
    })
}

fn notes(job: &Job, verdict: Option<&Verdict>, status: &JobStatus, moves: &Moves) -> Vec<Note> {
    let pods = status.terminating;
    let mut notes = moves.notes.clone();
    match verdict {
        Some(verdict) if pods > 0 => {
            notes.push(Note::Ending { reason: verdict.reason.clone(), pods });
        }
        Some(_) => {}
        None if job.deletion.is_some() => notes.push(Note::Deleting { pods }),
        None if job.spec.suspend => notes.push(Note::Suspended),
        None if job.spec.parallelism == 0 => notes.push(Note::Paused),
        None => {}
    }
    notes
}
