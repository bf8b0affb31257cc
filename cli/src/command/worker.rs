//! `stint worker`.

use std::net::SocketAddr;

use anyhow::Context as _;
use stint_common::{metrics, task};
use stint_worker::forward::{self, Forwarder};
use stint_worker::scrape;
use stint_worker::serve::{self, Config, Stop};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::serve::{nats_config, seconds, until_stopped};
use crate::args::WorkerArgs;
use crate::exit::{Exit, Expected};
use crate::paths;

pub(super) async fn run(args: WorkerArgs) -> anyhow::Result<Exit> {
    let renew = args.renew_seconds.unwrap_or(args.lease_seconds / 4.0);
    if renew >= args.lease_seconds {
        let what =
            "--renew-seconds must be less than --lease-seconds: a lease has to be renewed in time";
        return Err(Expected::usage(what).into());
    }
    let config = Config {
        nats: nats_config(args.nats, "stint worker")?,
        data_dir: args
            .data
            .or_else(|| paths::data_dir().map(|base| base.join("worker")))
            .ok_or_else(|| Expected::usage("no data directory: set HOME, or give --data DIR"))?,
        name: args.name,
        slots: args.slots,
        machine: args.machine.machine().map_err(Expected::usage)?,
        lease: seconds(args.lease_seconds),
        renew: seconds(renew),
        grace: seconds(args.grace_seconds),
        shutdown_seconds: args.shutdown_seconds,
        supervised: !args.no_supervisor,
        take_over: args.take_over,
        outlet: None,
    };
    let hand_over = on_hand_over().context("taking over signals")?;
    let metrics = metrics::start(metrics::Role::Worker, args.metrics.is_some());
    let page = match args.metrics {
        Some(address) => Some(page(address).await?),
        None => None,
    };
    let forwarder = forward::start();
    let config = Config { outlet: forwarder.as_ref().map(Forwarder::outlet), ..config };
    let run = async |ready, shutdown: CancellationToken| {
        let scraped = page.map(|page| task::spawn(scrape::serve(page, shutdown.clone())));
        let outcome =
            serve::run(config, ready, Stop { shutdown: shutdown.clone(), hand_over }).await;
        shutdown.cancel();
        if let Some(scraped) = scraped
            && let Err(error) = scraped.await
        {
            tracing::error!(%error, "the page of metrics ended badly");
        }
        outcome
    };
    let exit = until_stopped(run).await;
    if let Some(forwarder) = forwarder {
        forwarder.flush().await;
    }
    if let Some(metrics) = metrics {
        metrics.stop().await;
    }
    exit
}

/// Takes the address, and says which one it is.
async fn page(address: SocketAddr) -> Result<scrape::Listener, Expected> {
    let listener = scrape::Listener::bind(address).await.map_err(|error| {
        let what = format!("metrics cannot be offered on {address}");
        Expected::new(Exit::Unreachable, what).because(error)
    })?;
    println!("STINT_METRICS=http://{}/metrics", listener.address());
    Ok(listener)
}

/// SIGUSR1: this process is to end, and its pods are to go on.
fn on_hand_over() -> std::io::Result<CancellationToken> {
    let mut asked = signal(SignalKind::user_defined1())?;
    let hand_over = CancellationToken::new();
    let told = hand_over.clone();
    tokio::spawn(async move {
        if asked.recv().await.is_some() {
            told.cancel();
        }
    });
    Ok(hand_over)
}
