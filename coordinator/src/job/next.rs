//! Which slots get pods next: the lowest that are neither done, active nor barred (SEMANTICS 3, 5).
//!
//! With a back-off limit per index each index waits for itself, and keeps its place while it does:
//! in Kubernetes the lowest pending indexes are chosen first, and of these those started that may
//! be. So the indexes behind them do not overtake.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use stint_common::id::{Attempt, Slot};

use super::change::CloseOutcome;
use super::intake::Intake;
use super::pods::MAX_ISSUES;
use super::record::Key;
use super::resting::When;
use super::totals::count;
use super::view::Job;

/// What comes next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Next {
    /// Attempts to be issued, ascending.
    pub(super) issues: Vec<Key>,
    /// Indexes that have a place and wait for their back-off.
    pub(super) resting: u32,
    /// Nothing is issued, for these: when the first of them is ready.
    pub(super) ready_at: Option<Timestamp>,
}

/// Slots that this very change vacates, each with the time from which on it may have a pod again.
type Vacated = BTreeMap<Slot, Option<Timestamp>>;

/// The next attempts, up to `room` of them, in a Job with one back-off for all.
pub(super) fn attempts(job: &Job, intake: &Intake, room: usize) -> Next {
    let vacated = vacated(job, intake);
    let lowest = merge(job.waiting.iter().copied(), vacated.keys().copied());
    let slots =
        lowest.filter(|slot| !is_barred(job, *slot)).chain(fresh(job)).take(room.min(MAX_ISSUES));
    Next { issues: slots.map(|slot| attempt(job, slot)).collect(), ..Next::default() }
}

/// The next attempts where each index has a back-off of its own. Costs what is issued and vacated;
/// only where parallelism was lowered under the number of indexes that wait, what waits.
pub(super) fn independent_attempts(
    job: &Job,
    intake: &Intake,
    room: usize,
    now: Timestamp,
) -> Next {
    let vacated = vacated(job, intake);
    let when = When { now, latest: job.ledger.latest(now, job.spec.backoff) };
    let ripe = job.resting.ripe(when);
    let is_ready = |at: Option<Timestamp>| at.is_none_or(|at| when.is_over(at));
    let barred = barred_resting(job);
    let unripe_vacated = vacated.values().filter(|at| !is_ready(**at)).count();
    let unripe_barred = barred.iter().filter(|slot| !ripe.contains(slot)).count();
    let resting = job.resting.len() - ripe.len() - unripe_barred + unripe_vacated;
    let Some(places) = room.checked_sub(resting) else {
        return lowest_only(job, &vacated, room, when);
    };
    let ready_vacated = vacated.iter().filter(|(_, at)| is_ready(**at)).map(|(slot, _)| *slot);
    let ready = merge(merge(job.waiting.iter().copied(), ripe.iter().copied()), ready_vacated);
    let ready = ready.filter(|slot| !is_barred(job, *slot));
    let mut slots: Vec<Slot> = ready.take(places.saturating_add(1)).collect();
    if slots.len() > places {
        return lowest_only(job, &vacated, room, when);
    }
    let left = (places - slots.len()).min(MAX_ISSUES);
    slots.extend(fresh(job).take(left));
    let waits = |slot: &Slot| !barred.contains(slot);
    let first = job.resting.unripe(when).find(|(_, slot)| waits(slot)).map(|(at, _)| at);
    let others = vacated.values().flatten().filter(|at| !when.is_over(**at)).min().copied();
    next(job, slots, resting, first.into_iter().chain(others).min())
}

/// Not all that wait have a place: the lowest have.
fn lowest_only(job: &Job, vacated: &Vacated, room: usize, when: When) -> Next {
    let resting = job.resting.by_slot().map(|(slot, _)| slot);
    let all = merge(merge(job.waiting.iter().copied(), resting), vacated.keys().copied());
    let placed = all.filter(|slot| !is_barred(job, *slot)).take(room);
    let until =
        |slot: &Slot| vacated.get(slot).copied().unwrap_or_else(|| job.resting.until(*slot));
    let (ready, resting): (Vec<Slot>, Vec<Slot>) =
        placed.partition(|slot| until(slot).is_none_or(|at| when.is_over(at)));
    let first = resting.iter().filter_map(until).min();
    next(job, ready, resting.len(), first)
}

fn next(job: &Job, slots: Vec<Slot>, resting: usize, first: Option<Timestamp>) -> Next {
    let slots = slots.into_iter().take(MAX_ISSUES);
    let issues: Vec<Key> = slots.map(|slot| attempt(job, slot)).collect();
    let ready_at = first.filter(|_| issues.is_empty());
    Next { issues, resting: count(resting), ready_at }
}

fn attempt(job: &Job, slot: Slot) -> Key {
    (slot, Attempt(job.ledger.slot(slot).issued))
}

/// Slots that never had a pod.
fn fresh(job: &Job) -> impl Iterator<Item = Slot> {
    job.ledger.fresh(job.spec.slot_limit())
}

fn vacated(job: &Job, intake: &Intake) -> Vacated {
    let limit = job.spec.slot_limit();
    let closes = intake.closes.iter().filter(|close| close.slot.0 < limit);
    closes
        .filter_map(|close| {
            let ignored = match close.outcome {
                CloseOutcome::Failed => false,
                CloseOutcome::Ignored => true,
                CloseOutcome::Dropped => return Some((close.slot, None)),
                CloseOutcome::Succeeded | CloseOutcome::FailedForGood => return None,
            };
            let state = job.ledger.slot(close.slot).after_failure(ignored, close.failed_at);
            Some((close.slot, state.ready_at(job.spec.backoff)))
        })
        .collect()
}

/// Only pods that have ended are replaced, and one of this slot has not.
fn is_barred(job: &Job, slot: Slot) -> bool {
    let ended = || {
        let state = job.ledger.slot(slot);
        job.has_ended_below(slot, state.ended..state.closed)
    };
    job.spec.replace_only_failed && !ended()
}

/// Slots that wait for their back-off and are barred besides. Costs what terminates.
fn barred_resting(job: &Job) -> BTreeSet<Slot> {
    let stopping = job.tally.stopping.iter().filter(|_| job.spec.replace_only_failed);
    let resting = stopping.filter(|(slot, _)| job.resting.until(*slot).is_some());
    resting.map(|(slot, _)| *slot).collect()
}

/// Two ascending runs without a common member, as one.
fn merge(
    one: impl Iterator<Item = Slot>,
    other: impl Iterator<Item = Slot>,
) -> impl Iterator<Item = Slot> {
    let (mut one, mut other) = (one.peekable(), other.peekable());
    std::iter::from_fn(move || {
        let first = match (one.peek(), other.peek()) {
            (Some(left), Some(right)) => left < right,
            (left, _) => left.is_some(),
        };
        if first { one.next() } else { other.next() }
    })
}
