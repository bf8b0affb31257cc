//! One Job as its owner knows it: the stored record plus what was heard of its pods.
//!
//! Built from the record, then told every fact ([`Job::observe`]) and every change
//! ([`Job::apply`]). All of it can be rebuilt from the record and the facts at any time, in any
//! order: nothing that matters is only here.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use stint_common::id::{Attempt, JobUid, ObjectRef, Slot};

use super::dependency::Dependency;
use super::ledger::Ledger;
use super::plan::Dispose;
use super::pod::{Pod, Stage, Stop, StopReason};
use super::record::{JobStatus, Key, condition};
use super::resting::Resting;
use super::spec::JobSpec;
use super::success_policy::Progress;
use super::tally::{Scale, Tally, Weight};

/// That the Job is being deleted, and what it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deletion {
    /// `metadata.deletionTimestamp`.
    pub at: Timestamp,
    /// The finalizer `foregroundDeletion`: its pods are stopped, and waited for.
    pub foreground: bool,
    /// The finalizer `orphan`: its pods run to their ends, and are waited for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub orphan: bool,
    /// Finalizers of others: whoever put them there takes them off.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
}

impl Deletion {
    /// A deletion with `propagationPolicy: Foreground`.
    #[must_use]
    pub fn foreground(at: Timestamp) -> Self {
        Self { at, foreground: true, orphan: false, held: false }
    }

    /// Whether there is anything that it waits for.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.foreground || self.orphan || self.held
    }

    /// What is done when no pod of the Job is left.
    pub(super) fn without_pods(self) -> Option<Dispose> {
        match (self.held, self.foreground || self.orphan) {
            (false, _) => Some(Dispose::Remove),
            (true, true) => Some(Dispose::Release),
            (true, false) => None,
        }
    }
}

/// A Job: what is stored of it and what its pods are known to be doing.
#[derive(Clone, Debug)]
pub struct Job {
    pub(super) uid: JobUid,
    pub(super) object: ObjectRef,
    pub(super) spec: JobSpec,
    pub(super) status: JobStatus,
    pub(super) ledger: Ledger,
    pub(super) deletion: Option<Deletion>,
    /// Pods that are issued and not yet both closed and ended.
    pub(super) pods: BTreeMap<Key, Pod>,
    pub(super) tally: Tally,
    /// Slots of the Job below the cursor, not done, whose attempts are all closed, and that have
    /// no back-off of their own to wait for.
    pub(super) waiting: BTreeSet<Slot>,
    /// Such slots that have.
    pub(super) resting: Resting,
    /// How far each rule of the success policy has got.
    pub(super) progress: Progress,
    /// Indexes that the Job no longer has failed in a row; that is to be forgotten.
    pub(super) failures_above: bool,
    /// Queued pods, first in first out; may hold some that are no longer queued.
    pub(super) queue: VecDeque<Key>,
    /// What was heard of attempts that the record does not know.
    pub(super) strays: BTreeMap<Key, Pod>,
    /// What is known of Jobs that this one depends on, as far as it still waits for them.
    pub(super) dependencies: BTreeMap<String, Dependency>,
    /// Others wait for its end, and have not written down that it came.
    pub(super) has_followers: bool,
    /// Pods forgotten by the latest [`Job::apply`], should its write be lost.
    pub(super) forgotten: Vec<(Key, Pod)>,
}

/// A pod as the API lists it: not ended, or ended and not yet taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LivePod<'a> {
    /// Its slot.
    pub slot: Slot,
    /// Its attempt.
    pub attempt: Attempt,
    /// Where in its life it is.
    pub stage: &'a Stage,
    /// That it must end.
    pub stop: Option<&'a Stop>,
}

/// A pod that must be brought to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopping<'a> {
    /// Its slot.
    pub slot: Slot,
    /// Its attempt.
    pub attempt: Attempt,
    /// When that was decided, how long it is given, and why.
    pub stop: &'a Stop,
    /// A worker has it: it is ordered to stop. Else it gets an end that says `NotStarted`.
    pub claimed: bool,
}

impl Job {
    /// A Job as its record tells; what its pods do is to be [observed](Job::observe) next.
    #[must_use]
    pub fn restore(
        uid: JobUid,
        object: ObjectRef,
        spec: JobSpec,
        status: JobStatus,
        ledger: Ledger,
        deletion: Option<Deletion>,
    ) -> Self {
        let mut job = Self {
            uid,
            object,
            spec,
            status,
            ledger,
            deletion,
            pods: BTreeMap::new(),
            tally: Tally::default(),
            waiting: BTreeSet::new(),
            resting: Resting::default(),
            progress: Progress::default(),
            failures_above: false,
            queue: VecDeque::new(),
            strays: BTreeMap::new(),
            dependencies: BTreeMap::new(),
            has_followers: false,
            forgotten: Vec::new(),
        };
        job.rebuild();
        job
    }

