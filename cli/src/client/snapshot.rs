//! Streams as JetStream takes them out and puts them back whole: the data are an archive of its
//! own, which nobody else need understand.

use std::time::Duration;

use async_nats::{StatusCode, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::Client;

/// The server begins within this time.
const BEGIN: Duration = Duration::from_secs(30);
/// And says or takes something at least this often.
const SILENCE: Duration = Duration::from_secs(30);
/// What is sent at a time: it fits every server's largest message.
pub const CHUNK: usize = 64 * 1024;
/// When it has everything it writes the stream, however large it is.
const LAST: Duration = Duration::from_secs(3600);

/// A stream that is being taken out.
#[derive(Debug)]
pub struct Snapshot {
    /// `config` and `state`: with the data they are what it is made of again.
    pub about: Value,
    client: Client,
    chunks: Subscriber,
    /// How many pieces came, as the server numbers them.
    came: u64,
    /// How often the connection had been lost when it began.
    losses: u64,
}

impl Client {
    /// Begins to take a stream out, without its consumers. `None` if there is none.
    ///
    /// # Errors
    ///
    /// What went wrong, in the server's words where it answered.
    pub async fn snapshot(&self, stream: &str) -> Result<Option<Snapshot>, String> {
        let losses = *self.losses.borrow();
        let inbox = self.nats.new_inbox();
        let chunks = self.nats.subscribe(inbox.clone()).await.map_err(|error| error.to_string())?;
        let body = json!({"deliver_subject": inbox, "no_consumers": true, "chunk_size": CHUNK});
        let operation = format!("$JS.API.STREAM.SNAPSHOT.{stream}");
        let answer = self.ask_once(operation, body.to_string().into(), BEGIN).await?;
        match refusal(&answer) {
            Some((404, _)) => return Ok(None),
            Some((_, why)) => return Err(why),
            None => {}
        }
        let about = json!({"config": answer["config"], "state": answer["state"]});
        Ok(Some(Snapshot { about, client: self.clone(), chunks, came: 0, losses }))
    }

    /// Whether there is such a stream.
    ///
    /// # Errors
    ///
    /// When that is not known.
    pub async fn has_stream(&self, stream: &str) -> Result<bool, String> {
        let operation = format!("$JS.API.STREAM.INFO.{stream}");
        match refusal(&self.ask_once(operation, Bytes::new(), BEGIN).await?) {
            None => Ok(true),
            Some((404, _)) => Ok(false),
            Some((_, why)) => Err(why),
        }
    }

    /// How many instances of an ADR-32 service answer within `wait`.
    ///
    /// # Errors
    ///
    /// When they cannot be asked: silence says nothing then.
    pub async fn count_instances(&self, service: &str, wait: Duration) -> Result<usize, String> {
        let (mut denied, losses) = (self.denials.clone(), *self.losses.borrow());
        denied.mark_unchanged();
        let found = self.ping_service(service, wait).await.len();
        if denied.has_changed().unwrap_or(false) {
            return Err(denied.borrow().clone());
        }
        if *self.losses.borrow() != losses {
            return Err("the connection was lost meanwhile".to_owned());
        }
        Ok(found)
    }

    /// Begins to put a stream back. Where its data are to be sent.
    ///
    /// # Errors
    ///
    /// What went wrong, in the server's words where it answered; also when there is such a stream.
    pub async fn restore(&self, stream: &str, about: &Value) -> Result<String, String> {
        let operation = format!("$JS.API.STREAM.RESTORE.{stream}");
        let answer = self.ask_once(operation, about.to_string().into(), BEGIN).await?;
        if let Some((_, why)) = refusal(&answer) {
            return Err(why);
        }
        let place = answer["deliver_subject"].as_str().map(str::to_owned);
        place.ok_or_else(|| format!("the server does not say where to send it: {answer}"))
    }

    /// Sends the next data of a stream that is put back.
    ///
    /// # Errors
    ///
    /// As [`Client::restore`].
    pub async fn restore_chunk(&self, place: &str, chunk: Bytes) -> Result<(), String> {
        let answer = self.ask_once(place.to_owned(), chunk, SILENCE).await?;
        refusal(&answer).map_or(Ok(()), |(_, why)| Err(why))
    }

    /// All has been sent. What the stream is like then.
    ///
    /// # Errors
    ///
    /// As [`Client::restore`].
    pub async fn restore_end(&self, place: &str) -> Result<Value, String> {
        let answer = self.ask_once(place.to_owned(), Bytes::new(), LAST).await?;
        match refusal(&answer) {
            Some((_, why)) => Err(why),
            None => Ok(answer["state"].clone()),
        }
    }

    /// One request that must not be made twice. An empty answer is null.
    async fn ask_once(
        &self,
        subject: String,
        body: Bytes,
        limit: Duration,
    ) -> Result<Value, String> {
        let request = async_nats::Request::new().payload(body).timeout(Some(limit));
        let answer = self.nats.send_request(subject, request).await;
        let answer = answer.map_err(|error| error.to_string())?;
        if answer.payload.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&answer.payload).map_err(|error| error.to_string())
    }
}

/// The code and the words of an answer that is an error.
fn refusal(answer: &Value) -> Option<(u64, String)> {
    let error = answer.get("error")?;
    let words = error["description"].as_str().unwrap_or("it does not say why");
    Some((error["code"].as_u64().unwrap_or(0), words.to_owned()))
}

impl Snapshot {
    /// The next data; `None` at the end.
    ///
    /// # Errors
    ///
    /// When the server gives up, or says nothing for half a minute.
    pub async fn next(&mut self) -> Result<Option<Bytes>, String> {
        let next = tokio::time::timeout(SILENCE, self.chunks.next()).await;
        let silent = || format!("nothing came for {} s", SILENCE.as_secs());
        let message = next.map_err(|_| silent())?.ok_or("the connection was closed")?;
        if *self.client.losses.borrow() != self.losses {
            return Err("the connection was lost, and what was under way with it".to_owned());
        }
        if !message.payload.is_empty() {
            // The server waits for this before it sends more.
            if let Some(reply) = message.reply {
                self.count(&reply)?;
                let sent = self.client.nats.publish(reply, Bytes::new()).await;
                sent.map_err(|error| error.to_string())?;
            }
            return Ok(Some(message.payload));
        }
        match message.status {
            None | Some(StatusCode::OK) => Ok(None),
            Some(status) if status.as_u16() == 204 => Ok(None),
            Some(status) => {
                Err(format!("{status} {}", message.description.as_deref().unwrap_or_default()))
            }
        }
    }

    /// Pieces come in order, and are numbered in what their answers are sent to.
    fn count(&mut self, reply: &str) -> Result<(), String> {
        let number: Option<u64> = reply.rsplit('.').next().and_then(|number| number.parse().ok());
        self.came += 1;
        match number {
            Some(number) if number != self.came => Err(format!("piece {} did not come", self.came)),
            Some(_) | None => Ok(()),
        }
    }
}
