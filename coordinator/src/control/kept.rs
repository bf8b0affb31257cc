//! Which records of ended pods the pods' stream holds, and which of them go first when there are
//! too many. Pure.
//!
//! Successes go before failures, and of each those of the Jobs that finished first. Of Jobs that
//! go on, the oldest go, and only what the Job's record has closed. What clients hold by a
//! finalizer stays, and does not count.
//!
//! Orders and words go with the record of their pod. Those whose record is gone already, since who
//! removed it died then, or since they came too late, are loose, and go by themselves.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use stint_common::collections::{HashMap, HashSet};
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
    /// So many of them are held by clients.
    held: usize,
    jobs: HashMap<JobUid, OfJob>,
    finished: BTreeSet<(Timestamp, JobUid)>,
    /// Pods with an order or a word, and without a last record.
    loose: BTreeSet<PodId>,
}

/// One Job's, each by its sequence in the stream.
#[derive(Debug, Default)]
struct OfJob {
    finished: Option<Timestamp>,
    little: BTreeMap<u64, Key>,
    much: BTreeMap<u64, Key>,
    /// The pods that these are of.
    ended: HashSet<Key>,
    orders: HashMap<Key, u64>,
    words: HashMap<Key, Word>,
}

/// What clients say of a pod.
#[derive(Clone, Copy, Debug)]
struct Word {
    sequence: u64,
    /// By a finalizer.
    holds: bool,
}

/// Records that are worth the same.
type Class = fn(&OfJob) -> &BTreeMap<u64, Key>;

/// What is to be removed of one Job, unless it is held by then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) job: JobUid,
    /// The Job has finished: none of its pods may start any more.
    pub(super) finished: bool,
    /// Sequences of records.
    records: Vec<u64>,
    /// Pods of which there are only orders and words.
    loose: Vec<Key>,
}

/// What is removed of one Job, each by its sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Retiring {
    pub(super) job: JobUid,
    /// Nothing of the Job is left then: its pods can be removed by one subject.
    pub(super) whole: bool,
    pub(super) records: Vec<u64>,
    /// To the same pods.
    pub(super) orders: Vec<u64>,
    /// Of the same pods.
    pub(super) words: Vec<u64>,
}

impl Kept {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            total: 0,
            held: 0,
            jobs: HashMap::default(),
            finished: BTreeSet::new(),
            loose: BTreeSet::new(),
        }
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
        if of_job.ended.insert(key) && of_job.holds(key) {
            self.held += 1;
        }
        self.loose.remove(&pod);
    }

    /// Whether a pod's last record was read, and is kept.
    pub(super) fn has_ended(&self, pod: PodId) -> bool {
        let of_job = self.jobs.get(&pod.job);
        of_job.is_some_and(|of_job| of_job.ended.contains(&(pod.slot, pod.attempt)))
    }

    /// An order to a pod was read.
    pub(super) fn ordered(&mut self, pod: PodId, sequence: u64) {
        let of_job = self.jobs.entry(pod.job).or_default();
        let key = (pod.slot, pod.attempt);
        of_job.orders.insert(key, sequence);
        if !of_job.ended.contains(&key) {
            self.loose.insert(pod);
        }
    }

    /// A client's word of a pod was read. What it holds stays until it is taken back, or the Job
    /// goes.
    pub(super) fn spoken_of(&mut self, pod: PodId, sequence: u64, holds: bool) {
        let of_job = self.jobs.entry(pod.job).or_default();
        let key = (pod.slot, pod.attempt);
        let before = of_job.words.insert(key, Word { sequence, holds });
        if of_job.ended.contains(&key) {
            self.held += usize::from(holds);
            self.held -= usize::from(before.is_some_and(|word| word.holds));
        } else {
            self.loose.insert(pod);
        }
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
        self.held -= of_job.ended.iter().filter(|key| of_job.holds(**key)).count();
        for key in of_job.orders.keys().chain(of_job.words.keys()) {
            self.loose.remove(&pod_of(job, *key));
        }
        if let Some(at) = of_job.finished {
            self.finished.remove(&(at, job));
        }
    }

    /// These are no more. What has been said of their pods meanwhile is loose.
    pub(super) fn removed(&mut self, retired: &Retiring) {
        let Some(of_job) = self.jobs.get_mut(&retired.job) else { return };
        let mut touched: Vec<Key> = Vec::new();
        for sequence in &retired.records {
            let little = of_job.little.remove(sequence);
            let Some(key) = little.or_else(|| of_job.much.remove(sequence)) else { continue };
            self.total -= 1;
            if of_job.ended.remove(&key) && of_job.holds(key) {
                self.held -= 1;
            }
            touched.push(key);
        }
        let gone: HashSet<u64> = retired.orders.iter().chain(&retired.words).copied().collect();
        touched.extend(of_job.orders.extract_if(|_, it| gone.contains(it)).map(|(key, _)| key));
        let words = of_job.words.extract_if(|_, word| gone.contains(&word.sequence));
        touched.extend(words.map(|(key, _)| key));
        for key in touched {
            if of_job.is_loose(key) {
                self.loose.insert(pod_of(retired.job, key));
            } else {
                self.loose.remove(&pod_of(retired.job, key));
            }
        }
        if of_job.is_empty() {
            self.forget(retired.job);
        }
    }

    /// What must go so that no more than the limit are left, and what is loose. `is_over` says
    /// whether a pod is closed and ended by its Job's durable record.
    pub(super) fn choose(&self, is_over: impl Fn(JobUid, Key) -> bool) -> Vec<Chosen> {
        let mut choice = Choice { left: self.excess().min(A_ROUND), jobs: BTreeMap::new() };
        if choice.left > 0 {
            self.choose_records(&mut choice, &is_over);
        }
        for pod in &self.loose {
            let (of_job, key) = (self.jobs.get(&pod.job), (pod.slot, pod.attempt));
            if let Some(of_job) = of_job.filter(|of_job| !of_job.holds(key))
                && is_over(pod.job, key)
            {
                choice.of(pod.job, of_job).loose.push(key);
            }
        }
        choice.jobs.into_values().collect()
    }

    fn choose_records(&self, choice: &mut Choice, is_over: &impl Fn(JobUid, Key) -> bool) {
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
    }

    /// What of this may still go, after others have had time to say that they hold it, and what was
    /// said of its pods by now.
    pub(super) fn may_still_go(&self, chosen: &[Chosen]) -> Vec<Retiring> {
        let retiring = chosen
            .iter()
            .filter_map(|chosen| Some(self.jobs.get(&chosen.job)?.may_still_go(chosen)));
        retiring.filter(|retiring| !retiring.is_empty()).collect()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.total
    }

    /// Whether something may have to go.
    pub(super) fn may_have_to_go(&self) -> bool {
        self.excess() > 0 || !self.loose.is_empty()
    }

    /// How many records there are too many.
    fn excess(&self) -> usize {
        (self.total - self.held).saturating_sub(self.limit)
    }
}

