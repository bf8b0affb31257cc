//! Which pods there are and what is known of each, and what has changed lately.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde_json::Value;
use stint_common::id::{JobUid, PodId, Slot};
use stint_common::names::Names;
use stint_common::nats::Entry;

use crate::job::Key;
use crate::registry::convert::StoredJob;
use crate::registry::pods::{PodNews, show};
use crate::registry::pods_position::{Cause, PodsPosition};
use crate::store::{Change, Replica, Watcher};

/// Changes that are kept.
const LOG: usize = 16_384;
/// Ended pods that are remembered, about as many as there are records of such.
const ENDED: usize = 100_000;
/// What is heard of pods whose Job is not known is forgotten after this: the Job is gone.
const STRANGE: Duration = Duration::from_secs(60);

/// The account.
pub(super) struct Account {
    names: Names,
    watcher: Watcher,
    jobs: HashMap<JobUid, JobPods>,
    /// Pods that have ended, oldest first.
    ended: VecDeque<PodId>,
    /// How far it goes.
    pub(super) at: PodsPosition,
    log: VecDeque<Arc<PodChange>>,
    /// How many changes have fallen out of the log.
    fallen: u64,
    /// Who knows less than this cannot go on from the log.
    pub(super) horizon: PodsPosition,
    /// Changes are kept.
    is_open: bool,
    /// It goes no further.
    pub(super) over: bool,
}

/// One Job and its pods.
#[derive(Default)]
struct JobPods {
    job: Option<Arc<StoredJob>>,
    news: BTreeMap<Key, Arc<PodNews>>,
    /// Pods that the Job's record may still change.
    open: BTreeSet<Key>,
    /// Since when the Job is not known.
    strange_since: Option<Instant>,
}

/// That something was told that may have changed a pod.
pub(crate) struct PodChange {
    /// Where the account stood behind it.
    pub(crate) at: PodsPosition,
    /// What told it.
    pub(crate) cause: Cause,
    pod: PodId,
    before: Look,
    after: Look,
    shown: OnceLock<Shown>,
}

/// What a pod looks like follows from this.
#[derive(Clone)]
struct Look {
    job: Option<Arc<StoredJob>>,
    news: Arc<PodNews>,
}

/// A pod before and after a change; the same pod if nothing of it is seen to have changed.
pub(crate) struct Shown {
    /// `None`: it was not there.
    pub(crate) before: Option<Value>,
    /// `None`: it is gone.
    pub(crate) after: Option<Value>,
}

impl Look {
    fn object(&self, pod: PodId) -> Option<Value> {
        self.job.as_ref().and_then(|job| show(job, pod, &self.news))
    }
}

impl PodChange {
    /// In which namespace it happened.
    pub(crate) fn namespace(&self) -> &str {
        let job = self.after.job.as_ref().or(self.before.job.as_ref());
        job.map_or("", |job| job.namespace())
    }

    /// The slot of its pod.
    pub(crate) fn slot(&self) -> Slot {
        self.pod.slot
    }

    /// What is seen of it; made once for all watches.
    pub(crate) fn shown(&self) -> &Shown {
        self.shown.get_or_init(|| Shown {
            before: self.before.object(self.pod),
            after: self.after.object(self.pod),
        })
    }
}

impl Account {
    /// The Jobs that there are.
    pub(super) fn begin(names: Names, replica: &Arc<Replica>) -> Self {
        let (objects, revision) = replica.list("jobs", None);
        let mut jobs: HashMap<JobUid, JobPods> = HashMap::new();
        for job in objects.iter().filter_map(|object| StoredJob::one_of_many(object)) {
            let (uid, open) = (job.uid, issued(&job).collect());
            jobs.insert(uid, JobPods { job: Some(Arc::new(job)), open, ..JobPods::default() });
        }
        // Nothing has happened to Jobs since the last of them changed or went.
        let jobs_known = replica.newest("jobs");
        Self {
            names,
            watcher: replica.watch(revision),
            jobs,
            at: PodsPosition { jobs: jobs_known, slots: 0, pods: 0 },
            ended: VecDeque::new(),
            log: VecDeque::new(),
            fallen: 0,
            horizon: PodsPosition::default(),
            is_open: false,
            over: false,
        }
    }

