//! A tiny shell around the decision: a stored record, a queue, pod records, workers, and everything
//! that can go wrong between them. Every step checks the invariants.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use stint_common::id::{Attempt, JobUid, ObjectRef, Slot};
use stint_common::time;

use crate::job::tally::{Tally, Weight};
use crate::job::*;

/// What is durable of a pod.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Record {
    Claimed,
    Running { ready: bool },
    Ended(EndFact),
}

/// How a pod ends: in success, or with an exit code and perhaps disrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ending {
    pub(super) code: i32,
    pub(super) disrupted: bool,
}

impl Ending {
    pub(super) const SUCCESS: Self = Self { code: 0, disrupted: false };
    pub(super) const FAILURE: Self = Self { code: 1, disrupted: false };

    pub(super) fn of(succeeded: bool) -> Self {
        if succeeded { Self::SUCCESS } else { Self::FAILURE }
    }

    pub(super) fn at(self, finished_at: Timestamp) -> EndFact {
        let succeeded = self.code == 0;
        let exit = ContainerExit { container: "main".to_owned(), code: self.code };
        let disruption =
            PodCondition { kind: "DisruptionTarget".into(), status: ConditionStatus::True };
        EndFact {
            succeeded,
            finished_at,
            exits: if succeeded { Vec::new() } else { vec![exit] },
            conditions: if self.disrupted { vec![disruption] } else { Vec::new() },
        }
    }
}

pub(super) struct World {
    pub(super) job: Job,
    pub(super) spec: JobSpec,
    pub(super) now: Timestamp,
    pub(super) deletion: Option<Deletion>,
    stored: (String, String),
    pub(super) records: BTreeMap<Key, Record>,
    orders: BTreeMap<Key, Timestamp>,
    items: BTreeSet<Key>,
    pub(super) news: Vec<(Key, PodFact)>,
    pub(super) closed: BTreeMap<Key, CloseOutcome>,
    pub(super) dispose: Option<Dispose>,
    failures: BTreeMap<Slot, (u32, u32)>,
    decided_at_spec: bool,
    terminal: Option<Condition>,
}

fn restore(spec: &JobSpec, stored: &(String, String), deletion: Option<Deletion>) -> Job {
    let uid = JobUid(uuid::Uuid::from_u128(1));
    let object = ObjectRef { namespace: "default".to_owned(), name: "job".to_owned() };
    let status = serde_json::from_str(&stored.0).unwrap();
    let ledger = serde_json::from_str(&stored.1).unwrap();
    Job::restore(uid, object, spec.clone(), status, ledger, deletion)
}

impl World {
    pub(super) fn new(spec: JobSpec) -> Self {
        let ledger = serde_json::to_string(&Ledger::of(&spec)).unwrap();
        let stored = ("{}".to_owned(), ledger);
        Self {
            job: restore(&spec, &stored, None),
            spec,
            now: "2026-01-15T12:00:00Z".parse().unwrap(),
            deletion: None,
            stored,
            records: BTreeMap::new(),
            orders: BTreeMap::new(),
            items: BTreeSet::new(),
            news: Vec::new(),
            closed: BTreeMap::new(),
            dispose: None,
            failures: BTreeMap::new(),
            decided_at_spec: false,
            terminal: None,
        }
    }

    /// Plans once, and stores what comes of it.
    pub(super) fn plan(&mut self) -> bool {
        let plan = plan(&self.job, self.now);
        self.dispose = plan.dispose;
        let Some(change) = plan.change else {
            return false;
        };
        self.check_change(&change);
        self.job.apply(&change);
        self.store(&change);
        self.check();
        true
    }

    fn store(&mut self, change: &Change) {
        if let Some(completions) = change.cut {
            self.failures.retain(|slot, _| slot.0 < completions);
        }
        for close in &change.closes {
            self.follow_failures(close);
            let before = self.closed.insert((close.slot, close.attempt), close.outcome);
            assert_eq!(before, None, "closed twice: {close:?}");
        }
        self.stored.0 = serde_json::to_string(self.job.status()).unwrap();
        self.stored.1 = serde_json::to_string(self.job.ledger()).unwrap();
    }

    /// An index's failures in a row are what its attempts were closed as, since it last began anew.
    fn follow_failures(&mut self, close: &Close) {
        let (counted, ignored) = self.failures.entry(close.slot).or_default();
        match close.outcome {
            CloseOutcome::Failed => *counted += 1,
            CloseOutcome::Ignored => *ignored += 1,
            CloseOutcome::FailedForGood | CloseOutcome::Succeeded | CloseOutcome::Dropped => {
                (*counted, *ignored) = (0, 0);
            }
        }
    }

