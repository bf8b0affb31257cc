//! Notes: what the next agent has to know of a pod, if this one is killed now. A runtime that
//! outlives the agent keeps them; it does not read them.
//!
//! The first is made before the claim is sent, so no claim is ever unknown. Of a pod that is one
//! run and nothing else it is the only one: the run tells the rest. All others are noted anew with
//! every round in which something happened to them, in one frame with what the round asks of the
//! runtime.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use stint_common::id::PodId;
use stint_common::time::WallClock;
use stint_common::wire::{End, IndexFailures};

use super::devices::Assigned;
use super::feed::Kind;
use super::pods::{Pod, Stage};
use super::run::Agent;
use crate::launch::Values;
use crate::pod::{ActionId, ActionKind, Event, Machine};
use crate::runtime::{RunId, Runtime};

/// The format. Another one cannot be taken up.
const VERSION: u8 = 1;

/// What is noted of a pod, with its machine or a reference to it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Note<K, M> {
    v: u8,
    pub(super) pod: PodId,
    pub(super) namespace: String,
    pub(super) template: String,
    pub(super) created_at: Timestamp,
    pub(super) index_failures: Option<IndexFailures>,
    pub(super) claimed_at: Timestamp,
    /// Of the claim.
    pub(super) nonce: u64,
    pub(super) kind: K,
    /// What the run of a pod of one run is called.
    pub(super) run: RunId,
    pub(super) life: Option<LifeNote<M>>,
    /// By which clock its times are told.
    pub(super) clock_ms: Option<i64>,
}

/// What happened to a pod since its claim.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LifeNote<M> {
    pub(super) machine: M,
    pub(super) place: Place,
    pub(super) devices: Assigned,
    pub(super) evicted: Option<String>,
    pub(super) containers: Vec<ContainerNote>,
    pub(super) actions: Vec<ActionNote>,
    pub(super) end: Option<Box<End>>,
    /// Variables that its containers keep. The runtime knows them anyhow: it starts what has them.
    #[serde(default)]
    pub(super) values: Arc<Values>,
    /// The template with its files, until it is certain that they lie in the pod's volumes: these
    /// are made with the first container that mounts any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) files: Option<Arc<serde_json::Value>>,
}

impl<M> LifeNote<M> {
    /// The machine, and the rest.
    pub(super) fn apart(self) -> (M, LifeNote<()>) {
        let Self { machine, place, devices, evicted, containers, actions, end, values, files } =
            self;
        let rest = LifeNote {
            machine: (),
            place,
            devices,
            evicted,
            containers,
            actions,
            end,
            values,
            files,
        };
        (machine, rest)
    }

    /// Whether anything of the pod was ever asked for: the start of a container, or an action.
    pub(super) fn has_begun(&self) -> bool {
        self.containers.iter().any(|it| it.run.is_some()) || !self.actions.is_empty()
    }
}

/// What a pod holds of its worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Place {
    None,
    InLine,
    OutOfLine,
    Apart,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ContainerNote {
    pub(super) run: Option<RunId>,
    pub(super) out_of_memory: bool,
    pub(super) shipped: bool,
    pub(super) log_sequence: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ActionNote {
    pub(super) id: ActionId,
    pub(super) index: usize,
    pub(super) kind: ActionKind,
    pub(super) run: Option<RunId>,
}

/// A note as it is read.
pub(super) type ReadNote = Note<Kind, Machine>;

impl ReadNote {
    /// A note of this version, if it is one.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let note: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if note.v == VERSION { Ok(note) } else { Err(format!("its format is {}", note.v)) }
    }

    /// The highest run that it names.
    pub(super) fn last_run(&self) -> u64 {
        let life = self.life.iter();
        let containers =
            life.clone().flat_map(|life| life.containers.iter().filter_map(|it| it.run));
        let actions = life.flat_map(|life| life.actions.iter().filter_map(|it| it.run));
        containers.chain(actions).chain([self.run]).map(|run| run.0).max().unwrap_or(0)
    }
}

impl Pod {
    fn note(&self, id: PodId, wall: WallClock) -> Note<&Kind, &Machine> {
        Note {
            v: VERSION,
            pod: id,
            namespace: self.ready.namespace.clone(),
            template: self.template.clone(),
            created_at: self.created_at,
            index_failures: self.index_failures,
            claimed_at: self.claimed_at,
            nonce: self.claim_nonce,
            kind: &self.kind,
            run: self.first_run,
            life: (!self.tells_itself).then(|| self.life_note()),
            clock_ms: Some(wall.ahead_ms()),
        }
    }

