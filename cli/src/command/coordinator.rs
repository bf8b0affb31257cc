//! `stint coordinator`.

use std::net::SocketAddr;

use stint_coordinator::api::http::Listener;
use stint_coordinator::serve::{self, Config, Keep};

use super::serve::{nats_config, seconds, until_stopped};
use crate::args::CoordinatorArgs;
use crate::exit::{Exit, Expected};

pub(super) async fn run(args: CoordinatorArgs) -> anyhow::Result<Exit> {
    let http = match args.http {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    let config = Config {
        nats: nats_config(args.nats, "stint coordinator"),
        replicas: usize::from(args.replicas),
        http,
        keep: Keep { pods: args.keep_pods, deleted: seconds(args.keep_deleted) },
    };
    until_stopped(|ready, shutdown| serve::run(config, ready, shutdown)).await
}

/// Takes an address, and says which one it is.
async fn listen(address: SocketAddr) -> Result<Listener, Expected> {
    on_loopback("--http", address)?;
    let listener = Listener::bind(address).await.map_err(|error| {
        Expected::new(Exit::Unreachable, "the API cannot be offered over HTTP").because(error)
    })?;
    println!("STINT_HTTP=http://{}", listener.address());
    Ok(listener)
}

/// Whoever reaches an address may run programs, so it must not be reached from elsewhere.
pub(super) fn on_loopback(flag: &str, address: SocketAddr) -> Result<(), Expected> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    let what = format!(
        "{flag} {address}: there is no access control over HTTP yet, so it is offered on loopback \
         addresses only"
    );
    Err(Expected::usage(what).try_next("a tunnel, such as ssh -L, to a loopback address"))
}
