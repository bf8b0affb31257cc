//! Compare-and-set writes to one stream, group committed.
//!
//! What waits while a write is on its way goes out together in the next one: an idle system pays no
//! latency for it, a loaded one one round trip for a thousand writes. A group is pipelined, or,
//! where the server has atomic batches and syncs every write, one batch: which is cheaper is
//! measured as it goes. A batch fails whole when one compare-and-set in it fails, and its members
//! then go one by one.
//!
//! A refusal or a time-out proves nothing: the subject is read back from the leader, and bytes tell
//! whose write stands there. Every record carries its writer and a nonce, so equal bytes mean the
//! same write.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::{HeaderMap, header};
use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use jiff::Timestamp;
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::{Jet, PortError, ReadError, Refusal};
use crate::backoff::Backoff;
use crate::collections::HashSet;
use crate::metrics::jetstream;
use crate::time::Instant;
use crate::{id, task};

/// `JSAccountResourcesExceededErr`: what the account may store is used up.
const NO_ROOM: u32 = 10002;
/// ADR-50: the most messages that one batch may hold.
const MAX_BATCH: usize = 1000;
/// Keeps a batch from holding the connection for long.
const MAX_BATCH_BYTES: usize = 4 << 20;
/// Groups on their way at once: the next is encoded and sent while the server stores the one
/// before.
const IN_FLIGHT: usize = 3;
/// Groups that may wait to be sent; a full queue holds the writers back.
const QUEUE: usize = 1024;
/// How long an answer may take before the write's fate is read back.
const ANSWER: Duration = Duration::from_secs(4);

/// What must stand at the subject for a write to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// This sequence; 0 for nothing.
    Sequence(u64),
    /// Anything.
    Any,
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Where to. At most one write to a subject may be under way at a time.
    pub subject: String,
    /// The bytes; unique to this write.
    pub payload: Bytes,
    /// What must stand there.
    pub expect: Expect,
}

/// What stands at a subject, as far as a lost write is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Current {
    /// Its sequence.
    pub sequence: u64,
    /// Its bytes.
    pub payload: Bytes,
    /// When it was stored.
    pub time: Timestamp,
}

/// What became of a write. Unknown is not among them: it is asked until it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It stands, at this sequence.
    Stored(u64),
    /// Another's write stands; `None` when what was expected to be there is gone.
    Lost(Option<Current>),
    /// The server will never take it (too large), and says why.
    Refused(String),
}

impl Outcome {
    /// The sequence, if the write stands.
    #[must_use]
    pub fn stored(&self) -> Option<u64> {
        match self {
            Self::Stored(sequence) => Some(*sequence),
            Self::Lost(_) | Self::Refused(_) => None,
        }
    }
}

/// What became of a write was not known in time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the write was not confirmed within {} s", within.as_secs())]
pub struct Unconfirmed {
    /// How long it was waited for.
    pub within: Duration,
    /// What the server says of writes to this stream just now, if it says that it fails.
    pub trouble: Option<String>,
}

struct Group {
    writes: Vec<Write>,
    done: oneshot::Sender<Vec<Outcome>>,
}

/// Writes to one stream. Cheap to clone; ends when its last clone is dropped.
#[derive(Clone, Debug)]
pub struct Committer {
    groups: mpsc::Sender<Group>,
    trouble: Trouble,
}

/// Why the server does not store, as it said last; nothing once it does.
#[derive(Clone, Debug, Default)]
struct Trouble(Arc<Mutex<Option<String>>>);

impl Trouble {
    fn set(&self, what: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }

    fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Committer {
    /// Starts a committer for `stream` on the current runtime.
    #[must_use]
    pub fn start(jet: Jet, stream: String) -> Self {
        jetstream().begin(&stream);
        let (groups, queue) = mpsc::channel(QUEUE);
        let trouble = Trouble::default();
        let line = Line { jet, stream, costs: Costs::default(), trouble: trouble.clone() };
        task::spawn(async move { line.run(queue).await });
        Self { groups, trouble }
    }

    /// Writes one message for somebody who does not wait for ever.
    ///
    /// # Errors
    ///
    /// When its fate is not known `within` that time. It is not tried again then, but what is under
    /// way may still be stored.
    pub async fn write_within(
        &self,
        write: Write,
        within: Duration,
    ) -> Result<Outcome, Unconfirmed> {
        let outcome = timeout(within, self.write(write)).await;
        outcome.map_err(|_| Unconfirmed { within, trouble: self.trouble.get() })
    }

    /// Writes one message; waits until its fate is known, however long that takes.
    pub async fn write(&self, write: Write) -> Outcome {
        let outcome = self.write_all(vec![write]).await.pop();
        outcome.unwrap_or_else(|| Outcome::Refused("the writer has stopped".to_owned()))
    }

    /// Writes several messages, to different subjects, in no promised order; outcomes in the order
    /// given.
    pub async fn write_all(&self, writes: Vec<Write>) -> Vec<Outcome> {
        let count = writes.len();
        let (done, outcomes) = oneshot::channel();
        if self.groups.send(Group { writes, done }).await.is_ok()
            && let Ok(outcomes) = outcomes.await
        {
            return outcomes;
        }
        vec![Outcome::Refused("the writer has stopped".to_owned()); count]
    }
}

/// The answer to a publish.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    seq: u64,
    error: Option<Refusal>,
}

/// Wrong last sequence, its atomic-batch forms among them: another write stands, or one is in
/// flight.
const WRONG_LAST_SEQUENCE: [u32; 2] = [10071, 10164];

/// What a write costs in a group, either way, measured as it goes.
///
/// Pipelined writes cost about 20 µs each and batches more, until every write is synced to disk:
/// then pipelined ones cost a sync each, and a batch one for all.
#[derive(Debug, Default)]
struct Costs {
    pipelined_ns: AtomicU64,
    batch_ns: AtomicU64,
    groups: AtomicU64,
}

impl Costs {
    /// Smaller groups tell more of latency than of cost.
    const TELLING: usize = 16;
    /// Below this cost of a pipelined write, the disk is not synced and batches cannot win.
    const SYNCED_NS: u64 = 60_000;
    /// How many groups go the cheaper way between two looks at the other.
    const LOOK_AGAIN: u64 = 128;

    fn prefer_batch(&self, size: usize) -> bool {
        let pipelined = self.pipelined_ns.load(Ordering::Relaxed);
        if size < Self::TELLING || pipelined < Self::SYNCED_NS {
            return false;
        }
        let cheaper = self.batch_ns.load(Ordering::Relaxed) < pipelined;
        let look =
            self.groups.fetch_add(1, Ordering::Relaxed) % Self::LOOK_AGAIN == Self::LOOK_AGAIN - 1;
        cheaper != look
    }

    fn learn(&self, batch: bool, size: usize, took: Duration) {
        if size < Self::TELLING {
            return;
        }
        let cost = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX) / size as u64;
        let average = if batch { &self.batch_ns } else { &self.pipelined_ns };
        let before = average.load(Ordering::Relaxed);
        let after = if before == 0 { cost } else { before - before / 4 + cost / 4 };
        average.store(after, Ordering::Relaxed);
    }
}

struct Line {
    jet: Jet,
    stream: String,
    costs: Costs,
    trouble: Trouble,
}

impl Line {
    async fn run(&self, mut queue: mpsc::Receiver<Group>) {
        let mut in_flight = FuturesUnordered::new();
        let mut held: Option<Group> = None;
        loop {
            while in_flight.len() >= IN_FLIGHT {
                in_flight.next().await;
            }
            let first = match held.take() {
                Some(group) => group,
                None => tokio::select! {
                    biased;
                    Some(()) = in_flight.next() => continue,
                    group = queue.recv() => match group {
                        Some(group) => group,
                        None => break,
                    },
                },
            };
            let mut batch = Batch::default();
            held = batch.try_add(first);
            while held.is_none() {
                let Ok(group) = queue.try_recv() else { break };
                held = batch.try_add(group);
            }
            in_flight.push(self.commit(batch));
        }
        while in_flight.next().await.is_some() {}
    }

    async fn commit(&self, batch: Batch) {
        let is_wanted = |write| batch.is_wanted(write);
        let mut outcomes = self.send(&batch.writes, &is_wanted).await.into_iter();
        for (count, done) in batch.owners {
            // A writer that no longer waits loses only the answer: the write stands.
            drop(done.send(outcomes.by_ref().take(count).collect()));
        }
    }

