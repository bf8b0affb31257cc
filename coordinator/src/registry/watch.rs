//! Watches: the objects there are, then what happens to them; for Jobs and for pods.
//!
//! A watch on Jobs has no gaps: it goes on from any revision whose changes are still known. One on
//! pods goes on from any since this coordinator was first asked for pods; what was deleted between
//! two watches of one client is not told to the second.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use stint_common::id::{JobUid, PodId};
use stint_common::names::PodsSubject;
use stint_common::nats::{Tail, TailEvent};
use stint_common::task;
use tokio::sync::mpsc;

use super::Error;
use super::convert::{StoredJob, may_be_selected};
use super::error::{JOBS, PODS};
use super::options::Options;
use super::pods::{PodNews, pods_of, show};
use super::store::Registry;
use crate::store::{Change, WatchError};

/// Events that wait for a slow watcher before it is cut off.
pub(super) const EVENTS: usize = 4096;
/// A watch without `timeoutSeconds` ends after this; clients go on from their last revision.
pub(super) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1800);

/// How often a watch that allows bookmarks is told how far it has come.
const BOOKMARKS: Duration = Duration::from_secs(60);
/// Marks the bookmark behind the objects that there were at the beginning.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// Watch events as JSON (`type`, `object`); ends when the watch does.
pub type WatchStream = mpsc::Receiver<Value>;

pub(super) fn event(kind: &str, object: Value) -> Value {
    json!({"type": kind, "object": object})
}

/// Tells a watcher from where it can go on.
pub(super) fn bookmark(
    api_version: &str,
    kind: &str,
    revision: u64,
    initial_events_end: bool,
) -> Value {
    let mut metadata = json!({"resourceVersion": revision.to_string(), "creationTimestamp": null});
    if initial_events_end {
        metadata["annotations"] = json!({INITIAL_EVENTS_END: "true"});
    }
    event("BOOKMARK", json!({"kind": kind, "apiVersion": api_version, "metadata": metadata}))
}

/// Where a watch begins, as its options have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Beginning {
    /// Whether the objects there are come first.
    pub(super) with_objects: bool,
    /// Whether a bookmark says where they end.
    pub(super) with_mark: bool,
    /// After which revision, if not after what there is now.
    pub(super) after: Option<u64>,
}

impl Beginning {
    pub(super) fn of(options: &Options) -> Self {
        let revision = options.resource_version.filter(|revision| *revision > 0);
        let with_objects = options.initial_events.unwrap_or(revision.is_none());
        Self {
            with_objects,
            with_mark: with_objects && options.bookmarks && options.initial_events == Some(true),
            after: revision.filter(|_| !with_objects),
        }
    }
}

/// Ticks when a bookmark is due; never, if none are wanted.
pub(super) struct Bookmarks(Option<tokio::time::Interval>);

impl Bookmarks {
    pub(super) fn of(options: &Options) -> Self {
        Self(options.bookmarks.then(|| {
            let mut interval = tokio::time::interval(BOOKMARKS);
            interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            // An interval's first tick is at once.
            interval.reset();
            interval
        }))
    }

    pub(super) async fn due(&mut self) {
        match &mut self.0 {
            Some(interval) => drop(interval.tick().await),
            None => std::future::pending().await,
        }
    }
}

pub(super) fn expired(error: WatchError) -> Value {
    event("ERROR", Error::Expired(error.to_string()).to_status())
}

