//! One claimed pod: its machine, its place in the chain of writes, its runs.

use std::sync::Arc;

use jiff::Timestamp;
use stint_common::id::{Incarnation, PodId};
use stint_common::time::Instant;
use stint_common::wire::{
    Claim, End, IndexFailures, PodRecord, PodState, Running, VERSION, Waiting,
};
use tokio::sync::oneshot;

use super::actions::Acting;
use super::devices::Assigned;
use super::feed::Kind;
use super::templates::Ready;
use crate::launch::{Host, Values};
use crate::logs::LogReader;
use crate::pod::{Machine, Settings};
use crate::runtime::RunId;

/// A pod from its claim to the durable end.
#[derive(Debug)]
pub(super) struct Pod {
    pub(super) template: String,
    pub(super) created_at: Timestamp,
    pub(super) index_failures: Option<IndexFailures>,
    pub(super) claimed_at: Timestamp,
    /// Of the claim's record.
    pub(super) claim_nonce: u64,
    /// What its first run is called.
    pub(super) first_run: RunId,
    /// The first note and its one run tell all that there is to know.
    pub(super) tells_itself: bool,
    /// Its note is made anew with this round.
    pub(super) to_be_noted: bool,
    pub(super) ready: Arc<Ready>,
    pub(super) machine: Machine,
    /// Sequence of the latest record; every write expects it.
    pub(super) sequence: u64,
    /// A write of its record is under way: the next waits for it.
    pub(super) writing: bool,
    pub(super) stage: Stage,
    /// What its class says of it.
    pub(super) kind: Arc<Kind>,
    /// It holds a place that is not one of the line's.
    pub(super) apart: bool,
    /// Devices that are its own while it runs.
    pub(super) devices: Assigned,
    pub(super) containers: Vec<Run>,
    /// What it waits for before it may have a place.
    pub(super) waits_for: Option<Waiting>,
    /// Its template with the files in it that were read for it.
    pub(super) files: Option<Arc<serde_json::Value>>,
    /// Variables that were read for its containers: they keep them.
    pub(super) values: Arc<Values>,
    /// Hooks and probes under way.
    pub(super) actions: Vec<Acting>,
    /// What its record should say by and by.
    pub(super) report: Option<Running>,
    /// Timer that is set for its machine.
    pub(super) wake_at: Option<Timestamp>,
    /// Why it was put out, if it was.
    pub(super) evicted: Option<String>,
    /// Its end, waiting to be written.
    pub(super) end: Option<Box<End>>,
}

/// Where a pod is on this worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The claim is on its way.
    Claiming,
    /// Claimed; whether it is over already is being looked up.
    Verifying,
    /// Claimed; waits for a place.
    Waiting,
    /// Claimed; stands in line as soon as its only container has its variables.
    Configuring,
    /// The runtime starts it as soon as there is a place.
    LinedUp,
    /// It has a place since then.
    Running(Instant),
    /// Its processes are gone; its end is being written.
    Ending,
}

/// One container's current or last run.
#[derive(Debug, Default)]
pub(super) struct Run {
    pub(super) id: Option<RunId>,
    pub(super) output: Output,
    /// Something of it was killed for want of memory.
    pub(super) out_of_memory: bool,
    /// Chunks of it are in the logs' stream.
    pub(super) shipped: bool,
    /// The last chunk of runs that are over.
    pub(super) log_sequence: u64,
}

/// What becomes of a run's output.
#[derive(Debug, Default)]
pub(super) enum Output {
    /// There is none, or it is dealt with.
    #[default]
    None,
    /// In files that nobody has looked at yet, since then.
    Captured(LogReader, Instant),
    /// A task of its own ships it; it is told of the exit.
    Shipping(oneshot::Sender<stint_common::wire::Exit>),
}

/// Whether the first note of such a pod, and its one run, tell all that there is to know: nothing
/// is read for it that would have to outlive the agent.
pub(super) fn tells_itself(kind: &Kind, settings: &Settings, ready: &Ready) -> bool {
    kind.plain && settings.is_one_run() && !settings.asks_first() && !ready.has_files()
}

impl Pod {
    /// Works its template out anew, with all that was read for it so far.
    pub(super) fn make_ready(&mut self, host: &Host) {
        if let Some(asking) = &self.ready.asking {
            self.ready = Arc::new(asking.ready(self.files.as_deref(), &self.values, host));
        }
    }

    /// Whether it gets its place in the runtime's line.
    pub(super) fn is_lined_up(&self) -> bool {
        self.kind.plain && self.machine.settings().is_one_run()
    }

    /// Whether it occupies a place.
    pub(super) fn runs(&self) -> Option<Instant> {
        match self.stage {
            Stage::Running(since) => Some(since),
            Stage::Claiming
            | Stage::Verifying
            | Stage::Waiting
            | Stage::Configuring
            | Stage::LinedUp
            | Stage::Ending => None,
        }
    }

    /// The record that is to be written next.
    pub(super) fn record(
        &self,
        worker: &str,
        me: Incarnation,
        nonce: u64,
        address: &str,
        state: PodState,
    ) -> Vec<u8> {
        let claimed = matches!(state, PodState::Claimed);
        let record = PodRecord {
            v: VERSION,
            writer: me,
            nonce,
            template: self.template.clone(),
            created_at: self.created_at,
            index_failures: self.index_failures,
            claim: Some(Claim {
                worker: worker.to_owned(),
                incarnation: me,
                claimed_at: self.claimed_at,
            }),
            address: Some(address).filter(|it| !claimed && !it.is_empty()).map(str::to_owned),
            state,
            waiting: self.waits_for.clone().filter(|_| claimed),
        };
        serde_json::to_vec(&record).expect("a pod's record has only string keys")
    }

    /// The container that a run is of.
    pub(super) fn container_of(&self, run: RunId) -> Option<usize> {
        self.containers.iter().position(|container| container.id == Some(run))
    }
}

/// A claimed pod's name in the agent's timers.
pub(super) type Timer = (Timestamp, PodId);
