//! Verbs on pods. A pod is its Job's template, its record and its order; nothing of it is stored as
//! an object, and one that nobody has claimed yet follows from its Job's ledger alone.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use stint_common::id::{self, Attempt, JobUid, PodId, Slot};
use stint_common::names::{PodsSubject, parse_pod_name, pod_generate_name};
use stint_common::nats::{ALL, Entry, Tail, TailEvent};
use stint_common::pod_meta::{
    CONTROLLER_UID, JOB_NAME, LEGACY_CONTROLLER_UID, LEGACY_JOB_NAME, PodSource,
};
use stint_common::wire::{
    IndexFailures, NOT_STARTED, Order, OrderKind, PodRecord, PodState, PodWord,
};

use super::Error;
use super::collection::list;
use super::convert::StoredJob;
use super::error::PODS;
use super::options::Options;
use super::pod_object::{Deletion, PodView, pod_object};
use super::pods_pages::{Asked, Snapshot, Token};
use super::pods_position::PodsPosition;
use super::scheduling::{is_unclaimed, unschedulable};
use super::selector::LabelSelector;
use super::store::Registry;
use crate::store::Object;

/// What the pods' stream says of one pod.
#[derive(Clone, Debug, Default)]
pub(super) struct PodNews {
    pub(super) record: Option<PodRecord>,
    pub(super) order: Option<Order>,
    pub(super) order_revision: u64,
    /// What clients say of it, and the revision of that.
    pub(super) word: Option<PodWord>,
    pub(super) word_revision: u64,
    pub(super) revision: u64,
}

impl PodNews {
    /// Takes an entry of the pods' stream in; `None` when it is not one of ours.
    pub(super) fn take(&mut self, subject: PodsSubject, payload: &[u8], revision: u64) {
        match subject {
            PodsSubject::Pod(_) => self.record = serde_json::from_slice(payload).ok(),
            PodsSubject::Order(_) => {
                self.order = serde_json::from_slice(payload).ok();
                self.order_revision = revision;
            }
            PodsSubject::Word(_) => {
                self.word = serde_json::from_slice(payload).ok();
                self.word_revision = revision;
            }
        }
        self.revision = self.revision.max(revision);
    }

    /// A client's word of it was stored.
    pub(super) fn spoken(&mut self, word: PodWord, revision: u64) {
        self.word = Some(word);
        self.word_revision = revision;
        self.revision = self.revision.max(revision);
    }

    /// Whether it is over.
    pub(super) fn has_ended(&self) -> bool {
        let state = self.record.as_ref().map(|record| &record.state);
        matches!(state, Some(PodState::Terminated(_)))
    }

    /// Whether it was told to end, or was deleted after its end.
    pub(super) fn is_deleted(&self) -> bool {
        self.order.is_some() || self.deleted_at().is_some()
    }

    /// Whether it still runs, and a word with this grace period would end it earlier than the one
    /// that it was told. A word without one never does.
    pub(super) fn would_end_earlier(&self, grace_seconds: Option<u32>) -> bool {
        let Some(order) = self.order.as_ref().filter(|_| !self.has_ended()) else { return false };
        let OrderKind::Stop { grace_seconds: told, .. } = order.kind;
        grace_seconds.is_some_and(|grace| grace < told)
    }

    /// Whether it was a client that had it end, or deleted it after its end.
    pub(super) fn is_deleted_by_client(&self) -> bool {
        self.order.as_ref().is_some_and(|order| order.deleted) || self.deleted_at().is_some()
    }

    /// When it was deleted, if it had ended by then.
    fn deleted_at(&self) -> Option<Timestamp> {
        self.word.as_ref().and_then(|word| word.deleted)
    }

    fn deletion(&self) -> Option<Deletion> {
        let ordered = self.order.as_ref().map(|order| {
            let OrderKind::Stop { grace_seconds, at, .. } = &order.kind;
            Deletion { at: *at, grace_seconds: *grace_seconds, evicted: order.evicted }
        });
        let deleted = |at| Deletion { at, grace_seconds: 0, evicted: false };
        ordered.or_else(|| self.deleted_at().map(deleted))
    }
}

/// Pods as a list gives them.
pub(super) struct PodsPage {
    pub(super) items: Vec<Value>,
    pub(super) position: PodsPosition,
    /// Where the list goes on.
    more: Option<Token>,
}

/// A pod, found by its name.
pub(super) struct FoundPod {
    pub(super) job: StoredJob,
    pub(super) pod: PodId,
    pub(super) news: PodNews,
}

impl FoundPod {
    pub(super) fn object(&self) -> Option<Value> {
        show(&self.job, self.pod, &self.news)
    }

