//! Which records of ended pods the pods' stream holds, and which of them go first when there are
//! too many. Pure.
//!
//! Successes go before failures, and of each those of the Jobs that finished first. Of Jobs that
//! go on, the oldest go, and only what the Job's record has closed.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use stint_common::collections::HashMap;
use stint_common::id::{JobUid, PodId};

use crate::job::Key;

/// How many records one round removes at most. The next follows as soon as it is done.
const A_ROUND: usize = 200_000;

/// What a record is worth to those who look at it later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// A success, or a pod that never ran.
    Little,
    /// A failure.
    Much,
}

/// The records of ended pods.
#[derive(Debug)]
pub(super) struct Kept {
    limit: usize,
    total: usize,
    jobs: HashMap<JobUid, OfJob>,
    finished: BTreeSet<(Timestamp, JobUid)>,
}

/// One Job's, each by its sequence in the stream.
#[derive(Debug, Default)]
struct OfJob {
    finished: Option<Timestamp>,
    little: BTreeMap<u64, Key>,
    much: BTreeMap<u64, Key>,
    orders: HashMap<Key, u64>,
    /// What clients have said something of, and whether they hold it by a finalizer.
    words: HashMap<Key, bool>,
}

/// Records that are worth the same.
type Class = fn(&OfJob) -> &BTreeMap<u64, Key>;

/// Records of one Job that are to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Retiring {
    pub(super) job: JobUid,
    /// Nothing of the Job is left then: its pods can be removed by one subject.
    pub(super) whole: bool,
    /// The Job has finished: none of its pods may start any more.
    pub(super) finished: bool,
    /// Sequences of the records.
    pub(super) records: Vec<u64>,
    /// Sequences of orders to the same pods.
    pub(super) orders: Vec<u64>,
    /// Those of the pods that clients have said something of, and do not hold.
    pub(super) words: Vec<Key>,
}

impl Kept {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, total: 0, jobs: HashMap::default(), finished: BTreeSet::new() }
    }

    /// A pod's last record was read. One that was stopped from outside is shown to nobody.
    pub(super) fn ended(&mut self, pod: PodId, sequence: u64, worth: Worth) {
        let of_job = self.jobs.entry(pod.job).or_default();
        let key = (pod.slot, pod.attempt);
        let records = match worth {
            Worth::Much if !of_job.orders.contains_key(&key) => &mut of_job.much,
            Worth::Much | Worth::Little => &mut of_job.little,
        };
        let new = records.insert(sequence, key).is_none();
        self.total += usize::from(new);
    }

    /// An order to a pod was read.
    pub(super) fn ordered(&mut self, pod: PodId, sequence: u64) {
        let of_job = self.jobs.entry(pod.job).or_default();
        of_job.orders.insert((pod.slot, pod.attempt), sequence);
    }

    /// A client's word of a pod was read. One that holds the pod stays until the Job goes.
    pub(super) fn spoken_of(&mut self, pod: PodId, held: bool) {
        let of_job = self.jobs.entry(pod.job).or_default();
        of_job.words.insert((pod.slot, pod.attempt), held);
    }

    /// A Job has finished.
    pub(super) fn finished(&mut self, job: JobUid, at: Timestamp) {
        let of_job = self.jobs.entry(job).or_default();
        if of_job.finished.is_none() {
            of_job.finished = Some(at);
            self.finished.insert((at, job));
        }
    }

    /// A Job is gone, and its records with it.
    pub(super) fn forget(&mut self, job: JobUid) {
        let Some(of_job) = self.jobs.remove(&job) else { return };
        self.total -= of_job.little.len() + of_job.much.len();
        if let Some(at) = of_job.finished {
            self.finished.remove(&(at, job));
        }
    }

    /// These records are no more.
    pub(super) fn removed(&mut self, retired: &Retiring) {
        let Some(of_job) = self.jobs.get_mut(&retired.job) else { return };
        for sequence in &retired.records {
            let little = of_job.little.remove(sequence);
            let gone = little.or_else(|| of_job.much.remove(sequence));
            self.total -= usize::from(gone.is_some());
        }
        of_job.orders.retain(|_, sequence| !retired.orders.contains(sequence));
        for key in &retired.words {
            of_job.words.remove(key);
        }
        if of_job.is_empty() {
            self.forget(retired.job);
        }
    }

    /// What must go so that no more than the limit are left. `is_over` says whether a pod of a Job
    /// that goes on is closed and ended by its durable record.
    pub(super) fn choose(&self, is_over: impl Fn(JobUid, Key) -> bool) -> Vec<Retiring> {
        let mut choice = Choice { left: self.excess().min(A_ROUND), jobs: BTreeMap::new() };
        if choice.left == 0 {
            return Vec::new();
        }
        let mut unfinished: Vec<(u64, JobUid)> = self
            .jobs
            .iter()
            .filter(|(_, of_job)| of_job.finished.is_none())
            .filter_map(|(job, of_job)| {
                let first = [of_job.little.keys().next(), of_job.much.keys().next()];
                Some((first.into_iter().flatten().min().copied()?, *job))
            })
            .collect();
        unfinished.sort_unstable();
        let classes: [Class; 2] = [|of_job| &of_job.little, |of_job| &of_job.much];
        for records in classes {
            for (_, job) in &self.finished {
                choice.take(*job, self.jobs.get(job), records, |_| true);
            }
            for (_, job) in &unfinished {
                choice.take(*job, self.jobs.get(job), records, |key| is_over(*job, key));
            }
        }
        choice.jobs.into_values().collect()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.total
    }

    /// How many records there are too many.
    pub(super) fn excess(&self) -> usize {
        self.total.saturating_sub(self.limit)
    }
}

