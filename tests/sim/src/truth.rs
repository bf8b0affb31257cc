//! What really happened, as nobody in the simulation can know it, held against the invariants after
//! every write and every start of a process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use stint_common::id::{Attempt, Incarnation, JobUid, PodId, Slot};
use stint_common::names::{Names, PodsSubject};
use stint_common::wire::{End, Outcome, PodRecord, PodState, WorkerState};
use stint_coordinator::store::JobRecord;
use tokio::time::Instant;

use super::jetstream::{Millis, Observer, Server};
use super::job_truth::{JobTruth, check_change};

/// The fence has looked by then.
pub const ONE_LOOK: Duration = stint_worker::agent::LOOK.saturating_add(Duration::from_millis(50));

/// What is known of a pod's record.
#[derive(Debug, Default)]
pub struct PodTruth {
    /// Who claimed it.
    pub claimed_by: Option<Incarnation>,
    /// How it ended.
    pub end: Option<Box<End>>,
    /// Its record was purged: it is over, whatever stands there later.
    pub purged: bool,
    /// Who claimed it after that, and has not written its end.
    pub ghost: Option<Incarnation>,
    /// Whose process ran it.
    pub ran_on: Option<Incarnation>,
    /// How many processes it had.
    pub starts: u32,
    /// It was told to stop.
    pub ordered: bool,
}

/// A process that runs now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Running {
    /// Of which life of which worker.
    pub on: Incarnation,
    /// Which of its runs.
    pub run: u64,
}

/// What is looked at of a worker's lease: renewals are a third of all that is written, and most of
/// each is what the worker offers.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Lease {
    worker: String,
    incarnation: Incarnation,
    state: WorkerState,
    lease_ms: u64,
    grace_ms: u64,
}

/// Everything that is true.
#[derive(Debug, Default)]
pub struct Truth {
    names: Names,
    /// Jobs by uid, whether they are still there or not.
    pub jobs: BTreeMap<JobUid, JobTruth>,
    /// Pods by id.
    pub pods: BTreeMap<PodId, PodTruth>,
    by_uid: BTreeMap<String, PodId>,
    running: BTreeMap<Running, PodId>,
    still: BTreeSet<Incarnation>,
    /// When processes of a life last went on after they had stood still.
    went_on: BTreeMap<Incarnation, Instant>,
    leases: BTreeMap<String, (Lease, Millis)>,
    /// When each life's last link was stored, and for how long it is good.
    proofs: BTreeMap<Incarnation, (Instant, Duration)>,
    /// Jobs whose deletion was confirmed.
    pub deleted: BTreeSet<JobUid>,
    /// The server lost what it had acknowledged: no promise holds but that Jobs go on.
    pub went_back: bool,
    /// Says what must not be at once.
    pub aloud: bool,
    /// What must not be, in words.
    pub violations: Vec<String>,
}

/// Shared by the server, the machines and the director.
pub type SharedTruth = Arc<Mutex<Truth>>;