    /// Why there is nothing to show of it.
    pub(super) fn is_gone(&self, name: &str) -> Error {
        if self.news.record.is_some() {
            return not_found(name);
        }
        let reason = "the pod has ended and was counted, and its record is no longer kept; the Job's \
                      status has the counters, and coordinators keep more with --keep-pods";
        Error::NotKept { resource: PODS, name: name.to_owned(), reason }
    }
}

/// The pod as a client sees it; `None` when it is gone: stopped from outside and over, deleted
/// after its end, or never started.
///
/// Whether one that has ended is gone follows from the pods' stream alone, so every reader finds
/// the same entry to be its deletion.
pub(super) fn show(job: &StoredJob, pod: PodId, news: &PodNews) -> Option<Value> {
    let slot = job.record.ledger.slot(pod.slot);
    let done = job.record.ledger.is_done(pod.slot);
    let closed = done || pod.attempt.0 < slot.closed;
    if pod.attempt.0 >= slot.issued {
        return None;
    }
    let end = news.record.as_ref().and_then(|record| match &record.state {
        PodState::Terminated(end) => Some(end),
        PodState::Claimed | PodState::Running(_) => None,
    });
    let unclaimed = news.record.is_none();
    let stopped = end.is_some_and(|end| news.is_deleted() || end.reason == NOT_STARTED);
    let held = news.word.as_ref().is_some_and(|word| !word.finalizers.is_empty());
    if (stopped || (unclaimed && closed)) && !held {
        return None;
    }
    let status = &job.record.status;
    let key = (pod.slot, pod.attempt);
    let uncounted =
        status.uncounted_failed.contains(&key) || status.uncounted_succeeded.contains(&key);
    let source = PodSource {
        job_name: job.name(),
        indexed: job.indexed(),
        template: &job.object["spec"]["template"],
    };
    let created =
        job.object["metadata"]["creationTimestamp"].as_str().and_then(|at| at.parse().ok());
    let view = PodView {
        created_at: news
            .record
            .as_ref()
            .map(|record| record.created_at)
            .or(status.start_time)
            .or(created)
            .unwrap_or_default(),
        record: news.record.as_ref(),
        deletion: news.deletion(),
        word: news.word.as_ref(),
        finalizer: !closed || uncounted,
        index_failures: match &news.record {
            Some(record) => record.index_failures,
            // Nobody has claimed it, so it is the open one, which the ledger speaks of.
            None => job
                .per_index()
                .then_some(IndexFailures { counted: slot.failures, ignored: slot.ignored }),
        },
        revision: Some(PodsPosition { jobs: job.revision, slots: 0, pods: news.revision.max(1) }),
    };
    Some(pod_object(job.namespace(), source, pod, &view))
}

impl Registry {
    /// Pods of one namespace, or of all, that match the selectors.
    ///
    /// # Errors
    ///
    /// 400 for a bad field; 503 when JetStream is away.
    pub async fn list_pods(
        &self,
        namespace: Option<&str>,
        options: &Options,
    ) -> Result<Value, Error> {
        let page = self.page_of_pods(namespace, options).await?;
        let mut metadata = json!({"resourceVersion": page.position.to_string()});
        if let Some(more) = page.more {
            metadata["continue"] = Value::from(more.to_string());
        }
        Ok(list("v1", "PodList", metadata, page.items))
    }

