//! How many pods there should be, and which ones come and go (SEMANTICS 3, 12).
//!
//! One change either brings pods into being or stops some that are not wanted; stopping wins.

use jiff::Timestamp;
use stint_common::id::{Attempt, Slot};
use stint_common::time;

use super::change::{Close, CloseOutcome};
use super::intake::Intake;
use super::next::{attempts, independent_attempts};
use super::note::Note;
use super::pod::{Pod, Stage, Stop, StopReason};
use super::record::Key;
use super::totals::{Totals, count};
use super::verdict::Verdict;
use super::view::Job;

/// Pods brought into being by one change. Bounds the time that one Job's decision can take; the
/// next change goes on.
pub const MAX_ISSUES: usize = 10_000;

/// What happens to a Job's pods.
#[derive(Clone, Debug, Default)]
pub(super) struct Moves {
    /// Pods stopped because they are not wanted; they count for nothing.
    pub(super) drops: Vec<Close>,
    /// Pods that now exist.
    pub(super) issues: Vec<Key>,
    /// When there is more to do, if nothing happens before.
    pub(super) wake_at: Option<Timestamp>,
    pub(super) notes: Vec<Note>,
}

/// Decides about pods that live, and about new ones.
pub(super) fn manage(
    job: &Job,
    intake: &Intake,
    totals: Totals,
    verdict: Option<&Verdict>,
    now: Timestamp,
) -> Moves {
    let spec = &job.spec;
    match verdict {
        // All of them are failures: they were taken in.
        Some(verdict) if verdict.failed() => Moves::default(),
        Some(_) => drop_open(job, StopReason::JobSucceeded, now),
        None if job.deletion.is_some_and(|deletion| deletion.foreground) => {
            drop_open(job, StopReason::JobDeleted, now)
        }
        // It waits for others, or for its pods to end by themselves: none comes, none is stopped.
        None if job.deletion.is_some() => Moves::default(),
        // A pod that terminates already stays what it is, and may count as failed later.
        None if spec.suspend && job.tally.active == 0 => Moves::default(),
        None if spec.suspend => drop_all(job, StopReason::JobSuspended, now, Pod::is_active),
        None => scale(job, intake, totals, now),
    }
}

/// Every pod but those that are taken in for what they have come to themselves. Costs nothing when
/// there is none, however many still terminate.
fn drop_open(job: &Job, reason: StopReason, now: Timestamp) -> Moves {
    if job.tally.open_and_not_due() == 0 {
        return Moves::default();
    }
    let mut moves = drop_all(job, reason, now, |pod| !pod.closed);
    moves.drops.retain(|close| !job.tally.due.contains(&(close.slot, close.attempt)));
    moves
}

fn drop_all(job: &Job, reason: StopReason, now: Timestamp, which: fn(&Pod) -> bool) -> Moves {
    let stop = stop(job, reason, now);
    let pods = job.pods.iter().filter(|(_, pod)| which(pod));
    let drops = pods.map(|(key, pod)| drop_pod(*key, pod, stop)).collect();
    Moves { drops, ..Moves::default() }
}

pub(super) fn stop(job: &Job, reason: StopReason, now: Timestamp) -> Stop {
    Stop { at: time::whole_seconds(now), grace_seconds: job.spec.grace_seconds, reason }
}

fn drop_pod((slot, attempt): Key, pod: &Pod, stop: Stop) -> Close {
    let stop = (!pod.has_ended()).then(|| pod.stop().copied().unwrap_or(stop));
    Close { slot, attempt, outcome: CloseOutcome::Dropped, stop, failed_at: None }
}

