//! The port over a real connection.

use std::time::Duration;

use async_nats::client::{PublishErrorKind, RequestErrorKind};
use async_nats::{Client, Message, Request};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;

use super::port::{Outgoing, Port, PortError, Subscription};

impl Port for Client {
    fn publish(&self, message: Outgoing) -> BoxFuture<'_, Result<(), PortError>> {
        let Outgoing { subject, reply, headers, payload } = message;
        Box::pin(async move {
            let sent = match (reply, headers) {
                (None, None) => self.publish(subject, payload).await,
                (None, Some(headers)) => self.publish_with_headers(subject, headers, payload).await,
                (Some(reply), None) => self.publish_with_reply(subject, reply, payload).await,
                (Some(reply), Some(headers)) => {
                    self.publish_with_reply_and_headers(subject, reply, headers, payload).await
                }
            };
            sent.map_err(|error| match error.kind() {
                PublishErrorKind::MaxPayloadExceeded => PortError::TooLarge(error.into()),
                _ => PortError::NoAnswer(error.into()),
            })
        })
    }

    fn request(
        &self,
        message: Outgoing,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<Message, PortError>> {
        let Outgoing { subject, headers, payload, .. } = message;
        Box::pin(async move {
            let mut request = Request::new().payload(payload).timeout(Some(timeout));
            if let Some(headers) = headers {
                request = request.headers(headers);
            }
            self.send_request(subject, request).await.map_err(|error| match error.kind() {
                RequestErrorKind::MaxPayloadExceeded => PortError::TooLarge(error.into()),
                _ => PortError::NoAnswer(error.into()),
            })
        })
    }

    fn subscribe(&self, subject: String) -> BoxFuture<'_, Result<Subscription, PortError>> {
        Box::pin(async move {
            let subscriber = self.subscribe(subject).await;
            subscriber
                .map(|messages| messages.boxed())
                .map_err(|error| PortError::NoAnswer(error.into()))
        })
    }

    fn new_inbox(&self) -> String {
        self.new_inbox()
    }

    fn is_connected(&self) -> bool {
        self.connection_state() == async_nats::connection::State::Connected
    }

    fn max_payload(&self) -> usize {
        self.server_info().max_payload
    }
}