    /// The stored record is another than was thought (an API update, a lost compare-and-set): takes
    /// it, and keeps what is known of the pods.
    pub fn replace(
        &mut self,
        spec: JobSpec,
        status: JobStatus,
        ledger: Ledger,
        deletion: Option<Deletion>,
    ) {
        self.spec = spec;
        self.status = status;
        self.ledger = ledger;
        self.deletion = deletion;
        self.rebuild();
    }

    /// The manifest changed and nothing else.
    pub fn set_spec(&mut self, spec: JobSpec) {
        self.spec = spec;
        self.rebuild();
    }

    /// The Job is being deleted.
    pub fn set_deletion(&mut self, deletion: Option<Deletion>) {
        self.deletion = deletion;
    }

    /// `metadata.uid`.
    #[must_use]
    pub fn uid(&self) -> JobUid {
        self.uid
    }

    /// Namespace and name.
    #[must_use]
    pub fn object(&self) -> &ObjectRef {
        &self.object
    }

    /// What is asked for.
    #[must_use]
    pub fn spec(&self) -> &JobSpec {
        &self.spec
    }

    /// What is stored of its status.
    #[must_use]
    pub fn status(&self) -> &JobStatus {
        &self.status
    }

    /// What is stored of its attempts.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Whether it is being deleted.
    #[must_use]
    pub fn deletion(&self) -> Option<Deletion> {
        self.deletion
    }

    /// How many attempts of a slot exist.
    #[must_use]
    pub fn attempts(&self, slot: Slot) -> u32 {
        self.ledger.slot(slot).issued
    }

    /// Whether the attempt's end is taken in for good (or will never count).
    #[must_use]
    pub fn is_closed(&self, slot: Slot, attempt: Attempt) -> bool {
        attempt.0 < self.ledger.slot(slot).closed
    }

    /// Whether the attempt is closed and has durably ended: nothing that is decided needs its
    /// record.
    #[must_use]
    pub fn is_over(&self, slot: Slot, attempt: Attempt) -> bool {
        self.status.finished().is_some() || attempt.0 < self.ledger.slot(slot).ended
    }

    /// Whether the attempt is in `status.uncountedTerminatedPods`: its tracking finalizer still
    /// shows.
    #[must_use]
    pub fn is_uncounted(&self, slot: Slot, attempt: Attempt) -> bool {
        let key = (slot, attempt);
        self.status.uncounted_failed.binary_search(&key).is_ok()
            || self.status.uncounted_succeeded.binary_search(&key).is_ok()
    }

    /// How many successes it takes: `completions`, or as many indexes as were chosen to run.
    pub(super) fn needed(&self) -> Option<u32> {
        let completions = self.spec.completions?;
        Some(if self.spec.indexed { self.ledger.chosen_below(completions) } else { completions })
    }