impl OfJob {
    fn is_empty(&self) -> bool {
        self.little.is_empty()
            && self.much.is_empty()
            && self.orders.is_empty()
            && self.words.is_empty()
    }

    fn is_held(&self) -> bool {
        self.words.values().any(|held| *held)
    }
}

/// A choice as it is made.
struct Choice {
    left: usize,
    jobs: BTreeMap<JobUid, Retiring>,
}

impl Choice {
    fn take(
        &mut self,
        job: JobUid,
        of_job: Option<&OfJob>,
        records: Class,
        may_go: impl Fn(Key) -> bool,
    ) {
        let Some(of_job) = of_job.filter(|_| self.left > 0) else { return };
        let all = of_job.little.len() + of_job.much.len();
        for (sequence, key) in records(of_job) {
            if self.left == 0 {
                return;
            }
            if !may_go(*key) {
                continue;
            }
            let finished = of_job.finished.is_some();
            let retiring = self.jobs.entry(job).or_insert_with(|| Retiring {
                job,
                whole: false,
                finished,
                records: Vec::new(),
                orders: Vec::new(),
                words: Vec::new(),
            });
            retiring.records.push(*sequence);
            retiring.orders.extend(of_job.orders.get(key));
            retiring.words.extend(of_job.words.get(key).filter(|held| !**held).map(|_| *key));
            retiring.whole = finished && retiring.records.len() == all && !of_job.is_held();
            self.left -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stint_common::id::{Attempt, Slot};
    use uuid::Uuid;

    fn job(number: u128) -> JobUid {
        JobUid(Uuid::from_u128(number))
    }

    fn pod(of: u128, slot: u32) -> PodId {
        PodId { job: job(of), slot: Slot(slot), attempt: Attempt(0) }
    }

    /// Job 1 finished after Job 2; Job 3 goes on. Each has four successes and a failure.
    fn kept(limit: usize) -> Kept {
        let mut kept = Kept::new(limit);
        for (of, first) in [(1, 100), (2, 200), (3, 300)] {
            for slot in 0..4 {
                kept.ended(pod(of, slot), first + u64::from(slot), Worth::Little);
            }
            kept.ended(pod(of, 4), first + 4, Worth::Much);
        }
        kept.finished(job(1), Timestamp::from_second(20).unwrap());
        kept.finished(job(2), Timestamp::from_second(10).unwrap());
        kept
    }

    fn chosen(kept: &Kept) -> Vec<u64> {
        let mut records: Vec<u64> =
            kept.choose(|_, _| true).into_iter().flat_map(|retiring| retiring.records).collect();
        records.sort_unstable();
        records
    }

    #[test]
    fn successes_of_the_job_that_finished_first_go_first() {
        assert_eq!(chosen(&kept(15)), Vec::<u64>::new());
        assert_eq!(chosen(&kept(12)), [200, 201, 202]);
        assert_eq!(chosen(&kept(9)), [100, 101, 200, 201, 202, 203]);
        assert_eq!(
            chosen(&kept(3)),
            [100, 101, 102, 103, 200, 201, 202, 203, 300, 301, 302, 303],
            "failures are left"
        );
        assert_eq!(chosen(&kept(2)).len(), 13);
        let whole = kept(2).choose(|_, _| true);
        let whole: Vec<(JobUid, bool)> =
            whole.iter().map(|retiring| (retiring.job, retiring.whole)).collect();
        assert_eq!(whole, [(job(1), false), (job(2), true), (job(3), false)]);
    }

    #[test]
    fn what_a_running_job_has_not_closed_stays() {
        let kept = kept(0);
        let open = (Slot(2), Attempt(0));
        let chosen = kept.choose(|_, key| key != open);
        let of_running = chosen.iter().find(|retiring| retiring.job == job(3)).unwrap();
        assert_eq!(of_running.records, [300, 301, 303, 304]);
        assert!(!of_running.whole && !of_running.finished);
    }

    #[test]
    fn what_is_removed_is_forgotten() {
        let mut kept = kept(5);
        let chosen = kept.choose(|_, _| true);
        chosen.iter().for_each(|retired| kept.removed(retired));
        assert_eq!(kept.excess(), 0);
        assert_eq!(kept.choose(|_, _| true), []);
        kept.forget(job(1));
        kept.forget(job(2));
        kept.forget(job(3));
        assert_eq!((kept.total, kept.jobs.len(), kept.finished.len()), (0, 0, 0));
    }

    #[test]
    fn what_was_said_of_a_pod_goes_with_its_record_unless_it_holds_it() {
        let mut kept = kept(0);
        kept.spoken_of(pod(1, 3), false);
        kept.spoken_of(pod(2, 1), false);
        kept.spoken_of(pod(2, 2), true);
        let chosen = kept.choose(|_, _| true);
        let of = |number| chosen.iter().find(|retiring| retiring.job == job(number)).unwrap();
        assert_eq!((of(1).whole, of(1).words.clone()), (true, vec![(Slot(3), Attempt(0))]));
        assert_eq!((of(2).whole, of(2).words.clone()), (false, vec![(Slot(1), Attempt(0))]));
        chosen.iter().for_each(|retired| kept.removed(retired));
        assert_eq!(kept.jobs.keys().collect::<Vec<_>>(), [&job(2)], "its word holds a pod");
    }

    #[test]
    fn a_stopped_pod_is_worth_little_and_its_order_goes_with_it() {
        let mut kept = kept(14);
        kept.ordered(pod(2, 4), 203);
        kept.ended(pod(2, 5), 5, Worth::Much);
        kept.ordered(pod(2, 6), 6);
        kept.ended(pod(2, 6), 7, Worth::Much);
        let chosen = kept.choose(|_, _| true);
        assert_eq!(
            (chosen[0].records.clone(), chosen[0].orders.clone()),
            (vec![7, 200, 201], vec![6])
        );
    }
}
