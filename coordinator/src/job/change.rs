//! What a plan decides that must be stored: a delta, written in one compare-and-set with what it
//! counts.

use jiff::Timestamp;

use super::backoff::BackoffRecord;
use super::pod::{Pod, Stage, Stop};
use super::record::{JobStatus, Key};
use super::view::Job;
use stint_common::id::{Attempt, Slot};

/// The durable part of a plan. Its cost grows with what changed, not with the Job's size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The whole new status.
    pub status: JobStatus,
    /// Attempts whose end is taken in, each once and for all.
    pub closes: Vec<Close>,
    /// Closed attempts whose end was heard of later: nothing of them runs any more.
    pub ends: Vec<Key>,
    /// Attempts that now exist. They may be published when this is stored, not before.
    pub issues: Vec<Key>,
    /// The new back-off record.
    pub backoff: BackoffRecord,
    /// `completions` of an elastic Job fell to this: higher indexes are no longer completed.
    pub cut: Option<u32>,
    /// Nothing but the numbers of active, ready and terminating pods changed: no harm if it is
    /// written a moment later, together with more.
    pub can_wait: bool,
}

impl Change {
    /// A change of the status alone.
    pub(super) fn of_status(job: &Job, status: JobStatus) -> Self {
        Self {
            status,
            closes: Vec::new(),
            ends: Vec::new(),
            issues: Vec::new(),
            backoff: job.ledger.backoff,
            cut: None,
            can_wait: false,
        }
    }
}

/// An attempt that is taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close {
    /// Its slot.
    pub slot: Slot,
    /// Its attempt.
    pub attempt: Attempt,
    /// What it counts as.
    pub outcome: CloseOutcome,
    /// It has not ended: what it is told.
    pub stop: Option<Stop>,
    /// When it failed, for the back-off of its index; only with a back-off limit per index.
    pub failed_at: Option<Timestamp>,
}

/// What an attempt counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseOutcome {
    /// Its slot is done.
    Succeeded,
    /// A failure.
    Failed,
    /// A failure, after which its index is given up.
    FailedForGood,
    /// A failure that a failure policy ignores: it counts to no limit, but its replacement waits.
    Ignored,
    /// Nothing: it was stopped because the Job did not want it any more.
    Dropped,
}

impl Job {
    /// Takes over the durable part of a plan, when its write succeeded or just before; if the write
    /// is lost after all, [`Job::replace`] undoes it.
    pub fn apply(&mut self, change: &Change) {
        self.forgotten.clear();
        let doomed_before = self.doom().is_some();
        self.status = change.status.clone();
        self.ledger.backoff = change.backoff;
        if let Some(completions) = change.cut {
            self.ledger.cut(completions);
            self.failures_above = false;
        }
        for (slot, _) in &change.ends {
            self.settle(*slot);
        }
        for close in &change.closes {
            self.close(close);
        }
        for key in &change.issues {
            self.issue(*key);
        }
        if !doomed_before {
            self.doom_open_pods();
        }
    }

    fn close(&mut self, close: &Close) {
        let slot = close.slot;
        debug_assert_eq!(self.ledger.slot(slot).open(), Some(close.attempt), "closes what is open");
        self.ledger.close(slot, close.stop);
        let doom = self.ledger.slot(slot).stop;
        self.alter((slot, close.attempt), |pod| {
            pod.closed = true;
            pod.doom = doom;
        });
        self.settle(slot);
        let per_index = self.spec.backoff_limit_per_index.is_some();
        match close.outcome {
            CloseOutcome::Succeeded => self.succeed(slot),
            CloseOutcome::FailedForGood => self.ledger.fail(slot),
            CloseOutcome::Failed | CloseOutcome::Ignored => {
                if per_index {
                    let ignored = close.outcome == CloseOutcome::Ignored;
                    self.ledger.add_failure(slot, ignored, close.failed_at);
                }
                self.vacate(slot);
            }
            CloseOutcome::Dropped => {
                self.ledger.forget_failures(slot);
                self.vacate(slot);
            }
        }
    }

    fn succeed(&mut self, slot: Slot) {
        self.ledger.succeed(slot);
        if let Some(policy) = &self.spec.success_policy {
            policy.advance(&mut self.progress, slot.0);
        }
    }

    /// Writes down which closed attempts of a slot are over, as far as they are so without a gap.
    fn settle(&mut self, slot: Slot) {
        let state = self.ledger.slot(slot);
        let mut ended = state.ended;
        while ended < state.closed {
            let key = (slot, Attempt(ended));
            if self.pods.get(&key).is_some_and(|pod| !pod.has_ended()) {
                break;
            }
            if let Some(pod) = self.forget(key) {
                self.forgotten.push((key, pod));
            }
            ended += 1;
        }
        if ended > state.ended {
            self.ledger.end(slot, ended);
        }
    }

    fn issue(&mut self, key: Key) {
        self.ledger.issue(key.0);
        debug_assert_eq!(self.ledger.slot(key.0).open(), Some(key.1), "issues the next attempt");
        self.waiting.remove(&key.0);
        self.resting.remove(key.0);
        let known = self.strays.remove(&key).unwrap_or_else(|| Pod::new(Stage::Held));
        self.remember(key, known);
        self.release(key.0);
    }

    /// The Job has just failed: every pod of it must end.
    fn doom_open_pods(&mut self) {
        let Some(doom) = self.doom() else {
            return;
        };
        let open: Vec<Key> =
            self.pods.iter().filter(|(_, pod)| !pod.closed).map(|(key, _)| *key).collect();
        for key in open {
            self.alter(key, |pod| pod.doom = Some(doom));
        }
    }
}
