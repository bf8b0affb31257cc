//! Wiring: builds every adapter, hands them to the loops, owns shutdown.

use stint_common::config::NatsConfig;
use tokio_util::sync::CancellationToken;

/// What a coordinator is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// How to reach NATS.
    pub nats: NatsConfig,
    /// Replicas of each stream: 1 on one server, 3 in a cluster.
    pub replicas: usize,
}

/// Why a coordinator could not go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// JetStream could not be reached, or is not fit.
    #[error("coordinator stopped")]
    Stopped,
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
    drop(config);
    ready.cancel();
    shutdown.cancelled().await;
    Ok(())
}