    /// From now on changes are kept.
    pub(super) fn open(&mut self) {
        self.horizon = self.at;
        self.is_open = true;
    }

    /// The number of the first change that is kept.
    pub(super) fn first(&self) -> u64 {
        self.fallen
    }

    /// The number of the change to come.
    pub(super) fn end(&self) -> u64 {
        self.fallen + u64::try_from(self.log.len()).unwrap_or(0)
    }

    /// Changes from a number on; none if they are not kept any more.
    pub(super) fn after(&self, next: u64, most: usize) -> Option<Vec<Arc<PodChange>>> {
        if self.over {
            return None;
        }
        let from = usize::try_from(next.checked_sub(self.fallen)?).ok()?;
        Some(self.log.iter().skip(from).take(most).cloned().collect())
    }

    /// Takes in what the replica knows of Jobs.
    pub(super) fn take_jobs(&mut self) {
        match self.watcher.poll() {
            Ok(changes) => {
                for change in &changes {
                    self.take_job(change);
                }
                if self.is_open {
                    self.know_jobs(self.watcher.cursor());
                }
            }
            Err(_) => self.over = true,
        }
    }

    fn know_jobs(&mut self, revision: u64) {
        self.at = self.at.join(PodsPosition { jobs: revision, ..PodsPosition::default() });
    }

    /// A record may tell of many pods: who has heard of some of them knows the record before it,
    /// and this one up to a slot.
    fn take_job(&mut self, change: &Change) {
        let revision = change.object.revision;
        self.know_jobs(revision.saturating_sub(1));
        let changed = match StoredJob::one_of_many(&change.object) {
            None => Vec::new(),
            Some(job) if change.gone => self.jobs.remove(&job.uid).map_or(Vec::new(), |pods| {
                let gone = |key| {
                    let before = pods.look(key);
                    let after = Look { job: None, news: Arc::clone(&before.news) };
                    (job.pod(key), before, after)
                };
                pods.keys().map(gone).collect()
            }),
            Some(job) => self.change_job(job),
        };
        let slots: Vec<Option<Slot>> =
            changed.iter().skip(1).map(|(pod, ..)| Some(pod.slot)).chain([None]).collect();
        for ((pod, before, after), next) in changed.into_iter().zip(slots) {
            match next {
                None => self.know_jobs(revision),
                Some(next) => self.at.slots = u64::from(next.0),
            }
            self.note(Cause::Job(revision), pod, before, after);
        }
        self.know_jobs(revision);
    }

    /// Pods of which a Job's record tells something new, in the order of their slots.
    fn change_job(&mut self, job: StoredJob) -> Vec<(PodId, Look, Look)> {
        let uid = job.uid;
        let job = Arc::new(job);
        let pods = self.jobs.entry(uid).or_default();
        let before = pods.job.replace(Arc::clone(&job));
        pods.strange_since = None;
        pods.open.extend(issued(&job));
        let remade = before.as_ref().is_none_or(|it| it.record.template != job.record.template);
        let keys: Vec<Key> =
            if remade { pods.keys().collect() } else { pods.open.iter().copied().collect() };
        let (was, is) = (before.as_deref().map(Told::of), Told::of(&job));
        let mut changed = Vec::new();
        for key in keys {
            let news = pods.news.get(&key).cloned().unwrap_or_default();
            let claimed = news.record.is_some();
            let old = was.as_ref().map(|told| told.of_pod(key, claimed));
            let new = is.of_pod(key, claimed);
            if new.is_final && (!claimed || news.has_ended()) {
                pods.open.remove(&key);
            }
            if remade || old.is_none_or(|old| old != new) {
                changed.push((key, news));
            }
        }
        let looks = changed.into_iter().map(|(key, news)| {
            let look = |job| Look { job, news: Arc::clone(&news) };
            (job.pod(key), look(before.clone()), look(Some(Arc::clone(&job))))
        });
        looks.collect()
    }

