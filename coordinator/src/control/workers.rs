//! What the owner knows of the workers: whose leases run, and which pods each has claimed. Pure.
//!
//! A worker is condemned only by a durable record, and only after its last renewal was seen
//! unchanged for lease + grace by the owner's own clock; a gap in the owner's own life starts all
//! clocks anew.

use std::time::Duration;

use stint_common::collections::{HashMap, HashSet};
use stint_common::id::{Incarnation, PodId};
use stint_common::placing::{self, Mismatch};
use stint_common::time::Instant;
use stint_common::wire::{Class, WorkerLease, WorkerState};

/// One worker.
#[derive(Debug)]
struct Worker {
    lease: WorkerLease,
    revision: u64,
    seen: Instant,
}

/// The workers, and the pods that incarnations have claimed.
#[derive(Debug, Default)]
pub(super) struct Workers {
    workers: HashMap<String, Worker>,
    claims: HashMap<Incarnation, HashSet<PodId>>,
}

/// A worker to be recorded as lost: by compare-and-set expecting the last renewal seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condemned {
    /// The lease as it was, with the state set to lost.
    pub(super) lease: WorkerLease,
    /// The revision of the renewal that must still stand.
    pub(super) revision: u64,
}

impl Workers {
    /// A lease record was read. Returns the incarnations that are over by it, with pods to be
    /// ended.
    pub(super) fn observe(
        &mut self,
        lease: WorkerLease,
        revision: u64,
        now: Instant,
    ) -> Vec<Incarnation> {
        let mut over = Vec::new();
        let known = self.workers.get(&lease.worker);
        if known.is_some_and(|known| known.revision >= revision) {
            return over;
        }
        if let Some(known) = known
            && known.lease.incarnation != lease.incarnation
        {
            over.push(known.lease.incarnation);
        }
        if matches!(lease.state, WorkerState::Lost | WorkerState::Gone) {
            over.push(lease.incarnation);
        }
        self.workers.insert(lease.worker.clone(), Worker { lease, revision, seen: now });
        over.retain(|incarnation| self.claims.contains_key(incarnation));
        over
    }

    /// A pod was claimed. Says whether the claiming incarnation is known to live.
    pub(super) fn claim(&mut self, pod: PodId, worker: &str, incarnation: Incarnation) -> bool {
        self.claims.entry(incarnation).or_default().insert(pod);
        self.lives(worker, incarnation)
    }

    /// A pod ended.
    pub(super) fn release(&mut self, pod: PodId, incarnation: Incarnation) {
        if let Some(pods) = self.claims.get_mut(&incarnation) {
            pods.remove(&pod);
            if pods.is_empty() {
                self.claims.remove(&incarnation);
            }
        }
    }

    /// Whether this incarnation's lease is the worker's current one, and not over.
    #[must_use]
    pub(super) fn lives(&self, worker: &str, incarnation: Incarnation) -> bool {
        self.workers.get(worker).is_some_and(|worker| {
            worker.lease.incarnation == incarnation
                && matches!(worker.lease.state, WorkerState::Ready | WorkerState::Draining)
        })
    }

    /// The pods that an incarnation has claimed.
    #[must_use]
    pub(super) fn claimed_by(&self, incarnation: Incarnation) -> Vec<PodId> {
        self.claims.get(&incarnation).into_iter().flatten().copied().collect()
    }

    /// Incarnations with claims whose lease is not known to run: their records must be looked up.
    #[must_use]
    pub(super) fn unaccounted(&self) -> Vec<Incarnation> {
        let living: HashSet<Incarnation> = self
            .workers
            .values()
            .filter(|worker| {
                matches!(worker.lease.state, WorkerState::Ready | WorkerState::Draining)
            })
            .map(|worker| worker.lease.incarnation)
            .collect();
        self.claims.keys().filter(|incarnation| !living.contains(incarnation)).copied().collect()
    }

    /// Workers whose lease and grace have run out since their last renewal was seen.
    #[must_use]
    pub(super) fn condemned(&self, now: Instant) -> Vec<Condemned> {
        self.workers
            .values()
            .filter(|worker| {
                matches!(worker.lease.state, WorkerState::Ready | WorkerState::Draining)
            })
            .filter(|worker| {
                let allowed = Duration::from_millis(worker.lease.lease_ms + worker.lease.grace_ms);
                now.duration_since(worker.seen) >= allowed
            })
            .map(|worker| Condemned {
                lease: WorkerLease { state: WorkerState::Lost, ..worker.lease.clone() },
                revision: worker.revision,
            })
            .collect()
    }

    /// The owner slept: nobody is condemned for what it did not see.
    pub(super) fn restart_clocks(&mut self, now: Instant) {
        for worker in self.workers.values_mut() {
            worker.seen = now;
        }
    }

