//! Every verb, one file each. A command asks the API, and hands what it learnt to `output`.

mod coordinator;
mod dev;
mod serve;
mod worker;

use std::future::Future;

use anyhow::Context as _;

use crate::args::{Cli, Command, LogArgs, LogFormat};
use crate::exit::Exit;
use crate::launch;

/// Carries out one command line.
///
/// # Errors
///
/// [`crate::exit::Expected`] for whatever the user, the network or the machine caused.
pub fn run(cli: Cli) -> anyhow::Result<Exit> {
    let log = cli.log;
    match cli.command {
        Command::Launch(args) => Err(launch::become_program(args.parent, &args.program).into()),
        Command::Dev(args) => server(&log, dev::run(args, log.clone())),
        Command::Coordinator(args) => server(&log, coordinator::run(args)),
        Command::Worker(args) => server(&log, worker::run(args)),
    }
}

/// A role that runs until it is stopped.
fn server(log: &LogArgs, role: impl Future<Output = anyhow::Result<Exit>>) -> anyhow::Result<Exit> {
    start_log(log, "info");
    block_on(role)
}

fn start_log(log: &LogArgs, default: &str) {
    let filter = log.filter.as_deref().unwrap_or(default);
    stint_common::telemetry::init_log(filter, log.format == LogFormat::Json);
}

fn block_on(future: impl Future<Output = anyhow::Result<Exit>>) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("starting the async runtime")?.block_on(future)
}
