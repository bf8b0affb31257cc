//! Streamed answers: messages to the reply subject, heartbeats in between, an empty message at the
//! end.
//!
//! A heartbeat asks for an answer that no client needs to give: when nobody listens on the reply
//! subject any more, the server itself says so, and the stream ends.

use std::time::Duration;

use async_nats::client::RequestErrorKind;
use async_nats::{Client, HeaderMap, Request, Subject};
use bytes::Bytes;
use stint_common::names::STREAM_END;
use tokio::sync::mpsc;

/// How often an idle stream says that it lives, and finds out whether anybody listens.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Marks a heartbeat.
const HEARTBEAT_HEADER: &str = "Stint-Heartbeat";
/// How long a "nobody listens" may take; clients do not answer, so this always runs out while they
/// do.
const NO_RESPONDERS: Duration = Duration::from_millis(500);

/// Sends what comes from `stream` until it ends or nobody listens.
pub(super) async fn pump<T: Send>(
    client: Client,
    reply: Subject,
    mut stream: mpsc::Receiver<T>,
    encode: impl Fn(T) -> Bytes + Send,
) {
    let mut heartbeats = tokio::time::interval(HEARTBEAT);
    heartbeats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    heartbeats.tick().await;
    loop {
        tokio::select! {
            item = stream.recv() => {
                let Some(item) = item else { break };
                if client.publish(reply.clone(), encode(item)).await.is_err() {
                    return;
                }
            }
            _ = heartbeats.tick() => {
                if !is_heard(&client, &reply).await {
                    return;
                }
            }
        }
    }
    let mut headers = HeaderMap::new();
    headers.insert(STREAM_END, "complete");
    if let Err(error) = client.publish_with_headers(reply, headers, Bytes::new()).await {
        tracing::debug!(%error, "ending a stream");
    }
}

async fn is_heard(client: &Client, reply: &Subject) -> bool {
    let mut headers = HeaderMap::new();
    headers.insert(HEARTBEAT_HEADER, "1");
    let request =
        Request::new().headers(headers).payload(Bytes::new()).timeout(Some(NO_RESPONDERS));
    match client.send_request(reply.clone(), request).await {
        Err(error) => error.kind() != RequestErrorKind::NoResponders,
        Ok(_) => true,
    }
}
