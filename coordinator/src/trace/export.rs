//! Sending: a thread of its own takes facts from a bounded queue, makes spans of them and posts
//! them, a batch a request. It may wait and fail as it likes; the owner never knows.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, sync_channel};

use opentelemetry_otlp::{SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::trace::SpanExporter as _;
use stint_common::metrics;
use stint_common::telemetry::batch::{Losses, Sending, block_on, next_batch};
use stint_common::telemetry::client::client;
use stint_common::telemetry::otlp::{self, Signal};

use super::facts::Fact;
use super::sample::Settings;
use super::spans;
use super::tracer::Tracer;

/// Facts that may wait for the receiver: a burst of short pods while one request is under way.
const QUEUE: usize = 65_536;
/// Spans in one request.
const BATCH: usize = 512;

/// The thread that sends.
#[derive(Debug)]
pub struct Exporter {
    tracer: Tracer,
    sending: Sending,
}

/// Starts the thread, if the environment asks for traces.
#[must_use]
pub fn start(settings: Settings) -> Option<Exporter> {
    let endpoint = otlp::endpoint(Signal::Traces)?;
    let mut sender = match sender(&endpoint) {
        Ok(sender) => sender,
        Err(error) => {
            tracing::error!(endpoint, error, "traces cannot be sent, and are off");
            return None;
        }
    };
    sender.set_resource(&otlp::resource([]));
    let (queue, facts) = sync_channel(QUEUE);
    let dropped = Arc::new(AtomicU64::new(0));
    let tracer = Tracer::new(queue, Arc::clone(&dropped), settings);
    let send = move || {
        let count = |lost| metrics::coordinator().telemetry_dropped("traces", lost);
        send_all(&sender, &facts, Losses::new("spans", dropped, count));
    };
    match Sending::start("stint-traces", send) {
        Ok(sending) => {
            tracing::info!(endpoint, "sending traces");
            Some(Exporter { tracer, sending })
        }
        Err(error) => {
            tracing::error!(%error, "no thread for traces; they are off");
            None
        }
    }
}

fn sender(endpoint: &str) -> Result<SpanExporter, Box<dyn Error>> {
    let client = client(Signal::Traces, endpoint)?;
    Ok(SpanExporter::builder().with_http().with_http_client(client).build()?)
}

impl Exporter {
    /// A handle for the owner.
    #[must_use]
    pub fn tracer(&self) -> Tracer {
        self.tracer.clone()
    }

    /// Sends what is queued, for a bounded time. All other handles must be gone by now.
    pub async fn flush(self) {
        drop(self.tracer);
        if !self.sending.flush().await {
            tracing::warn!("some spans were not sent before the end");
        }
    }
}

fn send_all(sender: &SpanExporter, facts: &Receiver<Fact>, mut losses: Losses) {
    while let Some(batch) = next_batch(facts, BATCH) {
        let spans: Vec<_> = batch.iter().flat_map(spans::spans).collect();
        drop(batch);
        let count = u64::try_from(spans.len()).unwrap_or(u64::MAX);
        match block_on(sender.export(spans)) {
            Ok(()) => losses.taken_but(0),
            Err(error) => losses.failed(count, &error),
        }
    }
    losses.finish();
}
