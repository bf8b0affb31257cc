//! Taking in what the streams say: objects, pods' records, orders, leases; and what became of our
//! writes.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use stint_common::id::{Incarnation, JobUid, PodId};
use stint_common::metrics;
use stint_common::names::PodsSubject;
use stint_common::nats::{Current, Entry, Expect, Outcome, Write};
use stint_common::time::Instant;
use stint_common::trace::{job_span_id, span_text, trace_id, trace_text};
use stint_common::wire::{
    self, End, NOT_STARTED, Order, OrderKind, PodRecord, PodState, PodWord, WorkerLease,
};

use super::carry::{Done, Round};
use super::ends;
use super::events::waits_of;
use super::kept::Worth;
use super::managed::{Managed, parse};
use super::owner::{Claimed, Orphan, Owner};
use crate::job::{Observed, PodFact};
use crate::store::{UNBURIED, is_tombstone};

/// Of pods whose Job left nothing behind that says how long they may take to end.
pub(super) const DEFAULT_GRACE_SECONDS: u32 = 30;

impl Owner {
    /// An entry of the objects' stream.
    pub(super) fn take_object(&mut self, entry: &Entry, now: Instant) {
        let names = self.names.clone();
        self.objects_seen = entry.sequence;
        let parsed = names.parse_object_subject(&entry.subject);
        if parsed.as_ref().is_some_and(|(resource, _, _)| *resource != UNBURIED)
            && is_tombstone(&entry.payload)
        {
            self.graves.dig(entry.sequence, entry.time);
        }
        match parsed {
            Some(("jobs", _, _)) => {
                self.take_job(&entry.subject, &entry.payload, entry.sequence, now);
            }
            Some(("leases", "_workers", _)) => self.take_lease(entry, now),
            Some(("classes", _, name)) => self.classes.observe(&name, !entry.payload.is_empty()),
            _ => {}
        }
    }

    fn take_job(&mut self, subject: &str, payload: &Bytes, revision: u64, now: Instant) {
        let known = self.by_subject.get(subject).copied();
        if let Some(managed) = known.and_then(|uid| self.jobs.get_mut(&uid)) {
            if managed.revision >= revision {
                return;
            }
            if managed.writing {
                // Our own write, or another's before or after it: its outcome will tell.
                managed.unread = Some((revision, payload.clone()));
                return;
            }
        }
        if is_tombstone(payload) {
            known.inspect(|uid| self.drop_job(*uid));
            return;
        }
        let Some(parsed) = parse(subject, payload) else { return };
        let uid = parsed.uid;
        if let Some(other) = known.filter(|known| *known != uid) {
            self.drop_job(other);
        }
        match self.jobs.get_mut(&uid) {
            Some(managed) => managed.replace(parsed, revision),
            None => {
                let mut managed = Managed::new(parsed, subject, revision);
                tracing::debug!(
                    job = %managed.name,
                    trace_id = trace_text(trace_id(uid, managed.trace.as_ref())),
                    span_id = span_text(job_span_id(uid)),
                    "a Job is known"
                );
                managed.trace_with(self.tracer.as_ref());
                self.by_subject.insert(subject.to_owned(), uid);
                self.jobs.insert(uid, managed);
                self.orphans.remove(&uid);
            }
        }
        if let Some(managed) = self.jobs.get_mut(&uid) {
            managed.dirty = false;
            managed.trace_end();
        }
        self.note_finish(uid);
        self.count_finish(uid);
        self.touch(uid);
        self.touch_dependents(uid);
        self.stops.look_at(uid);
        self.join(uid);
        for entry in self.strangers.remove(&uid).into_iter().flat_map(|(_, entries)| entries) {
            self.take_pods_entry(&entry, now);
        }
    }

    /// Records of a finished Job are the first to go when there are too many.
    fn note_finish(&mut self, uid: JobUid) {
        let finished = self.jobs.get(&uid).and_then(|managed| managed.job.status().finished());
        if let Some(condition) = finished {
            self.kept.finished(uid, condition.last_transition);
        }
    }

    /// A Job is gone: its pods, if any still run, are stopped as orphans.
    fn drop_job(&mut self, uid: JobUid) {
        self.touch_dependents(uid);
        let Some(mut managed) = self.jobs.remove(&uid) else { return };
        if self.rebuilt {
            managed.trace_removal();
        }
        self.by_subject.remove(&managed.subject);
        self.forget_dependent(&managed, uid);
        if let Some(at) = managed.wake_at {
            self.timers.remove(&(at, uid));
        }
        self.classes.forget_job(uid);
        self.crowded.remove(&uid);
        let grace_seconds = managed.job.spec().grace_seconds;
        self.add_orphan(uid, grace_seconds);
    }

