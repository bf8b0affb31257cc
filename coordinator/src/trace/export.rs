//! Sending: a thread of its own takes facts from a bounded queue, makes spans of them and posts
//! them, a batch a request. It may wait and fail as it likes; the owner never knows.
//!
//! A thread and not a task: the HTTP client blocks, and must not do so on the runtime's threads.

use std::error::Error;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use opentelemetry_otlp::{SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::trace::SpanExporter as _;
use stint_common::metrics;
use stint_common::telemetry::client::client;
use stint_common::telemetry::otlp::{self, Signal};
use tokio::sync::oneshot;

use super::facts::Fact;
use super::sample::Settings;
use super::spans;
use super::tracer::Tracer;

/// Facts that may wait for the receiver: a burst of short pods while one request is under way.
const QUEUE: usize = 65_536;
/// Spans in one request.
const BATCH: usize = 512;
/// The first fact of a batch waits so long for company: short, since what waits here is lost when
/// this process is killed.
const LINGER: Duration = Duration::from_millis(200);
/// The end of this process waits so long for what is still queued.
const FLUSH: Duration = Duration::from_secs(3);
/// Losses are said in the log no more often than this.
const SAY_AGAIN: Duration = Duration::from_secs(30);

/// The thread that sends.
#[derive(Debug)]
pub struct Exporter {
    tracer: Tracer,
    done: oneshot::Receiver<()>,
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
    let (over, done) = oneshot::channel::<()>();
    let run = move || {
        send_all(&sender, &facts, Losses::new(dropped));
        // Its other half learns of the end, however this thread ends.
        drop(over);
    };
    if let Err(error) = std::thread::Builder::new().name("stint-traces".to_owned()).spawn(run) {
        tracing::error!(%error, "no thread for traces; they are off");
        return None;
    }
    tracing::info!(endpoint, "sending traces");
    Some(Exporter { tracer, done })
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
        if tokio::time::timeout(FLUSH, self.done).await.is_err() {
            tracing::warn!("some spans were not sent before the end");
        }
    }
}

fn send_all(sender: &SpanExporter, facts: &Receiver<Fact>, mut losses: Losses) {
    while let Some(batch) = next_batch(facts) {
        let spans: Vec<_> = batch.iter().flat_map(spans::spans).collect();
        drop(batch);
        let count = u64::try_from(spans.len()).unwrap_or(u64::MAX);
        match block_on(sender.export(spans)) {
            Ok(()) => losses.say_if_due(None),
            Err(error) => {
                losses.failed += count;
                losses.say_if_due(Some(&error));
            }
        }
    }
    losses.said = None;
    losses.say_if_due(None);
}

/// The next facts, oldest first; `None` when the queue is empty for good.
fn next_batch(facts: &Receiver<Fact>) -> Option<Vec<Fact>> {
    let mut batch = vec![facts.recv().ok()?];
    let until = Instant::now() + LINGER;
    while batch.len() < BATCH {
        match facts.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(fact) => batch.push(fact),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    Some(batch)
}

/// Spans that were lost since this was last said.
struct Losses {
    /// Facts that found the queue full.
    dropped: Arc<AtomicU64>,
    /// Spans whose request failed.
    failed: u64,
    said: Option<Instant>,
}

impl Losses {
    fn new(dropped: Arc<AtomicU64>) -> Self {
        Self { dropped, failed: 0, said: None }
    }

    fn say_if_due(&mut self, error: Option<&(dyn Error + 'static)>) {
        let due = self.said.is_none_or(|said| said.elapsed() >= SAY_AGAIN);
        if !due || (self.failed == 0 && self.dropped.load(Ordering::Relaxed) == 0) {
            return;
        }
        let queue_full = self.dropped.swap(0, Ordering::Relaxed);
        let not_taken = std::mem::take(&mut self.failed);
        self.said = Some(Instant::now());
        metrics::coordinator().telemetry_dropped("traces", queue_full + not_taken);
        tracing::warn!(queue_full, not_taken, error, "spans were lost");
    }
}

/// Drives the exporter's future on this thread. (Its blocking client is done after one poll.)
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}
