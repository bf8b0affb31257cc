//! JetStream's API, as far as it is used.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use stint_common::nats::Outgoing;

use super::consumer::{Consumer, Pull};
use super::stream::Stream;
use super::{LinkId, Server};

/// Subjects in one answer; the real server gives 100,000.
const PAGE: usize = 3000;

fn refusal(code: u16, err_code: u32, description: &str) -> Value {
    json!({"error": {"code": code, "err_code": err_code, "description": description}})
}

fn no_stream() -> Value {
    refusal(404, 10059, "stream not found")
}

impl Server {
    pub(super) fn take_api(&mut self, link: LinkId, operation: &str, message: &Outgoing) {
        let body: Value = serde_json::from_slice(&message.payload).unwrap_or_default();
        let tokens: Vec<&str> = operation.split('.').collect();
        let answer = match tokens.as_slice() {
            ["STREAM", "INFO", name] => match self.streams.get(*name) {
                Some(stream) => {
                    let mut info = json!({
                        "config": stream.config, "created": self.time(0),
                        "state": {"last_seq": stream.last_sequence},
                    });
                    if let Some(filter) = body["subjects_filter"].as_str() {
                        let subjects = stream.subjects(filter);
                        info["total"] = json!(subjects.len());
                        let offset = body["offset"].as_u64().unwrap_or(0);
                        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
                        let page = subjects.into_iter().skip(offset).take(PAGE);
                        info["state"]["subjects"] = page.collect();
                    }
                    info
                }
                None => no_stream(),
            },
            ["STREAM", "CREATE", name] => self.create_stream(name, &body),
            ["STREAM", "UPDATE", name] => match self.streams.get_mut(*name) {
                Some(stream) => {
                    stream.config = body;
                    json!({ "config": stream.config })
                }
                None => no_stream(),
            },
            ["STREAM", "PURGE", name] => self.purge(name, &body),
            ["STREAM", "MSG", "GET", name] => self.read(name, &body),
            ["STREAM", "MSG", "DELETE", name] => self.remove(name, &body),
            ["CONSUMER", "INFO", stream, name] => {
                let stream = self.streams.get(*stream);
                match stream.and_then(|stream| stream.consumers.get(*name)) {
                    Some(_) => json!({ "name": name }),
                    None => refusal(404, 10014, "consumer not found"),
                }
            }
            // What follows is the filter, which the body says too.
            ["CONSUMER", "CREATE", stream, name, ..] => self.create_consumer(stream, name, &body),
            ["CONSUMER", "DELETE", stream, name] => {
                let stream = self.streams.get_mut(*stream);
                match stream.and_then(|stream| stream.consumers.remove(*name)) {
                    Some(_) => json!({ "success": true }),
                    None => refusal(404, 10014, "consumer not found"),
                }
            }
            ["CONSUMER", "MSG", "NEXT", stream, name] => {
                self.take_pull(link, stream, name, message, &body);
                return;
            }
            _ => panic!("the simulated server does not know the operation {operation}"),
        };
        self.respond(link, message, &answer);
    }

    fn create_stream(&mut self, name: &str, config: &Value) -> Value {
        if self.streams.contains_key(name) {
            return refusal(
                400,
                10058,
                "stream name already in use with a different configuration",
            );
        }
        self.streams.insert(name.to_owned(), Stream::new(config));
        json!({ "config": config })
    }

    fn purge(&mut self, name: &str, body: &Value) -> Value {
        let Some(stream) = self.streams.get_mut(name) else { return no_stream() };
        let gone = stream.purge(body["filter"].as_str().unwrap_or(">"));
        let count = gone.len();
        for (_, stored) in gone {
            if let Some(observer) = &mut self.observer {
                observer.removed(&stored.subject, true);
            }
        }
        json!({ "success": true, "purged": count })
    }

    fn read(&self, name: &str, body: &Value) -> Value {
        let Some(stream) = self.streams.get(name) else { return no_stream() };
        let found = match body["seq"].as_u64() {
            Some(sequence) => stream.messages.get(&sequence).map(|stored| (sequence, stored)),
            None => stream.last_matching(body["last_by_subj"].as_str().unwrap_or_default()),
        };
        let Some((sequence, stored)) = found else {
            return refusal(404, 10037, "no message found");
        };
        json!({"message": {
            "subject": stored.subject, "seq": sequence, "time": self.time(stored.at),
            "data": STANDARD.encode(&stored.payload),
        }})
    }

    fn remove(&mut self, name: &str, body: &Value) -> Value {
        let Some(stream) = self.streams.get_mut(name) else { return no_stream() };
        match body["seq"].as_u64().and_then(|sequence| stream.remove(sequence)) {
            Some(stored) => {
                if let Some(observer) = &mut self.observer {
                    observer.removed(&stored.subject, true);
                }
                json!({ "success": true })
            }
            None => refusal(404, 10043, "sequence not found"),
        }
    }

    fn create_consumer(&mut self, stream: &str, name: &str, body: &Value) -> Value {
        let now = self.now;
        let Some(stream) = self.streams.get_mut(stream) else { return no_stream() };
        if !stream.consumers.contains_key(name) {
            let mut consumer = Consumer::new(&body["config"], now);
            if stream.work_queue {
                consumer.explicit = true;
            }
            stream.consumers.insert(name.to_owned(), consumer);
        }
        json!({ "name": name })
    }

    fn take_pull(
        &mut self,
        link: LinkId,
        stream_name: &str,
        name: &str,
        message: &Outgoing,
        body: &Value,
    ) {
        let Some(reply) = message.reply.as_ref().map(ToString::to_string) else { return };
        let now = self.now;
        let stream = self.streams.get_mut(stream_name);
        let Some(consumer) = stream.and_then(|stream| stream.consumers.get_mut(name)) else {
            self.say(link, &reply, 503, None);
            return;
        };
        let millis = |name: &str| {
            body[name].as_u64().filter(|nanos| *nanos > 0).map(|nanos| nanos / 1_000_000)
        };
        consumer.active_at = now;
        let expires = millis("expires").map(|after| now + after);
        let heartbeat = millis("idle_heartbeat").map(|every| (every, now + every));
        let left = body["batch"].as_u64().unwrap_or(1);
        if consumer.prioritized && body["group"].as_str().is_none() {
            self.say(link, &reply, 400, None);
            return;
        }
        let priority = body["priority"].as_u64().unwrap_or(0);
        consumer.waiting.push_back(Pull { link, reply, left, priority, expires, heartbeat });
        self.expect(expires.into_iter().chain(heartbeat.map(|(_, at)| at)));
        self.pump(stream_name);
    }
}
