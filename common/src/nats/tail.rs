//! One stream read in order from its beginning, without acks, for as long as the reader lives.
//!
//! A consumer here is a cursor and nothing more: it is made anew after the last sequence seen
//! whenever it skipped, fell silent or vanished, so no correctness rests on it. Each new one begins
//! a little before that: what stands there must be what was read there, or the stream is another.
//!
//! ```text
//! task: consumer + pulls --(bounded channel of chunks)--> Tail::next
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, IntoConsumerConfig as _, pull};
use async_nats::{Message, StatusCode, Subject};
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::delivery::parse_delivery;
use super::pattern::matches;
use super::{AskError, Jet, PortError, ReadError, Subscription};
use crate::backoff::Backoff;
use crate::task;

/// Messages asked for at a time.
const PULL: u64 = 4096;
/// A new pull goes out when fewer are still to come.
const PULL_AGAIN: u64 = 2048;
/// How long a pull stands.
const EXPIRES: Duration = Duration::from_secs(30);
/// The server says that a pull is alive this often.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// Silence longer than this means that the consumer is gone.
const SILENCE: Duration = Duration::from_secs(5);
/// So many of the last messages are read again by each new consumer, to be recognized.
const RECOGNIZED: usize = 256;
/// A chunk handed over holds at most this many entries.
const CHUNK: usize = 1024;
/// Everything in a stream.
pub const ALL: &str = ">";
/// Chunks that may wait; a slow reader holds the pulls back, never memory.
const CHUNKS: usize = 16;

/// One message of the stream.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where it stands.
    pub subject: Subject,
    /// Its bytes; empty for a tombstone.
    pub payload: Bytes,
    /// Its sequence in the stream.
    pub sequence: u64,
    /// When the stream stored it.
    pub time: Timestamp,
}

/// What a tail hands over.
#[derive(Debug)]
pub enum TailEvent {
    /// Messages, ascending by sequence.
    Entries(Vec<Entry>),
    /// All that was in the stream when the tail began has been handed over. Comes once.
    CaughtUp,
    /// Reading was interrupted, and goes on after this sequence: what was stored and removed in
    /// between is never seen. Comes after [`TailEvent::CaughtUp`] only.
    Resumed(u64),
    /// The stream has lost what it had acknowledged: what was read is of another history. Nothing
    /// follows; the tail is over.
    WentBack,
}

/// A reader of one stream.
#[derive(Debug)]
pub struct Tail {
    events: mpsc::Receiver<TailEvent>,
}

impl Tail {
    /// Starts reading `stream` where a subject matches `filters`, from the first message on. With
    /// several of them all of the stream comes until what was there is read: for these nats-server
    /// (2.15.1) looks through the subjects of a whole block with each message, which takes 200 µs
    /// where many messages between have been replaced, and 3 µs with one filter or none.
    #[must_use]
    pub fn start(jet: Jet, stream: String, filters: Vec<String>) -> Self {
        Self::start_after(jet, stream, filters, 0)
    }

    /// Starts reading behind the message of sequence `last`.
    #[must_use]
    pub fn start_after(jet: Jet, stream: String, filters: Vec<String>, last: u64) -> Self {
        let (sender, events) = mpsc::channel(CHUNKS);
        let wide = filters.len() > 1;
        let reader = Reader {
            jet,
            stream,
            filters,
            last,
            created: None,
            recent: VecDeque::new(),
            target: 0,
            wide,
            recognized: true,
            caught_up: false,
            sender,
        };
        task::spawn(reader.run());
        Self { events }
    }

    /// The next event; waits for it. Safe to cancel. `None` comes after [`TailEvent::WentBack`]
    /// only.
    pub async fn next(&mut self) -> Option<TailEvent> {
        self.events.recv().await
    }

    /// An event that is there already.
    pub fn try_next(&mut self) -> Option<TailEvent> {
        self.events.try_recv().ok()
    }
}

struct Reader {
    jet: Jet,
    stream: String,
    filters: Vec<String>,
    last: u64,
    /// When the stream that is read was made. That may be after its messages were stored: it is so
    /// with one that was put back from a backup.
    created: Option<Timestamp>,
    /// The last messages that were read: sequence, and when it was stored.
    recent: VecDeque<(u64, Timestamp)>,
    /// The last message that was there at the start.
    target: u64,
    /// Everything is read, wanted or not.
    wide: bool,
    /// What was read before an interruption was found there again, as far as it still stands.
    recognized: bool,
    caught_up: bool,
    sender: mpsc::Sender<TailEvent>,
}

