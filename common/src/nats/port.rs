//! The port to NATS: the few things that are asked of a client. Everything else here stands on it,
//! so what runs over a simulated server is the same code.

use std::fmt::Debug;
use std::time::Duration;

use async_nats::{HeaderMap, Message, Subject};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

/// A message to be sent.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Where to.
    pub subject: Subject,
    /// Where answers go.
    pub reply: Option<Subject>,
    /// Its headers.
    pub headers: Option<HeaderMap>,
    /// Its bytes.
    pub payload: Bytes,
}

/// Why nothing is known of a message that was to be sent.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// It was not sent, and never will be.
    #[error("the message is larger than the server takes")]
    TooLarge(#[source] async_nats::Error),
    /// Nobody answered in time, or the connection is closed: it may have arrived, or not.
    #[error("no answer")]
    NoAnswer(#[source] async_nats::Error),
}

/// What comes in on a subject; ends with the connection. The subscription ends when it is dropped.
pub type Subscription = BoxStream<'static, Message>;

/// A connection to NATS that mends itself.
pub trait Port: Debug + Send + Sync + 'static {
    /// Sends a message; says only that it is on its way. Messages of one connection stay in order.
    fn publish(&self, message: Outgoing) -> BoxFuture<'_, Result<(), PortError>>;

    /// Sends a message and waits for its answer; the reply subject is the port's own.
    fn request(
        &self,
        message: Outgoing,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<Message, PortError>>;

    /// Listens on a subject from now on.
    fn subscribe(&self, subject: String) -> BoxFuture<'_, Result<Subscription, PortError>>;

    /// A subject that nobody else has.
    fn new_inbox(&self) -> String;

    /// Whether the connection stands just now.
    fn is_connected(&self) -> bool;

    /// The largest message that the server takes, in bytes.
    fn max_payload(&self) -> usize;
}
