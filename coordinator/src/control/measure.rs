//! What the owner counts for its metrics: what is news, as in `spans`. Nothing here decides.

use std::time::Duration;

use stint_common::id::JobUid;
use stint_common::metrics::{self, Owned};
use stint_common::time::{Instant, since};
use stint_common::trace::{job_span_id, span_text, trace_id, trace_text};
use stint_common::wire::{End, Outcome, PodRecord, PodState};

use super::owner::Owner;

/// The board is written this often: whoever reads it does so every few seconds.
const LOOK: Duration = Duration::from_secs(1);

impl Owner {
    /// A record of a pod came that is not yet taken in. What a rebuild reads was counted before.
    pub(super) fn count_record(&self, known: bool, record: &PodRecord) {
        if !self.rebuilt {
            return;
        }
        let counts = metrics::coordinator();
        match (&record.state, &record.claim) {
            (PodState::Terminated(end), claim) => {
                if !known && let Some(claim) = claim {
                    // Its claim and its end were read at once.
                    counts.claimed(since(claim.claimed_at, record.created_at));
                }
                let run_time = end.started_at.map(|started| since(end.finished_at, started));
                counts.ended(outcome(end), reason(end), run_time);
            }
            (PodState::Claimed | PodState::Running(_), Some(claim)) if !known => {
                counts.claimed(since(claim.claimed_at, record.created_at));
            }
            (PodState::Claimed | PodState::Running(_), _) => {}
        }
    }

    /// A Job's record stands. Its end is counted once.
    pub(super) fn count_finish(&mut self, uid: JobUid) {
        let Some(managed) = self.jobs.get_mut(&uid) else { return };
        if let Some(end) = managed.job.status().finished()
            && !managed.counted
        {
            managed.counted = true;
            if self.rebuilt {
                tracing::debug!(
                    job = %managed.name,
                    condition = end.kind,
                    reason = end.reason,
                    trace_id = trace_text(trace_id(uid, managed.trace.as_ref())),
                    span_id = span_text(job_span_id(uid)),
                    "a Job has ended"
                );
                metrics::coordinator().finished(&end.kind, &end.reason);
            }
        }
    }

    /// Writes down what has a size, if it is time to.
    pub(super) fn write_board(&mut self, now: Instant) {
        if !metrics::are_read()
            || self.board.is_some_and(|written| now.duration_since(written) < LOOK)
        {
            return;
        }
        self.board = Some(now);
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let open = self.jobs.values().filter(|managed| !managed.counted);
        let (jobs, waiting) = open.fold((0, 0), |(jobs, waiting), managed| {
            (jobs + 1, waiting + count(managed.job.publishable()))
        });
        metrics::owned(Some(Owned {
            queues: self.classes.queues(now),
            waiting,
            claimed: count(self.claims.len()),
            jobs,
            workers: self.workers.by_state(),
            kept: count(self.kept.len()),
            slots: count(self.workers.slots(&stint_common::wire::Class::default())),
        }));
    }
}

fn outcome(end: &End) -> &'static str {
    match end.outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::Failed => "failed",
    }
}

/// The pod's reason, else that of the first container that failed; all of them are words of ours.
fn reason(end: &End) -> &str {
    if end.outcome == Outcome::Succeeded || !end.reason.is_empty() {
        return &end.reason;
    }
    let failed = end.containers.iter().find(|container| container.exit.code() != 0);
    failed.map_or("", |container| container.reason.as_str())
}