    fn life_note(&self) -> LifeNote<&Machine> {
        let place = match self.stage {
            Stage::LinedUp => Place::InLine,
            Stage::Running(_) if self.apart => Place::Apart,
            Stage::Running(_) => Place::OutOfLine,
            Stage::Claiming
            | Stage::Verifying
            | Stage::Waiting
            | Stage::Configuring
            | Stage::Ending => Place::None,
        };
        let containers = self.containers.iter().map(|container| ContainerNote {
            run: container.id,
            out_of_memory: container.out_of_memory,
            shipped: container.shipped,
            log_sequence: container.log_sequence,
        });
        let actions = self.actions.iter().map(|acting| ActionNote {
            id: acting.id,
            index: acting.index,
            kind: acting.kind,
            run: acting.run(),
        });
        LifeNote {
            machine: &self.machine,
            place,
            devices: self.devices.clone(),
            evicted: self.evicted.clone(),
            containers: containers.collect(),
            actions: actions.collect(),
            end: self.end.clone(),
            values: Arc::clone(&self.values),
            files: self.files.clone().filter(|_| !self.machine.has_run_all()),
        }
    }
}

impl<R: Runtime> Agent<R> {
    /// Something happens to a pod: its note is made anew with this round, unless its run tells.
    pub(super) fn will_note(&mut self, id: PodId, event: &Event) {
        let Some(pod) = self.pods.get_mut(&id) else { return };
        let told_by_run = match event {
            Event::Start
            | Event::ContainerStarted { .. }
            | Event::StartFailed { .. }
            | Event::ContainerExited { .. } => true,
            Event::Configured { .. }
            | Event::NotConfigured { .. }
            | Event::StartCancelled { .. }
            | Event::ActionDone { .. }
            | Event::StopOrdered { .. }
            | Event::Kill
            | Event::Paused
            | Event::Resumed
            | Event::Wake => false,
        };
        if !told_by_run {
            pod.tells_itself = false;
        }
        self.note_anew(id);
    }

    pub(super) fn note_anew(&mut self, id: PodId) {
        let Some(pod) = self.pods.get_mut(&id) else { return };
        if !pod.tells_itself && !std::mem::replace(&mut pod.to_be_noted, true) {
            self.to_be_noted.push(id);
        }
    }

    /// Notes a pod as it is now.
    pub(super) fn note(&self, id: PodId) {
        // Where nobody comes after this agent, nobody reads them.
        let Some(pod) = self.pods.get(&id).filter(|_| self.runtime.life().is_some()) else {
            return;
        };
        match serde_json::value::to_raw_value(&pod.note(id, self.wall)) {
            Ok(note) => self.runtime.note(&id.to_string(), note),
            Err(error) => tracing::error!(pod = %id, %error, "a pod cannot be noted"),
        }
    }

    /// The end of a round: what it did is noted, what nobody needs is forgotten, and all that it
    /// said to the runtime is carried out, also if this process dies now.
    pub(super) fn note_round(&mut self) {
        for id in std::mem::take(&mut self.to_be_noted) {
            if let Some(pod) = self.pods.get_mut(&id) {
                pod.to_be_noted = false;
                self.note(id);
            }
        }
        if !self.to_release.is_empty() {
            self.runtime.release(&std::mem::take(&mut self.to_release));
        }
        if !self.to_forget.is_empty() {
            self.runtime.forget(None, &std::mem::take(&mut self.to_forget));
        }
        self.runtime.flush();
    }

    /// Nobody will ask for a pod again.
    pub(super) fn forget_note(&self, id: PodId, runs: &[RunId]) {
        if self.runtime.life().is_some() {
            self.runtime.forget(Some(&id.to_string()), runs);
        }
    }

    /// A run is over and what it left was taken in. What only the run tells of its pod stays until
    /// the pod's end is written.
    pub(super) fn run_is_done(&mut self, id: PodId, run: RunId) {
        if self.pods.get(&id).is_none_or(|pod| !pod.tells_itself) {
            self.to_forget.push(run);
        }
    }
}
