//! An answer in many messages.

use std::time::Duration;

use async_nats::Subscriber;
use bytes::Bytes;
use futures_util::StreamExt as _;
use stint_common::names;
use tokio::sync::watch;
use tokio::time::timeout;

use super::{Call, Client, Denials, Error};

/// Heartbeats come every five seconds; so much silence means that whoever answered is gone.
const SILENCE: Duration = Duration::from_secs(12);
/// Header of a message that only says that the stream lives.
const HEARTBEAT: &str = "Stint-Heartbeat";

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A part of the answer.
    Body(Bytes),
    /// The end, and why.
    End(String),
}

/// An answer that is coming. Dropping it tells the server that nobody listens any more.
#[derive(Debug)]
pub struct Stream {
    client: Client,
    call: Call,
    messages: Subscriber,
    losses: watch::Receiver<u64>,
    denials: Denials,
}

impl Stream {
    pub(super) fn new(
        client: Client,
        call: Call,
        messages: Subscriber,
        losses: watch::Receiver<u64>,
        denials: Denials,
    ) -> Self {
        Self { client, call, messages, losses, denials }
    }

    /// Waits for the next part. Heartbeats are taken in and not shown.
    ///
    /// # Errors
    ///
    /// When the answer is an error, or nothing comes any more.
    pub async fn next(&mut self) -> Result<Frame, Error> {
        loop {
            let message = tokio::select! {
                // What came before the loss is still good.
                biased;
                message = timeout(SILENCE, self.messages.next()) => {
                    message.map_err(|_| Error::Silent { call: self.call.to_string() })?
                }
                // The connection mends itself, but parts of the answer may have been sent
                // meanwhile.
                _ = self.losses.changed() => None,
                why = self.denials.next() => {
                    return Err(Error::Denied { call: self.call.to_string(), why });
                }
            };
            let message = message.ok_or_else(|| Error::Lost { call: self.call.to_string() })?;
            let body = self.client.check(&self.call, message)?;
            if let Some(reason) = body.headers.get(names::STREAM_END) {
                return Ok(Frame::End(reason.as_str().to_owned()));
            }
            if !body.payload.is_empty() && body.headers.get(HEARTBEAT).is_none() {
                return Ok(Frame::Body(body.payload));
            }
        }
    }
}