impl Registry {
    /// Watches Jobs. Without a `resourceVersion` (or with 0) the objects there are come first.
    ///
    /// # Errors
    ///
    /// 400 for bad selectors, 410 for a revision that is no longer known, 503 when JetStream is
    /// away.
    pub async fn watch_jobs(
        &self,
        namespace: Option<&str>,
        options: Options,
    ) -> Result<WatchStream, Error> {
        drop(options.fields.for_jobs().map_err(|error| Error::BadRequest(error.to_string()))?);
        let (sender, stream) = mpsc::channel(EVENTS);
        let mut selection =
            Selection { namespace: namespace.map(str::to_owned), options, known: HashMap::new() };
        let mut there = Vec::new();
        let beginning = Beginning::of(&selection.options);
        let from = match beginning.after {
            Some(revision) => revision,
            None => {
                let (objects, revision) =
                    self.list_at("jobs", namespace, &selection.options).await?;
                for object in objects {
                    let change = Change { object, before: None, added: true, gone: false };
                    there.extend(selection.translate(&change)?);
                }
                if !beginning.with_objects {
                    there.clear();
                }
                if beginning.with_mark {
                    there.push(bookmark("batch/v1", JOBS.kind, revision, true));
                }
                revision
            }
        };
        let mut watcher = self.replica.watch(from);
        let mut bookmarks = Bookmarks::of(&selection.options);
        let timeout =
            selection.options.timeout_seconds.map_or(DEFAULT_TIMEOUT, Duration::from_secs);
        task::spawn(async move {
            let end = tokio::time::sleep(timeout);
            tokio::pin!(end);
            // Sent from here, where the reader takes them as they come: there may be more of them
            // than the channel holds.
            for event in there {
                if sender.send(event).await.is_err() {
                    return;
                }
            }
            loop {
                let changes = tokio::select! {
                    () = &mut end => return,
                    () = sender.closed() => return,
                    changes = watcher.next() => changes,
                    () = bookmarks.due() => {
                        let mark = bookmark("batch/v1", JOBS.kind, watcher.cursor(), false);
                        if sender.try_send(mark).is_err() {
                            return;
                        }
                        continue;
                    }
                };
                let changes = match changes {
                    Ok(changes) => changes,
                    Err(error) => return drop(sender.try_send(expired(error))),
                };
                for change in changes {
                    let event = match selection.translate(&change) {
                        Ok(Some(event)) => event,
                        Ok(None) => continue,
                        Err(error) => event("ERROR", error.to_status()),
                    };
                    // A watcher that does not keep up is cut off, not waited for.
                    if sender.try_send(event).is_err() {
                        return;
                    }
                }
            }
        });
        Ok(stream)
    }

    /// Watches pods: those there are first, then what happens to them.
    ///
    /// # Errors
    ///
    /// 400 for bad selectors, 503 when JetStream is away.
    pub async fn watch_pods(
        self: &std::sync::Arc<Self>,
        namespace: Option<&str>,
        options: Options,
    ) -> Result<WatchStream, Error> {
        drop(options.fields.for_pods().map_err(|error| Error::BadRequest(error.to_string()))?);
        self.replica.fresh().await?;
        let revision = self.pods_revision().await?;
        if let Some(after) = Beginning::of(&options).after
            && after < self.pods_horizon()
        {
            let message = format!("too old resource version: {after} ({revision})");
            return Err(Error::Expired(message));
        }
        let (sender, stream) = mpsc::channel(EVENTS);
        let timeout = options.timeout_seconds.map_or(DEFAULT_TIMEOUT, Duration::from_secs);
        let watch = PodWatch {
            registry: std::sync::Arc::clone(self),
            namespace: namespace.map(str::to_owned),
            options,
            sender,
            jobs: HashMap::new(),
            news: HashMap::new(),
            shown: HashMap::new(),
            revision,
        };
        task::spawn(async move {
            // The watch ends by itself at its time-out, or when nobody listens any more.
            drop(tokio::time::timeout(timeout, watch.run()).await);
        });
        Ok(stream)
    }
}

/// Which Jobs a watch is about, and which of them it has shown.
struct Selection {
    namespace: Option<String>,
    options: Options,
    known: HashMap<String, ()>,
}