    /// Takes in what the pods' stream tells.
    pub(super) fn take_entries(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.at.pods = self.at.pods.max(entry.sequence);
            let Some(subject) = self.names.parse_pods_subject(&entry.subject) else { continue };
            let pod = subject.pod();
            let key = (pod.slot, pod.attempt);
            let pods = self.jobs.entry(pod.job).or_default();
            if pods.job.is_none() {
                pods.strange_since.get_or_insert_with(Instant::now);
            }
            let before = pods.look(key);
            let mut news = PodNews::clone(&before.news);
            news.take(subject, &entry.payload, entry.sequence);
            let news = Arc::new(news);
            pods.news.insert(key, Arc::clone(&news));
            pods.open.insert(key);
            let just_ended = news.has_ended() && !before.news.has_ended();
            let after = Look { job: before.job.clone(), news };
            self.note(Cause::Pod(entry.sequence), pod, before, after);
            if just_ended {
                self.remember(pod);
            }
        }
    }

    /// One more has ended: the one that did so longest ago is forgotten, as its record will be.
    fn remember(&mut self, pod: PodId) {
        self.ended.push_back(pod);
        if self.ended.len() > ENDED
            && let Some(oldest) = self.ended.pop_front()
            && let Some(pods) = self.jobs.get_mut(&oldest.job)
        {
            pods.news.remove(&(oldest.slot, oldest.attempt));
        }
    }

    fn note(&mut self, cause: Cause, pod: PodId, before: Look, after: Look) {
        if !self.is_open || (before.job.is_none() && after.job.is_none()) {
            return;
        }
        let shown = OnceLock::new();
        self.log.push_back(Arc::new(PodChange { at: self.at, cause, pod, before, after, shown }));
        while self.log.len() > LOG {
            let Some(oldest) = self.log.pop_front() else { break };
            self.fallen += 1;
            self.horizon = self.horizon.join(oldest.at);
        }
    }

    /// Forgets what was heard of Jobs that are not known.
    pub(super) fn sweep(&mut self) {
        self.jobs.retain(|_, pods| pods.strange_since.is_none_or(|at| at.elapsed() < STRANGE));
    }
}

impl JobPods {
    fn look(&self, key: Key) -> Look {
        Look { job: self.job.clone(), news: self.news.get(&key).cloned().unwrap_or_default() }
    }

    /// Every pod that is known.
    fn keys(&self) -> impl Iterator<Item = Key> + '_ {
        let all: BTreeSet<Key> = self.news.keys().chain(&self.open).copied().collect();
        all.into_iter()
    }
}

/// Pods that a Job's record says there are, and that may not have been heard of yet.
fn issued(job: &StoredJob) -> impl Iterator<Item = Key> + '_ {
    let ledger = &job.record.ledger;
    ledger.unfinished().filter_map(|slot| Some((slot, ledger.slot(slot).open()?)))
}

/// All that a Job's record says of one pod, but for its template.
#[derive(PartialEq, Eq)]
struct Signature {
    exists: bool,
    closed: bool,
    uncounted: bool,
    /// Of one that nobody has claimed: when it was made, and how often its index has failed.
    unclaimed: Option<(Option<jiff::Timestamp>, u32, u32)>,
    /// Nothing of it will change any more.
    is_final: bool,
}

/// A Job's record, where pods can be looked up.
struct Told<'a> {
    job: &'a StoredJob,
    uncounted: HashSet<Key>,
}

impl<'a> Told<'a> {
    fn of(job: &'a StoredJob) -> Self {
        let status = &job.record.status;
        let uncounted = status.uncounted_failed.iter().chain(&status.uncounted_succeeded);
        Self { job, uncounted: uncounted.copied().collect() }
    }

    fn of_pod(&self, key: Key, claimed: bool) -> Signature {
        let (ledger, status) = (&self.job.record.ledger, &self.job.record.status);
        let slot = ledger.slot(key.0);
        let closed = ledger.is_done(key.0) || key.1.0 < slot.closed;
        let uncounted = self.uncounted.contains(&key);
        Signature {
            exists: key.1.0 < slot.issued,
            closed,
            uncounted,
            unclaimed: (!claimed).then_some((status.start_time, slot.failures, slot.ignored)),
            is_final: closed && !uncounted,
        }
    }
}
