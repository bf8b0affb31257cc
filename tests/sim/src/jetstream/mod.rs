//! A JetStream in memory: what Stint uses of nats-server, and how that can go wrong.
//!
//! Knows no clock and no network: it is told the time and what came in, and says what goes out. The
//! contract tests hold it to the real server.

mod api;
mod consumer;
mod publish;
mod stream;

use std::collections::BTreeMap;

use async_nats::{HeaderMap, Message, StatusCode};
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;
use stint_common::nats::Outgoing;

use super::rng::Rng;
pub use publish::MAX_PAYLOAD;
use stream::{Pattern, Stream};

/// Of a Stint.
const STREAMS: usize = 5;

/// Milliseconds since the beginning of the simulation.
pub type Millis = u64;

/// A connection to the server.
pub type LinkId = usize;

/// A message on its way to a connection.
#[derive(Debug)]
pub struct Delivery {
    /// To whom.
    pub link: LinkId,
    /// The subject that it listens on: not always the message's own.
    pub inbox: String,
    /// What.
    pub message: Message,
}

/// What the server may do wrong, each in so many of a thousand writes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lapses {
    /// Neither stored nor answered: a leader that lost its last proposals.
    pub lost: u64,
    /// Stored, and never answered.
    pub lost_ack: u64,
    /// Not stored: refused as if another write stood there.
    pub spurious: u64,
    /// Not stored: refused for now.
    pub busy: u64,
    /// Not stored: refused as what never will be.
    pub refused: u64,
}

/// Sees everything that a stream takes in and gives away.
pub trait Observer: Send {
    /// A message was stored.
    fn stored(&mut self, subject: &str, sequence: u64, payload: &Bytes, now: Millis);

    /// A message left: by its answer, or purged.
    fn removed(&mut self, subject: &str, purged: bool);
}

/// A copy of a server's directory.
pub struct Copied(BTreeMap<String, Stream>);

/// The server.
pub struct Server {
    streams: BTreeMap<String, Stream>,
    interest: BTreeMap<String, Vec<LinkId>>,
    batches: BTreeMap<(LinkId, String), Vec<Outgoing>>,
    out: Vec<Delivery>,
    now: Millis,
    epoch: Timestamp,
    rng: Rng,
    timer: Option<Millis>,
    /// What it does wrong.
    pub lapses: Lapses,
    /// Who sees.
    pub observer: Option<Box<dyn Observer>>,
}

impl Server {
    /// A server without streams, whose time begins at `epoch`.
    #[must_use]
    pub fn new(epoch: Timestamp, rng: Rng) -> Self {
        Self {
            streams: BTreeMap::new(),
            interest: BTreeMap::new(),
            batches: BTreeMap::new(),
            out: Vec::new(),
            now: 0,
            epoch,
            rng,
            timer: None,
            lapses: Lapses::default(),
            observer: None,
        }
    }

    /// What goes out since the last call.
    pub fn take_deliveries(&mut self) -> Vec<Delivery> {
        std::mem::take(&mut self.out)
    }

    /// A connection listens.
    pub fn subscribe(&mut self, link: LinkId, subject: &str) {
        let links = self.interest.entry(subject.to_owned()).or_default();
        if !links.contains(&link) {
            links.push(link);
        }
    }

    /// A connection listens no more.
    pub fn unsubscribe(&mut self, link: LinkId, subject: &str) {
        if let Some(links) = self.interest.get_mut(subject) {
            links.retain(|other| *other != link);
            if links.is_empty() {
                self.interest.remove(subject);
            }
        }
        let listened = Pattern::new(subject);
        for consumer in self.streams.values_mut().flat_map(|stream| stream.consumers.values_mut()) {
            if consumer.waiting.is_empty() {
                continue;
            }
            consumer.waiting.retain(|pull| pull.link != link || !listened.matches(&pull.reply));
        }
    }

    /// A connection is gone, with what it listened to and waited for.
    pub fn drop_link(&mut self, link: LinkId) {
        self.interest.retain(|_, links| {
            links.retain(|other| *other != link);
            !links.is_empty()
        });
        self.batches.retain(|(owner, _), _| *owner != link);
        for consumer in self.streams.values_mut().flat_map(|stream| stream.consumers.values_mut()) {
            consumer.waiting.retain(|pull| pull.link != link);
        }
    }

    /// A message came in.
    pub fn take(&mut self, link: LinkId, message: Outgoing, now: Millis) {
        self.now = now;
        let subject = message.subject.to_string();
        if let Some(operation) = subject.strip_prefix("$JS.API.") {
            self.take_api(link, operation, &message);
        } else if subject.starts_with("$JS.ACK.") {
            self.take_answer(&subject, &message.payload);
        } else if let Some(stream) = self.stream_of(&subject) {
            self.take_write(link, &stream, message);
        } else {
            self.pass_on(link, &message);
        }
    }

    /// The next time at which [`Server::tick`] has something to do.
    #[must_use]
    pub fn next_timer(&self) -> Option<Millis> {
        self.timer
    }