    /// Plans until nothing is left to store.
    pub(super) fn settle(&mut self) {
        let most = 20 + self.job.pods.len() / MAX_BATCH;
        for _ in 0..most {
            if !self.plan() {
                return;
            }
        }
        panic!("no fixpoint: {:?}\n{:?}", plan(&self.job, self.now), self.job);
    }

    /// Plans and applies, then hears that the write was lost.
    pub(super) fn plan_in_vain(&mut self) {
        if let Some(change) = plan(&self.job, self.now).change {
            self.job.apply(&change);
            let status = serde_json::from_str(&self.stored.0).unwrap();
            let ledger = serde_json::from_str(&self.stored.1).unwrap();
            self.job.replace(self.spec.clone(), status, ledger, self.deletion);
        }
        self.check();
    }

    /// Another coordinator takes over: it has the record, and hears every pod record anew.
    pub(super) fn crash(&mut self) {
        self.job = restore(&self.spec, &self.stored, self.deletion);
        self.news.clear();
        for key in self.orders.keys().chain(self.records.keys()).copied().collect::<Vec<_>>() {
            self.tell(key);
        }
        self.check();
    }

    /// Says again what is durable of a pod.
    fn tell(&mut self, key: Key) {
        if let Some(at) = self.orders.get(&key) {
            let _ = self.job.observe(
                key.0,
                key.1,
                PodFact::StopOrdered { grace_seconds: 5, at: *at, evicted: false },
            );
        }
        if let Some(record) = self.records.get(&key).cloned() {
            let _ = self.job.observe(key.0, key.1, fact(&record));
        }
    }

    pub(super) fn publish(&mut self, max: usize) {
        let mut taken = Vec::new();
        self.job.take_publishable(max, &mut taken);
        for key in taken {
            assert!(self.job.awaits_claim(key.0, key.1));
            self.items.insert(key);
        }
    }

    pub(super) fn take_and_put_back(&mut self, max: usize) {
        let before = self.job.publishable();
        let mut taken = Vec::new();
        self.job.take_publishable(max, &mut taken);
        self.job.put_back(&taken);
        assert_eq!(self.job.publishable(), before);
    }

    fn write(&mut self, key: Key, record: Record) {
        let over = matches!(self.records.get(&key), Some(Record::Ended(_)));
        assert!(!over, "an end is final");
        self.news.push((key, fact(&record)));
        self.records.insert(key, record);
        let running: BTreeSet<Attempt> = self
            .records
            .iter()
            .filter(|((slot, _), record)| *slot == key.0 && !matches!(record, Record::Ended(_)))
            .map(|((_, attempt), _)| *attempt)
            .collect();
        assert!(running.len() <= 1, "I5: attempts {running:?} of slot {} run at once", key.0);
    }

    /// A worker takes an item; a record that is there already refuses the claim.
    pub(super) fn claim(&mut self, pick: usize) {
        if let Some(key) = nth(self.items.iter(), pick) {
            self.items.remove(&key);
            if !self.records.contains_key(&key) {
                self.write(key, Record::Claimed);
            }
        }
    }

    pub(super) fn run(&mut self, pick: usize, ready: bool) {
        if let Some(key) = nth(self.living().iter(), pick) {
            self.write(key, Record::Running { ready });
        }
    }

    pub(super) fn end(&mut self, pick: usize, ending: Ending) {
        if let Some(key) = nth(self.living().iter(), pick) {
            self.write(key, Record::Ended(ending.at(self.now)));
        }
    }

    pub(super) fn living(&self) -> BTreeSet<Key> {
        let ended = |record: &Record| matches!(record, Record::Ended(_));
        self.records.iter().filter(|(_, record)| !ended(record)).map(|(key, _)| *key).collect()
    }

    /// The shell writes tombstones for pods that must not start.
    pub(super) fn bury(&mut self) {
        let unclaimed: Vec<Key> = self
            .job
            .stopping()
            .filter(|pod| !pod.claimed)
            .map(|pod| (pod.slot, pod.attempt))
            .collect();
        for key in unclaimed {
            if !self.records.contains_key(&key) {
                self.write(key, Record::Ended(end(false, self.now)));
            }
        }
    }

    /// A worker obeys an order.
    pub(super) fn obey(&mut self, pick: usize, succeeded: bool) {
        let claimed: Vec<Key> = self
            .job
            .stopping()
            .map(|pod| (pod.slot, pod.attempt))
            .filter(|key| self.living().contains(key))
            .collect();
        if let Some(key) = nth(claimed.iter(), pick) {
            self.write(key, Record::Ended(end(succeeded, self.now)));
        }
    }