/// Locks the truth.
pub fn lock(truth: &SharedTruth) -> MutexGuard<'_, Truth> {
    truth.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Truth {
    /// The names under which everything lives.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.names
    }

    fn violated(&mut self, what: String) {
        if self.went_back {
            return;
        }
        if self.aloud {
            println!("VIOLATION {what}");
        }
        self.violations.push(what);
    }

    /// Notes what must not be.
    pub fn must_not(&mut self, is: bool, what: impl FnOnce() -> String) {
        if is {
            self.violated(what());
        }
    }

    /// What stands now is all that there is.
    pub fn go_back(&mut self, server: &Server) {
        self.went_back = true;
        self.violations.clear();
        self.jobs.clear();
        self.pods.clear();
        self.deleted.clear();
        let names = self.names.clone();
        for (subject, payload) in server.all("stint.") {
            if let Some(("jobs", _, _)) = names.parse_object_subject(subject) {
                self.take_job(payload, 0);
            } else if let Some(PodsSubject::Pod(pod)) = names.parse_pods_subject(subject) {
                self.take_pod(pod, payload);
            }
        }
    }

    /// A client was told that the Job of this name is deleted.
    pub fn was_deleted(&mut self, name: &str) {
        let jobs = self.jobs.values().filter(|job| job.name == name && !job.record.gone);
        self.deleted.extend(jobs.map(|job| job.uid));
    }

    fn issued(&self, pod: PodId) -> bool {
        let job = self.jobs.get(&pod.job);
        job.is_some_and(|job| job.record.ledger.slot(pod.slot).issued > pod.attempt.0)
    }

    fn has_ended(&self, pod: PodId) -> bool {
        self.pods.get(&pod).is_some_and(|pod| pod.end.is_some())
    }

    fn take_job(&mut self, payload: &[u8], now: Millis) {
        let record = match JobRecord::decode(payload) {
            Ok(record) => record,
            Err(error) => return self.violated(format!("an unreadable Job was stored: {error}")),
        };
        let same = |job: &&JobTruth| job.record.object.get() == record.object.get();
        let before = self.jobs.values().find(same);
        let Some(mut after) = JobTruth::new(record, before, now) else {
            return self.violated("a Job without uid was stored".to_owned());
        };
        let uid = after.uid;
        let mut wrong = Vec::new();
        if let Some(before) = self.jobs.get(&uid) {
            after.created = before.created;
            after.disturbed = before.disturbed || before.spec != after.spec;
            after.finished_at = before.finished_at.or(after.finished_at);
            wrong = check_change(before, &after);
        }
        wrong.extend(self.check_taken_in(&after));
        wrong.into_iter().for_each(|what| self.violated(what));
        self.jobs.insert(uid, after);
    }

    /// What the record says that it took in must be durable.
    fn check_taken_in(&self, after: &JobTruth) -> Vec<String> {
        let before = self.jobs.get(&after.uid);
        let mut wrong = Vec::new();
        let status = &after.record.status;
        let lists = [
            (&status.uncounted_succeeded, Outcome::Succeeded),
            (&status.uncounted_failed, Outcome::Failed),
        ];
        for (list, outcome) in lists {
            for (slot, attempt) in list {
                let pod = PodId { job: after.uid, slot: *slot, attempt: *attempt };
                let end = self.pods.get(&pod).and_then(|pod| pod.end.as_ref());
                // Pods of a Job that failed are taken in when they are told to stop.
                let told = after.record.ledger.slot(*slot).stop.is_some();
                let stopped = outcome == Outcome::Failed && told;
                if end.map(|end| end.outcome) != Some(outcome) && !stopped {
                    wrong.push(format!("{pod} was taken in as {outcome:?}, its end is {end:?}"));
                }
            }
        }
        if after.indexed {
            for index in after.record.ledger.succeeded.iter() {
                if before.is_some_and(|before| before.record.ledger.succeeded.contains(index)) {
                    continue;
                }
                let slot = Slot(index);
                let issued = after.record.ledger.slot(slot).issued;
                let succeeded = (0..issued).any(|attempt| {
                    let pod = PodId { job: after.uid, slot, attempt: Attempt(attempt) };
                    let end = self.pods.get(&pod).and_then(|pod| pod.end.as_ref());
                    end.is_some_and(|end| end.outcome == Outcome::Succeeded)
                });
                if !succeeded {
                    wrong.push(format!(
                        "index {index} of {} completed without a success",
                        after.uid
                    ));
                }
            }
        }
        wrong
    }

    fn take_pod(&mut self, pod: PodId, payload: &[u8]) {
        let record: PodRecord = match serde_json::from_slice(payload) {
            Ok(record) => record,
            Err(error) => return self.violated(format!("an unreadable pod was stored: {error}")),
        };
        self.by_uid.insert(pod.uid().to_string(), pod);
        let issued = self.issued(pod);
        self.must_not(!issued, || format!("{pod} has a record and was never issued"));
        let claimer = record.claim.as_ref().map(|claim| claim.incarnation);
        let ended = matches!(record.state, PodState::Terminated(_));
        let facts = self.pods.entry(pod).or_default();
        if facts.purged {
            // An old item finds an empty subject. Nothing may come of it: no process, no count.
            let ran = matches!(record.state, PodState::Running(_));
            let twice = facts.ghost.is_some_and(|ghost| claimer != Some(ghost) && !ended);
            facts.ghost = claimer.filter(|_| !ended);
            self.must_not(ran, || format!("{pod} runs after its records were purged"));
            self.must_not(twice, || format!("{pod} was claimed by two after it was purged"));
            return;
        }
        let wrong = match (&facts.end, facts.claimed_by) {
            (Some(_), _) => Some("was written after its end"),
            (None, Some(before)) if claimer != Some(before) => {
                Some("was claimed by another while it was claimed")
            }
            (None, None) if !ended && !matches!(record.state, PodState::Claimed) => {
                Some("ran before it was claimed")
            }
            (None, None) if ended && claimer.is_some() => Some("ended before it was claimed"),
            _ => None,
        };
        facts.claimed_by = facts.claimed_by.or(claimer);
        if let PodState::Terminated(end) = record.state {
            facts.end = Some(end);
        }
        if let Some(wrong) = wrong {
            self.violated(format!("{pod} {wrong}"));
        }
    }

    fn take_item(&mut self, pod: PodId) {
        let Some(job) = self.jobs.get(&pod.job) else {
            return self.violated(format!("an item of {pod} was published without a Job"));
        };
        if job.record.gone {
            return;
        }
        let issued = self.issued(pod);
        self.must_not(!issued, || format!("an item of {pod} was published before it was issued"));
        if let Some(before) = pod.attempt.0.checked_sub(1) {
            let before = PodId { attempt: Attempt(before), ..pod };
            let over = self.has_ended(before);
            self.must_not(!over, || {
                format!("an item of {pod} was published before the end of its predecessor")
            });
        }
    }

    fn take_lease(&mut self, payload: &[u8], now: Millis) {
        let Ok(lease) = serde_json::from_slice::<Lease>(payload) else { return };
        let before = self.leases.get(&lease.worker);
        if lease.state == WorkerState::Lost
            && let Some((before, at)) = before
        {
            let allowed = before.lease_ms + before.grace_ms;
            if now < at + allowed {
                let worker = lease.worker.clone();
                self.violated(format!(
                    "{worker} was recorded as lost {} ms after its renewal",
                    now - at
                ));
            }
        }
        if lease.state == WorkerState::Lost {
            self.check_lost(&lease);
        }
        if matches!(lease.state, WorkerState::Ready | WorkerState::Draining) {
            let good = (Instant::now(), Duration::from_millis(lease.lease_ms));
            self.proofs.insert(lease.incarnation, good);
        }
        self.leases.insert(lease.worker.clone(), (lease, now));
    }

    /// Pods of a worker that is lost stand still, but for one look of the fence after a sleep.
    fn check_lost(&mut self, lease: &Lease) {
        let on = lease.incarnation;
        let drowsy = self.went_on.get(&on).is_some_and(|at| at.elapsed() <= ONE_LOOK);
        if drowsy || self.still.contains(&on) {
            return;
        }
        let running = self.running.iter().find(|(running, _)| running.on == on);
        if let Some((_, pod)) = running {
            let what = format!("{} was recorded as lost while {pod} ran on it", lease.worker);
            self.violated(what);
        }
    }

    /// Whether a life may have proof of its lease, or had until so long ago: it counts from when
    /// the link was sent, which was before it was stored.
    #[must_use]
    pub fn is_proven(&self, life: Incarnation, until: Duration) -> bool {
        let proof = self.proofs.get(&life);
        proof.is_some_and(|(stored, lease)| stored.elapsed() <= *lease + until)
    }

    /// A process of a pod is started.
    pub fn starts(&mut self, uid: &str, running: Running, restarts: bool) {
        let Some(pod) = self.by_uid.get(uid).copied() else {
            return self.violated(format!("a process of the unclaimed pod {uid} was started"));
        };
        let facts = self.pods.entry(pod).or_default();
        let wrong = if facts.purged {
            Some("was started after its records were purged")
        } else if facts.claimed_by != Some(running.on) {
            Some("was started by one who has no claim")
        } else if facts.end.is_some() {
            Some("was started after its end")
        } else if facts.ran_on.is_some_and(|on| on != running.on) {
            Some("ran twice")
        } else if facts.starts > 0 && !restarts {
            Some("was started twice")
        } else {
            None
        };
        facts.ran_on = Some(running.on);
        facts.starts += 1;
        if let Some(wrong) = wrong {
            self.violated(format!("{pod} {wrong}"));
        }
        self.running.insert(running, pod);
        self.check_overlap(running);
    }

    /// A process of a pod has ended.
    pub fn ends(&mut self, running: Running) {
        self.running.remove(&running);
    }

    /// Processes of a life stand still, or go on.
    pub fn stands(&mut self, on: Incarnation, still: bool) {
        if still {
            self.still.insert(on);
        } else {
            self.still.remove(&on);
            self.went_on.insert(on, Instant::now());
        }
    }

    /// Processes of a life that go on must be alone.
    pub fn check_overlaps(&mut self, on: Incarnation) {
        let own: Vec<Running> = self.running.keys().filter(|run| run.on == on).copied().collect();
        own.into_iter().for_each(|running| self.check_overlap(running));
    }

    fn check_overlap(&mut self, running: Running) {
        let Some(pod) = self.running.get(&running).copied() else { return };
        if self.still.contains(&running.on) {
            return;
        }
        let other = self.running.iter().find(|(other, at)| {
            **other != running
                && !self.still.contains(&other.on)
                && (at.job, at.slot) == (pod.job, pod.slot)
                && (**at != pod || other.on != running.on)
        });
        if let Some((_, other)) = other {
            let what = format!("{pod} and {other} run at the same time");
            self.violated(what);
        }
    }

    /// Pods that have a process, and on which life of a worker.
    pub fn running(&self) -> impl Iterator<Item = (PodId, Incarnation)> {
        self.running.iter().map(|(running, pod)| (*pod, running.on))
    }
}