fn pod_of(job: JobUid, (slot, attempt): Key) -> PodId {
    PodId { job, slot, attempt }
}

impl Retiring {
    fn is_empty(&self) -> bool {
        self.records.is_empty() && self.orders.is_empty() && self.words.is_empty()
    }
}

impl OfJob {
    fn is_empty(&self) -> bool {
        self.little.is_empty()
            && self.much.is_empty()
            && self.orders.is_empty()
            && self.words.is_empty()
    }

    fn holds(&self, key: Key) -> bool {
        self.words.get(&key).is_some_and(|word| word.holds)
    }

    fn is_loose(&self, key: Key) -> bool {
        let said = self.orders.contains_key(&key) || self.words.contains_key(&key);
        said && !self.ended.contains(&key)
    }

    fn may_still_go(&self, chosen: &Chosen) -> Retiring {
        let key_of = |sequence| self.little.get(sequence).or_else(|| self.much.get(sequence));
        let records = chosen.records.iter().filter_map(|it| Some((*it, *key_of(it)?)));
        let (records, mut keys): (Vec<u64>, Vec<Key>) =
            records.filter(|(_, key)| !self.holds(*key)).unzip();
        let loose = chosen.loose.iter().copied();
        keys.extend(loose.filter(|key| self.is_loose(*key) && !self.holds(*key)));
        let all = self.little.len() + self.much.len();
        let nothing_held = !self.words.values().any(|word| word.holds);
        Retiring {
            job: chosen.job,
            whole: chosen.finished && records.len() == all && nothing_held,
            records,
            orders: keys.iter().filter_map(|key| self.orders.get(key).copied()).collect(),
            words: keys.iter().filter_map(|key| Some(self.words.get(key)?.sequence)).collect(),
        }
    }
}

/// A choice as it is made.
struct Choice {
    left: usize,
    jobs: BTreeMap<JobUid, Chosen>,
}

impl Choice {
    fn of(&mut self, job: JobUid, of_job: &OfJob) -> &mut Chosen {
        let finished = of_job.finished.is_some();
        let nothing = || Chosen { job, finished, records: Vec::new(), loose: Vec::new() };
        self.jobs.entry(job).or_insert_with(nothing)
    }

