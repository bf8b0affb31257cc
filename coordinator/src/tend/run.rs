//! The loops, for as long as this coordinator is the owner.

use std::sync::Arc;

use stint_common::nats::{Jet, StreamLimits};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::cron_jobs::tend_cron_jobs;
use super::namespaces::tend_namespaces;
use super::streams::tend_streams;
use crate::registry::Registry;

/// Tends while `owning`, until `shutdown`.
pub async fn run(
    registry: Arc<Registry>,
    jet: Jet,
    limits: StreamLimits,
    mut owning: watch::Receiver<bool>,
    shutdown: CancellationToken,
) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            owns = owning.wait_for(|owns| *owns) => if owns.is_err() { return },
        }
        let mut over = owning.clone();
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = over.wait_for(|owns| !*owns) => {}
            () = tend_namespaces(&registry) => {}
            () = tend_cron_jobs(&registry) => {}
            () = tend_streams(&jet, &limits) => {}
        }
    }
}
