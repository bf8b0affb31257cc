//! `stint worker`.

use stint_worker::serve::{self, Config};

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
        nats: nats_config(args.nats, "stint worker"),
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
    };
    until_stopped(|ready, shutdown| serve::run(config, ready, shutdown)).await
}
