//! Watches on nodes: what leases and clients' words together make of them. A renewal that changes
//! nothing but its time is no news.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::mpsc;

use super::view::without_heartbeat;
use super::{WORKERS, check_fields, is_selected};
use crate::registry::error::NODES;
use crate::registry::options::plain_revision;
use crate::registry::watch::{
    Beginning, Bookmarks, CutOff, EVENTS, WatchStream, bookmark, event, expired, let_run, tell,
};
use crate::registry::{Error, Options, Registry};
use crate::store::{Change, WatchError, Watcher};

struct NodeWatch {
    registry: Arc<Registry>,
    options: Options,
    sender: mpsc::Sender<Value>,
    leases: Watcher,
    words: Watcher,
    /// What the watcher knows of each node; empty of those that it may have known before this
    /// watch began.
    shown: HashMap<String, Option<Value>>,
}

impl Registry {
    /// Watches nodes. Without a `resourceVersion` (or with 0, or with `sendInitialEvents`) the
    /// nodes there are come first.
    ///
    /// # Errors
    ///
    /// 400 for bad selectors, 503 when JetStream is away.
    pub async fn watch_nodes(self: &Arc<Self>, options: Options) -> Result<WatchStream, Error> {
        check_fields(&options)?;
        let beginning = Beginning::of(&options);
        let (leases, now) = self.list_at("leases", Some(WORKERS), &Options::default()).await?;
        let from = beginning.after.map_or(now, plain_revision);
        let (sender, stream) = mpsc::channel(EVENTS);
        let mut watch = NodeWatch {
            registry: Arc::clone(self),
            options: options.clone(),
            sender,
            leases: self.replica.watch_of("leases", from),
            words: self.replica.watch_of(NODES.plural, from),
            shown: HashMap::new(),
        };
        let mut there = Vec::new();
        for lease in leases {
            let Some(node) = watch.current(&lease.name) else { continue };
            let known = (!beginning.with_objects && beginning.after.is_some()).then_some(None);
            watch.shown.insert(lease.name.clone(), known.unwrap_or(Some(node.clone())));
            there.push(event("ADDED", node));
        }
        if !beginning.with_objects {
            there.clear();
        }
        if beginning.with_mark {
            there.push(bookmark("v1", NODES.kind, now, true));
        }
        let_run(&options, watch.run(there));
        Ok(stream)
    }
}

impl NodeWatch {
    async fn run(mut self, there: Vec<Value>) -> Result<(), CutOff> {
        for event in there {
            tell(&self.sender, event).await?;
        }
        let mut bookmarks = Bookmarks::of(&self.options);
        loop {
            tokio::select! {
                () = self.sender.closed() => return Err(CutOff),
                () = bookmarks.due() => {
                    let revision = self.leases.cursor().min(self.words.cursor());
                    tell(&self.sender, bookmark("v1", NODES.kind, revision, false)).await?;
                }
                changes = self.leases.next() => self.take(changes, Some(WORKERS)).await?,
                changes = self.words.next() => self.take(changes, None).await?,
            }
        }
    }

    async fn take(
        &mut self,
        changes: Result<Vec<Change>, WatchError>,
        namespace: Option<&str>,
    ) -> Result<(), CutOff> {
        let changes = match changes {
            Ok(changes) => changes,
            Err(error) => {
                tell(&self.sender, expired(error)).await?;
                return Err(CutOff);
            }
        };
        for change in changes {
            if namespace.is_some_and(|namespace| namespace != change.object.namespace) {
                continue;
            }
            if let Some(event) = self.news(&change.object.name) {
                tell(&self.sender, event).await?;
            }
        }
        Ok(())
    }

    /// What a node is now, as an event, if that is news.
    fn news(&mut self, name: &str) -> Option<Value> {
        match (self.current(name), self.shown.get(name).cloned()) {
            (Some(node), None) => {
                self.shown.insert(name.to_owned(), Some(node.clone()));
                Some(event("ADDED", node))
            }
            (Some(node), Some(before)) => {
                let same = before
                    .is_some_and(|before| without_heartbeat(&before) == without_heartbeat(&node));
                self.shown.insert(name.to_owned(), Some(node.clone()));
                (!same).then(|| event("MODIFIED", node))
            }
            (None, Some(before)) => {
                self.shown.remove(name);
                before.map(|before| event("DELETED", before))
            }
            (None, None) => None,
        }
    }

    fn current(&self, name: &str) -> Option<Value> {
        let lease = self.registry.replica.get("leases", WORKERS, name)?;
        let node = self.registry.node_of(&lease)?;
        is_selected(&node, &self.options).then_some(node)
    }
}
