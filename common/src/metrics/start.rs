//! Who reads the instruments: Prometheus, when it asks; an OTLP receiver, every minute
//! (`OTEL_METRIC_EXPORT_INTERVAL`).
//!
//! What is sent is counted from the start of the process, so a receiver that was away has lost
//! nothing but resolution.

use std::error::Error;
use std::sync::OnceLock;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_otlp::{MetricExporter, WithHttpConfig as _};
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use prometheus::{Registry, TextEncoder};
use tokio::sync::oneshot;

use super::{board, coordinator, jetstream, worker};
use crate::id;
use crate::telemetry::client::client;
use crate::telemetry::otlp::{self, Signal};

/// The end of the process waits so long for what is still to be sent.
const FLUSH: Duration = Duration::from_secs(1);

/// OpenTelemetry's own. The library would take an interval of 0 from the environment.
const INTERVAL: Duration = Duration::from_secs(60);

static REGISTRY: OnceLock<Registry> = OnceLock::new();

/// What counts, until it is stopped.
#[derive(Debug)]
pub struct Metrics {
    provider: SdkMeterProvider,
}

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It decides.
    Coordinator,
    /// It runs pods.
    Worker,
}

/// Begins to count, if anybody reads: `scraped` says that Prometheus may. Once a process.
#[must_use]
pub fn start(role: Role, scraped: bool) -> Option<Metrics> {
    let sent = otlp::endpoint(Signal::Metrics);
    if sent.is_none() && !scraped {
        return None;
    }
    let registry = Registry::new();
    let reader = opentelemetry_prometheus::exporter()
        .with_registry(registry.clone())
        .scope_info_enabled(false)
        .build();
    let reader = match reader {
        Ok(reader) => reader,
        Err(error) => {
            tracing::error!(%error, "nothing is counted");
            return None;
        }
    };
    let mut provider =
        SdkMeterProvider::builder().with_resource(resource(role)).with_reader(reader);
    if let Some(endpoint) = sent {
        match exporter(&endpoint) {
            Ok(exporter) => {
                tracing::info!(endpoint, "sending metrics");
                let interval = otlp::interval().unwrap_or(INTERVAL);
                let reader = PeriodicReader::builder(exporter).with_interval(interval).build();
                provider = provider.with_reader(reader);
            }
            Err(error) => tracing::error!(endpoint, error, "metrics cannot be sent"),
        }
    }
    let provider = provider.build();
    opentelemetry::global::set_meter_provider(provider.clone());
    // What has never happened is seen to be nothing.
    jetstream();
    match role {
        Role::Coordinator => {
            coordinator();
            board::watch_owner();
        }
        Role::Worker => {
            worker();
            board::watch_worker();
        }
    }
    if REGISTRY.set(registry).is_err() {
        tracing::error!("metrics were started twice; those of the first start are shown");
    }
    Some(Metrics { provider })
}

fn exporter(endpoint: &str) -> Result<MetricExporter, Box<dyn Error>> {
    let client = client(Signal::Metrics, endpoint)?;
    Ok(MetricExporter::builder().with_http().with_http_client(client).build()?)
}

fn resource(role: Role) -> opentelemetry_sdk::Resource {
    let role = match role {
        Role::Coordinator => "coordinator",
        Role::Worker => "worker",
    };
    otlp::resource([
        // Otherwise the series of two processes would be one.
        KeyValue::new("service.instance.id", id::draw().to_string()),
        KeyValue::new("stint.role", role),
    ])
}

/// Whether anything is counted.
#[must_use]
pub fn are_read() -> bool {
    REGISTRY.get().is_some()
}

/// What there is, in Prometheus' form; `None` if nothing is counted.
#[must_use]
pub fn render() -> Option<String> {
    let families = REGISTRY.get()?.gather();
    match TextEncoder::new().encode_to_string(&families) {
        Ok(text) => Some(text),
        Err(error) => {
            tracing::error!(%error, "writing metrics");
            None
        }
    }
}

impl Metrics {
    /// Sends the last values, for a bounded time.
    pub async fn stop(self) {
        let (over, done) = oneshot::channel();
        // The exporter's thread is waited for: not on one of the runtime's, whose end would wait in
        // turn.
        let stop = move || {
            let stopped = self.provider.shutdown_with_timeout(FLUSH);
            // Who no longer waits needs no answer.
            drop(over.send(stopped));
        };
        if let Err(error) = std::thread::Builder::new().name("stint-metrics".to_owned()).spawn(stop)
        {
            tracing::debug!(%error, "no thread to send the last metrics");
            return;
        }
        match tokio::time::timeout(FLUSH, done).await {
            Ok(Ok(Ok(()))) => {}
            outcome => tracing::debug!(?outcome, "the last metrics were not sent"),
        }
    }
}
