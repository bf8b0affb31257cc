//! Arguments of `stint run`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum};

use super::client::{ConnectArgs, duration};

/// `stint run`.
#[derive(Clone, Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).args(["file", "command"])))]
#[command(after_help = "\
Examples:
  stint run -f job.yaml
  stint run --completions 100 --parallelism 8 --indexed -- ./simulate '$(JOB_COMPLETION_INDEX)'
  stint run --shell -- 'gzip -k data/*.csv && ls -l data'")]
pub struct RunArgs {
    /// Manifest with one or more Jobs, JSON or YAML; `-` reads standard input.
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// A Job made on the spot.
    #[command(flatten)]
    pub ad_hoc: AdHocArgs,
    /// Submit only; print the Job's name.
    #[arg(long, conflicts_with_all = ["rm", "timeout"])]
    pub detach: bool,
    /// Delete the Job once it has ended.
    #[arg(long)]
    pub rm: bool,
    /// Stop following after this time (exit code 124); the Job goes on.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// How progress is shown.
    #[arg(long, default_value = "auto", value_name = "STYLE")]
    pub progress: ProgressStyle,
    /// The submitter's trace (W3C); the Job's trace continues it.
    #[arg(long, env = "TRACEPARENT", hide = true)]
    pub traceparent: Option<String>,
    /// How to reach the API.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProgressStyle {
    /// A bar on a terminal, else lines.
    Auto,
    /// A bar.
    Bar,
    /// A line whenever something changed.
    Lines,
    /// Nothing until the end.
    None,
}

/// A Job made from flags and a command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Ad hoc Job")]
pub struct AdHocArgs {
    /// The Job's name [default: made from the command].
    #[arg(long, value_name = "NAME", conflicts_with = "file")]
    pub name: Option<String>,
    /// How many pods have to succeed [default: 1].
    #[arg(long, value_name = "N", conflicts_with = "file")]
    pub completions: Option<u32>,
    /// How many pods run at a time [default: all that there is room for].
    #[arg(long, value_name = "N", conflicts_with = "file")]
    pub parallelism: Option<u32>,
    /// How many pods may fail before the Job does [default: 6].
    #[arg(long, value_name = "N", conflicts_with = "file")]
    pub backoff_limit: Option<u32>,
    /// Give each pod an index, in JOB_COMPLETION_INDEX and as $(JOB_COMPLETION_INDEX) in arguments.
    #[arg(long, conflicts_with = "file")]
    pub indexed: bool,
    /// Longest run time of the whole Job.
    #[arg(long, value_name = "SECONDS", conflicts_with = "file")]
    pub deadline_seconds: Option<u64>,
    /// Variables of the pods' environment.
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = variable, conflicts_with = "file")]
    pub env: Vec<(String, String)>,
    /// Directory in which the pods run.
    #[arg(long, value_name = "DIR", conflicts_with = "file")]
    pub workdir: Option<String>,
    /// Image to record; host processes run without one.
    #[arg(long, value_name = "NAME", default_value = "host")]
    pub image: String,
    /// Hand the words, joined by spaces, to `sh -c`.
    #[arg(long, conflicts_with = "file")]
    pub shell: bool,
    /// Program and arguments.
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("must be NAME=VALUE".to_owned()),
    }
}