    fn take(
        &mut self,
        job: JobUid,
        of_job: Option<&OfJob>,
        records: Class,
        may_go: impl Fn(Key) -> bool,
    ) {
        let Some(of_job) = of_job.filter(|_| self.left > 0) else { return };
        for (sequence, key) in records(of_job) {
            if self.left == 0 {
                return;
            }
            if may_go(*key) && !of_job.holds(*key) {
                self.of(job, of_job).records.push(*sequence);
                self.left -= 1;
            }
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

    fn retiring(kept: &Kept) -> Vec<Retiring> {
        kept.may_still_go(&kept.choose(|_, _| true))
    }

    fn chosen(kept: &Kept) -> Vec<u64> {
        let mut records: Vec<u64> =
            retiring(kept).into_iter().flat_map(|retiring| retiring.records).collect();
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
        let whole = retiring(&kept(2));
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
        assert!(
            !of_running.finished
                && kept.may_still_go(&chosen).iter().all(|it| !it.whole || it.job != job(3))
        );
    }

    #[test]
    fn what_is_removed_is_forgotten() {
        let mut kept = kept(5);
        let retired = retiring(&kept);
        retired.iter().for_each(|retired| kept.removed(retired));
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
        kept.spoken_of(pod(1, 3), 400, false);
        kept.spoken_of(pod(2, 1), 401, false);
        kept.spoken_of(pod(2, 2), 402, true);
        let retired = retiring(&kept);
        let of = |number| retired.iter().find(|retiring| retiring.job == job(number)).unwrap();
        assert_eq!((of(1).whole, of(1).words.clone()), (true, vec![400]));
        assert_eq!((of(2).whole, of(2).words.clone()), (false, vec![401]));
        assert_eq!(of(2).records, [200, 201, 203, 204], "one is held");
        retired.iter().for_each(|retired| kept.removed(retired));
        assert_eq!(kept.jobs.keys().collect::<Vec<_>>(), [&job(2)], "one is held");
        assert_eq!((kept.len(), kept.may_have_to_go()), (1, false), "and does not count");
        kept.spoken_of(pod(2, 2), 403, false);
        assert_eq!((retiring(&kept)[0].whole, chosen(&kept)), (true, vec![202]), "it is let go");
    }

    #[test]
    fn what_is_held_while_its_removal_waits_stays() {
        let mut kept = kept(0);
        let chosen = kept.choose(|_, _| true);
        kept.spoken_of(pod(1, 2), 500, true);
        kept.spoken_of(pod(2, 2), 501, false);
        let retired = kept.may_still_go(&chosen);
        let of = |number| retired.iter().find(|retiring| retiring.job == job(number)).unwrap();
        assert_eq!((of(1).whole, of(1).records.clone()), (false, vec![100, 101, 103, 104]));
        assert_eq!((of(2).whole, of(2).words.clone()), (true, vec![501]), "said meanwhile");
        // What is said while it is being removed is loose.
        kept.spoken_of(pod(2, 2), 502, false);
        retired.iter().for_each(|retired| kept.removed(retired));
        let rest = retiring(&kept);
        assert_eq!(rest.len(), 1);
        assert_eq!((rest[0].job, rest[0].words.clone()), (job(2), vec![502]));
    }

    #[test]
    fn what_is_left_without_its_record_goes_when_its_pod_is_over() {
        let mut kept = Kept::new(100);
        kept.ordered(pod(1, 1), 10);
        kept.spoken_of(pod(1, 1), 11, false);
        kept.spoken_of(pod(1, 2), 12, true);
        kept.spoken_of(pod(1, 3), 13, false);
        assert_eq!(kept.choose(|_, _| false), [], "all of them may still run");
        let over = |_, (slot, _): Key| slot != Slot(3);
        let chosen = kept.choose(over);
        let retired = kept.may_still_go(&chosen);
        assert_eq!(retired.len(), 1);
        assert_eq!((retired[0].orders.clone(), retired[0].words.clone()), (vec![10], vec![11]));
        retired.iter().for_each(|retired| kept.removed(retired));
        assert_eq!(kept.choose(over), []);
        // The record comes late: nothing is loose, and nothing goes.
        kept.ordered(pod(1, 4), 14);
        let chosen = kept.choose(over);
        kept.ended(pod(1, 4), 15, Worth::Little);
        assert_eq!((chosen.len(), kept.may_still_go(&chosen)), (1, Vec::new()));
        kept.forget(job(1));
        assert!(!kept.may_have_to_go());
    }

    #[test]
    fn a_stopped_pod_is_worth_little_and_its_order_goes_with_it() {
        let mut kept = kept(14);
        kept.ordered(pod(2, 4), 203);
        kept.ended(pod(2, 5), 5, Worth::Much);
        kept.ordered(pod(2, 6), 6);
        kept.ended(pod(2, 6), 7, Worth::Much);
        let chosen = retiring(&kept);
        assert_eq!(
            (chosen[0].records.clone(), chosen[0].orders.clone()),
            (vec![7, 200, 201], vec![6])
        );
    }
}