    /// What a list of pods gives, and where in the two streams it was made.
    pub(super) async fn page_of_pods(
        &self,
        namespace: Option<&str>,
        options: &Options,
    ) -> Result<PodsPage, Error> {
        let matches =
            options.fields.for_pods().map_err(|error| Error::BadRequest(error.to_string()))?;
        let begun = options.continue_after.as_deref().map(read_continue).transpose()?;
        let after = begun.map(|token| token.after);
        let asked = Asked::new(namespace, options);
        // From before the list on, so that a watch can go on from it.
        drop(self.pods_feed().await);
        let begun = begun.and_then(|token| token.snapshot);
        let snapshot = match begun.and_then(|id| self.pods_pages.find(id, &asked)) {
            Some(snapshot) => snapshot,
            None => Arc::new(self.snapshot_of_pods(namespace, options).await?),
        };
        let Snapshot { jobs, news, position, .. } = &*snapshot;
        // The list goes on behind the pod that the page before ended with; a Job that is gone since
        // then takes its place in the order along, so the page after it begins with the Job that
        // follows.
        let begin = after.and_then(|last| jobs.iter().position(|job| job.uid == last.job));
        let mut items: Vec<Value> = Vec::new();
        let mut bytes = 0;
        let mut last: Option<PodId> = None;
        let mut more = None;
        let none = PodNews::default();
        'jobs: for job in &jobs[begin.unwrap_or(0)..] {
            // Looked up once a Job, and only if one of its pods waits.
            let mut refused: Option<Option<String>> = None;
            for (pod, news) in pods_of(job, news) {
                if after.is_some_and(|after| after.job == pod.job && pod <= after) {
                    continue;
                }
                let Some(mut object) = show(job, pod, news.unwrap_or(&none)) else { continue };
                if is_unclaimed(&object)
                    && let Some(why) = refused.get_or_insert_with(|| self.refused(job))
                {
                    unschedulable(&mut object, why);
                }
                if !options.labels.matches_object(&object) || !matches(&object) {
                    continue;
                }
                if options.limit > 0 && items.len() == options.limit {
                    more = last;
                    break 'jobs;
                }
                last = Some(pod);
                bytes += object.to_string().len();
                items.push(object);
                if options.limit > 0 && bytes > self.page_bytes() {
                    more = last;
                    break 'jobs;
                }
            }
        }
        let id = snapshot.id;
        let more = more.map(|after| Token { after, snapshot: Some(id) });
        match more {
            Some(_) => self.pods_pages.keep(asked, &snapshot),
            None => self.pods_pages.forget(id),
        }
        Ok(PodsPage { items, position: *position, more })
    }

    /// What there is to be listed.
    async fn snapshot_of_pods(
        &self,
        namespace: Option<&str>,
        options: &Options,
    ) -> Result<Snapshot, Error> {
        self.replica.fresh().await?;
        let (jobs, applied) = self.jobs_with_pods(namespace, options)?;
        // Asked for first, so that the list is not older than it says.
        let revision = self.pods_revision().await?;
        let (news, newest) = match self.read_open(&jobs, &options.fields).await? {
            Some(news) => (news, 0),
            None => self.read_news(&jobs).await,
        };
        let position = PodsPosition { jobs: applied, slots: 0, pods: revision.max(newest) };
        Ok(Snapshot { id: id::draw(), jobs, news, position })
    }

    /// Jobs whose pods a request can mean: the selector may name one. And the revision that this is
    /// of.
    pub(super) fn jobs_with_pods(
        &self,
        namespace: Option<&str>,
        options: &Options,
    ) -> Result<(Vec<StoredJob>, u64), Error> {
        let (objects, revision) = self.replica.list("jobs", namespace);
        let mut jobs = Vec::new();
        for object in objects {
            let by_hand = has_own_labels(&object);
            if !by_hand && !may_match(&object, options) {
                continue;
            }
            let Some(job) = StoredJob::one_of_many(&object) else { continue };
            if job.record.ledger.cursor > 0 && (by_hand || may_own(&job, options)) {
                jobs.push(job);
            }
        }
        Ok((jobs, revision))
    }

    /// What the pods' stream holds of these Jobs, and the stream's last sequence among it.
    async fn read_news(&self, jobs: &[StoredJob]) -> (BTreeMap<PodId, PodNews>, u64) {
        let names = &self.jet.names;
        // Each with a consumer of its own: with two filters one is slow.
        let filters = match jobs {
            [] => Vec::new(),
            [job] => vec![names.pods(Some(job.uid)), names.orders(Some(job.uid))],
            _ => vec![ALL.to_owned()],
        };
        let alone = filters.len() == 1;
        let wanted: HashSet<JobUid> = jobs.iter().map(|job| job.uid).collect();
        let start = |filter| Tail::start(self.jet.clone(), names.pods_stream(), vec![filter]);
        let tails: Vec<Tail> = filters.into_iter().map(start).collect();
        let mut news: BTreeMap<PodId, PodNews> = BTreeMap::new();
        let mut revision = 0;
        for mut tail in tails {
            while let Some(TailEvent::Entries(entries)) = tail.next().await {
                for entry in entries {
                    // One of several that has come so far says nothing of the others.
                    if alone {
                        revision = entry.sequence;
                    }
                    self.take_news(&wanted, &mut news, &entry);
                }
            }
        }
        (news, revision)
    }

    fn take_news(
        &self,
        wanted: &HashSet<JobUid>,
        news: &mut BTreeMap<PodId, PodNews>,
        entry: &Entry,
    ) {
        let Some(subject) = self.jet.names.parse_pods_subject(&entry.subject) else { return };
        let pod = subject.pod();
        if !wanted.contains(&pod.job) {
            return;
        }
        let news = news.entry(pod).or_default();
        news.take(subject, &entry.payload, entry.sequence);
        // Lists do not show it, and it may be most of a record.
        if let Some(PodRecord { state: PodState::Terminated(end), .. }) = &mut news.record {
            end.containers.iter_mut().for_each(|container| container.logs.inline = None);
        }
    }

    /// One pod.
    ///
    /// # Errors
    ///
    /// 404; 503 when JetStream is away.
    pub async fn get_pod(&self, namespace: &str, name: &str) -> Result<Value, Error> {
        let found = self.find_pod(namespace, name).await?;
        let mut object = found.object().ok_or_else(|| found.is_gone(name))?;
        if is_unclaimed(&object)
            && let Some(why) = self.refused(&found.job)
        {
            unschedulable(&mut object, &why);
        }
        Ok(object)
    }

    /// Finds a pod by its name: the name leads back to Job, slot and attempt.
    pub(super) async fn find_pod(&self, namespace: &str, name: &str) -> Result<FoundPod, Error> {
        self.replica.fresh().await?;
        for object in self.jobs_by_pod_name(namespace, name) {
            let job = StoredJob::of(&object)?;
            let ledger = &job.record.ledger;
            let pod = parse_pod_name(name, job.name(), job.indexed(), job.uid, |slot| {
                ledger.slot(slot).issued
            });
            let Some(pod) = pod else { continue };
            let news = self.read_pod(pod).await?;
            return Ok(FoundPod { job, pod, news });
        }
        Err(not_found(name))
    }

    /// Jobs that a pod of this name can belong to: those whose name is the pod's without its last
    /// one to three parts, or, for long names, which are cut, begins like it.
    fn jobs_by_pod_name(&self, namespace: &str, name: &str) -> Vec<Arc<Object>> {
        let mut candidates = Vec::new();
        let mut rest = name;
        for _ in 0..3 {
            let Some((front, _)) = rest.rsplit_once('-') else { break };
            candidates.extend(self.replica.get("jobs", namespace, front));
            rest = front;
        }
        let shortest_cut = pod_generate_name(&"x".repeat(63), Some(Slot(u32::MAX)));
        let shortest_cut = shortest_cut.trim_end_matches(|letter| letter != 'x').len();
        if candidates.is_empty() && name.len() > shortest_cut {
            let (objects, _) = self.replica.list("jobs", Some(namespace));
            let begins = &name[..shortest_cut.min(name.len())];
            candidates.extend(objects.into_iter().filter(|object| object.name.starts_with(begins)));
        }
        candidates
    }
}

