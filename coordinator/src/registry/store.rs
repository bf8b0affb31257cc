//! What the verbs work on: the replica to read from, the committers to write through.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use stint_common::id::Incarnation;
use stint_common::names::Names;
use stint_common::nats::{Committer, Jet, ReadError, Unconfirmed};
use tokio::sync::Mutex;

use super::Error;
use super::pods_feed::PodsFeed;
use super::pods_pages::PodsPages;
use crate::store::Replica;
use crate::trace::Settings;

/// Verbs on Jobs, pods and logs. Shared by the front ends; holds no state of its own.
#[derive(Debug)]
pub struct Registry {
    pub(super) jet: Jet,
    pub(super) objects: Committer,
    pub(super) pods: Committer,
    pub(super) events: Committer,
    pub(super) replica: Arc<Replica>,
    pub(super) writer: Incarnation,
    nonce: AtomicU64,
    /// How long a template may be without its Job: a new Job that comes later is taken back.
    pub(super) template_holds: Duration,
    /// How the spans of Jobs created here are spread.
    pub(super) traces: Settings,
    /// What happens to pods, as long as somebody asks.
    pods_feed: Mutex<Weak<PodsFeed>>,
    /// Lists of pods that go on.
    pub(super) pods_pages: PodsPages,
}

impl Registry {
    /// A registry over these; `writer` must differ from the owner's, whose writes go another way.
    /// `template_holds` is how long a template may be without its Job.
    #[must_use]
    pub fn new(
        jet: Jet,
        objects: Committer,
        pods: Committer,
        replica: Arc<Replica>,
        template_holds: Duration,
    ) -> Self {
        let events = Committer::start(jet.clone(), jet.names.events_stream());
        Self {
            jet,
            objects,
            pods,
            events,
            replica,
            writer: Incarnation::random(),
            nonce: AtomicU64::new(0),
            template_holds,
            traces: Settings::default(),
            pods_feed: Mutex::new(Weak::new()),
            pods_pages: PodsPages::default(),
        }
    }

    /// The same, with other limits for traces of the Jobs that are created here.
    #[must_use]
    pub fn with_traces(self, traces: Settings) -> Self {
        Self { traces, ..self }
    }

    pub(super) fn next_nonce(&self) -> u64 {
        self.nonce.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// How far the pods' stream is.
    ///
    /// # Errors
    ///
    /// 503 when JetStream is away.
    pub(super) async fn pods_revision(&self) -> Result<u64, Error> {
        let names = &self.jet.names;
        let mut last = 1;
        for subject in [names.pods(None), names.orders(None)] {
            let stored = self.jet.read_last(&names.pods_stream(), &subject).await?;
            last = last.max(stored.map_or(0, |stored| stored.sequence));
        }
        Ok(last)
    }

    /// What happens to pods, from now on at the latest.
    pub(super) async fn pods_feed(&self) -> Arc<PodsFeed> {
        let mut slot = self.pods_feed.lock().await;
        if let Some(feed) = slot.upgrade().filter(|feed| !feed.is_over()) {
            feed.touch();
            return feed;
        }
        let feed = PodsFeed::start(self.jet.clone(), Arc::clone(&self.replica)).await;
        *slot = Arc::downgrade(&feed);
        feed
    }

    /// The names under which everything lives.
    #[must_use]
    pub fn names(&self) -> Names {
        self.jet.names.clone()
    }

    /// Whether NATS can be reached just now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.jet.is_connected()
    }

    /// A page of a list that was asked for with `limit` ends early at this size, so that it fits a
    /// message.
    pub(super) fn page_bytes(&self) -> usize {
        self.max_payload() / 4 * 3
    }

    /// The server's largest message: no record may be larger.
    #[must_use]
    pub fn max_payload(&self) -> usize {
        self.jet.max_payload()
    }
}

/// A client is told the fate of its write within this time: longer than another server of a cluster
/// needs to take over.
pub(super) const PATIENCE: Duration = Duration::from_secs(12);

impl From<Unconfirmed> for Error {
    fn from(error: Unconfirmed) -> Self {
        let says = error.trouble.as_ref().map_or_else(
            || "JetStream does not answer".to_owned(),
            |trouble| format!("JetStream says: {trouble}"),
        );
        tracing::warn!(%error, says, "a client's write");
        Self::Timeout(format!("{error}: {says}; look whether it was stored before you try again"))
    }
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        tracing::warn!(?error, "JetStream does not answer");
        Self::Unavailable("JetStream does not answer; try again".to_owned())
    }
}
