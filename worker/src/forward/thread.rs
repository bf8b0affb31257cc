//! The thread that sends.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};

use opentelemetry_proto::tonic::common::v1::KeyValue;
use stint_common::metrics;
use stint_common::telemetry::batch::{Losses, Sending, next_batch};
use stint_common::telemetry::client::client;
use stint_common::telemetry::otlp::{self, Signal};

use super::request::{Request, attribute, text};
use super::send::Sender;
use super::tap::{Outlet, Piece};

/// Pieces that may wait: of pods that write a line or two. Larger output meets the limit of bytes.
const QUEUE: usize = 16_384;
/// Pieces that are looked at together.
const BATCH: usize = 1024;

/// Sends what taps take.
#[derive(Debug)]
pub struct Forwarder {
    outlet: Outlet,
    sending: Sending,
}

/// Starts the thread, if the environment asks for pods' output.
#[must_use]
pub fn start() -> Option<Forwarder> {
    let url = otlp::url(Signal::Logs)?;
    let sender = match sender(&url) {
        Ok(sender) => sender,
        Err(error) => {
            tracing::error!(url, error, "pods' output cannot be sent, and is not");
            return None;
        }
    };
    let (queue, pieces) = sync_channel(QUEUE);
    let (held, dropped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU64::new(0)));
    let outlet = Outlet::new(queue, Arc::clone(&held), Arc::clone(&dropped));
    let send = move || {
        let count = |lost| metrics::worker().lines_dropped(lost);
        send_all(&sender, &pieces, &held, Losses::new("lines of output", dropped, count));
    };
    match Sending::start("stint-output", send) {
        Ok(sending) => {
            tracing::info!(url, "sending pods' output");
            Some(Forwarder { outlet, sending })
        }
        Err(error) => {
            tracing::error!(%error, "no thread for pods' output; it is not sent");
            None
        }
    }
}

fn sender(url: &str) -> Result<Sender, Box<dyn Error>> {
    let headers = otlp::headers(Signal::Logs).unwrap_or_default();
    Ok(Sender::new(client(Signal::Logs, url)?, url.to_owned(), &headers))
}

impl Forwarder {
    /// A handle for the worker.
    #[must_use]
    pub fn outlet(&self) -> Outlet {
        self.outlet.clone()
    }

    /// Sends what is queued, for a bounded time. All other handles must be gone by now.
    pub async fn flush(self) {
        drop(self.outlet);
        if !self.sending.flush().await {
            tracing::warn!("some output of pods was not sent before the end");
        }
    }
}

fn send_all(sender: &Sender, pieces: &Receiver<Piece>, held: &AtomicUsize, mut losses: Losses) {
    let mut request = Request::new(resource());
    while let Some(batch) = next_batch(pieces, BATCH) {
        for piece in batch {
            piece.lines(&mut |stream, at, line| {
                request.add(&piece.source, stream, at, line);
                if request.is_full() {
                    send(sender, &mut request, &mut losses);
                }
            });
            held.fetch_sub(piece.size(), Ordering::Relaxed);
        }
        send(sender, &mut request, &mut losses);
    }
    losses.finish();
}

fn send(sender: &Sender, request: &mut Request, losses: &mut Losses) {
    let Some((body, records)) = request.take() else { return };
    match sender.post(body) {
        Ok(refused) => losses.taken_but(refused),
        Err(error) => losses.failed(records, &error),
    }
}

/// What telemetry says of this process.
fn resource() -> Vec<KeyValue> {
    let said = otlp::resource([]);
    said.iter().map(|(key, value)| attribute(key.as_str(), text(value.as_str()))).collect()
}
