//! The port: what the agent asks of a runtime, and what it hears back. Knows nothing of Kubernetes.
//!
//! ```text
//! agent ── start, terminate, kill ──▶ runtime ── Started ─▶ Exited ─▶ sink ──▶ agent
//!                                            └─ NotStarted ─▶
//! ```
//!
//! For each accepted start the sink hears either `NotStarted`, or `Started` and later `Exited`:
//! exactly once each, in this order. No call waits for a process.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use stint_common::id::Incarnation;
use stint_common::wire::Exit;

use crate::launch::LaunchSpec;
use crate::logs::LogReader;

/// One start of one container. Drawn by the caller, never used twice in one life of the worker.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct RunId(pub u64);

/// What a runtime says of a run.
#[derive(Debug)]
pub enum RuntimeEvent {
    /// Its process runs.
    Started {
        /// Which run.
        run: RunId,
        /// When the process was started.
        at: Timestamp,
        /// Its output, to be looked at while it runs and after.
        logs: LogReader,
    },
    /// It has no process and never had one.
    NotStarted {
        /// Which run.
        run: RunId,
        /// Why.
        error: StartError,
    },
    /// A volume of a pod holds more than it may. Said again until the pod is cleared away.
    Overfull {
        /// Which pod, as its [`Setup`](crate::launch::Setup) names it.
        pod: Arc<str>,
        /// For people.
        message: String,
    },
    /// The system killed a process of it for want of memory. Comes right before `Exited`, and only
    /// where memory is limited.
    OutOfMemory {
        /// Which run.
        run: RunId,
    },
    /// Its process has ended, and no process of its tree is left.
    Exited {
        /// Which run.
        run: RunId,
        /// The truth of the exit.
        exit: Exit,
        /// When its first process ended.
        at: Timestamp,
    },
    /// The runtime itself is gone, and all processes of all runs with it. Nothing follows.
    Died,
}

/// Why a run has no process.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It can never start: the pod's own fault. The text is the `message` that Kubernetes shows
    /// beside `StartError`, and names the file.
    #[error("{message}")]
    Container {
        /// For people.
        message: String,
    },
    /// The machine had no room for it (processes, memory, files, disk): try again later, or
    /// elsewhere.
    #[error("{what}")]
    Worker {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It was killed before it was started.
    #[error("killed before it was started")]
    Cancelled,
}

impl StartError {
    /// Whether the fault is the machine's, so that the run may be tried again.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Worker { .. })
    }
}

/// Where a runtime's events go. Called on the runtime's own threads: must not block.
pub trait EventSink: Send + Sync + 'static {
    /// Takes an event in.
    fn deliver(&self, event: RuntimeEvent);
}

impl<F: Fn(RuntimeEvent) + Send + Sync + 'static> EventSink for F {
    fn deliver(&self, event: RuntimeEvent) {
        self(event);
    }
}

/// What a runtime can do here beside running programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Abilities {
    /// Containers can have views of files of their own.
    pub views: bool,
    /// Volumes in memory can be limited by the system.
    pub memory_volumes: bool,
    /// Programs can run as any user.
    pub root: bool,
    /// Memory can be limited.
    pub memory_limits: bool,
    /// CPU time can be limited.
    pub cpu_limits: bool,
    /// How many processes there may be can be limited.
    pub pids_limits: bool,
}

/// How far the output of a run was dealt with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Bytes of standard output.
    pub stdout: u64,
    /// Bytes of standard error.
    pub stderr: u64,
    /// The last piece of it in the logs' stream; 0 before the first.
    pub sequence: u64,
}

/// What a runtime that outlives its caller has kept for the next one.
#[derive(Debug, Default)]
pub struct Kept {
    /// What the caller before noted of its pods.
    pub notes: Vec<Box<RawValue>>,
    /// Every run that was asked for and not [forgotten](Runtime::forget).
    pub runs: Vec<KeptRun>,
    /// The highest number of a run that was ever asked for.
    pub last_run: u64,
}