    pub(super) fn add_orphan(&mut self, uid: JobUid, grace_seconds: u32) {
        let running = self.claims.keys().filter(|pod| pod.job == uid).copied().collect();
        let orphan = Orphan {
            grace_seconds,
            running,
            quiet_since: None,
            items_purged: false,
            sealing: None,
            sealed: None,
        };
        self.orphans.entry(uid).or_insert(orphan);
        self.stops.look_at(uid);
    }

    fn take_lease(&mut self, entry: &Entry, now: Instant) {
        match serde_json::from_slice::<WorkerLease>(&entry.payload) {
            Ok(lease) => self.observe_lease(lease, entry.sequence, now),
            Err(error) => {
                tracing::error!(subject = %entry.subject, %error, "cannot read a worker's lease");
            }
        }
    }

    pub(super) fn observe_lease(&mut self, lease: WorkerLease, revision: u64, now: Instant) {
        for incarnation in self.workers.observe(lease, revision, now) {
            self.ending.extend(self.workers.claimed_by(incarnation));
        }
    }

    /// An entry of the pods' stream.
    pub(super) fn take_pods_entry(&mut self, entry: &Entry, now: Instant) {
        let subject = self.names.parse_pods_subject(&entry.subject);
        let Some(subject) = subject else { return };
        let pod = subject.pod();
        if !self.jobs.contains_key(&pod.job) && !self.orphans.contains_key(&pod.job) {
            // The objects' tail may be behind; if the Job stays unknown, its pods are orphans.
            let (_, entries) = self.strangers.entry(pod.job).or_insert_with(|| (now, Vec::new()));
            entries.push(entry.clone());
            return;
        }
        match subject {
            PodsSubject::Pod(_) => match serde_json::from_slice::<PodRecord>(&entry.payload) {
                Ok(record) => self.take_record(pod, record, entry, now),
                Err(error) => {
                    tracing::error!(subject = %entry.subject, %error, "cannot read a pod's record");
                }
            },
            PodsSubject::Order(_) => self.take_order(pod, entry, now),
            PodsSubject::Word(_) => self.take_word(pod, entry),
        }
    }

    fn take_record(&mut self, pod: PodId, record: PodRecord, entry: &Entry, now: Instant) {
        if let Some(managed) = self.jobs.get(&pod.job) {
            managed.trace_pod(pod, &record);
        }
        let waits = waits_of(&record);
        if let Some(claim) = &record.claim {
            self.tell_of_waits(pod, &claim.worker, &waits);
        }
        self.count_record(self.claims.contains_key(&pod), &record);
        let PodRecord { claim, state, template, created_at, index_failures, .. } = record;
        let fact = match &state {
            PodState::Claimed => PodFact::Claimed,
            PodState::Running(running) => {
                PodFact::Running { ready: running.ready, restarts: running.restarts }
            }
            PodState::Terminated(end) => {
                PodFact::Ended(ends::fact(end, claim.is_some(), entry.time))
            }
        };
        self.classes.settle(pod);
        match (&state, claim) {
            (PodState::Terminated(end), claim) => {
                self.kept.ended(pod, entry.sequence, worth(end));
                let known = self.claims.remove(&pod).is_some();
                if let Some(orphan) = self.orphans.get_mut(&pod.job) {
                    orphan.running.remove(&pod);
                }
                if let Some(managed) = self.jobs.get_mut(&pod.job) {
                    managed.claimed -= u32::from(known);
                    managed.ended += 1;
                }
                self.stops.ended(pod);
                self.ending.remove(&pod);
                if let Some(claim) = claim {
                    self.workers.release(pod, claim.incarnation);
                }
            }
            (_, Some(claim)) => {
                let lives = self.workers.claim(pod, &claim.worker, claim.incarnation);
                if !lives {
                    tracing::debug!(%pod, worker = claim.worker, "claimed by a worker not known to live");
                }
                let sequence = entry.sequence;
                if let Some(orphan) = self.orphans.get_mut(&pod.job) {
                    orphan.running.insert(pod);
                }
                let asked = self.claims.get(&pod).map_or(now, |known| known.asked);
                let claimed =
                    Claimed { sequence, claim, template, created_at, index_failures, asked, waits };
                if self.claims.insert(pod, claimed).is_none()
                    && let Some(managed) = self.jobs.get_mut(&pod.job)
                {
                    managed.claimed += 1;
                }
            }
            (_, None) => tracing::error!(%pod, "a pod's record has neither claim nor end"),
        }
        self.observe(pod, fact, now);
    }

