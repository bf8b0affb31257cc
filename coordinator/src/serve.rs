//! Wiring: builds every adapter, hands them to the loops, owns shutdown.

use std::sync::Arc;

use stint_common::config::NatsConfig;
use stint_common::id::Incarnation;
use stint_common::names::DEFAULT_CLASS;
use stint_common::nats::{
    self, Committer, ConnectError, Jet, SetUpError, StreamLimits, ensure_class_consumer,
    ensure_streams,
};
use stint_common::task;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::api;
use crate::control;
pub use crate::control::Keep;
use crate::registry::Registry;
use crate::store::Replica;
use crate::tend;
use crate::trace;

/// What a coordinator is started with.
#[derive(Debug)]
pub struct Config {
    /// How to reach NATS.
    pub nats: NatsConfig,
    /// Replicas of each stream: 1 on one server, 3 in a cluster.
    pub replicas: usize,
    /// Where and to whom the API is offered over HTTP, if it is.
    pub http: Option<api::http::Offer>,
    /// How much is kept of what is over.
    pub keep: Keep,
    /// Limits of traces.
    pub traces: trace::Settings,
}

/// Why a coordinator could not go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// JetStream could not be reached, or is not fit.
    #[error("connecting")]
    Connect(#[from] ConnectError),
    /// The streams are not there and could not be made.
    #[error("setting up JetStream")]
    SetUp(#[from] SetUpError),
    /// The API could not be offered.
    #[error("serving the API")]
    Api(#[from] api::nats::ServiceError),
}

/// Runs a coordinator until `shutdown` is cancelled. `ready` is cancelled once it answers requests.
///
/// # Errors
///
/// When JetStream cannot be reached at start, or its server is too old.
pub async fn run(
    config: Config,
    ready: CancellationToken,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let Some(connected) = shutdown.run_until_cancelled(nats::connect_at_start(&config.nats)).await
    else {
        return Ok(());
    };
    let (client, jet) = connected?;
    let prefix = jet.names.prefix().to_owned();
    let (owns, owning) = watch::channel(false);
    let traces = trace::start(config.traces);
    let tracer = traces.as_ref().map(trace::Exporter::tracer);
    let limits = StreamLimits { replicas: config.replicas, ..StreamLimits::default() };
    let tended = jet.clone();
    let assembled = assemble(jet, config.replicas, config.keep, tracer, owns);
    // Nothing depends on one that has not begun.
    let Some(assembled) = shutdown.run_until_cancelled(assembled).await else { return Ok(()) };
    let (registry, shared) = assembled?;
    let control = task::spawn(control::run(shared, shutdown.clone()));
    let registry = Arc::new(registry.with_traces(config.traces));
    let http = config.http.map(|offer| {
        tokio::spawn(api::http::serve(Arc::clone(&registry), offer, shutdown.clone()))
    });
    let tending =
        tokio::spawn(tend::run(Arc::clone(&registry), tended, limits, owning, shutdown.clone()));
    ready.cancel();
    let served = api::nats::serve(registry, client, prefix, shutdown.clone()).await;
    shutdown.cancel();
    if let Err(error) = control.await {
        tracing::error!(%error, "the owner's loop ended badly");
    }
    if let Some(http) = http
        && let Err(error) = http.await
    {
        tracing::error!(%error, "the HTTP front end ended badly");
    }
    if let Err(error) = tending.await {
        tracing::error!(%error, "the tending of namespaces ended badly");
    }
    if let Some(traces) = traces {
        traces.flush().await;
    }
    Ok(served?)
}

/// Everything but the front end: makes the streams if they are missing, reads the objects, and
/// gives what answers requests and what reconciles. `owns` tells whether this one does.
///
/// # Errors
///
/// When JetStream refuses or does not answer.
pub async fn assemble(
    jet: Jet,
    replicas: usize,
    keep: Keep,
    tracer: Option<trace::Tracer>,
    owns: watch::Sender<bool>,
) -> Result<(Registry, control::Shared), SetUpError> {
    let limits = StreamLimits { replicas, ..StreamLimits::default() };
    ensure_streams(&jet, &limits).await?;
    ensure_class_consumer(&jet, DEFAULT_CLASS, false).await?;
    let names = &jet.names;
    let objects = Committer::start(jet.clone(), names.objects_stream());
    let pods = Committer::start(jet.clone(), names.pods_stream());
    let work = Committer::start(jet.clone(), names.work_stream());
    let replica = Replica::start(jet.clone()).await;
    let registry = Registry::new(
        jet.clone(),
        objects.clone(),
        pods.clone(),
        Arc::clone(&replica),
        // The owner is not the first to give a new Job up.
        keep.strays / 2,
    );
    let incarnation = Incarnation::random();
    let shared =
        control::Shared { jet, replica, objects, pods, work, incarnation, tracer, owns, keep };
    Ok((registry, shared))
}