impl Selection {
    /// A change as this watch sees it: an object that begins to match is added, one that ceases is
    /// deleted.
    fn translate(&mut self, change: &Change) -> Result<Option<Value>, Error> {
        let object = &change.object;
        let elsewhere =
            self.namespace.as_ref().is_some_and(|namespace| *namespace != object.namespace);
        if object.resource != "jobs" || elsewhere || !may_be_selected(object, &self.options.fields)
        {
            return Ok(None);
        }
        let Some(job) = StoredJob::one_of_many(object) else { return Ok(None) };
        let uid = job.uid.to_string();
        let view = job.view();
        let fields =
            self.options.fields.for_jobs().map_err(|error| Error::BadRequest(error.to_string()))?;
        let matches = !change.gone && self.options.labels.matches_object(&view) && fields(&view);
        let from_revision = Beginning::of(&self.options).after.is_some();
        let known = self.known.contains_key(&uid)
            || (from_revision
                && !change.added
                && self.options.labels.matches_object(&view)
                && fields(&view));
        Ok(match (matches, known) {
            (true, false) => {
                self.known.insert(uid, ());
                Some(event("ADDED", view))
            }
            (true, true) => {
                self.known.insert(uid, ());
                Some(event("MODIFIED", view))
            }
            (false, true) => {
                self.known.remove(&uid);
                Some(event("DELETED", view))
            }
            (false, false) => None,
        })
    }
}

/// A watch on pods: the Jobs' ledgers say which there are, the pods' stream what they do.
struct PodWatch {
    registry: std::sync::Arc<Registry>,
    namespace: Option<String>,
    options: Options,
    sender: mpsc::Sender<Value>,
    jobs: HashMap<JobUid, StoredJob>,
    news: HashMap<PodId, PodNews>,
    /// What the watcher was last shown of each pod.
    shown: HashMap<PodId, Value>,
    /// How far in the pods' stream the watch has come.
    revision: u64,
}

/// Nobody listens any more, or not fast enough.
struct CutOff;

impl PodWatch {
    async fn run(mut self) {
        let jet = self.registry.jet.clone();
        let names = jet.names.clone();
        let (objects, revision) = self.registry.replica.list("jobs", self.namespace.as_deref());
        for object in objects {
            if let Ok(job) = StoredJob::of(&object) {
                self.jobs.insert(job.uid, job);
            }
        }
        let mut jobs = self.registry.replica.watch(revision);
        let filters = vec![names.pods(None), names.orders(None)];
        let mut pods = Tail::start(jet, names.pods_stream(), filters);
        while let Some(TailEvent::Entries(entries)) = pods.next().await {
            for entry in entries {
                self.revision = self.revision.max(entry.sequence);
                self.registry.take_news(&mut self.news, &entry);
            }
        }
        let beginning = Beginning::of(&self.options);
        if self.show_all(beginning).await.is_err() {
            return;
        }
        let mut bookmarks = Bookmarks::of(&self.options);
        loop {
            let kept_up = tokio::select! {
                () = self.sender.closed() => return,
                () = bookmarks.due() => self.send(self.bookmark(false)),
                changes = jobs.next() => match changes {
                    Ok(changes) => self.take_changes(changes),
                    Err(error) => return drop(self.sender.try_send(expired(error))),
                },
                event = pods.next() => match event {
                    Some(TailEvent::Entries(entries)) => self.take_entries(entries),
                    Some(TailEvent::CaughtUp | TailEvent::Resumed(_)) => Ok(()),
                    Some(TailEvent::WentBack) | None => return,
                },
            };
            if kept_up.is_err() {
                return;
            }
        }
    }

    /// The pods there are, as far as the watcher does not know them. They are waited for: there may
    /// be more of them than the channel holds.
    async fn show_all(&mut self, beginning: Beginning) -> Result<(), CutOff> {
        let jobs = self.jobs.values();
        let pods: Vec<PodId> = jobs.flat_map(|job| pods_of(job, &self.news).into_keys()).collect();
        for pod in pods {
            // One that nobody has claimed has no revision: better told twice than never.
            let revision = self.news.get(&pod).map_or(u64::MAX, |news| news.revision);
            let known = beginning.after.is_some_and(|after| revision <= after);
            let event = self.change_of(pod);
            if let Some(event) =
                event.filter(|_| !known && (beginning.with_objects || beginning.after.is_some()))
            {
                self.sender.send(event).await.map_err(|_| CutOff)?;
            }
        }
        if beginning.with_mark {
            self.sender.send(self.bookmark(true)).await.map_err(|_| CutOff)?;
        }
        Ok(())
    }

    fn bookmark(&self, initial_events_end: bool) -> Value {
        bookmark("v1", PODS.kind, self.revision, initial_events_end)
    }

