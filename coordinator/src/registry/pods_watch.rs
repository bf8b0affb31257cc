//! Watches of pods: those there are, then what happens to them, from the feed that all of them
//! share.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::mpsc;

use super::Error;
use super::error::PODS;
use super::job_object::set_revision;
use super::options::Options;
use super::pods_feed::{PodChange, PodsCursor};
use super::pods_position::PodsPosition;
use super::store::Registry;
use super::watch::{
    Beginning, Bookmarks, CutOff, EVENTS, WatchStream, bookmark, event, expired, let_run, tell,
};

impl Registry {
    /// Watches pods. Without a `resourceVersion` (or with 0) the pods there are come first.
    ///
    /// # Errors
    ///
    /// 400 for bad selectors, 410 for a revision that is no longer known, 503 when JetStream is
    /// away.
    pub async fn watch_pods(
        self: &Arc<Self>,
        namespace: Option<&str>,
        options: Options,
    ) -> Result<WatchStream, Error> {
        drop(options.fields.for_pods().map_err(|error| Error::BadRequest(error.to_string()))?);
        let beginning = Beginning::of(&options);
        let mut there = Vec::new();
        let after = match beginning.after {
            Some(number) => PodsPosition::read(number),
            None => {
                let all = Options { limit: 0, continue_after: None, ..options.clone() };
                let page = self.page_of_pods(namespace, &all).await?;
                if beginning.with_objects {
                    there.extend(page.items.into_iter().map(|pod| event("ADDED", pod)));
                }
                if beginning.with_mark {
                    there.push(bookmark("v1", PODS.kind, page.position, true));
                }
                page.position
            }
        };
        let feed = self.pods_feed().await;
        let cursor = feed.follow_from(after).map_err(|error| Error::Expired(error.to_string()))?;
        let (sender, stream) = mpsc::channel(EVENTS);
        let namespace = namespace.map(str::to_owned);
        let watch = PodsWatch { namespace, options: options.clone(), sender, cursor };
        let_run(&options, watch.run(there));
        Ok(stream)
    }
}

struct PodsWatch {
    namespace: Option<String>,
    options: Options,
    sender: mpsc::Sender<Value>,
    cursor: PodsCursor,
}

impl PodsWatch {
    async fn run(mut self, there: Vec<Value>) -> Result<(), CutOff> {
        for event in there {
            tell(&self.sender, event).await?;
        }
        let mut bookmarks = Bookmarks::of(&self.options);
        loop {
            let changes = tokio::select! {
                () = self.sender.closed() => return Err(CutOff),
                () = bookmarks.due() => {
                    let mark = bookmark("v1", PODS.kind, self.cursor.position, false);
                    tell(&self.sender, mark).await?;
                    continue;
                }
                changes = self.cursor.next() => changes,
            };
            let changes = match changes {
                Ok(changes) => changes,
                // Waited for: whoever was too slow is to know why it ends.
                Err(error) => return tell(&self.sender, expired(error)).await,
            };
            for change in changes {
                self.cursor.position = self.cursor.position.join(change.at);
                if let Some(event) = self.translate(&change) {
                    tell(&self.sender, event).await?;
                }
            }
        }
    }

    /// A change as this watch sees it: a pod that begins to match is added, one that ceases is
    /// deleted.
    fn translate(&self, change: &PodChange) -> Option<Value> {
        if self.namespace.as_deref().is_some_and(|namespace| namespace != change.namespace()) {
            return None;
        }
        let shown = change.shown();
        let before = shown.before.as_ref().filter(|pod| self.selects(pod));
        let after = shown.after.as_ref().filter(|pod| self.selects(pod));
        let (kind, pod) = match (before, after) {
            (None, None) => return None,
            (None, Some(pod)) => ("ADDED", pod),
            (Some(before), Some(pod)) if is_same(before, pod) => return None,
            (Some(_), Some(pod)) => ("MODIFIED", pod),
            (Some(pod), None) => ("DELETED", shown.after.as_ref().unwrap_or(pod)),
        };
        let mut pod = pod.clone();
        set_revision(&mut pod, self.cursor.position);
        Some(event(kind, pod))
    }

    fn selects(&self, pod: &Value) -> bool {
        let fields = self.options.fields.for_pods();
        self.options.labels.matches_object(pod) && fields.is_ok_and(|matches| matches(pod))
    }
}

/// Whether two looks of a pod differ in nothing but the revision.
fn is_same(one: &Value, other: &Value) -> bool {
    let said_by = |pod: &Value, other: &Value| {
        let metadata = pod["metadata"].as_object().into_iter().flatten();
        let mut members = metadata.filter(|(name, _)| *name != "resourceVersion");
        members.all(|(name, value)| other["metadata"].get(name) == Some(value))
    };
    one["status"] == other["status"]
        && one["spec"] == other["spec"]
        && said_by(one, other)
        && said_by(other, one)
}
