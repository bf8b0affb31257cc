//! Taking terminations in: which attempts are closed for having ended, what they count as, and what
//! that does to the back-off (SEMANTICS 4, 5).

use jiff::Timestamp;

use super::backoff::BackoffRecord;
use super::change::{Close, CloseOutcome};
use super::findings::outcome;
use super::pod::{Pod, Stop};
use super::record::Key;
use super::view::Job;

/// Terminations taken in by one change. Keeps the list of uncounted pods, and so the record, below
/// 100 KB; a flood takes several changes, each as large as this.
pub const MAX_BATCH: usize = 2000;

/// One batch of terminations.
#[derive(Clone, Debug, Default)]
pub(super) struct Intake {
    /// Attempts that ended, or that count as failed although they have not.
    pub(super) closes: Vec<Close>,
    /// Closed attempts that are over by now.
    pub(super) ends: Vec<Key>,
    /// The back-off record with this batch in it.
    pub(super) backoff: BackoffRecord,
    /// There are terminations that this batch has no room for.
    pub(super) more: bool,
}

/// Takes in what is due; with `doom` (the Job fails), every pod that is left is due.
pub(super) fn take_in(job: &Job, doom: Option<Stop>, now: Timestamp) -> Intake {
    let mut intake = Intake { ends: ends(job), ..Intake::default() };
    let (mut succeeded, mut failed) = (Vec::new(), Vec::new());
    let due = job.tally.due.iter().filter_map(|key| job.pods.get_key_value(key));
    for (key, pod) in due.chain(doomed(job, doom)) {
        if intake.closes.len() == MAX_BATCH {
            intake.more = true;
            break;
        }
        let close = close(job, (*key, pod), doom, now);
        match (close.outcome, finish_time(pod)) {
            (CloseOutcome::Succeeded, Some(time)) => succeeded.push(time),
            // Ignored failures are waited for, though they count to no limit.
            (
                CloseOutcome::Failed | CloseOutcome::FailedForGood | CloseOutcome::Ignored,
                Some(time),
            ) => failed.push(time),
            (_, None) | (CloseOutcome::Dropped, _) => {}
        }
        intake.closes.push(close);
    }
    intake.backoff = job.ledger.backoff.after(&succeeded, &failed).not_to_come(now);
    intake
}

fn close(job: &Job, (key, pod): (Key, &Pod), doom: Option<Stop>, now: Timestamp) -> Close {
    let due = job.tally.due.contains(&key);
    let outcome = match outcome(job, key, pod) {
        // It is stopped because the Job fails.
        CloseOutcome::FailedForGood if !due => CloseOutcome::Failed,
        outcome => outcome,
    };
    let stop = if pod.has_ended() { None } else { pod.stop().copied().or(doom) };
    let rests = matches!(outcome, CloseOutcome::Failed | CloseOutcome::Ignored)
        && job.spec.backoff_limit_per_index.is_some();
    let failed_at = finish_time(pod).filter(|_| rests);
    // A worker whose clock is ahead makes nobody wait for longer.
    let failed_at = failed_at.map(|at| job.ledger.grained(at.min(now)));
    Close { slot: key.0, attempt: key.1, outcome, stop, failed_at }
}

/// When a pod ended, or, if it has not, when it was told to: upstream computes that back from the
/// `deletionTimestamp`.
fn finish_time(pod: &Pod) -> Option<Timestamp> {
    pod.stage.end().map(|end| end.finished_at).or_else(|| pod.order.map(|order| order.at))
}

/// Open pods that are due for no other reason than that the Job fails. Costs nothing once all are
/// taken in, however many still terminate.
fn doomed(job: &Job, doom: Option<Stop>) -> impl Iterator<Item = (&Key, &Pod)> {
    let any = doom.is_some() && job.tally.open_and_not_due() > 0;
    let all = any.then(|| job.pods.iter()).into_iter().flatten();
    all.filter(|(key, pod)| !pod.closed && !job.tally.due.contains(key))
}

/// Closed attempts that are over, as far as they can be written down: in order, without a gap.
fn ends(job: &Job) -> Vec<Key> {
    let mut ends: Vec<Key> = Vec::new();
    for (slot, attempt) in &job.tally.settled {
        let next = match ends.last() {
            Some((before, last)) if before == slot => last.0.saturating_add(1),
            Some(_) | None => job.ledger.slot(*slot).ended,
        };
        if attempt.0 == next {
            ends.push((*slot, *attempt));
        }
    }
    ends
}
