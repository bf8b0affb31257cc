//! Watches: the objects there are, then what happens to them. Here is what all of them share, and
//! those on Jobs.
//!
//! A watch has no gaps: it goes on from any revision whose changes are still known, at its own
//! pace; who falls behind what is known is told so (410), and not waited for.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use stint_common::task;
use tokio::sync::mpsc;

use super::Error;
use super::convert::{StoredJob, may_be_selected};
use super::error::JOBS;
use super::job_object::set_revision;
use super::options::{Options, plain_revision};
use super::store::Registry;
use crate::admission::Identity;
use crate::store::{Change, Object, WatchError, Watcher};

/// Events that are made before a watcher takes them.
pub(super) const EVENTS: usize = 64;
/// A watch without `timeoutSeconds` ends after this; clients go on from their last revision.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1800);

/// How often a watch that allows bookmarks is told how far it has come.
const BOOKMARKS: Duration = Duration::from_secs(60);
/// Marks the bookmark behind the objects that there were at the beginning.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// Watch events as JSON (`type`, `object`); ends when the watch does.
pub type WatchStream = mpsc::Receiver<Value>;

/// Nobody listens any more.
pub(super) struct CutOff;

pub(super) fn event(kind: &str, object: Value) -> Value {
    // Not by `json!`, which copies what it is given.
    Value::Object(Map::from_iter([
        ("type".to_owned(), Value::from(kind)),
        ("object".to_owned(), object),
    ]))
}

/// Tells a watcher from where it can go on.
pub(super) fn bookmark(
    api_version: &str,
    kind: &str,
    revision: impl Display,
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
    pub(super) after: Option<u128>,
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

/// Waits until the event is taken.
pub(super) async fn tell(sender: &mpsc::Sender<Value>, event: Value) -> Result<(), CutOff> {
    sender.send(event).await.map_err(|_| CutOff)
}

/// Lets a watch run until its time is over, unless it ends before: nobody listens any more, or it
/// has said why it cannot go on.
pub(super) fn let_run(
    options: &Options,
    watch: impl Future<Output = Result<(), CutOff>> + Send + 'static,
) {
    let timeout = options.timeout_seconds.map_or(DEFAULT_TIMEOUT, Duration::from_secs);
    task::spawn(async move { drop(tokio::time::timeout(timeout, watch).await) });
}

/// A watch that tells what there is, and then nothing, since nothing happens.
pub(super) fn quiet(options: &Options, there: Vec<Value>) -> WatchStream {
    let (sender, stream) = mpsc::channel(EVENTS);
    let_run(options, async move {
        for event in there {
            tell(&sender, event).await?;
        }
        sender.closed().await;
        Ok(())
    });
    stream
}

/// Which objects of the replica a watch is about.
pub(super) trait Selection: Send + Sync + 'static {
    /// What the replica calls them.
    fn resource(&self) -> &'static str;
    /// How they are called to clients.
    fn identity(&self) -> Identity;
    /// All, or those of one namespace.
    fn namespace(&self) -> Option<&str>;
    /// What was asked for.
    fn options(&self) -> &Options;
    /// The object as a client sees it, if the selectors mean it.
    fn view(&self, object: &Object) -> Option<Value>;
}

struct ReplicaWatch<S> {
    selection: S,
    sender: mpsc::Sender<Value>,
    watcher: Watcher,
}

impl<S: Selection> ReplicaWatch<S> {
    /// Tells what was there, then what happens, as fast as it is taken.
    async fn run(mut self, there: Vec<Arc<Object>>, with_mark: bool) -> Result<(), CutOff> {
        for object in there {
            let Some(view) = self.selected(&object) else { continue };
            tell(&self.sender, event("ADDED", view)).await?;
        }
        if with_mark {
            tell(&self.sender, self.mark(true)).await?;
        }
        let mut bookmarks = Bookmarks::of(self.selection.options());
        loop {
            let changes = tokio::select! {
                () = self.sender.closed() => return Err(CutOff),
                changes = self.watcher.next() => changes,
                () = bookmarks.due() => {
                    tell(&self.sender, self.mark(false)).await?;
                    continue;
                }
            };
            match changes {
                Ok(changes) => self.take(&changes).await?,
                Err(error) => return tell(&self.sender, expired(error)).await,
            }
        }
    }

