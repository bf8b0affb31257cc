//! A pull consumer: where it is, what it delivered and has no answer to, who waits.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use async_nats::HeaderMap;
use serde_json::Value;

use super::stream::{Pattern, Stream};
use super::{LinkId, Millis};

/// A pull that stands.
#[derive(Clone, Debug)]
pub(super) struct Pull {
    pub(super) link: LinkId,
    pub(super) reply: String,
    pub(super) left: u64,
    /// Lower ones are served first, by a consumer that heeds them.
    pub(super) priority: u64,
    pub(super) expires: Option<Millis>,
    pub(super) heartbeat: Option<(Millis, Millis)>,
}

/// A message that was delivered and not answered.
#[derive(Clone, Debug)]
struct Pending {
    deadline: Millis,
    delivered: u64,
}

/// A pull consumer.
#[derive(Clone, Debug)]
pub(super) struct Consumer {
    pub(super) filters: Vec<Pattern>,
    pub(super) explicit: bool,
    pub(super) durable: bool,
    pub(super) prioritized: bool,
    ack_wait: Millis,
    cursor: u64,
    delivered: u64,
    pending: BTreeMap<u64, Pending>,
    again: BTreeMap<u64, u64>,
    pub(super) waiting: VecDeque<Pull>,
    pub(super) active_at: Millis,
    inactive_threshold: Millis,
}

/// A message on its way to a pull.
pub(super) struct Due {
    pub(super) link: LinkId,
    pub(super) inbox: String,
    pub(super) sequence: u64,
    pub(super) delivered: u64,
    pub(super) consumer_sequence: u64,
    /// How many more there are. Only told of work: nobody asks how much is left to read.
    pub(super) pending: usize,
    /// By when it is to be answered.
    pub(super) deadline: Option<Millis>,
}

fn millis(nanos: &Value) -> Millis {
    nanos.as_u64().unwrap_or(0) / 1_000_000
}

impl Consumer {
    pub(super) fn new(config: &Value, now: Millis) -> Self {
        let many = config["filter_subjects"].as_array().into_iter().flatten();
        let one = config["filter_subject"].as_str().filter(|filter| !filter.is_empty());
        let filters = many.filter_map(Value::as_str).chain(one).map(Pattern::new).collect();
        let ack_wait = millis(&config["ack_wait"]);
        Self {
            filters,
            explicit: config["ack_policy"] == "explicit",
            durable: config["durable_name"].as_str().is_some_and(|name| !name.is_empty()),
            prioritized: config["priority_policy"] == "prioritized",
            ack_wait: if ack_wait == 0 { 30_000 } else { ack_wait },
            cursor: config["opt_start_seq"].as_u64().unwrap_or(1),
            delivered: 0,
            pending: BTreeMap::new(),
            again: BTreeMap::new(),
            waiting: VecDeque::new(),
            active_at: now,
            inactive_threshold: millis(&config["inactive_threshold"]),
        }
    }

