//! The API over NATS: requests, watches, logs.
//!
//! ```text
//! Call      what is asked: resource, verb, namespace, name, options as headers, body
//! Client    one connection; `request` for one answer
//! Stream    an answer in many messages: bodies, heartbeats, an end
//! Watch     list, then changes; goes on by itself where a lost stream stopped
//! ```
//!
//! It prints nothing, and knows nothing of what the objects mean.

mod call;
mod connection;
mod context;
mod error;
mod snapshot;
mod stream;
mod survey;
mod watch;

use std::time::Duration;

use async_nats::{HeaderMap, Message, Request, StatusCode};
use bytes::Bytes;
use serde_json::Value;
use stint_common::config::NatsConfig;
use stint_common::names::{self, Names};
use stint_common::nats::as_whom;
use tokio::sync::watch as watch_channel;

pub use call::Call;
pub use connection::{Flags, resolve};
pub use context::ContextError;
pub use error::{Error, Status};
pub use snapshot::{CHUNK, Snapshot};
pub use stream::{Frame, Stream};
pub use watch::{Event, Watch};

/// Objects that are asked for at a time: an answer must fit a message, and holds up nobody else.
pub const PAGE: usize = 500;
/// Longest wait for an answer. A coordinator answers within milliseconds, or is being replaced.
const REQUEST_LIMIT: Duration = Duration::from_secs(15);
/// Longest wait for a server to take the connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// A connection to the API. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    nats: async_nats::Client,
    names: Names,
    url: String,
    /// Counts how often the connection was lost.
    losses: watch_channel::Receiver<u64>,
    /// What the server said last that this user may not.
    denials: watch_channel::Receiver<String>,
}

/// An answer that came.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The object, list or status.
    pub object: Value,
    /// What the server wants the user to know.
    pub warnings: Vec<String>,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    ///
    /// When no server answers, or it refuses the credentials.
    pub async fn connect(settings: &NatsConfig) -> Result<Self, Error> {
        let url = settings.url.clone();
        let (count, losses) = watch_channel::channel(0_u64);
        let (denied, denials) = watch_channel::channel(String::new());
        let nats = as_whom(settings)
            .map_err(Error::Credentials)?
            .connection_timeout(CONNECT_LIMIT)
            .event_callback(move |event| {
                use async_nats::{Event, ServerError};
                match event {
                    Event::Disconnected => count.send_modify(|count| *count += 1),
                    Event::ServerError(ServerError::Other(text)) if is_denial(&text) => {
                        denied.send_replace(text);
                    }
                    _ => {}
                }
                std::future::ready(())
            })
            .connect(settings.servers())
            .await
            .map_err(|source| Error::Connect { url: url.clone(), source })?;
        Ok(Self { nats, names: Names::default(), url, losses, denials })
    }

    /// Asks and waits for the one answer.
    ///
    /// # Errors
    ///
    /// When nobody answers, or the answer is an error.
    pub async fn request(&self, call: &Call) -> Result<Reply, Error> {
        let request = Request::new()
            .headers(call.headers())
            .payload(call.body())
            .timeout(Some(REQUEST_LIMIT));
        let subject = call.subject(&self.names);
        let mut denials = self.denials(&subject);
        let message = tokio::select! {
            biased;
            message = self.nats.send_request(subject, request) => {
                message.map_err(|error| self.request_error(call, &error))?
            }
            // Nobody hears of a request that the server does not let pass.
            why = denials.next() => return Err(Error::Denied { call: call.to_string(), why }),
        };
        let body = self.check(call, message)?;
        let object = serde_json::from_slice(&body.payload)
            .map_err(|source| Error::Malformed { call: call.to_string(), source })?;
        Ok(Reply { object, warnings: body.warnings })
    }

    /// Asks for an answer in many messages.
    ///
    /// # Errors
    ///
    /// When the connection is closed. That nobody answers is said by the first message.
    pub async fn stream(&self, call: &Call) -> Result<Stream, Error> {
        let lost = || Error::Lost { call: call.to_string() };
        // Seen now: whatever is lost from here on may have been a part of the answer.
        let mut losses = self.losses.clone();
        losses.mark_unchanged();
        let inbox = self.nats.new_inbox();
        let messages = self.nats.subscribe(inbox.clone()).await.map_err(|_| lost())?;
        let subject = call.subject(&self.names);
        let denials = self.denials(&subject);
        self.nats
            .publish_with_reply_and_headers(subject, inbox, call.headers(), call.body())
            .await
            .map_err(|_| lost())?;
        Ok(Stream::new(self.clone(), call.clone(), messages, losses, denials))
    }

    /// Lists, then watches.
    ///
    /// # Errors
    ///
    /// As [`Client::request`].
    pub async fn watch(&self, list: Call) -> Result<(Vec<Value>, Watch), Error> {
        Watch::start(self.clone(), list).await
    }

    /// What the server says from now on that this user may not, about a subject or the answer's.
    fn denials(&self, subject: &str) -> Denials {
        let mut said = self.denials.clone();
        said.mark_unchanged();
        Denials { said, subject: subject.to_owned() }
    }

    fn request_error(&self, call: &Call, error: &async_nats::RequestError) -> Error {
        use async_nats::RequestErrorKind as Kind;
        match error.kind() {
            Kind::NoResponders => Error::NoCoordinator { url: self.url.clone() },
            Kind::MaxPayloadExceeded => Error::TooBig {
                size: call.body().len(),
                limit: self.nats.server_info().max_payload,
            },
            Kind::TimedOut => Error::Silent { call: call.to_string() },
            Kind::InvalidSubject | Kind::Other => Error::Lost { call: call.to_string() },
        }
    }

    /// The body of an answer that is not an error.
    fn check(&self, call: &Call, message: Message) -> Result<Body, Error> {
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            return Err(Error::NoCoordinator { url: self.url.clone() });
        }
        let headers = message.headers.unwrap_or_default();
        let Some(code) = headers.get(names::SERVICE_ERROR_CODE) else {
            let warnings = texts(&headers, names::WARNING);
            return Ok(Body { payload: message.payload, headers, warnings });
        };
        let text = headers.get(names::SERVICE_ERROR).map_or("", |text| text.as_str());
        let status = Status::read(&message.payload, code.as_str(), text);
        Err(Error::Refused { call: call.to_string(), status: Box::new(status) })
    }
}

/// Waits for the server to say that something was not allowed.
#[derive(Debug)]
struct Denials {
    said: watch_channel::Receiver<String>,
    subject: String,
}

impl Denials {
    /// What it says, if it is about this request or where its answers go. Safe to cancel.
    async fn next(&mut self) -> String {
        loop {
            if self.said.changed().await.is_err() {
                // The connection is gone, and with it whoever could say so.
                return std::future::pending().await;
            }
            let text = self.said.borrow_and_update().clone();
            // `Permissions Violation for Publish to "SUBJECT"`: of inboxes any may be meant.
            let published = text.to_ascii_lowercase().contains("for publish to");
            if !published || text.contains(&format!("\"{}\"", self.subject)) {
                return text;
            }
        }
    }
}

/// Whether the server's words mean that a user may not publish or subscribe to something.
fn is_denial(text: &str) -> bool {
    text.to_ascii_lowercase().contains("permissions violation")
}

struct Body {
    payload: Bytes,
    headers: HeaderMap,
    warnings: Vec<String>,
}

fn texts(headers: &HeaderMap, name: &str) -> Vec<String> {
    headers.get_all(name).map(|value| value.as_str().to_owned()).collect()
}
