//! All objects in memory, fed from the objects' stream; what reads and watches are answered from.
//!
//! A read that must not be stale asks the stream's leader for its last sequence and waits until the
//! replica has come that far. A watch reads a bounded log of recent changes; who falls out of it is
//! told so (410) instead of being waited for.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use stint_common::names::Names;
use stint_common::nats::{Entry, Jet, ReadError, Tail, TailEvent};
use stint_common::task;
use stint_common::wire::Horizon;
use tokio::sync::{mpsc, watch};

use super::is_tombstone;

/// What is kept in memory. Templates are not: they are large, and only workers read them.
const RESOURCES: [&str; 10] = [
    HORIZONS,
    "jobs",
    "leases",
    "classes",
    "configmaps",
    "secrets",
    "namespaces",
    "serviceaccounts",
    "nodes",
    "cronjobs",
];
/// How far tombstones have been removed.
const HORIZONS: &str = "horizons";
/// What the owner reads with the replica's eyes, besides everybody's tombstones, which it removes.
const OWNERS: [&str; 3] = ["jobs", "leases", "classes"];
/// Whose tombstones stay: those of classes are empty, and as many as there were classes.
pub const UNBURIED: &str = "classes";
/// Chunks that wait for the owner; if it falls behind further, it begins anew.
const FEED: usize = 4096;
/// Changes of one resource kept for watches that begin in the past or lag behind.
const LOG_LENGTH: usize = 8192;
/// And never more bytes than this: records of huge Jobs are large.
const LOG_BYTES: usize = 32 << 20;
/// How long a read waits for the replica before it gives up.
const FRESH: Duration = Duration::from_secs(5);

/// One object as it stands in the stream.
#[derive(Clone, Debug)]
pub struct Object {
    /// `jobs`, `leases`, `configmaps`…
    pub resource: String,
    /// Namespace token of the subject.
    pub namespace: String,
    /// Name, unescaped.
    pub name: String,
    /// Stream sequence: the resourceVersion.
    pub revision: u64,
    /// The record's bytes.
    pub payload: Bytes,
    /// When it was stored.
    pub time: Timestamp,
}

/// What happened to an object.
#[derive(Clone, Debug)]
pub struct Change {
    /// The object after it; of a deleted one, its last state.
    pub object: Arc<Object>,
    /// The object before it, if it was there.
    pub before: Option<Arc<Object>>,
    /// It was not there before.
    pub added: bool,
    /// It is not there any more.
    pub gone: bool,
}

/// Why a watch cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// Changes after this revision are no longer all known: the client must list again (410).
    #[error("too old resource version: {0}")]
    Expired(u64),
    /// The coordinator ends.
    #[error("the coordinator is shutting down")]
    Closed,
}

type Key = (String, String, String);

#[derive(Clone, Copy, Debug)]
struct Tombstone {
    revision: u64,
    time: Timestamp,
}

#[derive(Debug, Default)]
struct State {
    live: BTreeMap<Key, Arc<Object>>,
    /// What a new object of the name must expect.
    tombstones: BTreeMap<Key, Tombstone>,
    /// One a resource: what happens often to one kind does not push out what happened to another.
    logs: HashMap<String, Log>,
    /// Where all logs begin.
    horizon: u64,
    /// Everything up to this revision is in here.
    applied: u64,
    /// Reading was interrupted after this revision, and tombstones that were removed since may have
    /// been missed.
    interrupted: Option<u64>,
    /// Tombstones of Jobs up to this revision have been removed.
    removed: u64,
    /// Such tombstones were missed: there may be objects here that are gone.
    stale: bool,
    /// Where the owner hears what is read.
    feed: Option<mpsc::Sender<TailEvent>>,
    /// How often everything was read anew: what came before is of no use to a watch.
    readings: u64,
}

/// What happened lately to the objects of one resource.
#[derive(Debug)]
struct Log {
    changes: VecDeque<Change>,
    bytes: usize,
    /// Every change after this revision is in here.
    horizon: u64,
}

/// The replica. Shared behind an `Arc`.
#[derive(Debug)]
pub struct Replica {
    jet: Jet,
    state: Mutex<State>,
    applied: watch::Sender<u64>,
}