    /// Pods that are issued and not yet both closed and ended, by slot.
    pub fn live_pods(&self) -> impl Iterator<Item = LivePod<'_>> {
        self.pods.iter().filter(|(_, pod)| !(pod.closed && pod.has_ended())).map(
            |((slot, attempt), pod)| LivePod {
                slot: *slot,
                attempt: *attempt,
                stage: &pod.stage,
                stop: pod.stop(),
            },
        )
    }

    /// One pod of [`Job::live_pods`].
    #[must_use]
    pub fn live_pod(&self, slot: Slot, attempt: Attempt) -> Option<LivePod<'_>> {
        let pod = self.pods.get(&(slot, attempt))?;
        Some(LivePod { slot, attempt, stage: &pod.stage, stop: pod.stop() })
    }

    /// Pods that must end and have not, durably. A pod stays listed until its end is observed.
    pub fn stopping(&self) -> impl Iterator<Item = Stopping<'_>> {
        self.tally.stopping.iter().filter_map(|key| {
            let pod = self.pods.get(key)?;
            let (slot, attempt) = *key;
            let claimed = pod.stage.is_claimed();
            Some(Stopping { slot, attempt, stop: pod.stop()?, claimed })
        })
    }

    /// What every pod of a Job is told that failed: as durable as the condition that says so.
    pub(super) fn doom(&self) -> Option<Stop> {
        let target = self.status.condition(condition::FAILURE_TARGET)?;
        Some(Stop {
            at: target.last_transition,
            grace_seconds: self.spec.grace_seconds,
            reason: StopReason::JobFailed,
        })
    }

    /// Changes one pod and what all pods add up to.
    pub(super) fn alter<T>(&mut self, key: Key, change: impl FnOnce(&mut Pod) -> T) -> Option<T> {
        let scale = self.scale(key.0);
        let pod = self.pods.get_mut(&key)?;
        let before = Weight::of(pod, scale);
        let answer = change(pod);
        self.tally.shift(key, before, Weight::of(pod, scale));
        Some(answer)
    }

    pub(super) fn remember(&mut self, key: Key, pod: Pod) {
        let weight = Weight::of(&pod, self.scale(key.0));
        self.tally.shift(key, Weight::default(), weight);
        self.pods.insert(key, pod);
    }

    pub(super) fn forget(&mut self, key: Key) -> Option<Pod> {
        let pod = self.pods.remove(&key)?;
        let weight = Weight::of(&pod, self.scale(key.0));
        self.tally.shift(key, weight, Weight::default());
        Some(pod)
    }

    pub(super) fn scale(&self, slot: Slot) -> Scale {
        Scale {
            replace_only_failed: self.spec.replace_only_failed,
            in_range: slot.0 < self.spec.slot_limit(),
        }
    }

    /// Makes everything that follows from the record and the facts anew.
    fn rebuild(&mut self) {
        let mut facts = std::mem::take(&mut self.pods);
        facts.append(&mut self.strays);
        facts.extend(self.forgotten.drain(..));
        self.tally = Tally::default();
        self.waiting.clear();
        self.resting.clear();
        self.queue.clear();
        if self.status.finished().is_some() {
            return;
        }
        let limit = self.spec.slot_limit();
        self.failures_above = limit < self.ledger.cursor && self.ledger.has_failures_above(limit);
        self.progress = match &self.spec.success_policy {
            Some(policy) => policy.progress(&self.ledger.succeeded, limit),
            None => Progress::default(),
        };
        let doom = self.doom();
        for slot in self.ledger.unfinished().collect::<Vec<_>>() {
            let state = self.ledger.slot(slot);
            if state.open().is_none() && !self.ledger.is_done(slot) {
                self.vacate(slot);
            }
            for attempt in (state.ended..state.issued).map(Attempt) {
                let key = (slot, attempt);
                let closed = attempt.0 < state.closed;
                let known = facts.remove(&key).unwrap_or_else(|| Pod::new(Stage::Held));
                let doom = if closed { state.stop } else { doom };
                self.remember(key, Pod { closed, doom, ..known });
                self.hold(key);
            }
        }
        let unknown = facts
            .into_iter()
            .filter(|((slot, attempt), _)| attempt.0 >= self.ledger.slot(*slot).issued);
        self.strays = unknown.filter_map(|(key, pod)| Some((key, pod.heard()?))).collect();
    }

    /// All attempts of a slot are closed and it is not done: it waits for its next one.
    pub(super) fn vacate(&mut self, slot: Slot) {
        if slot.0 >= self.spec.slot_limit() {
            // Should the index come back, that is a change of the manifest, which rebuilds this.
            return;
        }
        match self.ledger.slot(slot).ready_at(self.spec.backoff) {
            Some(ready_at) => self.resting.insert(slot, ready_at),
            None => _ = self.waiting.insert(slot),
        }
    }

    /// Sets anew whether a pod that nobody has heard of may be heard of.
    fn hold(&mut self, key: Key) {
        let unheard = |pod: &Pod| matches!(pod.stage, Stage::Held | Stage::Queued);
        if self.pods.get(&key).is_some_and(unheard) {
            self.alter(key, |pod| pod.stage = Stage::Held);
            self.release(key.0);
        }
    }

    /// Queues the open pod of a slot if it is held back by nothing any more.
    pub(super) fn release(&mut self, slot: Slot) {
        let state = self.ledger.slot(slot);
        let Some(open) = state.open() else {
            return;
        };
        let key = (slot, open);
        let held = self.pods.get(&key).is_some_and(|pod| pod.stage == Stage::Held);
        if held && self.has_ended_below(slot, state.ended..state.closed) {
            self.alter(key, |pod| pod.stage = Stage::Queued);
            self.queue.push_back(key);
        }
    }

    /// Whether all these closed attempts have durably ended.
    pub(super) fn has_ended_below(&self, slot: Slot, attempts: std::ops::Range<u32>) -> bool {
        attempts
            .map(Attempt)
            .all(|attempt| self.pods.get(&(slot, attempt)).is_none_or(Pod::has_ended))
    }
}