    /// Somebody deletes a pod.
    pub(super) fn delete_pod(&mut self, pick: usize) {
        let live: Vec<Key> = self.job.live_pods().map(|pod| (pod.slot, pod.attempt)).collect();
        if let Some(key) = nth(live.iter(), pick) {
            let at = *self.orders.entry(key).or_insert(self.now);
            let fact = PodFact::StopOrdered { grace_seconds: 5, at, evicted: false };
            self.news.push((key, fact));
        }
    }

    pub(super) fn set_spec(&mut self, spec: JobSpec) {
        self.spec = spec;
        self.job.set_spec(self.spec.clone());
        let status = self.job.status();
        let interim = [condition::SUCCESS_CRITERIA_MET, condition::FAILURE_TARGET];
        self.decided_at_spec = interim.into_iter().any(|kind| status.condition(kind).is_some());
        self.check();
    }

    pub(super) fn delete(&mut self) {
        self.deletion = Some(Deletion::foreground(self.now));
        self.job.set_deletion(self.deletion);
    }

    /// One fact arrives, perhaps not for the last time.
    pub(super) fn deliver(&mut self, pick: usize, again: bool) {
        if self.news.is_empty() {
            return;
        }
        let mut at = pick % self.news.len();
        // One subject's writes are heard in order: only the last Running is what the pod does.
        let running = |fact: &PodFact| matches!(fact, PodFact::Running { .. });
        if let (key, PodFact::Running { .. }) = self.news[at] {
            let first = |(other, fact): &(Key, PodFact)| *other == key && running(fact);
            at = self.news.iter().position(first).unwrap();
        }
        let (key, fact) = if again { self.news[at].clone() } else { self.news.remove(at) };
        let _ = self.job.observe(key.0, key.1, fact);
        self.check();
    }

    pub(super) fn deliver_all(&mut self) {
        while !self.news.is_empty() {
            self.deliver(0, false);
        }
    }

    /// Whether a pod ended with this exit code.
    pub(super) fn exited_with(&self, code: i32) -> bool {
        let exits = |record: &Record| match record {
            Record::Ended(end) => end.exits.iter().any(|exit| exit.code == code),
            Record::Claimed | Record::Running { .. } => false,
        };
        self.records.values().any(exits)
    }

    /// Whether the Job's end was decided under the manifest that it has now.
    pub(super) fn decided_since_spec(&self) -> bool {
        !self.decided_at_spec
    }

    pub(super) fn advance(&mut self, seconds: u64) {
        self.now = time::after(self.now, Duration::from_secs(seconds));
    }

    fn check_change(&self, change: &Change) {
        let before = self.job.status();
        let after = &change.status;
        let count = |outcome| change.closes.iter().filter(|close| close.outcome == outcome).count();
        let failed = |status: &JobStatus| status.failed as usize + status.uncounted_failed.len();
        let failures = count(CloseOutcome::Failed) + count(CloseOutcome::FailedForGood);
        assert_eq!(failed(after), failed(before) + failures, "I4");
        let succeeded =
            |status: &JobStatus| status.succeeded as usize + status.uncounted_succeeded.len();
        if !self.spec.indexed {
            assert_eq!(succeeded(after), succeeded(before) + count(CloseOutcome::Succeeded), "I4");
        }
        let limit = self.spec.backoff_limit_per_index;
        assert!(limit.is_some() || count(CloseOutcome::FailedForGood) == 0);
        for key in &change.issues {
            assert!(!self.job.ledger().is_done(key.0), "a done index is never tried again");
            let ready_at = self.job.resting.until(key.0);
            assert!(ready_at.is_none_or(|at| at <= self.now), "its back-off is not over");
            let (counted, _) = self.failures.get(&key.0).copied().unwrap_or_default();
            assert!(limit.is_none_or(|limit| counted <= limit), "{key:?} failed {counted} times");
        }
        if !change.issues.is_empty() {
            assert!(after.active <= self.spec.parallelism, "I6: {after:?}");
            assert!(!self.spec.suspend && self.deletion.is_none());
        }
        assert!(after.uncounted() <= MAX_BATCH);
        assert!(after.finished().is_none() || after.uncounted() == 0, "it ends before it counts");
        assert!(after.ready <= after.active);
    }

    /// What must hold at any time.
    pub(super) fn check(&mut self) {
        let job = &self.job;
        let mut tally = Tally::default();
        for (key, pod) in &job.pods {
            tally.shift(*key, Weight::default(), Weight::of(pod, job.scale(key.0)));
        }
        assert_eq!(tally, job.tally);
        let queued: BTreeSet<&Key> =
            job.queue.iter().filter(|(slot, attempt)| job.is_queued((*slot, *attempt))).collect();
        assert_eq!(queued.len(), job.publishable(), "a queued pod is in the queue");
        for (slot, state) in &job.ledger.slots {
            assert!(
                state.ended <= state.closed && state.closed <= state.issued,
                "{slot} {state:?}"
            );
            assert!(state.issued <= state.closed + 1, "{slot} {state:?}");
        }
        self.check_slots();
        let job = &self.job;
        let terminal = job.status().finished().cloned();
        if self.terminal.is_some() {
            assert_eq!(self.terminal, terminal, "a terminal condition is final");
        }
        self.terminal = terminal;
    }

