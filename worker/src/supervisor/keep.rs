//! What the supervisor knows: notes of pods, which it does not read, and what became of runs, until
//! an agent has taken it in.
//!
//! The runtime's threads report here; what they say waits, in one list, until the supervisor's loop
//! sends it. A bell rings when the list gets its first word.

use std::collections::BTreeMap;
use std::os::fd::AsRawFd as _;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use nix::sys::eventfd::{EfdFlags, EventFd};
use serde_json::value::RawValue;

use super::wire::{Fault, Report, RunEnd, RunNow};
use crate::logs::LogReader;
use crate::runtime::{Progress, RunId, RuntimeEvent, StartError};

/// Reports of overfull volumes are left out beyond this: they are said again.
const MOST_WAITING: usize = 65_536;

/// Everything that is kept.
#[derive(Debug)]
pub(super) struct Keep {
    inner: Mutex<Inner>,
    bell: EventFd,
}

#[derive(Debug, Default)]
struct Inner {
    notes: BTreeMap<String, Box<RawValue>>,
    runs: BTreeMap<RunId, Run>,
    last_run: u64,
    waiting: Vec<Report>,
    /// An agent is there, and was told how everything stands.
    listens: bool,
}

#[derive(Debug, Default)]
struct Run {
    started_at: Option<Timestamp>,
    /// Holds the files of its output.
    output: Option<LogReader>,
    out_of_memory: bool,
    end: Option<RunEnd>,
    progress: Progress,
}

/// Notes, runs, and the highest number of a run.
pub(super) type Everything = (Vec<Box<RawValue>>, Vec<RunNow>, u64);

impl Keep {
    /// Nothing yet.
    ///
    /// # Errors
    ///
    /// When the system has no bell.
    pub(super) fn new() -> nix::Result<Self> {
        let bell = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?;
        Ok(Self { inner: Mutex::default(), bell })
    }

    /// Rings when there is something to be sent.
    pub(super) fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    pub(super) fn note(&self, pod: String, note: Box<RawValue>) {
        self.inner().notes.insert(pod, note);
    }

    /// A run was asked for.
    pub(super) fn asked(&self, run: RunId) {
        let mut inner = self.inner();
        inner.last_run = inner.last_run.max(run.0);
        inner.runs.insert(run, Run::default());
    }

    /// The runtime does not take it.
    pub(super) fn not_taken(&self, run: RunId, error: StartError) {
        self.heard(RuntimeEvent::NotStarted { run, error });
    }

    pub(super) fn progress(&self, run: RunId, progress: Progress) {
        if let Some(run) = self.inner().runs.get_mut(&run) {
            run.progress = progress;
        }
    }

    /// Gives files back; outside of the lock, since that costs system calls.
    pub(super) fn release(&self, runs: &[RunId]) {
        let mut inner = self.inner();
        let output = |run| inner.runs.get_mut(run).and_then(|run| run.output.take());
        let outputs: Vec<LogReader> = runs.iter().filter_map(output).collect();
        drop(inner);
        drop(outputs);
    }

    pub(super) fn forget(&self, pod: Option<&str>, runs: &[RunId]) {
        let mut inner = self.inner();
        if let Some(pod) = pod {
            inner.notes.remove(pod);
        }
        let runs: Vec<Run> = runs.iter().filter_map(|run| inner.runs.remove(run)).collect();
        drop(inner);
        drop(runs);
    }

    /// Whether anything is kept for an agent.
    pub(super) fn is_empty(&self) -> bool {
        let inner = self.inner();
        inner.notes.is_empty() && inner.runs.is_empty()
    }

    /// An agent is there: how everything stands, and what happens from now on waits for it.
    pub(super) fn welcome(&self) -> Everything {
        let mut inner = self.inner();
        inner.listens = true;
        inner.waiting.clear();
        let notes = inner.notes.values().cloned().collect();
        let runs = inner.runs.iter().map(|(run, kept)| kept.now(*run)).collect();
        (notes, runs, inner.last_run)
    }

    /// The agent is gone: the next one is told everything.
    pub(super) fn left(&self) {
        let mut inner = self.inner();
        inner.listens = false;
        inner.waiting.clear();
    }

    /// What is to be sent now; the bell is silent again.
    pub(super) fn take_waiting(&self) -> Vec<Report> {
        let mut inner = self.inner();
        let _silent_already = self.bell.read();
        std::mem::take(&mut inner.waiting)
    }

    /// Takes in what the runtime says.
    pub(super) fn heard(&self, event: RuntimeEvent) {
        let mut inner = self.inner();
        let report = match event {
            RuntimeEvent::Started { run, at, logs } => {
                let files = files_of(&logs);
                if let Some(kept) = inner.runs.get_mut(&run) {
                    kept.started_at = Some(at);
                    kept.output = Some(logs);
                }
                Report::Started { run, at, files }
            }
            RuntimeEvent::NotStarted { run, error } => {
                let fault = Fault::from(error);
                if let Some(kept) = inner.runs.get_mut(&run) {
                    kept.end = Some(RunEnd::NotStarted { fault: fault.clone() });
                }
                Report::NotStarted { run, fault }
            }
            RuntimeEvent::OutOfMemory { run } => {
                if let Some(kept) = inner.runs.get_mut(&run) {
                    kept.out_of_memory = true;
                }
                Report::OutOfMemory { run }
            }
            RuntimeEvent::Exited { run, exit, at } => {
                let kept = inner.runs.get_mut(&run);
                let silent = kept.as_ref().and_then(|it| it.output.as_ref()).is_none_or(is_silent);
                if let Some(kept) = kept {
                    kept.end = Some(RunEnd::Exited { exit, at, silent });
                }
                Report::Exited { run, exit, at, silent }
            }
            RuntimeEvent::Overfull { .. } if inner.waiting.len() > MOST_WAITING => return,
            RuntimeEvent::Overfull { pod, message } => {
                Report::Overfull { pod: (*pod).to_owned(), message }
            }
            RuntimeEvent::Died => return,
        };
        if inner.listens {
            inner.waiting.push(report);
            if inner.waiting.len() == 1 {
                let _rings_already = self.bell.write(1);
            }
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Run {
    fn now(&self, run: RunId) -> RunNow {
        RunNow {
            run,
            started_at: self.started_at,
            files: self.output.as_ref().and_then(files_of),
            out_of_memory: self.out_of_memory,
            end: self.end.clone(),
            progress: self.progress,
        }
    }
}

fn files_of(logs: &LogReader) -> Option<[i32; 2]> {
    let capture = logs.capture()?;
    Some([capture.stdout().as_raw_fd(), capture.stderr().as_raw_fd()])
}

fn is_silent(logs: &LogReader) -> bool {
    logs.capture().is_none_or(|capture| {
        [capture.stdout(), capture.stderr()]
            .iter()
            .all(|file| file.metadata().is_ok_and(|metadata| metadata.len() == 0))
    })
}
