//! Leases: compare-and-set chains, each renewal expecting the one before.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::class::Offer;
use super::node::NodeWord;
use crate::id::Incarnation;

/// The value at a worker's lease subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerLease {
    /// Format version.
    pub v: u8,
    /// The worker's name.
    pub worker: String,
    /// Which life of the worker.
    pub incarnation: Incarnation,
    /// Identity of its data directory: the same name with another one is another worker.
    pub home: Incarnation,
    /// 0 for the hello, then one more each time.
    pub renewal: u64,
    /// What the worker is.
    pub state: WorkerState,
    /// How many pods it runs at a time.
    pub slots: u32,
    /// What it offers to pods; absent in leases of versions that take every pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer: Option<Offer>,
    /// What the worker has heard that clients say of it.
    #[serde(default)]
    pub word: NodeWord,
    /// Its machine's host name.
    pub hostname: String,
    /// When this incarnation began.
    pub started_at: Timestamp,
    /// When the first life of this home began; absent from that life's first lease, and from those
    /// that a version wrote or recorded as lost that did not say it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home_since: Option<Timestamp>,
    /// How long the lease lasts after this renewal, in milliseconds.
    pub lease_ms: u64,
    /// How long after the lease's end the worker may be recorded as lost, in milliseconds.
    pub grace_ms: u64,
    /// Version of the program.
    pub version: String,
    /// The machine that it runs on; absent from workers that did not say it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
}

impl WorkerLease {
    /// When its home first had a lease, as far as that is known.
    #[must_use]
    pub fn settled_at(&self) -> Timestamp {
        self.home_since.unwrap_or(self.started_at)
    }

    /// Takes in what clients say of the worker.
    pub fn hear(&mut self, word: NodeWord) {
        self.state = if word.unschedulable { WorkerState::Draining } else { WorkerState::Ready };
        self.word = word;
    }

    /// What it offers, by its own word and its clients': what pods are placed by.
    #[must_use]
    pub fn offers(&self) -> Option<Cow<'_, Offer>> {
        let own = self.offer.as_ref()?;
        let silent = self.word.labels.is_empty() && self.word.taints.is_none();
        Some(if silent { Cow::Borrowed(own) } else { Cow::Owned(self.word.apply_to(own)) })
    }
}

/// What a worker says of its machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    /// Its address as others on its network see it.
    pub address: String,
    /// Its processors.
    pub cpus: u32,
    /// Its memory, in bytes.
    pub memory_bytes: u64,
    /// As Go calls it (`amd64`): `kubernetes.io/arch`.
    pub architecture: String,
    /// `uname -r`.
    pub kernel: String,
    /// `PRETTY_NAME` of `/etc/os-release`.
    pub os_image: String,
    /// `/etc/machine-id`.
    pub machine_id: String,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
}

/// What a worker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkerState {
    /// It takes pods.
    Ready,
    /// It takes no more pods; those that run go on.
    Draining,
    /// It ended in order; all its pods' ends are written.
    Gone,
    /// The owner's word: it let its lease run out. Final for this incarnation.
    Lost,
}

/// The value at the owner's lease subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnerLease {
    /// Format version.
    pub v: u8,
    /// Which life of which coordinator.
    pub incarnation: Incarnation,
    /// 0 when taken, then one more each time.
    pub renewal: u64,
    /// How long after a renewal another may take over, in milliseconds.
    pub lease_ms: u64,
    /// Set when it was given up in order: another may take over at once.
    pub released: bool,
}

/// The value at the horizon's subject, written before tombstones of objects are removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Horizon {
    /// Format version.
    pub v: u8,
    /// Who wrote this.
    pub writer: Incarnation,
    /// Counts the writer's writes.
    pub nonce: u64,
    /// Of tombstones at or below this sequence some may be gone.
    pub removed: u64,
}
