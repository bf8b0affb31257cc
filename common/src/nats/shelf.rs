//! A JetStream for unit tests: what stands at subjects, compared and set, read and removed. It
//! answers at once, knows no consumers, and takes all streams for one. The simulation has a whole
//! one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::{Message, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::{BoxFuture, ready};
use futures_util::stream::pending;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::pattern::matches;
use super::port::{Outgoing, Port, PortError, Subscription};
use super::{Jet, Reconnects};
use crate::names::Names;

/// What stands at each subject. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Shelf(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    last: u64,
    messages: BTreeMap<String, (u64, Bytes)>,
    said: Vec<(String, Bytes)>,
    refuses: Option<(u16, u32)>,
    /// So many requests are carried out and not answered; writes after them are refused.
    loses_answers: Option<(u32, (u16, u32))>,
}

fn refusal(code: u16, err_code: u32) -> Value {
    json!({"error": {"code": code, "err_code": err_code}})
}

impl Shelf {
    /// A connection to it.
    #[must_use]
    pub fn jet(&self) -> Jet {
        Jet::new(Arc::new(self.clone()), Names::default(), false, Reconnects::default())
    }

    /// Puts something at a subject, whatever stands there; its sequence.
    ///
    /// # Panics
    ///
    /// When it cannot be written as JSON.
    pub fn put(&self, subject: &str, what: &impl Serialize) -> u64 {
        let payload = serde_json::to_vec(what).expect("it can be written as JSON");
        self.put_bytes(subject, payload.into())
    }

    /// Puts bytes at a subject, whatever stands there; their sequence.
    pub fn put_bytes(&self, subject: &str, payload: Bytes) -> u64 {
        self.state().put(subject, payload)
    }

    /// What stands at a subject, and its sequence.
    #[must_use]
    pub fn at(&self, subject: &str) -> Option<(u64, Bytes)> {
        self.state().messages.get(subject).cloned()
    }

    /// What was said without asking for an answer, since this was last asked.
    #[must_use]
    pub fn take_said(&self) -> Vec<(String, Bytes)> {
        std::mem::take(&mut self.state().said)
    }

    /// Refuses all writes from now on, for this reason: code and error code; or none.
    pub fn refuse(&self, why: Option<(u16, u32)>) {
        self.state().refuses = why;
    }

    /// Carries out so many requests without an answer, and refuses all writes that follow, for this
    /// reason: code and error code.
    pub fn lose_answers(&self, count: u32, then: (u16, u32)) {
        self.state().loses_answers = Some((count, then));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn put(&mut self, subject: &str, payload: Bytes) -> u64 {
        self.last += 1;
        self.messages.insert(subject.to_owned(), (self.last, payload));
        self.last
    }

    fn answer(&mut self, message: &Outgoing) -> Value {
        let subject = message.subject.as_str();
        let Some(operation) = subject.strip_prefix("$JS.API.STREAM.") else {
            return self.write(message);
        };
        let body: Value = serde_json::from_slice(&message.payload).unwrap_or_default();
        match operation.rsplit_once('.').map(|(operation, _)| operation) {
            Some("MSG.GET") => self.read(&body),
            Some("MSG.DELETE") => {
                let before = self.messages.len();
                self.messages.retain(|_, (sequence, _)| body["seq"] != *sequence);
                let gone = self.messages.len() < before;
                if gone { json!({"success": true}) } else { refusal(404, 10043) }
            }
            Some("PURGE") => {
                let filter = body["filter"].as_str().unwrap_or(">");
                self.messages.retain(|subject, _| !matches(filter, subject));
                json!({"success": true})
            }
            _ => panic!("the shelf does not know the operation {operation}"),
        }
    }

    fn write(&mut self, message: &Outgoing) -> Value {
        if let Some((code, err_code)) = self.refuses {
            return refusal(code, err_code);
        }
        let subject = message.subject.as_str();
        let stands = self.messages.get(subject).map_or(0, |(sequence, _)| *sequence);
        let headers = message.headers.as_ref();
        let expected = headers.and_then(|all| all.get(header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE));
        if expected.is_some_and(|expected| expected.as_str() != stands.to_string()) {
            return refusal(400, 10071);
        }
        json!({"seq": self.put(subject, message.payload.clone())})
    }

    fn read(&self, body: &Value) -> Value {
        let wanted = body["last_by_subj"].as_str();
        let found = self.messages.iter().filter(|(subject, (sequence, _))| match wanted {
            Some(wanted) => matches(wanted, subject),
            None => body["seq"] == *sequence,
        });
        match found.max_by_key(|(_, (sequence, _))| *sequence) {
            Some((subject, (sequence, payload))) => json!({"message": {
                "subject": subject, "seq": sequence, "time": Timestamp::UNIX_EPOCH,
                "data": STANDARD.encode(payload),
            }}),
            None => refusal(404, 10037),
        }
    }
}

impl Port for Shelf {
    fn publish(&self, message: Outgoing) -> BoxFuture<'_, Result<(), PortError>> {
        self.state().said.push((message.subject.to_string(), message.payload));
        Box::pin(ready(Ok(())))
    }

    fn request(
        &self,
        message: Outgoing,
        _timeout: Duration,
    ) -> BoxFuture<'_, Result<Message, PortError>> {
        let mut state = self.state();
        let payload = Bytes::from(state.answer(&message).to_string());
        if let Some((count, then)) = state.loses_answers.take() {
            match count.checked_sub(1) {
                Some(0) | None => state.refuses = Some(then),
                Some(left) => state.loses_answers = Some((left, then)),
            }
            return Box::pin(ready(Err(PortError::NoAnswer("none came".into()))));
        }
        drop(state);
        Box::pin(ready(Ok(Message {
            subject: message.subject,
            reply: None,
            length: payload.len(),
            payload,
            headers: None,
            status: None,
            description: None,
        })))
    }

    fn subscribe(&self, _subject: String) -> BoxFuture<'_, Result<Subscription, PortError>> {
        Box::pin(ready(Ok(pending().boxed())))
    }

    fn new_inbox(&self) -> String {
        "_INBOX.shelf".to_owned()
    }

    fn is_connected(&self) -> bool {
        true
    }

    fn max_payload(&self) -> usize {
        1 << 20
    }
}
