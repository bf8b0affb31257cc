//! What the verbs work on: the replica to read from, the committers to write through.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use stint_common::id::Incarnation;
use stint_common::names::Names;
use stint_common::nats::{Committer, Jet, ReadError};

use super::Error;
use crate::store::Replica;

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
}

impl Registry {
    /// A registry over these; `writer` must differ from the owner's, whose writes go another way.
    #[must_use]
    pub fn new(jet: Jet, objects: Committer, pods: Committer, replica: Arc<Replica>) -> Self {
        let events = Committer::start(jet.clone(), jet.names.events_stream());
        Self {
            jet,
            objects,
            pods,
            events,
            replica,
            writer: Incarnation::random(),
            nonce: AtomicU64::new(0),
        }
    }

    pub(super) fn next_nonce(&self) -> u64 {
        self.nonce.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The names under which everything lives.
    #[must_use]
    pub fn names(&self) -> Names {
        self.jet.names.clone()
    }

    /// Whether NATS can be reached just now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.jet.client.connection_state() == async_nats::connection::State::Connected
    }

    /// A page of a list that was asked for with `limit` ends early at this size, so that it fits a
    /// message.
    pub(super) fn page_bytes(&self) -> usize {
        self.max_payload() / 4 * 3
    }

    /// The server's largest message: no record may be larger.
    #[must_use]
    pub fn max_payload(&self) -> usize {
        self.jet.client.server_info().max_payload
    }
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        tracing::warn!(?error, "JetStream does not answer");
        Self::Unavailable("JetStream does not answer; try again".to_owned())
    }
}
