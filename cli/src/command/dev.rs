//! `stint dev`: starts everything, says where it is, stops it in order.

use std::env;
use std::ffi::OsString;
use std::net::SocketAddr;

use anyhow::Context as _;

use super::coordinator::on_loopback;
use crate::args::{DevArgs, LogArgs, LogFormat, MachineArgs};
use crate::dev::{self, Dev, Options};
use crate::exit::{Exit, Expected};
use crate::signals::Interrupts;
use crate::{nats_server, paths};

pub(super) async fn run(args: DevArgs, log: LogArgs) -> anyhow::Result<Exit> {
    let mut interrupts = Interrupts::listen().context("taking over signals")?;
    let options = options(args, &log)?;
    let dev = tokio::select! {
        dev = Dev::start(&options) => dev.map_err(|error| not_started(error, options.listen))?,
        () = interrupts.next() => return Ok(Exit::Interrupted),
    };
    println!("NATS_URL={}", dev.url());
    println!("STINT_HTTP={}", dev.http());
    println!("ready");
    interrupts.next().await;
    eprintln!("stint: stopping pods, coordinator and nats-server; once more to kill them");
    tokio::select! {
        () = dev.stop() => Ok(Exit::Success),
        // The children are killed with this process.
        () = interrupts.next() => Ok(Exit::Interrupted),
    }
}

fn options(args: DevArgs, log: &LogArgs) -> anyhow::Result<Options> {
    if !args.nats.ip().is_loopback() {
        let what = format!(
            "--nats {}: `stint dev` has no access control, so it listens on loopback addresses only",
            args.nats
        );
        return Err(Expected::usage(what).try_next("stint coordinator and stint worker").into());
    }
    if let Some(address) = args.http {
        on_loopback("--http", address)?;
    }
    let data = args
        .data
        .or_else(|| paths::data_dir().map(|base| base.join("dev")))
        .ok_or_else(|| Expected::usage("no data directory: set HOME, or give --data DIR"))?;
    let server = nats_server::find_or_fetch().map_err(|error| {
        Expected::new(Exit::Unreachable, "there is no nats-server to start").because(error)
    })?;
    tracing::info!(path = %server.path.display(), version = %server.version, "nats-server");
    Ok(Options {
        stint: env::current_exe().context("finding this program")?,
        server,
        data,
        listen: args.nats,
        http: args.http,
        workers: args.workers,
        slots: args.slots,
        worker_arguments: worker_arguments(&args.machine),
        sync_always: args.fsync,
        arguments: log_arguments(log),
        logs_to_files: false,
    })
}

/// On a machine of one's own, a Job with limits runs also where these cannot be enforced.
fn worker_arguments(machine: &MachineArgs) -> Vec<OsString> {
    let machine = MachineArgs { best_effort_limits: true, ..machine.clone() };
    machine.to_arguments()
}

/// The same log for the children.
fn log_arguments(log: &LogArgs) -> Vec<OsString> {
    let mut arguments = Vec::new();
    if let Some(filter) = &log.filter {
        arguments.extend(["--log".into(), filter.into()]);
    }
    if log.format == LogFormat::Json {
        arguments.extend(["--log-format".into(), "json".into()]);
    }
    arguments
}

fn not_started(error: dev::Error, listen: SocketAddr) -> Expected {
    let next = match &error {
        dev::Error::Listen { .. } => Some(format!(
            "`stint dev --nats {}:0` for a free port; or use the server that listens there with \
             `stint coordinator` and `stint worker`",
            listen.ip()
        )),
        _ => None,
    };
    let failed = Expected::new(Exit::Unreachable, "stint dev could not start").because(error);
    match next {
        Some(next) => failed.try_next(next),
        None => failed,
    }
}
