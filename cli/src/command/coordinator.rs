//! `stint coordinator`.

use stint_coordinator::serve::{self, Config};

use super::serve::{nats_config, until_stopped};
use crate::args::CoordinatorArgs;
use crate::exit::Exit;

pub(super) async fn run(args: CoordinatorArgs) -> anyhow::Result<Exit> {
    let config = Config {
        nats: nats_config(args.nats, "stint coordinator"),
        replicas: usize::from(args.replicas),
    };
    until_stopped(|ready, shutdown| serve::run(config, ready, shutdown)).await
}
