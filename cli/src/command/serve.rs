//! What `coordinator` and `worker` share: say `ready`, stop in order when asked, at once when asked
//! twice.

use std::future::Future;
use std::time::Duration;

use anyhow::Context as _;
use sd_notify::NotifyState;
use stint_common::config::NatsConfig;
use tokio::time::Interval;
use tokio_util::sync::CancellationToken;

use super::session::flags;
use crate::args::NatsArgs;
use crate::client::{Error, resolve};
use crate::exit::{Exit, Expected};
use crate::paths;
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
    let mut alive = Alive::new();
    loop {
        tokio::select! {
            outcome = &mut running => {
                return outcome.map(|()| Exit::Success).map_err(|error| stopped(error).into());
            }
            () = ready.cancelled(), if !announced => {
                announced = true;
                println!("ready");
                tell_systemd(NotifyState::Ready);
            }
            () = alive.due() => tell_systemd(NotifyState::Watchdog),
            () = interrupts.next() => {
                if shutdown.is_cancelled() {
                    return Ok(Exit::Interrupted);
                }
                tell_systemd(NotifyState::Stopping);
                shutdown.cancel();
            }
        }
    }
}

/// Times at which systemd is told that this process lives (`WatchdogSec=` of its unit); never
/// without one.
struct Alive(Option<Interval>);

impl Alive {
    fn new() -> Self {
        // Half of the time: one tick may come late.
        Self(sd_notify::watchdog_enabled().map(|limit| tokio::time::interval(limit / 2)))
    }

    async fn due(&mut self) {
        match &mut self.0 {
            Some(interval) => drop(interval.tick().await),
            None => std::future::pending().await,
        }
    }
}

/// Nothing happens where nobody listens.
fn tell_systemd(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "telling systemd");
    }
}

fn stopped(error: impl std::error::Error + Send + Sync + 'static) -> Expected {
    Expected::new(Exit::Unreachable, "stopped").because(error)
}

/// How a role reaches NATS. A context counts only if it was asked for: which one somebody selected
/// for the `nats` command is no server's business.
pub(super) fn nats_config(args: NatsArgs, connection_name: &str) -> Result<NatsConfig, Error> {
    let mut flags = flags(args);
    if flags.context.is_none() {
        flags.url.get_or_insert_with(|| NatsConfig::DEFAULT_URL.to_owned());
    }
    resolve(flags, paths::config_home().as_deref(), connection_name)
}

/// Seconds from the command line, which checked that they are positive and finite.
pub(super) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}
