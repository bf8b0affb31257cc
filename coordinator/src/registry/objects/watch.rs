//! Watches on objects: those there are, then what happens to them, without gaps or repeats; and
//! bookmarks, which say how far the watch has come.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use stint_common::id::Revision;
use tokio::sync::mpsc;

use super::kind::Kind;
use super::read::is_selected;
use super::stored::StoredObject;
use crate::registry::job_object::set_revision;
use crate::registry::options::plain_revision;
use crate::registry::watch::{
    Beginning, Bookmarks, DEFAULT_TIMEOUT, EVENTS, WatchStream, bookmark, event, expired,
};
use crate::registry::{Error, Options, Registry};
use crate::store::{Change, Object, Watcher};

impl Registry {
    /// Watches objects. Without a `resourceVersion` (or with 0, or with `sendInitialEvents`) the
    /// objects there are come first.
    ///
    /// # Errors
    ///
    /// 400 for bad selectors, 503 when JetStream is away. A revision that is no longer known is
    /// said in the stream (410).
    pub async fn watch_objects(
        &self,
        kind: &'static Kind,
        namespace: Option<&str>,
        options: Options,
    ) -> Result<WatchStream, Error> {
        kind.check_fields(&options)?;
        let namespace = namespace.filter(|_| kind.is_namespaced()).map(str::to_owned);
        let beginning = Beginning::of(&options);
        let (mut there, from) = match beginning.after {
            Some(revision) => (Vec::new(), plain_revision(revision)),
            None => self.list_at(kind.about.plural, namespace.as_deref(), &options).await?,
        };
        if !beginning.with_objects {
            there.clear();
        }
        let watcher = self.replica.watch_of(kind.about.plural, from);
        let (sender, stream) = mpsc::channel(EVENTS);
        let timeout = options.timeout_seconds.map_or(DEFAULT_TIMEOUT, Duration::from_secs);
        let watch =
            ObjectWatch { kind, namespace, options, sender, watcher, mark: beginning.with_mark };
        stint_common::task::spawn(async move {
            // The watch ends by itself at its time-out, or when nobody listens any more.
            drop(tokio::time::timeout(timeout, watch.run(there)).await);
        });
        Ok(stream)
    }
}

struct ObjectWatch {
    kind: &'static Kind,
    namespace: Option<String>,
    options: Options,
    sender: mpsc::Sender<Value>,
    watcher: Watcher,
    /// Whether a bookmark says where the objects end that were there.
    mark: bool,
}

impl ObjectWatch {
    async fn run(mut self, there: Vec<Arc<Object>>) {
        // Waited for, since there may be more of them than the channel holds.
        for object in there {
            let Some(view) = self.selected(&object) else { continue };
            if self.sender.send(event("ADDED", view)).await.is_err() {
                return;
            }
        }
        if self.mark && self.sender.send(self.bookmark(true)).await.is_err() {
            return;
        }
        let mut bookmarks = Bookmarks::of(&self.options);
        loop {
            let changes = tokio::select! {
                () = self.sender.closed() => return,
                () = bookmarks.due() => {
                    if self.sender.send(self.bookmark(false)).await.is_err() {
                        return;
                    }
                    continue;
                }
                changes = self.watcher.next() => changes,
            };
            let changes = match changes {
                Ok(changes) => changes,
                Err(error) => return drop(self.sender.send(expired(error)).await),
            };
            for change in &changes {
                if let Some(event) = self.translate(change)
                    && self.sender.send(event).await.is_err()
                {
                    return;
                }
            }
        }
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
                set_revision(&mut last, Revision(change.object.revision));
                Some(event("DELETED", last))
            }
            (_, None) => None,
        }
    }

    /// The object as a client sees it, if this watch is about it.
    fn selected(&self, object: &Object) -> Option<Value> {
        if self.namespace.as_ref().is_some_and(|namespace| *namespace != object.namespace) {
            return None;
        }
        let view = StoredObject::one_of_many(object)?.view();
        is_selected(&view, &self.options).then_some(view)
    }

    fn bookmark(&self, all_told: bool) -> Value {
        let identity = self.kind.identity();
        bookmark(identity.api_version, identity.kind, self.watcher.cursor(), all_told)
    }
}
