//! Watches: the objects there are, then what happens to them. Here is what all of them share, and
//! those on Jobs.
//!
//! A watch has no gaps: it goes on from any revision whose changes are still known, at its own
//! pace; who falls behind what is known is told so (410), and not waited for.

use std::fmt::Display;
use std::time::Duration;

use serde_json::{Value, json};
use stint_common::task;
use tokio::sync::mpsc;

use super::Error;
use super::convert::{StoredJob, may_be_selected};
use super::error::JOBS;
use super::job_object::set_revision;
use super::options::{Options, plain_revision};
use super::store::Registry;
use crate::store::{Change, Object, WatchError, Watcher};

/// Events that are made before a watcher takes them.
pub(super) const EVENTS: usize = 64;
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
        let selection = Selection { namespace: namespace.map(str::to_owned), options };
        let mut there = Vec::new();
        let beginning = Beginning::of(&selection.options);
        let from = match beginning.after {
            Some(revision) => plain_revision(revision),
            None => {
                let (objects, revision) =
                    self.list_at("jobs", namespace, &selection.options).await?;
                let objects = objects.iter().filter(|_| beginning.with_objects);
                let selected = objects.filter_map(|object| selection.selected(object));
                there.extend(selected.map(|job| event("ADDED", job)));
                if beginning.with_mark {
                    there.push(bookmark("batch/v1", JOBS.kind, revision, true));
                }
                revision
            }
        };
        let watcher = self.replica.watch(from);
        let timeout =
            selection.options.timeout_seconds.map_or(DEFAULT_TIMEOUT, Duration::from_secs);
        task::spawn(async move {
            // The watch ends by itself at its time-out, or when nobody listens any more.
            drop(tokio::time::timeout(timeout, tell(selection, watcher, there, sender)).await);
        });
        Ok(stream)
    }
}

/// Tells what was there, then what happens, as fast as it is taken.
async fn tell(
    selection: Selection,
    mut watcher: Watcher,
    there: Vec<Value>,
    sender: mpsc::Sender<Value>,
) {
    for event in there {
        if sender.send(event).await.is_err() {
            return;
        }
    }
    let mut bookmarks = Bookmarks::of(&selection.options);
    loop {
        let changes = tokio::select! {
            () = sender.closed() => return,
            changes = watcher.next() => changes,
            () = bookmarks.due() => {
                let mark = bookmark("batch/v1", JOBS.kind, watcher.cursor(), false);
                if sender.send(mark).await.is_err() {
                    return;
                }
                continue;
            }
        };
        let changes = match changes {
            Ok(changes) => changes,
            Err(error) => return drop(sender.send(expired(error)).await),
        };
        for change in &changes {
            if let Some(event) = selection.translate(change)
                && sender.send(event).await.is_err()
            {
                return;
            }
        }
    }
}

/// Which Jobs a watch is about.
struct Selection {
    namespace: Option<String>,
    options: Options,
}

impl Selection {
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

    /// The Job as a client sees it, if this watch is about it.
    fn selected(&self, object: &Object) -> Option<Value> {
        let elsewhere =
            self.namespace.as_ref().is_some_and(|namespace| *namespace != object.namespace);
        if object.resource != "jobs" || elsewhere || !may_be_selected(object, &self.options.fields)
        {
            return None;
        }
        let view = StoredJob::one_of_many(object)?.view();
        let fields = self.options.fields.for_jobs().ok()?;
        (self.options.labels.matches_object(&view) && fields(&view)).then_some(view)
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
