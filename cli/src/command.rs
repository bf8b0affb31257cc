//! Every verb, one file each. A command asks the API, and hands what it learnt to `output`.

mod apply;
mod backup;
mod completion;
mod config;
mod coordinator;
mod create;
mod delete;
mod demo;
mod demo_pods;
mod describe;
mod dev;
mod display;
mod doctor;
mod drain;
mod events;
mod explain;
mod follow;
mod get;
mod kubeconfig;
mod logs;
mod man;
mod manifests;
mod mark;
mod patch;
mod print;
mod rerun;
mod results;
mod run;
mod serve;
mod session;
mod suspend;
mod targets;
mod top;
mod trace;
mod wait;
mod worker;

use std::future::Future;

use anyhow::Context as _;
use clap::{CommandFactory as _, FromArgMatches as _};

use crate::args::{Cli, Command, LogArgs, LogFormat};
use crate::exit::{Exit, Expected};
use crate::{complete, config_file, launch};
use mark::Mark;
use suspend::Turn;

/// Carries out what was typed; answers shells that want to complete it, and what cannot be
/// understood, by itself.
///
/// # Errors
///
/// As [`run()`].
pub fn run_typed() -> anyhow::Result<Exit> {
    complete::answer_shell();
    // What is wrong with the file is said by whoever needs it: `--help` and servers do not.
    let file = config_file::load().unwrap_or_default();
    let matches = file.apply(Cli::command()).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    run(cli)
}

/// Carries out one command line.
///
/// # Errors
///
/// [`Expected`] or [`crate::client::Error`] for whatever the user, the network or the machine
/// caused.
pub fn run(cli: Cli) -> anyhow::Result<Exit> {
    let log = cli.log;
    match cli.command {
        Command::Launch(args) => {
            let program = args.program.first().map(|word| word.display().to_string());
            let error = launch::become_program(args.parent, &args.program);
            let what = format!("becoming {}", program.unwrap_or_default());
            Err(Expected::new(Exit::Unreachable, what).because(error).into())
        }
        Command::Completion(args) => completion::run(args),
        Command::Config(args) => config::run(args, &log),
        Command::Man(args) => man::run(&args),
        Command::Kubeconfig(args) => kubeconfig::run(&args),
        Command::Dev(args) => server(&log, dev::run(args, log.clone())),
        Command::Coordinator(args) => server(&log, coordinator::run(args)),
        Command::Worker(args) => server(&log, worker::run(args)),
        Command::Run(args) => client(&log, run::run(*args)),
        Command::Create(args) => client(&log, create::run(args)),
        Command::Apply(args) => client(&log, apply::run(args)),
        Command::Patch(args) => client(&log, patch::run(args)),
        Command::Label(args) => client(&log, mark::run(args, Mark::Label)),
        Command::Annotate(args) => client(&log, mark::run(args, Mark::Annotation)),
        Command::Rerun(args) => client(&log, rerun::run(args)),
        Command::Get(args) => client(&log, get::run(args)),
        Command::Describe(args) => client(&log, describe::run(args)),
        Command::Explain(args) => client(&log, explain::run(args)),
        Command::Trace(args) => client(&log, trace::run(args)),
        Command::Top(args) => client(&log, top::run(args)),
        Command::Events(args) => client(&log, events::run(args)),
        Command::Doctor(args) => client(&log, doctor::run(args)),
        Command::Backup(args) => client(&log, backup::backup(args)),
        Command::Restore(args) => client(&log, backup::restore(args)),
        Command::Logs(args) => client(&log, logs::run(args)),
        Command::Results(args) => client(&log, results::run(args)),
        Command::Wait(args) => client(&log, wait::run(args)),
        Command::Delete(args) => client(&log, delete::run(args)),
        Command::Cordon(args) => client(&log, drain::cordon(args, drain::Mark::Cordon)),
        Command::Uncordon(args) => client(&log, drain::cordon(args, drain::Mark::Uncordon)),
        Command::Drain(args) => client(&log, drain::drain(args)),
        Command::Suspend(args) => client(&log, suspend::run(args, Turn::Suspend)),
        Command::Resume(args) => client(&log, suspend::run(args, Turn::Resume)),
        Command::Demo(args) => client(&log, demo::run(args)),
        Command::DemoCount(args) => demo_pods::count(&args),
        Command::DemoMerge(args) => demo_pods::merge(&args),
    }
}

/// A role that runs until it is stopped.
fn server(log: &LogArgs, role: impl Future<Output = anyhow::Result<Exit>>) -> anyhow::Result<Exit> {
    start_log(log, "info");
    block_on(role)
}

/// A command that asks the API and ends.
fn client(log: &LogArgs, verb: impl Future<Output = anyhow::Result<Exit>>) -> anyhow::Result<Exit> {
    start_log(log, "warn");
    block_on(verb)
}

fn start_log(log: &LogArgs, default: &str) {
    // What the libraries of telemetry say of themselves is of no interest unless something fails.
    let default = format!("{default},opentelemetry=warn,opentelemetry_sdk=warn");
    let filter = log.filter.as_deref().unwrap_or(&default);
    stint_common::telemetry::init_log(filter, log.format == LogFormat::Json);
}

fn block_on(future: impl Future<Output = anyhow::Result<Exit>>) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("starting the async runtime")?.block_on(future)
}
