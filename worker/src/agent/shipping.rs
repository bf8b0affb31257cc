//! Shipping output to the logs' stream, a chunk at a time, in order, without holding anything else
//! up.
//!
//! A chunk is one byte that says which stream it is of (`1`, `2`), then bytes; `.` alone ends the
//! log.

use std::time::Duration;

use bytes::{BufMut as _, BytesMut};
use stint_common::nats::{Committer, Expect, Outcome, Write};
use stint_common::wire::{Exit, LogSummary};
use tokio::sync::oneshot;

use crate::logs::{CHUNK_BYTES, LogReader, StreamName};

/// How often output of a running container is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// Chunks shipped between two looks at whether the container has ended.
const CHUNKS_A_LOOK: usize = 16;

/// Where a container's output goes.
#[derive(Clone, Debug)]
pub(super) struct Destination {
    pub(super) logs: Committer,
    pub(super) subject: String,
}

/// What was shipped of a run, and what its record is to say.
#[derive(Debug)]
pub(super) struct Shipped {
    pub(super) summary: LogSummary,
    pub(super) any: bool,
    /// [`LogReader::last_words`].
    pub(super) last_words: String,
}

impl Destination {
    /// Ships a running container's output until `exit` is told, then the rest.
    pub(super) async fn follow(
        self,
        mut reader: LogReader,
        mut exit: oneshot::Receiver<Exit>,
    ) -> Shipped {
        let mut any = false;
        let exit = loop {
            let shipped = self.ship(&mut reader, CHUNKS_A_LOOK).await;
            any |= shipped > 0;
            // A flood leaves no pause, but never holds the exit up for more than one look's chunks.
            let pause = if shipped == CHUNKS_A_LOOK { Duration::ZERO } else { LOOK };
            tokio::select! {
                biased;
                told = &mut exit => break told.unwrap_or(Exit::NotStarted),
                () = tokio::time::sleep(pause) => {}
            }
        };
        let summary = reader.finish(exit);
        any |= self.ship(&mut reader, usize::MAX).await > 0;
        Shipped { summary, any, last_words: reader.last_words() }
    }

    /// Ships what is left of an ended container's output.
    pub(super) async fn finish(self, mut reader: LogReader, summary: LogSummary) -> Shipped {
        let any = self.ship(&mut reader, usize::MAX).await > 0;
        Shipped { summary, any, last_words: reader.last_words() }
    }

    /// Says that there is no more.
    pub(super) async fn end(self) {
        self.write(BytesMut::from(&b"."[..])).await;
    }

    /// Ships what there is now, at most `most` chunks; says how many.
    async fn ship(&self, reader: &mut LogReader, most: usize) -> usize {
        for count in 0..most {
            let chunk = match reader.poll(CHUNK_BYTES) {
                Ok(Some(chunk)) => chunk,
                Ok(None) => return count,
                Err(error) => {
                    tracing::warn!(subject = self.subject, %error, "output cannot be read");
                    return count;
                }
            };
            let mut payload = BytesMut::with_capacity(chunk.bytes.len() + 1);
            payload.put_u8(match chunk.stream {
                StreamName::Stdout => b'1',
                StreamName::Stderr => b'2',
            });
            payload.put(chunk.bytes);
            self.write(payload).await;
        }
        most
    }

    async fn write(&self, payload: BytesMut) {
        let subject = self.subject.clone();
        let write = Write { subject, payload: payload.freeze(), expect: Expect::Any };
        if let Outcome::Refused(reason) = self.logs.write(write).await {
            tracing::warn!(subject = self.subject, reason, "output was not stored");
        }
    }
}
