//! `stint coordinator`.

use stint_common::config::NatsConfig;
use stint_coordinator::serve::{self, Config};

use super::serve::until_stopped;
use crate::args::CoordinatorArgs;
use crate::exit::Exit;

pub(super) async fn run(args: CoordinatorArgs) -> anyhow::Result<Exit> {
    let mut nats = NatsConfig::new(&args.nats.url, "stint coordinator");
    nats.creds = args.nats.creds;
    let config = Config { nats, replicas: usize::from(args.replicas) };
    until_stopped(|ready, shutdown| serve::run(config, ready, shutdown)).await
}
