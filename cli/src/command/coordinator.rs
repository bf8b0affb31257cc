//! `stint coordinator`.

use std::net::SocketAddr;
use std::path::Path;

use stint_common::metrics;
use stint_coordinator::api::http::{Access, AccessFile, Listener, Offer, Tls, TlsFiles};
use stint_coordinator::serve::{self, Config, Keep};
use stint_coordinator::trace;

use super::serve::{nats_config, seconds, until_stopped};
use crate::args::CoordinatorArgs;
use crate::exit::{Exit, Expected};

pub(super) async fn run(args: CoordinatorArgs) -> anyhow::Result<Exit> {
    let http = match args.http {
        Some(address) => Some(offer(address, &args).await?),
        None => None,
    };
    let config = Config {
        nats: nats_config(args.nats, "stint coordinator")?,
        replicas: usize::from(args.replicas),
        http,
        traces: trace::Settings {
            shard_pods: args.trace_shard_pods,
            max_spans: args.trace_max_spans,
        },
        keep: Keep { pods: args.keep_pods, deleted: seconds(args.keep_deleted), ..Keep::default() },
    };
    let metrics = metrics::start(metrics::Role::Coordinator, config.http.is_some());
    let exit = until_stopped(|ready, shutdown| serve::run(config, ready, shutdown)).await;
    if let Some(metrics) = metrics {
        metrics.stop().await;
    }
    exit
}

/// Takes the address, and says which one it is.
async fn offer(address: SocketAddr, args: &CoordinatorArgs) -> Result<Offer, Expected> {
    let access = access(args.http_access.as_deref()).await?;
    let tls = tls(args)?;
    if tls.is_none() || matches!(access, Access::Everybody) {
        on_loopback("--http", address)?;
    }
    let listener = Listener::bind(address).await.map_err(|error| {
        Expected::new(Exit::Unreachable, "the API cannot be offered over HTTP").because(error)
    })?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    println!("STINT_HTTP={scheme}://{}", listener.address());
    Ok(Offer { listener, tls, access })
}

/// Who may do what.
async fn access(file: Option<&Path>) -> Result<Access, Expected> {
    let Some(file) = file else { return Ok(Access::Everybody) };
    let known = AccessFile::read(file).await.map_err(|error| {
        Expected::new(Exit::Usage, "--http-access cannot be used").because(error)
    })?;
    Ok(Access::File(known))
}

fn tls(args: &CoordinatorArgs) -> Result<Option<Tls>, Expected> {
    let (Some(certificate), Some(key)) = (&args.http_cert, &args.http_key) else {
        return Ok(None);
    };
    let client_authority = args.http_client_ca.as_deref();
    let files = TlsFiles { certificate, key, client_authority };
    let tls = Tls::read(&files)
        .map_err(|error| Expected::new(Exit::Usage, "TLS cannot be offered").because(error))?;
    Ok(Some(tls))
}

/// Who reaches an address where everybody may do everything may run programs; and what is sent
/// without TLS can be read on its way.
pub(super) fn on_loopback(flag: &str, address: SocketAddr) -> Result<(), Expected> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    let what = format!(
        "{flag} {address}: without TLS and an access file the API is offered over HTTP on loopback \
         addresses only"
    );
    let next = "stint coordinator with --http-cert, --http-key and --http-access; or a tunnel";
    Err(Expected::usage(what).try_next(next))
}