/// Why there is no consumer.
#[derive(Debug, thiserror::Error)]
enum BeginError {
    #[error("looking for the end of the stream")]
    Target(#[from] ReadError),
    #[error("subscribing")]
    Subscribe(#[from] PortError),
    #[error("asking JetStream")]
    Ask(#[from] AskError),
}

/// What a stream says of itself.
#[derive(Deserialize)]
struct Info {
    created: Timestamp,
    state: InfoState,
}

#[derive(Deserialize)]
struct InfoState {
    last_seq: u64,
}

/// Why a consumer is given up.
enum Lost {
    /// The reader was dropped.
    Unwanted,
    /// It must be made anew.
    Again(&'static str),
    /// What was there is read: what comes is read by a consumer that gives only what is wanted.
    Narrow,
    /// The stream is not the one that was read.
    WentBack,
}

impl Reader {
    async fn run(mut self) {
        let mut tries = 0;
        while !self.sender.is_closed() {
            match self.read_one_consumer().await {
                Ok(Lost::Unwanted) => return,
                Ok(Lost::WentBack) => {
                    tracing::error!(
                        stream = self.stream,
                        read_up_to = self.last,
                        "JetStream has lost what it had acknowledged (an older copy of its \
                         directory was put back, or the stream was made anew): everything is read \
                         anew, and what was stored in between is gone"
                    );
                    // A reader that is gone needs to know nothing.
                    drop(self.sender.send(TailEvent::WentBack).await);
                    return;
                }
                Ok(Lost::Narrow) => {
                    tries = 0;
                    continue;
                }
                Ok(Lost::Again(reason)) => {
                    // Before anything is said of it, the next consumer must have come so far.
                    self.recognized = self.recent.is_empty();
                    tracing::debug!(stream = self.stream, last = self.last, reason, "reading on");
                    tries = 1;
                }
                Err(error) => {
                    tracing::debug!(stream = self.stream, ?error, "making a consumer");
                    tries += 1;
                }
            }
            tokio::time::sleep(Backoff::STORE.delay(tries)).await;
        }
    }

    async fn read_one_consumer(&mut self) -> Result<Lost, BeginError> {
        // Before anything is asked: what is asked next may be answered by another server.
        let mut reconnects = self.jet.reconnects();
        reconnects.mark_unchanged();
        if !self.caught_up {
            self.target = self.find_target().await?;
        }
        if self.is_another().await? {
            return Ok(Lost::WentBack);
        }
        self.wide &= self.last < self.target;
        let mut consumer = self.make_consumer().await?;
        if self.caught_up {
            drop(self.sender.send(TailEvent::Resumed(self.last)).await);
        }
        if self.last >= self.target && self.recognized {
            self.say_caught_up().await;
        }
        let lost = loop {
            if let Err(lost) = consumer.pull(&self.jet).await {
                break lost;
            }
            tokio::select! {
                biased;
                () = self.sender.closed() => break Lost::Unwanted,
                () = reconnects.changed() => break Lost::Again("connection made anew"),
                message = consumer.inbox.next() => {
                    let Some(message) = message else { break Lost::Again("subscription ended") };
                    if let Err(lost) = self.take(&mut consumer, message).await {
                        break lost;
                    }
                }
                () = tokio::time::sleep(SILENCE) => break Lost::Again("silence"),
            }
        };
        self.drop_consumer(&consumer.name).await;
        Ok(lost)
    }

    /// Whether the stream was made anew, or ends before what was read. An older copy of the
    /// server's directory that was put back looks like this, until so much was written to it that
    /// only what stands where something was read tells of it.
    async fn is_another(&mut self) -> Result<bool, AskError> {
        let info: Info =
            self.jet.ask(&format!("STREAM.INFO.{}", self.stream), &Value::Null).await?;
        let anew = info.created != *self.created.get_or_insert(info.created);
        Ok(anew || info.state.last_seq < self.last)
    }

    /// Whether this message of before the last one was read. What is not there any more was
    /// replaced by a later one, or removed.
    fn has_read(&self, entry: &Entry) -> bool {
        let found = self.recent.binary_search_by_key(&entry.sequence, |(sequence, _)| *sequence);
        found.is_ok_and(|index| self.recent[index].1 == entry.time)
    }

    fn note(&mut self, entry: &Entry) {
        self.last = entry.sequence;
        if self.recent.len() == RECOGNIZED {
            self.recent.pop_front();
        }
        self.recent.push_back((entry.sequence, entry.time));
    }

    /// The last message there is now. The server's own count of what is pending cannot be used:
    /// with one message a subject it is off by one at the end (seen with 2.15.1).
    async fn find_target(&self) -> Result<u64, ReadError> {
        let mut target = 0;
        for filter in &self.filters {
            let stored = self.jet.read_last(&self.stream, filter).await?;
            target = target.max(stored.map_or(0, |stored| stored.sequence));
        }
        Ok(target)
    }

    async fn make_consumer(&self) -> Result<Cursor, BeginError> {
        let inbox = self.jet.new_inbox();
        let subscription = self.jet.subscribe(inbox.clone()).await?;
        let filters = if self.wide { vec![ALL.to_owned()] } else { self.filters.clone() };
        let deliver_policy = match (self.recent.front(), self.last) {
            (Some((sequence, _)), _) => {
                DeliverPolicy::ByStartSequence { start_sequence: *sequence }
            }
            (None, 0) => DeliverPolicy::All,
            (None, last) => DeliverPolicy::ByStartSequence { start_sequence: last + 1 },
        };
        // An inbox is named at random, and so is the consumer.
        let unique = inbox.split_once('.').map_or(&*inbox, |(_, rest)| rest);
        let name = format!("tail-{}", unique.replace('.', "-"));
        let (filter_subject, filter_subjects) = match &*filters {
            [one] => (one.clone(), Vec::new()),
            several => (String::new(), several.to_vec()),
        };
        // With a single filter in the subject, the server's permissions can say what may be read.
        let operation = match &*filters {
            [one] => format!("CONSUMER.CREATE.{}.{name}.{one}", self.stream),
            _ => format!("CONSUMER.CREATE.{}.{name}", self.stream),
        };
        let config = pull::Config {
            name: Some(name.clone()),
            deliver_policy,
            ack_policy: AckPolicy::None,
            filter_subject,
            filter_subjects,
            memory_storage: true,
            num_replicas: 1,
            inactive_threshold: Duration::from_secs(60),
            ..pull::Config::default()
        };
        let body = json!({
            "stream_name": self.stream, "config": config.into_consumer_config(), "action": "create",
        });
        let _made: Value = self.jet.ask(&operation, &body).await?;
        let cursor = Cursor {
            pull_subject: format!("$JS.API.CONSUMER.MSG.NEXT.{}.{name}", self.stream),
            name,
            inbox: subscription,
            reply: inbox,
            to_come: 0,
            sequence: 0,
            at: 0,
        };
        Ok(cursor)
    }

    /// Best effort: an abandoned consumer ends by itself after its inactivity.
    async fn drop_consumer(&self, name: &str) {
        let subject = format!("$JS.API.CONSUMER.DELETE.{}.{name}", self.stream);
        if let Err(error) = self.jet.publish(subject, Bytes::new()).await {
            tracing::debug!(stream = self.stream, %error, "dropping a consumer");
        }
    }

    async fn say_caught_up(&mut self) {
        if !self.caught_up {
            self.caught_up = true;
            // A reader that is gone is noticed by the loop.
            drop(self.sender.send(TailEvent::CaughtUp).await);
        }
    }

    /// Takes a message and those that wait behind it, and hands them over as one chunk.
    async fn take(&mut self, consumer: &mut Cursor, first: Message) -> Result<(), Lost> {
        let mut entries = Vec::new();
        let mut idle = false;
        let mut next = Some(first);
        let mut outcome = Ok(());
        while let Some(message) = next {
            match consumer.accept(message) {
                Ok(Accepted::Entry(entry)) if !self.wants(&entry) => {
                    self.last = self.last.max(entry.sequence);
                }
                Ok(Accepted::Entry(entry)) if entry.sequence > self.last => {
                    self.note(&entry);
                    entries.push(entry);
                }
                Ok(Accepted::Entry(entry)) if !self.has_read(&entry) => {
                    outcome = Err(Lost::WentBack);
                    break;
                }
                // Nothing waits for this consumer.
                Ok(Accepted::Idle) => idle = true,
                Ok(Accepted::Entry(_) | Accepted::Nothing) => {}
                Err(lost) => {
                    outcome = Err(lost);
                    break;
                }
            }
            if entries.len() >= CHUNK {
                break;
            }
            next = consumer.inbox.next().now_or_never().flatten();
        }
        if !entries.is_empty() && self.sender.send(TailEvent::Entries(entries)).await.is_err() {
            return Err(Lost::Unwanted);
        }
        self.recognized |= idle || consumer.at >= self.last;
        if outcome.is_ok() && (idle || self.last >= self.target && self.recognized) {
            if std::mem::take(&mut self.wide) {
                return Err(Lost::Narrow);
            }
            self.say_caught_up().await;
        }
        outcome
    }

    /// Whether it is what was asked for: of others there may be some while all is read.
    fn wants(&self, entry: &Entry) -> bool {
        self.filters.len() < 2 || self.filters.iter().any(|filter| matches(filter, &entry.subject))
    }
}

/// What came from a consumer.
enum Accepted {
    Entry(Entry),
    /// The server says that nothing waits.
    Idle,
    /// A word about a pull.
    Nothing,
}

/// One consumer, and how far it is.
struct Cursor {
    name: String,
    pull_subject: String,
    inbox: Subscription,
    reply: String,
    to_come: u64,
    sequence: u64,
    /// The last message that came, by its place in the stream.
    at: u64,
}

impl Cursor {
    async fn pull(&mut self, jet: &Jet) -> Result<(), Lost> {
        if self.to_come >= PULL_AGAIN {
            return Ok(());
        }
        let request = format!(
            r#"{{"batch":{PULL},"expires":{},"idle_heartbeat":{}}}"#,
            EXPIRES.as_nanos(),
            HEARTBEAT.as_nanos()
        );
        self.to_come += PULL;
        jet.publish_with_reply(self.pull_subject.clone(), self.reply.clone(), request.into())
            .await
            .map_err(|_| Lost::Again("pull not sent"))
    }

    /// What a message is, or why the consumer is lost.
    fn accept(&mut self, message: Message) -> Result<Accepted, Lost> {
        match message.status {
            None => {}
            Some(StatusCode::IDLE_HEARTBEAT) => return Ok(Accepted::Idle),
            Some(StatusCode::TIMEOUT) => {
                self.to_come = self.to_come.saturating_sub(unserved(&message));
                return Ok(Accepted::Nothing);
            }
            Some(_) => return Err(Lost::Again("consumer refused the pull")),
        }
        let delivery = message.reply.as_deref().and_then(parse_delivery);
        let Some(delivery) = delivery else { return Ok(Accepted::Nothing) };
        if delivery.consumer_sequence != self.sequence + 1 {
            return Err(Lost::Again("a message was skipped"));
        }
        self.sequence = delivery.consumer_sequence;
        self.at = delivery.stream_sequence;
        self.to_come = self.to_come.saturating_sub(1);
        let entry = Entry {
            subject: message.subject,
            payload: message.payload,
            sequence: delivery.stream_sequence,
            time: delivery.time,
        };
        Ok(Accepted::Entry(entry))
    }
}

/// How many messages an expired pull did not get.
fn unserved(message: &Message) -> u64 {
    let headers = message.headers.as_ref();
    let value = headers.and_then(|headers| headers.get("Nats-Pending-Messages"));
    value.and_then(|value| value.as_str().parse().ok()).unwrap_or(PULL)
}

#[cfg(test)]
mod tests {
    use futures_util::stream::pending;

    use super::*;
    use crate::nats::Shelf;

    /// A message of the stream: its sequences there and of the consumer, and when it was stored.
    fn message(sequence: u64, of_consumer: u64, stored_nanos: u64) -> Message {
        let reply = format!("$JS.ACK.S.tail.1.{sequence}.{of_consumer}.{stored_nanos}.0");
        Message {
            subject: "a.b".into(),
            reply: Some(reply.into()),
            payload: Bytes::new(),
            headers: None,
            status: None,
            description: None,
            length: 0,
        }
    }

    fn cursor() -> Cursor {
        let inbox: Subscription = pending().boxed();
        let (name, pull_subject, reply) = (String::new(), String::new(), String::new());
        Cursor { name, pull_subject, inbox, reply, to_come: 0, sequence: 0, at: 0 }
    }

    #[tokio::test]
    async fn what_was_read_before_is_recognized() {
        let (sender, _events) = mpsc::channel(CHUNKS);
        let mut reader = Reader {
            jet: Shelf::default().jet(),
            stream: "S".to_owned(),
            filters: vec![ALL.to_owned()],
            last: 0,
            created: None,
            recent: VecDeque::new(),
            target: 0,
            wide: false,
            recognized: true,
            caught_up: false,
            sender,
        };
        let mut first = cursor();
        for (sequence, of_consumer) in [(3, 1), (5, 2), (6, 3)] {
            let took = reader.take(&mut first, message(sequence, of_consumer, sequence)).await;
            assert!(took.is_ok());
        }
        // The next consumer: one is gone, one stands, and one comes.
        let mut second = cursor();
        assert!(reader.take(&mut second, message(5, 1, 5)).await.is_ok());
        assert!(reader.take(&mut second, message(7, 2, 7)).await.is_ok());
        // Another's message at a place that was read, and one where there was none.
        for (sequence, stored) in [(6, 60), (4, 4)] {
            let took = reader.take(&mut cursor(), message(sequence, 1, stored)).await;
            assert!(matches!(took, Err(Lost::WentBack)), "{sequence}");
        }
    }
}
