//! What `coordinator` and `worker` share: say `ready`, stop in order when asked, at once when asked
//! twice.

use std::future::Future;
use std::time::Duration;

use anyhow::Context as _;
use stint_common::config::NatsConfig;
use tokio_util::sync::CancellationToken;

use crate::args::NatsArgs;
use crate::exit::{Exit, Expected};
use crate::signals::Interrupts;

/// Runs `role` until it ends by itself or a signal asks it to.
pub(super) async fn until_stopped<F, E>(
    role: impl FnOnce(CancellationToken, CancellationToken) -> F,
) -> anyhow::Result<Exit>
where
    F: Future<Output = Result<(), E>>,
    E: std::error::Error + Send + Sync + 'static,
{
    let mut interrupts = Interrupts::listen().context("taking over signals")?;
    let (ready, shutdown) = (CancellationToken::new(), CancellationToken::new());
    let running = role(ready.clone(), shutdown.clone());
    tokio::pin!(running);
    let mut announced = false;
    loop {
        tokio::select! {
            outcome = &mut running => {
                return outcome.map(|()| Exit::Success).map_err(|error| stopped(error).into());
            }
            () = ready.cancelled(), if !announced => {
                announced = true;
                println!("ready");
            }
            () = interrupts.next() => {
                if shutdown.is_cancelled() {
                    return Ok(Exit::Interrupted);
                }
                shutdown.cancel();
            }
        }
    }
}

fn stopped(error: impl std::error::Error + Send + Sync + 'static) -> Expected {
    Expected::new(Exit::Unreachable, "stopped").because(error)
}

/// How a role reaches NATS.
pub(super) fn nats_config(args: NatsArgs, connection_name: &str) -> NatsConfig {
    let url = args.nats.or(args.nats_url);
    let url = url.as_deref().unwrap_or(NatsConfig::DEFAULT_URL);
    NatsConfig { creds: args.creds, ..NatsConfig::new(url, connection_name) }
}

/// Seconds from the command line, which checked that they are positive and finite.
pub(super) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}