    /// What is known of slots besides their pods follows from the record.
    fn check_slots(&self) {
        let (job, ledger, limit) = (&self.job, self.job.ledger(), self.spec.slot_limit());
        let both = ledger.succeeded.intersection_len(&ledger.failed);
        assert_eq!(both, 0, "an index that succeeded did not fail");
        if job.status().finished().is_some() {
            return;
        }
        let vacant = |slot: &Slot| {
            slot.0 < limit && !ledger.is_done(*slot) && ledger.slot(*slot).open().is_none()
        };
        let all: Vec<Slot> = (0..ledger.cursor).map(Slot).filter(vacant).collect();
        let resting = |slot: &Slot| ledger.slot(*slot).ready_at(job.spec.backoff).is_some();
        let (resting, waiting): (Vec<Slot>, Vec<Slot>) = all.into_iter().partition(resting);
        assert_eq!(job.waiting.iter().copied().collect::<Vec<_>>(), waiting);
        assert_eq!(job.resting.by_slot().map(|(slot, _)| slot).collect::<Vec<_>>(), resting);
        if let Some(policy) = &self.spec.success_policy {
            assert_eq!(job.progress, policy.progress(&ledger.succeeded, limit));
        }
        let per_index = self.spec.backoff_limit_per_index.is_some();
        for (slot, state) in ledger.slots.iter().filter(|_| per_index) {
            let expect = self.failures.get(slot).copied().unwrap_or_default();
            assert_eq!((state.failures, state.ignored), expect, "{slot} {state:?}");
        }
    }

    /// With every fact delivered, nothing is known that a restart would not find again.
    pub(super) fn check_rebuild(&mut self) {
        self.deliver_all();
        let mut other = restore(&self.spec, &self.stored, self.deletion);
        std::mem::swap(&mut self.job, &mut other);
        for key in self.orders.keys().chain(self.records.keys()).copied().collect::<Vec<_>>() {
            self.tell(key);
        }
        std::mem::swap(&mut self.job, &mut other);
        assert_eq!(plan(&other, self.now), plan(&self.job, self.now));
        assert_eq!(other.tally.stopping, self.job.tally.stopping);
        let wanted = |job: &Job| {
            let keys = job.pods.keys().filter(|key| job.awaits_claim(key.0, key.1));
            keys.copied().collect::<Vec<_>>()
        };
        assert_eq!(wanted(&other), wanted(&self.job));
    }

    /// From here on all goes well: every pod is published, claimed and ends, as `ending` says of it
    /// by the number of the round and its slot.
    pub(super) fn run_to_the_end(&mut self, ending: impl Fn(u16, Slot) -> Ending) {
        for round in 0..3000 {
            self.deliver_all();
            self.settle();
            if self.terminal.is_some() || self.dispose.is_some() {
                return;
            }
            self.bury();
            self.publish(usize::MAX);
            while !self.items.is_empty() {
                self.claim(0);
            }
            self.deliver_all();
            let stopping: BTreeSet<Key> =
                self.job.stopping().map(|pod| (pod.slot, pod.attempt)).collect();
            for key in self.living() {
                let stopped = stopping.contains(&key);
                let ending = if stopped { Ending::FAILURE } else { ending(round, key.0) };
                self.write(key, Record::Ended(ending.at(self.now)));
            }
            if self.news.is_empty() && plan(&self.job, self.now).change.is_none() {
                self.advance(60);
            }
        }
        panic!("no terminal condition: {:?}", self.job);
    }
}

pub(super) fn end(succeeded: bool, finished_at: Timestamp) -> EndFact {
    Ending::of(succeeded).at(finished_at)
}

fn fact(record: &Record) -> PodFact {
    match record {
        Record::Claimed => PodFact::Claimed,
        Record::Running { ready } => PodFact::Running { ready: *ready, restarts: 0 },
        Record::Ended(end) => PodFact::Ended(end.clone()),
    }
}

fn nth<'a>(mut keys: impl ExactSizeIterator<Item = &'a Key>, pick: usize) -> Option<Key> {
    let length = keys.len();
    keys.nth(pick.checked_rem(length)?).copied()
}

pub(super) fn slot_attempt(slot: u32, attempt: u32) -> Key {
    (Slot(slot), Attempt(attempt))
}
