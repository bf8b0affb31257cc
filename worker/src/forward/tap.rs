//! The agent's end: output is offered, and never waited for.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use stint_common::time::now;

use super::lines::Lines;
use crate::logs::StreamName;

/// Output that may wait for the receiver.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// Whose output it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The pod's namespace.
    pub namespace: String,
    /// The name of its Job.
    pub job_name: String,
    /// The uid of its Job.
    pub job_uid: String,
    /// Its completion index, if its Job gives such.
    pub index: Option<u32>,
    /// Its name.
    pub pod_name: String,
    /// Its uid.
    pub pod_uid: String,
    /// The container.
    pub container: String,
    /// How often that was started before this run.
    pub restarts: u32,
    /// The worker.
    pub node: String,
    /// The trace that the pod is in.
    pub trace_id: u128,
    /// Its span.
    pub span_id: u64,
    /// Whether that is kept: W3C trace flags.
    pub flags: u8,
}

/// A run whose output is forwarded.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) origin: Origin,
    /// Of the thread alone; nobody waits for it.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    stdout: Lines,
    stderr: Lines,
    /// The time of the last line, in nanoseconds: each line has a later one than that before it,
    /// so that receivers show them in order.
    last: u64,
}

/// What travels through the queue.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) source: Arc<Source>,
    pub(super) at: Timestamp,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    /// A piece of a stream, and where in it it stands.
    Output(StreamName, u64, Bytes),
    /// The run is over, or somebody else reads on.
    End,
}

/// Where taps lead.
#[derive(Clone, Debug)]
pub struct Outlet {
    queue: SyncSender<Piece>,
    held: Arc<AtomicUsize>,
    dropped: Arc<AtomicU64>,
}

impl Outlet {
    pub(super) fn new(
        queue: SyncSender<Piece>,
        held: Arc<AtomicUsize>,
        dropped: Arc<AtomicU64>,
    ) -> Self {
        Self { queue, held, dropped }
    }

    /// For the output of one run.
    #[must_use]
    pub fn tap(&self, origin: Origin) -> Tap {
        let source = Arc::new(Source { origin, state: Mutex::default() });
        Tap { outlet: self.clone(), source, open: [false; 2] }
    }

    fn offer(&self, piece: Piece) {
        let size = piece.size();
        let held = self.held.fetch_add(size, Ordering::Relaxed);
        if held + size <= MOST_BYTES {
            match self.queue.try_send(piece) {
                Ok(()) => return,
                Err(TrySendError::Full(piece) | TrySendError::Disconnected(piece)) => {
                    self.lose(&piece);
                }
            }
        } else {
            self.lose(&piece);
        }
        self.held.fetch_sub(size, Ordering::Relaxed);
    }

    fn lose(&self, piece: &Piece) {
        let lines = match &piece.what {
            What::Output(_, _, bytes) => bytes.iter().filter(|byte| **byte == b'\n').count().max(1),
            What::End => 1,
        };
        self.dropped.fetch_add(u64::try_from(lines).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// Takes the output of one run as it is read.
#[derive(Debug)]
pub struct Tap {
    outlet: Outlet,
    source: Arc<Source>,
    /// Whether standard output and standard error stand within a line.
    open: [bool; 2],
}

impl Tap {
    /// A piece of a stream, and where in it it stands.
    pub fn take(&mut self, stream: StreamName, offset: u64, bytes: Bytes) {
        let Some(last) = bytes.last() else { return };
        let open = match stream {
            StreamName::Stdout => &mut self.open[0],
            StreamName::Stderr => &mut self.open[1],
        };
        *open = *last != b'\n';
        self.offer(What::Output(stream, offset, bytes));
    }

    fn offer(&self, what: What) {
        self.outlet.offer(Piece { source: Arc::clone(&self.source), at: now(), what });
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        if self.open.contains(&true) {
            self.offer(What::End);
        }
    }
}

impl Piece {
    /// What it takes up while it waits.
    pub(super) fn size(&self) -> usize {
        match &self.what {
            What::Output(_, _, bytes) => bytes.len() + size_of::<Self>(),
            What::End => size_of::<Self>(),
        }
    }

    /// Gives the lines that it completes, with their times in nanoseconds.
    pub(super) fn lines(&self, give: &mut impl FnMut(StreamName, u64, &[u8])) {
        let mut state = self.source.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { stdout, stderr, last } = &mut *state;
        let at = u64::try_from(self.at.as_nanosecond()).unwrap_or(0);
        let mut give = |stream, line: &[u8]| {
            *last = at.max(*last + 1);
            give(stream, *last, line);
        };
        match &self.what {
            What::Output(StreamName::Stdout, offset, bytes) => {
                stdout.take(*offset, bytes, &mut |line| give(StreamName::Stdout, line));
            }
            What::Output(StreamName::Stderr, offset, bytes) => {
                stderr.take(*offset, bytes, &mut |line| give(StreamName::Stderr, line));
            }
            What::End => {
                stdout.finish(&mut |line| give(StreamName::Stdout, line));
                stderr.finish(&mut |line| give(StreamName::Stderr, line));
            }
        }
    }
}