    fn wants(&self, subject: &str) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| filter.matches(subject))
    }

    /// How many messages are still to be delivered for the first time.
    fn count(&self, stream: &Stream) -> usize {
        let left = stream.messages.range(self.cursor..);
        left.filter(|(_, message)| self.wants(&message.subject)).count()
    }

    /// The next message to deliver and how often it was delivered before.
    fn next_message(&mut self, stream: &Stream) -> Option<(u64, u64)> {
        while let Some((sequence, delivered)) = self.again.pop_first() {
            if stream.messages.contains_key(&sequence) {
                return Some((sequence, delivered));
            }
        }
        let mut found = None;
        for (sequence, message) in stream.messages.range(self.cursor..) {
            if self.wants(&message.subject) {
                found = Some(*sequence);
                break;
            }
        }
        self.cursor = found.map_or(stream.last_sequence, |sequence| sequence) + 1;
        found.map(|sequence| (sequence, 0))
    }

    /// Who is served next: whose turn it is, of those with the lowest priority where it counts.
    fn next_pull(&mut self) -> Option<Pull> {
        let of = |pull: &Pull| if self.prioritized { pull.priority } else { 0 };
        let lowest = self.waiting.iter().map(of).min()?;
        let at = self.waiting.iter().position(|pull| of(pull) == lowest)?;
        self.waiting.remove(at)
    }

    /// What goes out now. Pulls are served in turns, a message each.
    pub(super) fn take_due(&mut self, stream: &Stream, now: Millis) -> Option<Due> {
        if self.waiting.is_empty() {
            return None;
        }
        let (sequence, before) = self.next_message(stream)?;
        let mut pull = self.next_pull()?;
        pull.left -= 1;
        if let Some((every, at)) = &mut pull.heartbeat {
            *at = now + *every;
        }
        self.delivered += 1;
        self.active_at = now;
        let deadline = self.explicit.then_some(now + self.ack_wait);
        if let Some(deadline) = deadline {
            self.pending.insert(sequence, Pending { deadline, delivered: before + 1 });
        }
        let (link, inbox) = (pull.link, pull.reply.clone());
        if pull.left > 0 {
            self.waiting.push_back(pull);
        }
        let consumer_sequence = self.delivered;
        let pending = if self.explicit { self.count(stream) } else { 0 };
        let delivered = before + 1;
        Some(Due { link, inbox, sequence, delivered, consumer_sequence, pending, deadline })
    }

    /// It was answered, or is not there any more.
    pub(super) fn settle(&mut self, sequence: u64) {
        self.pending.remove(&sequence);
        self.again.remove(&sequence);
    }

    /// It is to be delivered again.
    pub(super) fn give_back(&mut self, sequence: u64) {
        if let Some(pending) = self.pending.remove(&sequence) {
            self.again.insert(sequence, pending.delivered);
        }
    }

    /// What it knew of answers is lost: all of these are delivered again.
    pub(super) fn forget(&mut self, sequences: &BTreeSet<u64>) {
        let pending = std::mem::take(&mut self.pending);
        self.again.extend(pending.into_iter().map(|(sequence, was)| (sequence, was.delivered)));
        self.again.extend(sequences.iter().map(|sequence| (*sequence, 1)));
        self.waiting.clear();
    }

    /// The next time at which something is to be said or done.
    pub(super) fn next_timer(&self) -> Option<Millis> {
        let pulls = self
            .waiting
            .iter()
            .flat_map(|pull| pull.expires.into_iter().chain(pull.heartbeat.map(|(_, at)| at)));
        pulls.chain(self.pending.values().map(|pending| pending.deadline)).min()
    }

    /// Says what time has brought: status messages for pulls, as (link, reply, code, headers).
    pub(super) fn tick(&mut self, now: Millis) -> Vec<(LinkId, String, u16, HeaderMap)> {
        let overdue = self.pending.iter().filter(|(_, pending)| pending.deadline <= now);
        let overdue: Vec<u64> = overdue.map(|(sequence, _)| *sequence).collect();
        overdue.into_iter().for_each(|sequence| self.give_back(sequence));
        let mut said = Vec::new();
        for pull in &mut self.waiting {
            if pull.expires.is_some_and(|at| at <= now) {
                let mut headers = HeaderMap::new();
                headers.insert("Nats-Pending-Messages", pull.left.to_string());
                headers.insert("Nats-Pending-Bytes", "0");
                said.push((pull.link, pull.reply.clone(), 408, headers));
            } else if let Some((every, at)) = &mut pull.heartbeat
                && *at <= now
            {
                *at = now + *every;
                said.push((pull.link, pull.reply.clone(), 100, HeaderMap::new()));
            }
        }
        self.waiting.retain(|pull| pull.expires.is_none_or(|at| at > now));
        if !self.waiting.is_empty() {
            self.active_at = now;
        }
        said
    }

    /// Whether nobody has used it for too long.
    pub(super) fn is_over(&self, now: Millis) -> bool {
        !self.durable
            && self.inactive_threshold > 0
            && self.waiting.is_empty()
            && now >= self.active_at + self.inactive_threshold
    }
}