    async fn take(&self, changes: &[Change]) -> Result<(), CutOff> {
        for change in changes {
            if let Some(event) = self.translate(change) {
                tell(&self.sender, event).await?;
            }
        }
        Ok(())
    }

    /// A change as this watch sees it: an object that begins to match is added, one that ceases is
    /// deleted.
    fn translate(&self, change: &Change) -> Option<Value> {
        let now = self.selected(&change.object);
        let before = change.before.as_ref().and_then(|before| self.selected(before));
        match (now, before) {
            (Some(now), None) if !change.gone => Some(event("ADDED", now)),
            (Some(now), Some(_)) if !change.gone => Some(event("MODIFIED", now)),
            (now, Some(before)) => {
                // Its last state; of one that ceased to match, the last that did.
                let mut last = now.unwrap_or(before);
                set_revision(&mut last, change.object.revision);
                Some(event("DELETED", last))
            }
            (_, None) => None,
        }
    }

    /// The object as a client sees it, if this watch is about it.
    fn selected(&self, object: &Object) -> Option<Value> {
        let elsewhere =
            self.selection.namespace().is_some_and(|namespace| namespace != object.namespace);
        if elsewhere { None } else { self.selection.view(object) }
    }

    fn mark(&self, all_told: bool) -> Value {
        let Identity { api_version, kind } = self.selection.identity();
        bookmark(api_version, kind, self.watcher.cursor(), all_told)
    }
}

/// Which Jobs a watch is about.
struct SelectedJobs {
    namespace: Option<String>,
    options: Options,
}

impl Selection for SelectedJobs {
    fn resource(&self) -> &'static str {
        JOBS.plural
    }

    fn identity(&self) -> Identity {
        Identity { api_version: "batch/v1", kind: JOBS.kind }
    }

    fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    fn options(&self) -> &Options {
        &self.options
    }

    fn view(&self, object: &Object) -> Option<Value> {
        if !may_be_selected(object, &self.options.fields) {
            return None;
        }
        let view = StoredJob::one_of_many(object)?.into_view();
        let fields = self.options.fields.for_jobs().ok()?;
        (self.options.labels.matches_object(&view) && fields(&view)).then_some(view)
    }
}

impl Registry {
    /// Watches Jobs. Without a `resourceVersion` (or with 0) the objects there are come first.
    ///
    /// # Errors
    ///
    /// 400 for bad selectors, 503 when JetStream is away. A revision that is no longer known is
    /// said in the stream (410).
    pub async fn watch_jobs(
        &self,
        namespace: Option<&str>,
        options: Options,
    ) -> Result<WatchStream, Error> {
        drop(options.fields.for_jobs().map_err(|error| Error::BadRequest(error.to_string()))?);
        self.watch_replica(SelectedJobs { namespace: namespace.map(str::to_owned), options }).await
    }

    /// Watches objects that the replica has.
    pub(super) async fn watch_replica(
        &self,
        selection: impl Selection,
    ) -> Result<WatchStream, Error> {
        let options = selection.options().clone();
        let beginning = Beginning::of(&options);
        let (mut there, from) = match beginning.after {
            Some(revision) => (Vec::new(), plain_revision(revision)),
            None => self.list_at(selection.resource(), selection.namespace(), &options).await?,
        };
        if !beginning.with_objects {
            there.clear();
        }
        let watcher = self.replica.watch_of(selection.resource(), from);
        let (sender, stream) = mpsc::channel(EVENTS);
        let watch = ReplicaWatch { selection, sender, watcher };
        let_run(&options, watch.run(there, beginning.with_mark));
        Ok(stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beginning(
        resource_version: Option<u128>,
        initial_events: Option<bool>,
    ) -> (bool, bool, Option<u128>) {
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