/// A run that was asked for by an earlier caller.
#[derive(Debug)]
pub struct KeptRun {
    /// Which.
    pub run: RunId,
    /// When it was started, if it was, and its output.
    pub started: Option<(Timestamp, LogReader)>,
    /// The system killed a process of it for want of memory.
    pub out_of_memory: bool,
    /// How it ended, if it has: what `Exited` or `NotStarted` said.
    pub end: Option<Result<(Exit, Timestamp), StartError>>,
    /// What the caller before said of its output.
    pub progress: Progress,
}

/// Starts and ends runs.
pub trait Runtime: Send + Sync + 'static {
    /// Asks for a run to be started.
    ///
    /// # Errors
    ///
    /// [`StartError::Worker`] when more starts wait than the runtime takes; the sink hears nothing
    /// then.
    fn start(&self, run: RunId, spec: LaunchSpec) -> Result<(), StartError>;

    /// Asks for a run to be started as soon as one of the [places](Self::set_places) is free, first
    /// come, first served. So a place that falls free is taken without a word between the runtime
    /// and its caller. Else as [`start`](Self::start).
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    fn line_up(&self, run: RunId, spec: LaunchSpec) -> Result<(), StartError>;

    /// How many runs that were lined up may be going on at once; none before it is said. Those that
    /// go on already are left alone.
    fn set_places(&self, places: usize);

    /// Sends TERM to every process of the run's tree, or withdraws its start. A run that is over or
    /// unknown is passed over.
    fn terminate(&self, run: RunId);

    /// Sends KILL to every process of the run's tree, or withdraws its start.
    fn kill(&self, run: RunId);

    /// Stops all processes of all runs where they stand (SIGSTOP); no run is started until they are
    /// thawed.
    fn freeze_all(&self);

    /// Lets them go on.
    fn thaw_all(&self);

    /// What it can do here. Found out by trying: takes a few milliseconds.
    fn abilities(&self) -> Abilities {
        Abilities::default()
    }

    /// A pod is over: directories that were made for it are removed by and by. Doing it twice, or
    /// for a pod that had none, is harmless.
    fn clear_away(&self, pod: Arc<str>) {
        drop(pod);
    }

    /// Sends KILL to all processes of all runs.
    fn kill_all(&self);

    /// Since when it runs, if it may be older than its caller: the incarnation that the worker is
    /// then, and stays.
    fn life(&self) -> Option<Incarnation> {
        None
    }

    /// Whether it has kept anything of a pod for this caller.
    fn has_kept(&self) -> bool {
        false
    }

    /// Whether it understands all that this program can say. If not, nothing new is started through
    /// it, and it is replaced when it is empty.
    fn is_current(&self) -> bool {
        true
    }

    /// What it has kept for this caller. Taken once.
    fn kept(&self) -> Kept {
        Kept::default()
    }

    /// Keeps a note of a pod, in place of the one before, for the next caller.
    fn note(&self, pod: &str, note: Box<RawValue>) {
        drop((pod.len(), note));
    }

    /// Nobody will ask for these runs again, nor for the note of the pod. Whatever was said of them
    /// is forgotten.
    fn forget(&self, pod: Option<&str>, runs: &[RunId]) {
        let _nothing_is_kept = (pod, runs);
    }

    /// These runs are over, and nobody will look at their output again.
    fn release(&self, runs: &[RunId]) {
        let _nothing_is_kept = runs;
    }

    /// Keeps how far the output of a run was dealt with.
    fn progress(&self, run: RunId, progress: Progress) {
        let _nothing_is_kept = (run, progress);
    }

    /// Until when pods may run without another word, in milliseconds of CLOCK_BOOTTIME. Beyond it
    /// nothing is started, whether or not anybody has frozen what runs.
    fn prove(&self, until_ms: i64) {
        let _ = until_ms;
    }

    /// This caller stops its pods, and nobody comes after it: when it is gone, everything ends.
    fn is_last(&self) {}

    /// What was said so far is to be carried out, also if the caller dies now.
    fn flush(&self) {}

    /// Kills whatever is left, and ends for good.
    fn close(&self) {}
}
