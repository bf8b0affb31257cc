//! Shipping output to the logs' stream, a chunk at a time, in order, without holding anything else
//! up.
//!
//! A chunk is one byte that says which stream it is of (`1`, `2`), then bytes; `.` alone ends the
//! log. Before the first chunk of a run that is not the container's first comes `>` with how often
//! it was started again, in decimal: `>1`. That may come twice, if the agent dies after it.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut as _, BytesMut};
use stint_common::nats::{Committer, Expect, Jet, Outcome, Write};
use stint_common::wire::{Exit, LogSummary};
use tokio::sync::oneshot;

use crate::forward::Tap;
use crate::logs::{CHUNK_BYTES, LogReader, StreamName};
use crate::runtime::Progress;

/// How often output of a running container is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// Chunks shipped between two looks at whether the container has ended.
const CHUNKS_A_LOOK: usize = 16;

/// Where a container's output goes.
#[derive(Debug)]
pub(super) struct Destination {
    pub(super) logs: Committer,
    pub(super) subject: String,
    /// How often the container was started again before this run.
    pub(super) restarts: u32,
    pub(super) told: Told,
    /// Gets it too, if anything does.
    pub(super) tap: Option<Tap>,
}

/// Is told how far the output was shipped.
#[derive(Clone)]
pub(super) struct Told(pub(super) Arc<dyn Fn(Progress) + Send + Sync>);

impl std::fmt::Debug for Told {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Told")
    }
}

/// What was shipped of a run, and what its record is to say.
#[derive(Debug)]
pub(super) struct Shipped {
    pub(super) summary: LogSummary,
    /// The last chunk in the stream; 0 if there is none.
    pub(super) last: u64,
    /// [`LogReader::last_words`].
    pub(super) last_words: String,
}

impl Destination {
    /// Ships a running container's output until `exit` is told, then the rest.
    pub(super) async fn follow(
        mut self,
        mut reader: LogReader,
        mut exit: oneshot::Receiver<Exit>,
    ) -> Shipped {
        let mut last = 0;
        let exit = loop {
            let shipped = self.ship(&mut reader, CHUNKS_A_LOOK, &mut last).await;
            // A flood leaves no pause, but never holds the exit up for more than one look's chunks.
            let pause = if shipped == CHUNKS_A_LOOK { Duration::ZERO } else { LOOK };
            tokio::select! {
                biased;
                told = &mut exit => break told.unwrap_or(Exit::NotStarted),
                () = tokio::time::sleep(pause) => {}
            }
        };
        let summary = reader.finish(exit);
        self.ship(&mut reader, usize::MAX, &mut last).await;
        Shipped { summary, last, last_words: reader.last_words() }
    }

    /// Ships what is left of an ended container's output.
    pub(super) async fn finish(mut self, mut reader: LogReader, summary: LogSummary) -> Shipped {
        let mut last = 0;
        self.ship(&mut reader, usize::MAX, &mut last).await;
        Shipped { summary, last, last_words: reader.last_words() }
    }

    /// Says that there is no more.
    pub(super) async fn end(self) {
        self.write(BytesMut::from(&b"."[..])).await;
    }

    /// Ships what there is now, at most `most` chunks; says how many.
    async fn ship(&mut self, reader: &mut LogReader, most: usize, last: &mut u64) -> usize {
        let mut told = *last;
        for count in 0..most {
            if count % CHUNKS_A_LOOK == 0 {
                self.tell(reader, *last, &mut told);
            }
            let chunk = match reader.poll(CHUNK_BYTES) {
                Ok(Some(chunk)) => chunk,
                Ok(None) => {
                    self.tell(reader, *last, &mut told);
                    return count;
                }
                Err(error) => {
                    tracing::warn!(subject = self.subject, %error, "output cannot be read");
                    return count;
                }
            };
            if *last == 0 && self.restarts > 0 {
                self.write(BytesMut::from(format!(">{}", self.restarts).as_bytes())).await;
            }
            if let Some(tap) = &mut self.tap {
                tap.take(chunk.stream, chunk.offset, chunk.bytes.clone());
            }
            let mut payload = BytesMut::with_capacity(chunk.bytes.len() + 1);
            payload.put_u8(match chunk.stream {
                StreamName::Stdout => b'1',
                StreamName::Stderr => b'2',
            });
            payload.put(chunk.bytes);
            if let Some(sequence) = self.write(payload).await {
                *last = sequence;
            }
        }
        self.tell(reader, *last, &mut told);
        most
    }

    /// What was shipped is not shipped again if this process dies.
    fn tell(&self, reader: &LogReader, last: u64, told: &mut u64) {
        if *told < last {
            let (stdout, stderr) = reader.positions();
            (self.told.0)(Progress { stdout, stderr, sequence: last });
            *told = last;
        }
    }

    async fn write(&self, payload: BytesMut) -> Option<u64> {
        let subject = self.subject.clone();
        let write = Write { subject, payload: payload.freeze(), expect: Expect::Any };
        match self.logs.write(write).await {
            Outcome::Stored(sequence) => Some(sequence),
            Outcome::Lost(_) => None,
            Outcome::Refused(reason) => {
                tracing::warn!(subject = self.subject, reason, "output was not stored");
                None
            }
        }
    }

    /// How far a run's output is in the stream, if somebody shipped it up to `progress`, and
    /// perhaps further without saying so; chunks of earlier runs end at `before`. `None` when the
    /// stream does not answer.
    pub(super) async fn shipped_so_far(
        jet: &Jet,
        subject: &str,
        progress: Progress,
        before: u64,
    ) -> Option<Progress> {
        let mut progress = progress;
        let mut from = progress.sequence.max(before) + 1;
        let stream = jet.names.logs_stream();
        while let Some(stored) = jet.read_next(&stream, subject, from).await.ok()? {
            from = stored.sequence + 1;
            progress.sequence = stored.sequence;
            let bytes = u64::try_from(stored.payload.len().saturating_sub(1)).unwrap_or(0);
            match stored.payload.first() {
                Some(b'1') => progress.stdout += bytes,
                Some(b'2') => progress.stderr += bytes,
                Some(_) | None => {}
            }
        }
        Some(progress)
    }
}