    fn take_changes(&mut self, changes: Vec<Change>) -> Result<(), CutOff> {
        for change in changes {
            let elsewhere = self
                .namespace
                .as_ref()
                .is_some_and(|namespace| *namespace != change.object.namespace);
            if change.object.resource != "jobs" || elsewhere {
                continue;
            }
            let Ok(job) = StoredJob::of(&change.object) else { continue };
            let uid = job.uid;
            if change.gone {
                self.jobs.remove(&uid);
                self.forget_job(uid)?;
            } else {
                self.jobs.insert(uid, job);
                self.show_job(uid)?;
            }
        }
        Ok(())
    }

    fn take_entries(&mut self, entries: Vec<stint_common::nats::Entry>) -> Result<(), CutOff> {
        for entry in entries {
            self.revision = self.revision.max(entry.sequence);
            self.registry.take_news(&mut self.news, &entry);
            let subject = self.registry.jet.names.parse_pods_subject(&entry.subject);
            let Some(PodsSubject::Pod(pod) | PodsSubject::Order(pod)) = subject else { continue };
            self.show_pod(pod)?;
        }
        Ok(())
    }

    fn forget_job(&mut self, uid: JobUid) -> Result<(), CutOff> {
        let pods: Vec<PodId> = self.shown.keys().filter(|pod| pod.job == uid).copied().collect();
        for pod in pods {
            if let Some(object) = self.shown.remove(&pod) {
                self.send(event("DELETED", object))?;
            }
        }
        self.news.retain(|pod, _| pod.job != uid);
        Ok(())
    }

    fn show_job(&mut self, uid: JobUid) -> Result<(), CutOff> {
        let Some(job) = self.jobs.get(&uid) else { return Ok(()) };
        let pods: Vec<PodId> = pods_of(job, &self.news).into_keys().collect();
        for pod in pods {
            self.show_pod(pod)?;
        }
        Ok(())
    }

    fn show_pod(&mut self, pod: PodId) -> Result<(), CutOff> {
        self.change_of(pod).map_or(Ok(()), |event| self.send(event))
    }

    /// What a pod is now, as an event, if that is news to the watcher.
    fn change_of(&mut self, pod: PodId) -> Option<Value> {
        let job = self.jobs.get(&pod.job)?;
        let news = self.news.entry(pod).or_default();
        let object = show(job, pod, news).filter(|object| {
            let fields = self.options.fields.for_pods();
            self.options.labels.matches_object(object)
                && fields.is_ok_and(|matches| matches(object))
        });
        match (object, self.shown.get(&pod)) {
            (Some(object), None) => {
                self.shown.insert(pod, object.clone());
                Some(event("ADDED", object))
            }
            (Some(object), Some(before)) if *before != object => {
                self.shown.insert(pod, object.clone());
                Some(event("MODIFIED", object))
            }
            (None, Some(_)) => self.shown.remove(&pod).map(|object| event("DELETED", object)),
            (Some(_), Some(_)) | (None, None) => None,
        }
    }

    fn send(&self, event: Value) -> Result<(), CutOff> {
        self.sender.try_send(event).map_err(|_| CutOff)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beginning(
        resource_version: Option<u64>,
        initial_events: Option<bool>,
    ) -> (bool, bool, Option<u64>) {
        let options =
            Options { resource_version, initial_events, bookmarks: true, ..Options::default() };
        let Beginning { with_objects, with_mark, after } = Beginning::of(&options);
        (with_objects, with_mark, after)
    }

    #[test]
    fn watches_begin_as_kubernetes_has_it() {
        assert_eq!(beginning(None, None), (true, false, None));
        assert_eq!(beginning(Some(0), None), (true, false, None));
        assert_eq!(beginning(Some(7), None), (false, false, Some(7)));
        assert_eq!(beginning(None, Some(true)), (true, true, None));
        assert_eq!(beginning(Some(7), Some(true)), (true, true, None));
        assert_eq!(beginning(Some(7), Some(false)), (false, false, Some(7)));
        assert_eq!(beginning(None, Some(false)), (false, false, None));
    }
}