impl Replica {
    /// Reads the whole stream, then keeps following it until the replica is dropped.
    pub async fn start(jet: Jet) -> Arc<Self> {
        let (state, tail) = read_all(&jet).await;
        let applied = watch::Sender::new(state.applied);
        let replica = Arc::new(Self { jet, state: Mutex::new(state), applied });
        task::spawn(follow(Arc::downgrade(&replica), tail));
        replica
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply(&self, entries: Vec<Entry>) {
        let applied = {
            let mut state = self.state();
            state.hand_on(&self.jet.names, &entries);
            state.take(&self.jet.names, entries);
            state.applied
        };
        self.applied.send_replace(applied);
    }

    /// All Jobs, leases and tombstones that are stored up to now at least (`revision` is known to
    /// be), and what is read of them from then on: the owner reads with the replica's eyes, so that
    /// each object is sent to a coordinator once. There is one such reader at a time.
    pub async fn feed(&self, revision: u64) -> (Vec<Entry>, mpsc::Receiver<TailEvent>) {
        let mut applied = self.applied.subscribe();
        // The sender lives as long as this does.
        drop(applied.wait_for(|applied| *applied >= revision).await);
        let (sender, receiver) = mpsc::channel(FEED);
        let mut state = self.state();
        state.feed = Some(sender);
        let entry = |(resource, namespace, name): &Key, payload, sequence, time| Entry {
            subject: self.jet.names.object(resource, namespace, name).into(),
            payload,
            sequence,
            time,
        };
        let live = state.live.iter().map(|(key, object)| {
            (key, entry(key, object.payload.clone(), object.revision, object.time))
        });
        let gone = state.tombstones.iter().map(|(key, tombstone)| {
            (key, entry(key, Bytes::new(), tombstone.revision, tombstone.time))
        });
        let owners = |(key, entry): &(&Key, Entry)| concerns_owner(key.0.as_str(), &entry.payload);
        let mut entries: Vec<Entry> =
            live.chain(gone).filter(owners).map(|(_, entry)| entry).collect();
        entries.sort_unstable_by_key(|entry| entry.sequence);
        (entries, receiver)
    }

    /// Everything was read anew. Watches that began before have to begin again.
    fn replace(&self, mut new: State) {
        let mut state = self.state();
        new.readings = state.readings + 1;
        if let Some(feed) = &state.feed {
            // One that is full or closed is found closed.
            drop(feed.try_send(TailEvent::WentBack));
        }
        let applied = new.applied;
        *state = new;
        drop(state);
        self.applied.send_replace(applied);
    }

    /// The revision up to which everything is known here.
    #[must_use]
    pub fn applied(&self) -> u64 {
        *self.applied.borrow()
    }

    /// Tells when more has become known.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }

    /// The revision of the last change of any object of a resource, also of one that is gone.
    #[must_use]
    pub fn newest(&self, resource: &str) -> u64 {
        self.state().newest(resource)
    }

    /// Waits until every Job that was stored before the call is known here.
    ///
    /// # Errors
    ///
    /// When the stream cannot be asked, or the replica does not come that far in time.
    pub async fn fresh(&self) -> Result<u64, ReadError> {
        self.fresh_of("jobs").await
    }

    /// Waits until everything of a resource that was stored before the call is known here.
    ///
    /// # Errors
    ///
    /// As [`Replica::fresh`].
    pub async fn fresh_of(&self, resource: &str) -> Result<u64, ReadError> {
        let subject = self.jet.names.objects(Some(resource));
        let stored = self.jet.read_last(&self.jet.names.objects_stream(), &subject).await?;
        let newest = stored.map_or(0, |stored| stored.sequence);
        self.wait_for(newest).await;
        Ok(newest)
    }

    /// Waits (a bounded time) until `revision` is known here.
    pub async fn wait_for(&self, revision: u64) {
        let mut applied = self.applied.subscribe();
        let reached = applied.wait_for(|applied| *applied >= revision);
        if tokio::time::timeout(FRESH, reached).await.is_err() {
            tracing::warn!(revision, "the replica lags behind its stream");
        }
    }

    /// One object.
    #[must_use]
    pub fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Arc<Object>> {
        let key = (resource.to_owned(), namespace.to_owned(), name.to_owned());
        self.state().live.get(&key).cloned()
    }

    /// What a new object of this name must expect at its subject: 0, or its predecessor's
    /// tombstone.
    #[must_use]
    pub fn tombstone(&self, resource: &str, namespace: &str, name: &str) -> u64 {
        let key = (resource.to_owned(), namespace.to_owned(), name.to_owned());
        self.state().tombstones.get(&key).map_or(0, |tombstone| tombstone.revision)
    }

    /// All objects of a resource, in one namespace or in all, by namespace and name; and the
    /// revision that this list is of.
    #[must_use]
    pub fn list(&self, resource: &str, namespace: Option<&str>) -> (Vec<Arc<Object>>, u64) {
        let state = self.state();
        let from = (resource.to_owned(), namespace.unwrap_or("").to_owned(), String::new());
        let objects = state
            .live
            .range((Bound::Included(from), Bound::Unbounded))
            .take_while(|((kind, space, _), _)| {
                kind == resource && namespace.is_none_or(|namespace| namespace == space)
            })
            .map(|(_, object)| Arc::clone(object))
            .collect();
        (objects, state.applied)
    }

    /// Whether nothing has happened to objects of a resource after a revision, as far as is known.
    #[must_use]
    pub fn is_unchanged_since(&self, resource: &str, revision: u64) -> bool {
        let state = self.state();
        match state.logs.get(resource) {
            None => revision >= state.horizon,
            Some(log) => {
                let last = log.changes.back().map_or(0, |change| change.object.revision);
                revision >= log.horizon.max(last)
            }
        }
    }

    /// Follows changes of Jobs after `revision`.
    #[must_use]
    pub fn watch(self: &Arc<Self>, revision: u64) -> Watcher {
        self.watch_of("jobs", revision)
    }

    /// Follows changes of a resource after `revision`.
    #[must_use]
    pub fn watch_of(self: &Arc<Self>, resource: &'static str, revision: u64) -> Watcher {
        let readings = self.state().readings;
        let (replica, applied) = (Arc::clone(self), self.applied.subscribe());
        Watcher { replica, resource, readings, cursor: revision, applied }
    }

    /// Changes after `cursor`, and how far they go.
    fn changes_after(
        &self,
        resource: &str,
        cursor: u64,
        readings: u64,
    ) -> Result<(Vec<Change>, u64), WatchError> {
        let state = self.state();
        let log = state.logs.get(resource);
        if cursor < log.map_or(state.horizon, |log| log.horizon) || state.readings != readings {
            return Err(WatchError::Expired(cursor));
        }
        let applied = state.applied.max(cursor);
        let Some(log) = log else { return Ok((Vec::new(), applied)) };
        let start = log.changes.partition_point(|change| change.object.revision <= cursor);
        Ok((log.changes.range(start..).cloned().collect(), applied))
    }
}

fn concerns_owner(resource: &str, payload: &[u8]) -> bool {
    OWNERS.contains(&resource) || is_tombstone(payload)
}

/// Keeps a replica up to date, until it is dropped.
async fn follow(replica: Weak<Replica>, mut tail: Tail) {
    loop {
        let event = tail.next().await;
        let Some(replica) = replica.upgrade() else { return };
        let mut anew = false;
        match event {
            Some(TailEvent::Entries(entries)) => {
                replica.apply(entries);
                anew = replica.state().stale;
            }
            Some(TailEvent::Resumed(after)) => replica.state().interrupted = Some(after),
            Some(TailEvent::CaughtUp) => {}
            Some(TailEvent::WentBack) | None => anew = true,
        }
        if anew {
            let (state, new) = read_all(&replica.jet).await;
            tracing::warn!(applied = state.applied, "the replica was read anew");
            replica.replace(state);
            tail = new;
        }
    }
}

/// Reads everything that there is now, and who reads on.
async fn read_all(jet: &Jet) -> (State, Tail) {
    let filters = RESOURCES.map(|resource| jet.names.objects(Some(resource)));
    let mut state = State::default();
    loop {
        let mut tail = Tail::start(jet.clone(), jet.names.objects_stream(), filters.to_vec());
        while let Some(event) = tail.next().await {
            match event {
                TailEvent::Entries(entries) => state.take(&jet.names, entries),
                TailEvent::CaughtUp => {
                    state.forget_logs();
                    return (state, tail);
                }
                TailEvent::Resumed(_) => {}
                TailEvent::WentBack => break,
            }
        }
        state = State::default();
    }
}

impl State {
    /// Tells the owner what it wants to know of.
    fn hand_on(&mut self, names: &Names, entries: &[Entry]) {
        let Some(feed) = &self.feed else { return };
        let owners = |entry: &&Entry| {
            let parsed = names.parse_object_subject(&entry.subject);
            parsed.is_some_and(|(resource, _, _)| concerns_owner(resource, &entry.payload))
        };
        let entries: Vec<Entry> = entries.iter().filter(owners).cloned().collect();
        if !entries.is_empty() && feed.try_send(TailEvent::Entries(entries)).is_err() {
            // It finds this closed, and begins anew.
            self.feed = None;
        }
    }