fn scale(job: &Job, intake: &Intake, totals: Totals, now: Timestamp) -> Moves {
    let spec = &job.spec;
    let active = job.tally.active;
    let wanted = wanted(job, totals);
    let drops = surplus(job, active.saturating_sub(wanted), now);
    if !drops.is_empty() {
        return Moves { drops, ..Moves::default() };
    }
    let held = if job.spec.replace_only_failed { job.tally.terminating() } else { 0 };
    let missing = wanted.saturating_sub(active);
    let room = missing.saturating_sub(held);
    if room == 0 {
        let waiting = held.min(missing);
        let note = (waiting > 0).then_some(Note::WaitingForTerminating { pods: waiting });
        return Moves { notes: note.into_iter().collect(), ..Moves::default() };
    }
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    if job.spec.backoff_limit_per_index.is_some() {
        let next = independent_attempts(job, intake, room, now);
        let note =
            next.ready_at.map(|until| Note::IndexesBackingOff { indexes: next.resting, until });
        let notes = note.into_iter().collect();
        return Moves { issues: next.issues, wake_at: next.ready_at, notes, ..Moves::default() };
    }
    if let Some(until) = intake.backoff.ready_at(spec.backoff).filter(|at| *at > now) {
        let note = Note::BackingOff { until, failures: intake.backoff.failures };
        return Moves { wake_at: Some(until), notes: vec![note], ..Moves::default() };
    }
    Moves { issues: attempts(job, intake, room).issues, ..Moves::default() }
}

/// How many pods should be active.
fn wanted(job: &Job, totals: Totals) -> u32 {
    match job.needed() {
        // A work queue that saw a success: whatever runs goes on, nothing is started or stopped.
        None if totals.succeeded > 0 => job.tally.active,
        None => job.spec.parallelism,
        Some(needed) => needed.saturating_sub(totals.succeeded).min(job.spec.parallelism),
    }
}

/// Which active pods go: those of indexes that the Job no longer has, then `excess` others, those
/// first that have got least far.
fn surplus(job: &Job, excess: u32, now: Timestamp) -> Vec<Close> {
    if excess == 0 && job.tally.beyond == 0 {
        return Vec::new();
    }
    let limit = Slot(job.spec.slot_limit());
    let removed = stop(job, StopReason::IndexRemoved, now);
    let mut drops: Vec<Close> = job
        .pods
        .range((limit, Attempt(0))..)
        .filter(|(_, pod)| pod.is_active())
        .map(|(key, pod)| drop_pod(*key, pod, removed))
        .collect();
    let rest = usize::try_from(excess.saturating_sub(count(drops.len()))).unwrap_or(usize::MAX);
    if rest > 0 {
        let mut left: Vec<(Rank, Key)> = job
            .pods
            .range(..(limit, Attempt(0)))
            .filter(|(_, pod)| pod.is_active())
            .map(|(key, pod)| (Rank::of(pod, *key), *key))
            .collect();
        left.sort_unstable();
        let scaled = stop(job, StopReason::ScaledDown, now);
        let first = left.iter().take(rest).filter_map(|(_, key)| job.pods.get_key_value(key));
        drops.extend(first.map(|(key, pod)| drop_pod(*key, pod, scaled)));
    }
    drops
}

/// How far a pod has got; the lowest go first (Kubernetes' `ActivePods` order, as far as it is
/// known here): unclaimed < claimed < running < ready, more restarts < fewer, newer < older.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    progress: u8,
    fewer_restarts: std::cmp::Reverse<u32>,
    older: std::cmp::Reverse<Key>,
}

impl Rank {
    fn of(pod: &Pod, key: Key) -> Self {
        let progress = match pod.stage {
            Stage::Held => 0,
            // One rank: after a restart nobody knows what was published.
            Stage::Queued | Stage::Published => 1,
            Stage::Claimed => 2,
            Stage::Running { ready: false, .. } => 3,
            Stage::Running { ready: true, .. } | Stage::Ended(_) => 4,
        };
        Self {
            progress,
            fewer_restarts: std::cmp::Reverse(pod.stage.restarts()),
            older: std::cmp::Reverse(key),
        }
    }
}