    fn take_order(&mut self, pod: PodId, entry: &Entry, now: Instant) {
        if entry.payload.is_empty() {
            return;
        }
        match serde_json::from_slice::<Order>(&entry.payload) {
            Ok(Order { kind: OrderKind::Stop { grace_seconds, at, .. }, evicted, .. }) => {
                self.kept.ordered(pod, entry.sequence);
                self.order_stands(pod);
                self.observe(pod, PodFact::StopOrdered { grace_seconds, at, evicted }, now);
            }
            Err(error) => tracing::error!(subject = %entry.subject, %error, "cannot read an order"),
        }
    }

    /// What clients say of a pod changes nothing; it only has to go with the pod's record.
    fn take_word(&mut self, pod: PodId, entry: &Entry) {
        match serde_json::from_slice::<PodWord>(&entry.payload) {
            Ok(word) => {
                self.kept.spoken_of(pod, entry.sequence, !word.finalizers.is_empty());
            }
            Err(error) => tracing::error!(subject = %entry.subject, %error, "cannot read a word"),
        }
    }

    fn observe(&mut self, pod: PodId, fact: PodFact, now: Instant) {
        let Some(managed) = self.jobs.get_mut(&pod.job) else {
            self.stops.look_at(pod.job);
            return;
        };
        let observed = managed.job.observe(pod.slot, pod.attempt, fact);
        match observed {
            Observed::Nothing => {}
            Observed::Changed => self.touch(pod.job),
            Observed::Stopping => {
                // Not noted as unwanted: that it must end may be decided and not yet written, and
                // another's write may undo it.
                self.stops.look_at(pod.job);
                self.touch(pod.job);
            }
            Observed::Over => {
                self.stops.unwanted(pod);
                self.touch(pod.job);
            }
            Observed::Unknown => self.stops.unknown(pod, now),
        }
        if let Some(managed) = self.jobs.get(&pod.job)
            && managed.job.publishable() > 0
        {
            self.join(pod.job);
        }
    }

    /// What became of a part of a round.
    pub(super) fn take_done(&mut self, done: Done, round: &mut Round, now: Instant) {
        match done {
            Done::Jobs(outcomes) => {
                for (uid, outcome) in outcomes {
                    self.record_done(uid, outcome, round, now);
                }
            }
            Done::Items(outcomes) => {
                for (pod, outcome) in outcomes {
                    self.item_done(pod, &outcome);
                }
            }
            Done::Ends(outcomes) => {
                for (pod, outcome) in outcomes {
                    self.end_done(pod, &outcome);
                }
            }
            Done::Orders(outcomes) => {
                for (pod, outcome) in outcomes {
                    match outcome {
                        Outcome::Refused(_) => self.stops.order_refused(pod),
                        Outcome::Stored(_) | Outcome::Lost(_) => self.order_stands(pod),
                    }
                }
            }
            Done::Leases(outcomes) => {
                for (worker, outcome) in outcomes {
                    if outcome.stored().is_some() {
                        metrics::coordinator().worker_lost();
                    }
                    tracing::warn!(worker, ?outcome, "recorded a worker as lost");
                }
            }
            Done::Sealed { asked, sealed } => self.sealed(&asked, &sealed, now),
            Done::Removed(retired) => self.removed(&retired),
            Done::Buried(sequences) => self.graves.buried(&sequences),
            Done::Listed(listed) => self.templates_listed(listed, now),
            Done::Said => {}
        }
    }

    fn record_done(&mut self, uid: JobUid, outcome: Outcome, round: &mut Round, now: Instant) {
        let Some(managed) = self.jobs.get_mut(&uid) else { return };
        managed.writing = false;
        let (subject, unread) = (managed.subject.clone(), managed.unread.take());
        match outcome {
            Outcome::Stored(revision) => {
                managed.revision = revision;
                managed.stored();
                if managed.removing {
                    self.drop_job(uid);
                } else {
                    managed.trace_end();
                    let finished = managed.job.status().finished().map(|end| end.last_transition);
                    finished.inspect(|at| self.kept.finished(uid, *at));
                    let events = std::mem::take(&mut managed.events);
                    round.events.extend(events.into_iter().map(|event| (uid, event)));
                    self.count_finish(uid);
                }
            }
            Outcome::Lost(Some(Current { sequence, payload, .. })) => {
                managed.revision = managed.revision.min(sequence.saturating_sub(1));
                self.take_job(&subject, &payload, sequence, now);
            }
            Outcome::Lost(None) => self.drop_job(uid),
            Outcome::Refused(reason) => {
                tracing::error!(job = %managed.name, reason, "a Job's record cannot be stored");
                // Nothing of it is acted on, and it is written again.
                (managed.refused, managed.removing) = (true, false);
                managed.hold_until = Some(now + Duration::from_secs(5));
            }
        }
        // What came of this subject meanwhile may be newer than what our write met.
        if let Some((sequence, payload)) = unread {
            self.take_job(&subject, &payload, sequence, now);
        }
        if let Some(managed) = self.jobs.get_mut(&uid) {
            managed.dirty = false;
            if managed.job.publishable() > 0 {
                self.join(uid);
            }
        }
        self.stops.look_at(uid);
        self.touch(uid);
        self.touch_dependents(uid);
    }