fn read_continue(token: &str) -> Result<Token, Error> {
    let bad = || "continue key is not valid: it must come from the list before".to_owned();
    Token::read(token).ok_or_else(|| Error::BadRequest(bad()))
}

fn not_found(name: &str) -> Error {
    Error::NotFound { resource: PODS, name: name.to_owned() }
}

/// Every pod of a Job that anything is known of: those with records, and those issued and
/// unclaimed.
fn pods_of<'a>(
    job: &StoredJob,
    news: &'a BTreeMap<PodId, PodNews>,
) -> BTreeMap<PodId, Option<&'a PodNews>> {
    let first = PodId { job: job.uid, slot: Slot(0), attempt: Attempt(0) };
    let known = news.range(first..).take_while(|(pod, _)| pod.job == job.uid);
    let mut pods: BTreeMap<_, _> = known.map(|(pod, news)| (*pod, Some(news))).collect();
    let ledger = &job.record.ledger;
    for slot in ledger.unfinished() {
        if let Some(attempt) = ledger.slot(slot).open() {
            pods.entry(PodId { job: job.uid, slot, attempt }).or_default();
        }
    }
    pods
}

/// Whether a Job's pods may have other labels than the generated ones under the same keys: its
/// selector was made by hand. Looked for in the bytes, since it is asked of every Job.
fn has_own_labels(object: &Object) -> bool {
    const BY_HAND: &[u8] = b"\"manualSelector\":true";
    object.payload.windows(BY_HAND.len()).any(|bytes| bytes == BY_HAND)
}

/// Whether a Job's pods can match a selector that asks for one Job by uid.
fn may_own(job: &StoredJob, options: &Options) -> bool {
    let uid = job.uid.to_string();
    options.labels.requirements().iter().all(|requirement| {
        let by_uid = requirement.key == CONTROLLER_UID || requirement.key == LEGACY_CONTROLLER_UID;
        !by_uid || LabelSelector::of(vec![requirement.clone()]).matches_with(|_| Some(&uid))
    })
}

/// Whether a Job's pods can match a selector that asks for one Job by name.
fn may_match(object: &Object, options: &Options) -> bool {
    options.labels.requirements().iter().all(|requirement| {
        let by_name = requirement.key == JOB_NAME || requirement.key == LEGACY_JOB_NAME;
        !by_name
            || LabelSelector::of(vec![requirement.clone()]).matches_with(|_| Some(&object.name))
    })
}
