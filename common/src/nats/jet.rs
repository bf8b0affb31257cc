//! One connection to JetStream, with what its server can do.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{HeaderMap, Message, Subject};
use bytes::Bytes;

use super::Reconnects;
use super::port::{Outgoing, Port, PortError, Subscription};
use crate::names::Names;

/// One connection to JetStream, with what its server can do. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Jet {
    port: Arc<dyn Port>,
    /// The names under which we live.
    pub names: Names,
    /// Whether the server has atomic batches.
    pub atomic_batches: bool,
    reconnects: Reconnects,
}

impl Jet {
    /// JetStream behind `port`; `reconnects` changes whenever the connection was made anew.
    #[must_use]
    pub fn new(
        port: Arc<dyn Port>,
        names: Names,
        atomic_batches: bool,
        reconnects: Reconnects,
    ) -> Self {
        Self { port, names, atomic_batches, reconnects }
    }

    /// Changes whenever the connection was made anew: what was under way then may have been lost.
    #[must_use]
    pub fn reconnects(&self) -> Reconnects {
        self.reconnects.clone()
    }

    /// Sends a message on core NATS.
    ///
    /// # Errors
    ///
    /// When it is too large, or the connection is closed.
    pub async fn publish(
        &self,
        subject: impl Into<Subject>,
        payload: Bytes,
    ) -> Result<(), PortError> {
        let subject = subject.into();
        self.port.publish(Outgoing { subject, reply: None, headers: None, payload }).await
    }

    /// Sends a message with headers.
    ///
    /// # Errors
    ///
    /// As [`Jet::publish`].
    pub async fn publish_with_headers(
        &self,
        subject: impl Into<Subject>,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<(), PortError> {
        let subject = subject.into();
        self.port.publish(Outgoing { subject, reply: None, headers: Some(headers), payload }).await
    }

    /// Sends a message whose answers go to `reply`.
    ///
    /// # Errors
    ///
    /// As [`Jet::publish`].
    pub async fn publish_with_reply(
        &self,
        subject: impl Into<Subject>,
        reply: impl Into<Subject>,
        payload: Bytes,
    ) -> Result<(), PortError> {
        let (subject, reply) = (subject.into(), Some(reply.into()));
        self.port.publish(Outgoing { subject, reply, headers: None, payload }).await
    }

    /// Sends a message and waits for its answer.
    ///
    /// # Errors
    ///
    /// When it is too large, or nobody answers in time.
    pub async fn request(
        &self,
        subject: impl Into<Subject>,
        headers: Option<HeaderMap>,
        payload: Bytes,
        timeout: Duration,
    ) -> Result<Message, PortError> {
        let message = Outgoing { subject: subject.into(), reply: None, headers, payload };
        self.port.request(message, timeout).await
    }

    /// Listens on a subject.
    ///
    /// # Errors
    ///
    /// When the connection is closed.
    pub async fn subscribe(&self, subject: String) -> Result<Subscription, PortError> {
        self.port.subscribe(subject).await
    }

    /// A subject that nobody else has.
    #[must_use]
    pub fn new_inbox(&self) -> String {
        self.port.new_inbox()
    }

    /// Whether the connection stands just now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.port.is_connected()
    }

    /// The largest message that the server takes, in bytes.
    #[must_use]
    pub fn max_payload(&self) -> usize {
        self.port.max_payload()
    }
}