/// The truth as an observer of the server.
pub struct Watching(pub SharedTruth);

impl Observer for Watching {
    fn stored(&mut self, subject: &str, _sequence: u64, payload: &Bytes, now: Millis) {
        let mut truth = lock(&self.0);
        let names = truth.names.clone();
        match names.parse_object_subject(subject) {
            Some(("jobs", _, _)) => return truth.take_job(payload, now),
            Some(("leases", "_workers", _)) => return truth.take_lease(payload, now),
            Some(_) => return,
            None => {}
        }
        if let Some((_, pod)) = names.parse_work_subject(subject) {
            return truth.take_item(pod);
        }
        match names.parse_pods_subject(subject) {
            Some(PodsSubject::Pod(pod)) => truth.take_pod(pod, payload),
            Some(PodsSubject::Order(pod)) => truth.pods.entry(pod).or_default().ordered = true,
            Some(PodsSubject::Word(_)) => {}
            None => {}
        }
    }

    fn removed(&mut self, subject: &str, purged: bool) {
        let mut truth = lock(&self.0);
        let names = truth.names.clone();
        if let Some((_, pod)) = names.parse_work_subject(subject) {
            let known = truth
                .pods
                .get(&pod)
                .is_some_and(|pod| pod.claimed_by.is_some() || pod.end.is_some() || pod.purged);
            let gone = truth.jobs.get(&pod.job).is_none_or(|job| job.record.gone);
            truth.must_not(!purged && !known && !gone, || {
                format!("the item of {pod} left the queue before a claim or an end")
            });
        } else if let Some(PodsSubject::Pod(pod)) = names.parse_pods_subject(subject) {
            let facts = truth.pods.entry(pod).or_default();
            facts.purged |= purged;
            facts.ghost = None;
        }
    }
}