    /// Asked after everything that consumers may wait for from now on. What they no longer wait for
    /// rings in vain.
    fn expect(&mut self, at: impl IntoIterator<Item = Millis>) {
        self.timer = self.timer.into_iter().chain(at).min();
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Millis) {
        self.now = now;
        let mut said = Vec::new();
        let mut names = Vec::new();
        for (name, stream) in &mut self.streams {
            stream.consumers.retain(|_, consumer| !consumer.is_over(now));
            for consumer in stream.consumers.values_mut() {
                said.extend(consumer.tick(now));
            }
            if stream.work_queue {
                names.push(name.clone());
            }
        }
        for (link, reply, code, headers) in said {
            self.say(link, &reply, code, Some(headers));
        }
        names.iter().for_each(|name| self.pump(name));
        let consumers = self.streams.values().flat_map(|stream| stream.consumers.values());
        self.timer = consumers.filter_map(consumer::Consumer::next_timer).min();
    }

    /// It is killed and started again: connections, consumers in memory, half batches and answers
    /// are lost, and perhaps the durable consumer.
    pub fn crash(&mut self) {
        self.interest.clear();
        self.batches.clear();
        let rng = &mut self.rng;
        let forgets = rng.below(1001);
        let loses_consumers = rng.chance(200);
        for stream in self.streams.values_mut() {
            stream.crash(|| rng.chance(forgets));
            if loses_consumers {
                stream.consumers.clear();
            }
        }
    }

    /// What its directory holds; nothing before all streams were made: nobody makes them again.
    #[must_use]
    pub fn copy(&self) -> Option<Copied> {
        (self.streams.len() == STREAMS).then(|| Copied(self.streams.clone()))
    }

    /// An older copy of its directory is put back while it does not run.
    pub fn put_back(&mut self, copied: Copied) {
        self.streams = copied.0;
        self.crash();
        self.timer = Some(self.now);
    }

    /// What stands at a subject: for checks.
    #[must_use]
    pub fn standing(&self, subject: &str) -> Option<&Bytes> {
        let stream = self.streams.values().find(|stream| stream.takes(subject))?;
        stream.last_matching(subject).map(|(_, stored)| &stored.payload)
    }

    /// Everything that stands in streams whose subjects begin with `prefix`: for checks.
    pub fn all(&self, prefix: &str) -> impl Iterator<Item = (&str, &Bytes)> {
        let messages = self.streams.values().flat_map(|stream| stream.messages.values());
        let messages = messages.filter(move |stored| stored.subject.starts_with(prefix));
        messages.map(|stored| (stored.subject.as_str(), &stored.payload))
    }

    fn time(&self, at: Millis) -> Timestamp {
        stint_common::time::after(self.epoch, std::time::Duration::from_millis(at))
    }

    fn stream_of(&self, subject: &str) -> Option<String> {
        let mut streams = self.streams.iter();
        streams.find(|(_, stream)| stream.takes(subject)).map(|(name, _)| name.clone())
    }

    /// A message to those who listen.
    fn pass_on(&mut self, from: LinkId, message: &Outgoing) {
        let links = self.interest.get(message.subject.as_str()).cloned().unwrap_or_default();
        if links.is_empty()
            && let Some(reply) = &message.reply
        {
            self.say(from, reply.as_ref(), 503, None);
        }
        for link in links {
            let message = Message {
                subject: message.subject.clone(),
                reply: message.reply.clone(),
                payload: message.payload.clone(),
                headers: message.headers.clone(),
                status: None,
                description: None,
                length: message.payload.len(),
            };
            self.out.push(Delivery { link, inbox: message.subject.to_string(), message });
        }
    }

    fn respond(&mut self, link: LinkId, message: &Outgoing, answer: &Value) {
        self.respond_with(link, message, answer.to_string());
    }

    fn respond_with(&mut self, link: LinkId, message: &Outgoing, answer: String) {
        let Some(reply) = &message.reply else { return };
        let payload = Bytes::from(answer);
        let message = Message {
            subject: reply.clone(),
            reply: None,
            length: payload.len(),
            payload,
            headers: None,
            status: None,
            description: None,
        };
        self.out.push(Delivery { link, inbox: reply.to_string(), message });
    }

    fn say(&mut self, link: LinkId, subject: &str, code: u16, headers: Option<HeaderMap>) {
        let message = Message {
            subject: subject.into(),
            reply: None,
            payload: Bytes::new(),
            headers,
            status: StatusCode::from_u16(code).ok(),
            description: None,
            length: 0,
        };
        self.out.push(Delivery { link, inbox: subject.to_owned(), message });
    }

    /// Delivers what a stream's consumers have for those who wait.
    fn pump(&mut self, name: &str) {
        let Some(stream) = self.streams.get_mut(name) else { return };
        let mut consumers = std::mem::take(&mut stream.consumers);
        let mut due = Vec::new();
        for (consumer_name, consumer) in &mut consumers {
            while let Some(message) = consumer.take_due(stream, self.now) {
                due.push((consumer_name.clone(), message));
            }
        }
        stream.consumers = consumers;
        self.expect(due.iter().filter_map(|(_, due)| due.deadline));
        for (consumer, due) in due {
            let Some(stream) = self.streams.get(name) else { return };
            let Some(stored) = stream.messages.get(&due.sequence).cloned() else { continue };
            let at = self.time(stored.at).as_nanosecond();
            let reply = format!(
                "$JS.ACK.{name}.{consumer}.{}.{}.{}.{at}.{}",
                due.delivered, due.sequence, due.consumer_sequence, due.pending
            );
            let message = Message {
                subject: stored.subject.into(),
                reply: Some(reply.into()),
                length: stored.payload.len(),
                payload: stored.payload,
                headers: None,
                status: None,
                description: None,
            };
            self.out.push(Delivery { link: due.link, inbox: due.inbox, message });
        }
    }
}