    fn item_done(&mut self, pod: PodId, outcome: &Outcome) {
        if let Outcome::Refused(reason) = outcome {
            tracing::warn!(%pod, reason, "a work item was refused");
            self.classes.give_back(pod);
            if let Some(managed) = self.jobs.get_mut(&pod.job) {
                managed.job.put_back(&[(pod.slot, pod.attempt)]);
                self.join(pod.job);
            }
        }
    }

    /// An end of ours: if another record stands there, the tail tells which, and it is dealt with
    /// anew.
    fn end_done(&mut self, pod: PodId, outcome: &Outcome) {
        self.stops.end_written(pod);
        if outcome.stored().is_none() && self.claims.contains_key(&pod) {
            self.ending.insert(pod);
        }
    }

    /// Workers whose lease and grace have run out: to be recorded as lost.
    pub(super) fn condemn(&mut self, now: Instant, round: &mut Round) {
        for condemned in self.workers.condemned(now) {
            let worker = condemned.lease.worker.clone();
            let payload =
                serde_json::to_vec(&condemned.lease).expect("a lease has only string keys");
            let write = Write {
                subject: self.names.worker_lease(&worker),
                payload: payload.into(),
                expect: Expect::Sequence(condemned.revision),
            };
            round.lease(worker, write);
        }
    }

    /// Items that nobody claimed for too long are published again; harmless where they are still
    /// queued.
    pub(super) fn publish_overdue(&mut self, wall: Timestamp, now: Instant, round: &mut Round) {
        let overdue = self.classes.overdue(now);
        self.mend(&overdue, round);
        for pod in overdue {
            let wanted = self
                .jobs
                .get(&pod.job)
                .is_some_and(|managed| managed.job.awaits_claim(pod.slot, pod.attempt));
            if wanted {
                metrics::coordinator().published_again();
                self.publish(pod, wall, round);
            } else {
                self.classes.give_back(pod);
            }
        }
    }

    /// Jobs that have been unknown for longer than `limit` while their pods have records.
    pub(super) fn overdue_strangers(&self, now: Instant, limit: Duration) -> Vec<JobUid> {
        let overdue =
            self.strangers.iter().filter(|(_, (since, _))| now.duration_since(*since) >= limit);
        overdue.map(|(uid, _)| *uid).collect()
    }

    /// The Job of these records is gone: its pods are stopped, its records purged later.
    pub(super) fn adopt_orphans(&mut self, uid: JobUid, now: Instant) {
        self.add_orphan(uid, DEFAULT_GRACE_SECONDS);
        for entry in self.strangers.remove(&uid).into_iter().flat_map(|(_, entries)| entries) {
            self.take_pods_entry(&entry, now);
        }
    }

    /// Workers and incarnations with claims whose lease is not known to run.
    pub(super) fn unaccounted(&self) -> Vec<(String, Incarnation)> {
        let mut found = Vec::new();
        for incarnation in self.workers.unaccounted() {
            let pod = self
                .workers
                .claimed_by(incarnation)
                .into_iter()
                .find_map(|pod| self.claims.get(&pod));
            if let Some(claimed) = pod {
                found.push((claimed.claim.worker.clone(), incarnation));
            }
        }
        found
    }

    /// After the leader was asked: claims of an incarnation that does not live are ended.
    pub(super) fn end_if_not_living(&mut self, worker: &str, incarnation: Incarnation) {
        if !self.workers.lives(worker, incarnation) {
            self.ending.extend(self.workers.claimed_by(incarnation));
        }
    }
}

/// A failure is looked at longer than a success, or a pod that never ran.
fn worth(end: &End) -> Worth {
    let failed = end.outcome == wire::Outcome::Failed && end.reason != NOT_STARTED;
    if failed { Worth::Much } else { Worth::Little }
}