    /// `is_wanted` says of the write at an index whether somebody waits for it.
    async fn send(&self, writes: &[Write], is_wanted: &impl Fn(usize) -> bool) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(writes.len());
        for chunk in writes.chunks(MAX_BATCH) {
            let start = Instant::now();
            let batch = self.jet.atomic_batches && self.costs.prefer_batch(chunk.len());
            if batch && let Some(last) = self.send_batch(chunk).await {
                let first = last + 1 - chunk.len() as u64;
                outcomes.extend((first..=last).map(Outcome::Stored));
            } else {
                let first = outcomes.len();
                let each = chunk.iter().enumerate().map(|(index, write)| {
                    let is_wanted = move || is_wanted(first + index);
                    async move { self.send_one(write, &is_wanted).await }
                });
                outcomes.extend(join_all(each).await);
            }
            let took = start.elapsed();
            self.costs.learn(batch, chunk.len(), took);
            jetstream().wrote(&self.stream, chunk.len(), took);
        }
        outcomes
    }

    /// One atomic batch; the sequence of its last message, or `None` when its fate must be found
    /// out.
    async fn send_batch(&self, writes: &[Write]) -> Option<u64> {
        let id = id::draw().simple().to_string();
        let (last, others) = writes.split_last()?;
        for (write, number) in others.iter().zip(1_u64..) {
            let headers = batch_headers(write, &id, number);
            let sent = self.jet.publish_with_headers(
                write.subject.clone(),
                headers,
                write.payload.clone(),
            );
            sent.await.ok()?;
        }
        let mut headers = batch_headers(last, &id, writes.len() as u64);
        headers.insert(header::NATS_BATCH_COMMIT, header::NATS_BATCH_COMMIT_FINAL);
        let answer = self.request(last, headers).await?;
        match answer.error {
            None => Some(answer.seq),
            Some(error) => {
                tracing::debug!(stream = self.stream, error.description, "batch refused");
                None
            }
        }
    }

    async fn send_one(&self, write: &Write, is_wanted: &impl Fn() -> bool) -> Outcome {
        for tries in 1_u32.. {
            let mut headers = HeaderMap::new();
            expect_header(&mut headers, write.expect);
            let mut refused = None;
            match self.request(write, headers).await {
                Some(Answer { error: None, seq }) => {
                    self.trouble.set(None);
                    return Outcome::Stored(seq);
                }
                Some(Answer { error: Some(error), .. }) => {
                    let conflict = WRONG_LAST_SEQUENCE.contains(&error.err_code);
                    if conflict {
                        jetstream().conflict(&self.stream);
                    } else if is_final(&error) {
                        jetstream().refused(&self.stream);
                        refused = Some(error.description);
                    } else {
                        self.trouble.set(Some(error.description));
                    }
                }
                None => jetstream().no_answer(&self.stream),
            }
            match (self.read_back(write).await, refused) {
                (Ok(Some(outcome)), _) => return outcome,
                // Nor was it stored by a try before that got no answer.
                (Ok(None), Some(reason)) => return Outcome::Refused(reason),
                (Ok(None), None) => {}
                (Err(error), _) => tracing::debug!(stream = self.stream, ?error, "reading back"),
            }
            if !is_wanted() {
                break;
            }
            tokio::time::sleep(Backoff::STORE.delay(tries)).await;
        }
        Outcome::Refused("nobody waits for it any more".to_owned())
    }

    /// Whose write stands: ours, another's, or still what we expected (`None`: try again).
    async fn read_back(&self, write: &Write) -> Result<Option<Outcome>, ReadError> {
        let stored = self.jet.read_last(&self.stream, &write.subject).await?;
        Ok(match stored {
            Some(stored) if stored.payload == write.payload => {
                Some(Outcome::Stored(stored.sequence))
            }
            Some(stored) => match write.expect {
                Expect::Sequence(expected) if stored.sequence == expected => None,
                Expect::Any => None,
                Expect::Sequence(_) => Some(Outcome::Lost(Some(Current {
                    sequence: stored.sequence,
                    payload: stored.payload,
                    time: stored.time,
                }))),
            },
            None => match write.expect {
                Expect::Sequence(0) | Expect::Any => None,
                Expect::Sequence(_) => Some(Outcome::Lost(None)),
            },
        })
    }

    /// The server's answer; `None` when there was none in time or the connection was made anew
    /// meanwhile.
    async fn request(&self, write: &Write, headers: HeaderMap) -> Option<Answer> {
        let mut reconnects = self.jet.reconnects();
        reconnects.mark_unchanged();
        let request =
            self.jet.request(write.subject.clone(), Some(headers), write.payload.clone(), ANSWER);
        let answer = tokio::select! {
            biased;
            answer = request => answer,
            () = reconnects.changed() => return None,
        };
        match answer {
            Ok(message) => serde_json::from_slice(&message.payload).ok(),
            Err(PortError::TooLarge(error)) => {
                let description = error.to_string();
                let refusal = Refusal { code: 413, err_code: 0, description };
                Some(Answer { seq: 0, error: Some(refusal) })
            }
            Err(error) => {
                tracing::debug!(stream = self.stream, ?error, "no answer to a write");
                None
            }
        }
    }
}

