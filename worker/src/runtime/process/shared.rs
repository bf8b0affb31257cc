//! What the threads of the runtime share.

use std::fs::File;
use std::io::PipeWriter;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stint_common::id::Incarnation;

use super::cgroup::Cgroups;
use super::open::WatchdogCommand;
use super::pods::Pods;
use super::program::Programs;
use super::registry::Registry;
use super::table::Table;
use crate::logs::CapturePool;
use crate::runtime::{EventSink, RuntimeEvent};

/// Everything that spawners, reaper and callers have in common.
pub(super) struct Shared {
    pub(super) life: Incarnation,
    pub(super) data_dir: PathBuf,
    pub(super) watchdog_command: Option<WatchdogCommand>,
    /// Its end is the watchdog's sign that we are dead.
    pub(super) watchdog_pipe: Mutex<Option<PipeWriter>>,
    pub(super) queue_limit: usize,
    pub(super) opened_ticks: u64,
    pub(super) null: File,
    pub(super) pool: Arc<CapturePool>,
    pub(super) programs: Programs,
    pub(super) pods: Arc<Pods>,
    pub(super) cgroups: Cgroups,
    pub(super) table: Table,
    pub(super) sink: Box<dyn EventSink>,
    registry: Mutex<Registry>,
    /// Something came for the spawners.
    pub(super) work: Condvar,
    /// A start was noted, a run is over, or all is to end.
    pub(super) changed: Condvar,
}

/// What [`Shared`] is made from, besides an empty registry.
pub(super) struct Parts {
    pub(super) life: Incarnation,
    pub(super) data_dir: PathBuf,
    pub(super) watchdog_command: Option<WatchdogCommand>,
    pub(super) queue_limit: usize,
    pub(super) opened_ticks: u64,
    pub(super) null: File,
    pub(super) pods: Arc<Pods>,
    pub(super) cgroups: Cgroups,
    pub(super) table: Table,
    pub(super) sink: Box<dyn EventSink>,
}

impl Shared {
    pub(super) fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self {
            life: parts.life,
            pool: CapturePool::new(&parts.data_dir),
            data_dir: parts.data_dir,
            watchdog_command: parts.watchdog_command,
            watchdog_pipe: Mutex::new(None),
            queue_limit: parts.queue_limit,
            opened_ticks: parts.opened_ticks,
            null: parts.null,
            programs: Programs::default(),
            pods: parts.pods,
            cgroups: parts.cgroups,
            table: parts.table,
            sink: parts.sink,
            registry: Mutex::default(),
            work: Condvar::new(),
            changed: Condvar::new(),
        })
    }

    pub(super) fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a change, at most so long.
    pub(super) fn wait_for_change<'a>(
        &self,
        registry: MutexGuard<'a, Registry>,
        most: Duration,
    ) -> MutexGuard<'a, Registry> {
        let waited = self.changed.wait_timeout(registry, most);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    pub(super) fn deliver(&self, event: RuntimeEvent) {
        self.sink.deliver(event);
    }
}
