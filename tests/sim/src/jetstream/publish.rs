//! Writes to streams: compare-and-set, atomic batches, answers to deliveries.

use async_nats::header;
use bytes::Bytes;
use serde_json::{Value, json};
use stint_common::nats::Outgoing;

use super::{LinkId, Server};

/// `JSStreamWrongLastSequenceErrF`.
const WRONG_LAST_SEQUENCE: u32 = 10071;
/// The server's largest message.
pub const MAX_PAYLOAD: usize = 1 << 20;

fn refusal(code: u16, err_code: u32, description: &str) -> Value {
    json!({"error": {"code": code, "err_code": err_code, "description": description}})
}

fn wrong_last_sequence(last: u64) -> Value {
    refusal(400, WRONG_LAST_SEQUENCE, &format!("wrong last sequence: {last}"))
}

fn header<'a>(message: &'a Outgoing, name: &str) -> Option<&'a str> {
    message.headers.as_ref()?.get(name).map(|value| value.as_str())
}

fn expected(message: &Outgoing) -> Option<u64> {
    header(message, header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE.as_ref())?.parse().ok()
}

impl Server {
    pub(super) fn take_write(&mut self, link: LinkId, stream: &str, message: Outgoing) {
        let id = header(&message, header::NATS_BATCH_ID.as_ref()).map(str::to_owned);
        if let Some(id) = id {
            self.take_batched(link, stream, id, message);
            return;
        }
        let lapses = self.lapses;
        if self.rng.chance(lapses.lost) {
            return;
        }
        if self.rng.chance(lapses.busy) {
            let busy = refusal(503, 10008, "JetStream system temporarily unavailable");
            let full = refusal(400, 10002, "resource limits exceeded for account");
            let why = if self.rng.chance(300) { full } else { busy };
            self.respond(link, &message, &why);
            return;
        }
        if self.rng.chance(lapses.refused) {
            let large = refusal(400, 10054, "message size exceeds maximum allowed");
            self.respond(link, &message, &large);
            return;
        }
        let last = self.last_of(stream, message.subject.as_str());
        let spurious = expected(&message).is_some() && self.rng.chance(lapses.spurious);
        if spurious || expected(&message).is_some_and(|expected| expected != last) {
            self.respond(link, &message, &wrong_last_sequence(last));
            return;
        }
        let sequence = self.store(stream, message.subject.as_str(), &message.payload);
        if !self.rng.chance(lapses.lost_ack) {
            // Put together by hand: it is the answer to nearly all that comes.
            let answer = format!(r#"{{"stream":"{stream}","seq":{sequence}}}"#);
            self.respond_with(link, &message, answer);
        }
        self.pump(stream);
    }

    fn last_of(&self, stream: &str, subject: &str) -> u64 {
        self.streams.get(stream).map_or(0, |stream| stream.last_of(subject))
    }

    fn store(&mut self, stream: &str, subject: &str, payload: &Bytes) -> u64 {
        let now = self.now;
        let Some(stream) = self.streams.get_mut(stream) else { return 0 };
        let sequence = stream.store(subject, payload, now);
        if let Some(observer) = &mut self.observer {
            observer.stored(subject, sequence, payload, now);
        }
        sequence
    }

    /// ADR-50: all of a batch, or nothing.
    fn take_batched(&mut self, link: LinkId, stream: &str, id: String, message: Outgoing) {
        let commit = header(&message, header::NATS_BATCH_COMMIT.as_ref()).is_some();
        let key = (link, id);
        self.batches.entry(key.clone()).or_default().push(message);
        if !commit {
            return;
        }
        let Some(batch) = self.batches.remove(&key) else { return };
        let Some(last) = batch.last().cloned() else { return };
        let sequence = header(&last, header::NATS_BATCH_SEQUENCE.as_ref());
        if sequence.and_then(|text| text.parse().ok()) != Some(batch.len()) {
            let gap = refusal(400, 10176, "batch publish is incomplete and was abandoned");
            self.respond(link, &last, &gap);
            return;
        }
        if self.rng.chance(self.lapses.lost) {
            return;
        }
        for member in &batch {
            let stands = self.last_of(stream, member.subject.as_str());
            if expected(member).is_some_and(|expected| expected != stands) {
                self.respond(link, &last, &wrong_last_sequence(stands));
                return;
            }
        }
        let mut sequence = 0;
        for member in &batch {
            sequence = self.store(stream, member.subject.as_str(), &member.payload);
        }
        if !self.rng.chance(self.lapses.lost_ack) {
            let answer = json!({
                "stream": stream, "seq": sequence, "batch": last.subject.as_str(),
                "count": batch.len(),
            });
            self.respond(link, &last, &answer);
        }
        self.pump(stream);
    }

    /// `$JS.ACK.<stream>.<consumer>.<delivered>.<stream sequence>.…` was answered.
    pub(super) fn take_answer(&mut self, subject: &str, payload: &[u8]) {
        let tokens: Vec<&str> = subject.split('.').collect();
        let (Some(stream), Some(consumer)) = (tokens.get(2), tokens.get(3)) else { return };
        let sequence = tokens.get(5).and_then(|token| token.parse().ok()).unwrap_or(0);
        let (name, back) = ((*stream).to_owned(), payload.starts_with(b"-NAK"));
        let Some(stream) = self.streams.get_mut(*stream) else { return };
        let work_queue = stream.work_queue;
        let Some(consumer) = stream.consumers.get_mut(*consumer) else { return };
        if back {
            consumer.give_back(sequence);
            self.pump(&name);
            return;
        }
        consumer.settle(sequence);
        if work_queue
            && let Some(stored) = stream.answer(sequence)
            && let Some(observer) = &mut self.observer
        {
            observer.removed(&stored.subject, false);
        }
    }
}
