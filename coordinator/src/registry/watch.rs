//! Watches: the objects there are, then what happens to them, without gaps; for Jobs and for pods.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use stint_common::id::{JobUid, PodId};
use stint_common::names::PodsSubject;
use stint_common::nats::{Tail, TailEvent};
use tokio::sync::mpsc;

use super::Error;
use super::convert::{StoredJob, may_be_selected};
use super::options::Options;
use super::pods::{PodNews, pods_of, show};
use super::store::Registry;
use crate::store::{Change, WatchError};

/// Events that wait for a slow watcher before it is cut off.
const EVENTS: usize = 4096;
/// A watch without `timeoutSeconds` ends after this; clients go on from their last revision.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1800);

/// Watch events as JSON (`type`, `object`); ends when the watch does.
pub type WatchStream = mpsc::Receiver<Value>;

fn event(kind: &str, object: Value) -> Value {
    json!({"type": kind, "object": object})
}

fn expired(error: WatchError) -> Value {
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
        self.replica.fresh().await?;
        let (sender, stream) = mpsc::channel(EVENTS);
        let mut selection =
            Selection { namespace: namespace.map(str::to_owned), options, known: HashMap::new() };
        let mut there = Vec::new();
        let from = match selection.options.resource_version {
            Some(revision) if revision > 0 => revision,
            _ => {
                let (objects, revision) = self.replica.list("jobs", namespace);
                for object in objects {
                    let change = Change { object, added: true, gone: false };
                    there.extend(selection.translate(&change)?);
                }
                revision
            }
        };
        let mut watcher = self.replica.watch(from);
        let timeout =
            selection.options.timeout_seconds.map_or(DEFAULT_TIMEOUT, Duration::from_secs);
        tokio::spawn(async move {
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
        };
        tokio::spawn(async move {
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
        let from_revision = self.options.resource_version.is_some_and(|revision| revision > 0);
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
                self.registry.take_news(&mut self.news, &entry);
            }
        }
        if self.show_all().await.is_err() {
            return;
        }
        loop {
            let kept_up = tokio::select! {
                () = self.sender.closed() => return,
                changes = jobs.next() => match changes {
                    Ok(changes) => self.take_changes(changes),
                    Err(error) => return drop(self.sender.try_send(expired(error))),
                },
                event = pods.next() => match event {
                    Some(TailEvent::Entries(entries)) => self.take_entries(entries),
                    Some(TailEvent::CaughtUp) => Ok(()),
                    None => return,
                },
            };
            if kept_up.is_err() {
                return;
            }
        }
    }

    /// The pods there are. They are waited for: there may be more of them than the channel holds.
    async fn show_all(&mut self) -> Result<(), CutOff> {
        let jobs = self.jobs.values();
        let pods: Vec<PodId> = jobs.flat_map(|job| pods_of(job, &self.news).into_keys()).collect();
        for pod in pods {
            if let Some(event) = self.change_of(pod) {
                self.sender.send(event).await.map_err(|_| CutOff)?;
            }
        }
        Ok(())
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