    fn take(&mut self, names: &Names, entries: Vec<Entry>) {
        for entry in entries {
            self.applied = entry.sequence;
            let parsed = names.parse_object_subject(&entry.subject);
            let Some((resource, namespace, name)) = parsed else { continue };
            if resource == HORIZONS {
                self.pass(&entry.payload);
                continue;
            }
            self.apply(Object {
                resource: resource.to_owned(),
                namespace: namespace.to_owned(),
                name,
                revision: entry.sequence,
                payload: entry.payload,
                time: entry.time,
            });
        }
    }

    /// Tombstones are being removed. Those that were read are not needed any more, since nothing
    /// stands in the way of a new object of their names.
    fn pass(&mut self, horizon: &[u8]) {
        let Ok(Horizon { removed, .. }) = serde_json::from_slice(horizon) else { return };
        self.removed = self.removed.max(removed);
        self.tombstones.retain(|(resource, ..), it| resource == UNBURIED || it.revision > removed);
        self.stale |= self.interrupted.is_some_and(|after| removed > after);
    }

    fn apply(&mut self, object: Object) {
        let key = (object.resource.clone(), object.namespace.clone(), object.name.clone());
        let gone = is_tombstone(&object.payload);
        let object = Arc::new(object);
        let before = if gone {
            let tombstone = Tombstone { revision: object.revision, time: object.time };
            self.tombstones.insert(key.clone(), tombstone);
            self.live.remove(&key)
        } else {
            self.tombstones.remove(&key);
            self.live.insert(key, Arc::clone(&object))
        };
        if gone && before.is_none() {
            return;
        }
        let horizon = self.horizon;
        let log = self.logs.entry(object.resource.clone()).or_insert_with(|| Log {
            changes: VecDeque::new(),
            bytes: 0,
            horizon,
        });
        log.push(Change { object, added: before.is_none(), before, gone });
    }