    /// How many pods of a class all ready workers run at a time, if they run nothing else.
    #[must_use]
    pub(super) fn slots(&self, class: &Class) -> usize {
        self.ready().map(|lease| slots_of(lease, class)).fold(0, usize::saturating_add)
    }

    /// How many workers there are in each state.
    #[must_use]
    pub(super) fn by_state(&self) -> Vec<(&'static str, u64)> {
        let count = |state: WorkerState| {
            let count = self.workers.values().filter(|worker| worker.lease.state == state).count();
            u64::try_from(count).unwrap_or(u64::MAX)
        };
        vec![
            ("ready", count(WorkerState::Ready)),
            ("draining", count(WorkerState::Draining)),
            ("gone", count(WorkerState::Gone)),
            ("lost", count(WorkerState::Lost)),
        ]
    }

    /// Why each ready worker that does not run pods of a class does not.
    #[must_use]
    pub(super) fn refusals(&self, class: &Class) -> Vec<Mismatch> {
        let leases = self.ready().map(|lease| (lease.worker.as_str(), lease.offers()));
        placing::refusals(class, leases)
    }

    fn ready(&self) -> impl Iterator<Item = &WorkerLease> {
        let leases = self.workers.values().map(|worker| &worker.lease);
        leases.filter(|lease| lease.state == WorkerState::Ready)
    }
}

fn slots_of(lease: &WorkerLease, class: &Class) -> usize {
    let slots = match lease.offers() {
        None if *class == Class::default() => u64::from(lease.slots),
        None => 0,
        Some(offer) => match placing::fits(class, &lease.worker, &offer) {
            Ok(()) => placing::room(&class.request, &offer),
            Err(_) => 0,
        },
    };
    usize::try_from(slots).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stint_common::id::{Attempt, JobUid, Slot};
    use stint_common::wire::NodeWord;
    use uuid::Uuid;

    fn lease(incarnation: u128, state: WorkerState) -> WorkerLease {
        WorkerLease {
            v: 1,
            worker: "a".into(),
            incarnation: Incarnation(Uuid::from_u128(incarnation)),
            home: Incarnation(Uuid::nil()),
            renewal: 0,
            state,
            slots: 4,
            offer: None,
            word: NodeWord::default(),
            hostname: "a".into(),
            started_at: jiff::Timestamp::UNIX_EPOCH,
            home_since: None,
            lease_ms: 60_000,
            grace_ms: 10_000,
            version: "0".into(),
            machine: None,
        }
    }

    fn pod() -> PodId {
        PodId { job: JobUid(Uuid::nil()), slot: Slot(0), attempt: Attempt(0) }
    }

    #[test]
    fn a_silent_worker_is_condemned_after_lease_and_grace_and_not_before() {
        let start = Instant::now();
        let mut workers = Workers::default();
        workers.observe(lease(1, WorkerState::Ready), 5, start);
        assert!(workers.condemned(start + Duration::from_secs(69)).is_empty());
        let condemned = workers.condemned(start + Duration::from_secs(70));
        assert_eq!(condemned.len(), 1);
        assert_eq!((condemned[0].revision, condemned[0].lease.state), (5, WorkerState::Lost));
        workers.restart_clocks(start + Duration::from_secs(70));
        assert!(workers.condemned(start + Duration::from_secs(71)).is_empty());
    }

    #[test]
    fn a_new_life_ends_the_claims_of_the_old_one() {
        let now = Instant::now();
        let mut workers = Workers::default();
        let old = Incarnation(Uuid::from_u128(1));
        workers.observe(lease(1, WorkerState::Ready), 1, now);
        assert!(workers.claim(pod(), "a", old));
        assert_eq!(workers.observe(lease(2, WorkerState::Ready), 2, now), [old]);
        assert!(!workers.lives("a", old));
        assert_eq!(workers.claimed_by(old), [pod()]);
        assert_eq!(workers.unaccounted(), [old]);
        workers.release(pod(), old);
        assert!(workers.unaccounted().is_empty());
        assert_eq!(workers.slots(&Class::default()), 4);
    }

    #[test]
    fn a_lost_worker_stays_lost_and_old_news_changes_nothing() {
        let now = Instant::now();
        let mut workers = Workers::default();
        let one = Incarnation(Uuid::from_u128(1));
        workers.claim(pod(), "a", one);
        assert_eq!(workers.observe(lease(1, WorkerState::Lost), 9, now), [one]);
        assert!(workers.observe(lease(1, WorkerState::Ready), 8, now).is_empty());
        assert!(!workers.lives("a", one));
        assert!(workers.condemned(now + Duration::from_secs(999)).is_empty());
    }
}