/// Whether the server will never take the write. Not if it had no time for it (408), too much on
/// its hands (429), or if the account has no room just now, which is a 400, too.
fn is_final(refusal: &Refusal) -> bool {
    let passes = matches!(refusal.code, 408 | 429) || refusal.err_code == NO_ROOM;
    (400..500).contains(&refusal.code) && !passes
}

fn batch_headers(write: &Write, id: &str, number: u64) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::NATS_BATCH_ID, id);
    headers.insert(header::NATS_BATCH_SEQUENCE, number.to_string());
    expect_header(&mut headers, write.expect);
    headers
}

fn expect_header(headers: &mut HeaderMap, expect: Expect) {
    if let Expect::Sequence(sequence) = expect {
        headers.insert(header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, sequence.to_string());
    }
}

/// Groups that go out together: no subject twice, bounded in number and bytes.
#[derive(Default)]
struct Batch {
    writes: Vec<Write>,
    owners: Vec<(usize, oneshot::Sender<Vec<Outcome>>)>,
    subjects: HashSet<String>,
    bytes: usize,
}

impl Batch {
    /// Whether somebody still waits for the write at this index. Asked for a write that failed, so
    /// it may count.
    fn is_wanted(&self, write: usize) -> bool {
        let mut end = 0;
        let owner = self.owners.iter().find(|(count, _)| {
            end += count;
            write < end
        });
        owner.is_some_and(|(_, done)| !done.is_closed())
    }

    /// Takes a group in, or hands it back when it must go with the next batch. One that nobody
    /// waits for any more is left out.
    fn try_add(&mut self, group: Group) -> Option<Group> {
        if group.done.is_closed() {
            return None;
        }
        let bytes: usize = group.writes.iter().map(|write| write.payload.len()).sum();
        let full = self.writes.len() + group.writes.len() > MAX_BATCH
            || self.bytes + bytes > MAX_BATCH_BYTES;
        let twice = group.writes.iter().any(|write| self.subjects.contains(&write.subject));
        if !self.writes.is_empty() && (full || twice) {
            return Some(group);
        }
        self.bytes += bytes;
        self.subjects.extend(group.writes.iter().map(|write| write.subject.clone()));
        self.owners.push((group.writes.len(), group.done));
        self.writes.extend(group.writes);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nats::Shelf;

    const TOO_LARGE: (u16, u32) = (400, 10_054);

    fn write(expect: u64) -> Write {
        let payload = Bytes::from_static(b"\"mine\"");
        Write { subject: "a.b".to_owned(), payload, expect: Expect::Sequence(expect) }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_asked_whether_a_try_before_it_was_stored() {
        let shelf = Shelf::default();
        let committer = Committer::start(shelf.jet(), "S".to_owned());
        // The write is stored, neither it nor the look at it is answered, and then it is refused.
        shelf.lose_answers(2, TOO_LARGE);
        assert_eq!(committer.write(write(0)).await, Outcome::Stored(1));
        assert!(matches!(committer.write(write(1)).await, Outcome::Stored(1)));
        shelf.refuse(None);
        shelf.put("a.b", &"other");
        shelf.refuse(Some(TOO_LARGE));
        assert!(matches!(committer.write(write(2)).await, Outcome::Refused(_)));
        assert!(matches!(committer.write(write(1)).await, Outcome::Lost(Some(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn an_account_without_room_is_waited_for() {
        let shelf = Shelf::default();
        let committer = Committer::start(shelf.jet(), "S".to_owned());
        shelf.refuse(Some((400, NO_ROOM)));
        let writing = committer.write(write(0));
        tokio::pin!(writing);
        assert!(timeout(Duration::from_secs(30), &mut writing).await.is_err());
        shelf.refuse(None);
        assert_eq!(writing.await, Outcome::Stored(1));
    }
}