    /// What came before the start is the state, not news: watches begin here, or with whatever
    /// happened to their objects last.
    fn forget_logs(&mut self) {
        let log = |resource: &&str| {
            let horizon = self.newest(resource);
            ((*resource).to_owned(), Log { changes: VecDeque::new(), bytes: 0, horizon })
        };
        self.logs = RESOURCES.iter().map(log).collect();
        self.horizon = self.applied;
    }

    fn newest(&self, resource: &str) -> u64 {
        let live = self.live.iter().map(|((kind, ..), object)| (kind, object.revision));
        let gone = self.tombstones.iter().map(|((kind, ..), gone)| (kind, gone.revision));
        let all = live.chain(gone).filter(|(kind, _)| *kind == resource);
        let removed = if resource == "jobs" { self.removed } else { 0 };
        all.map(|(_, revision)| revision).fold(removed, u64::max)
    }
}

impl Log {
    fn push(&mut self, change: Change) {
        self.bytes += change.object.payload.len();
        self.changes.push_back(change);
        while self.changes.len() > LOG_LENGTH || self.bytes > LOG_BYTES {
            let Some(oldest) = self.changes.pop_front() else { break };
            self.bytes -= oldest.object.payload.len();
            self.horizon = oldest.object.revision;
        }
    }
}

/// One watch: where it is in the log of changes.
#[derive(Debug)]
pub struct Watcher {
    replica: Arc<Replica>,
    resource: &'static str,
    readings: u64,
    cursor: u64,
    applied: watch::Receiver<u64>,
}

impl Watcher {
    /// The changes that are known by now, oldest first.
    ///
    /// # Errors
    ///
    /// When the log no longer reaches back to where this watch is.
    pub fn poll(&mut self) -> Result<Vec<Change>, WatchError> {
        let (changes, cursor) =
            self.replica.changes_after(self.resource, self.cursor, self.readings)?;
        self.cursor = cursor;
        Ok(changes)
    }

    /// The next changes, oldest first; waits for them. Safe to cancel.
    ///
    /// # Errors
    ///
    /// As [`Watcher::poll`].
    pub async fn next(&mut self) -> Result<Vec<Change>, WatchError> {
        loop {
            let changes = self.poll()?;
            if !changes.is_empty() {
                return Ok(changes);
            }
            self.applied.changed().await.map_err(|_| WatchError::Closed)?;
        }
    }

    /// The revision up to which this watch has been told everything.
    #[must_use]
    pub fn cursor(&self) -> u64 {
        self.cursor
    }
}
