//! Arguments of the commands that tell how things stand.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::client::{ConnectArgs, Format, duration};

/// `stint explain`.
#[derive(Clone, Debug, Args)]
pub struct ExplainArgs {
    /// The Jobs.
    #[arg(required = true, value_name = "JOB")]
    pub jobs: Vec<String>,
    /// How to reach the API.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// `stint trace`.
#[derive(Clone, Debug, Args)]
pub struct TraceArgs {
    /// The Job.
    #[arg(value_name = "JOB")]
    pub job: String,
    /// Show every pod, also of a large Job.
    #[arg(short, long)]
    pub all: bool,
    /// Form of the output.
    #[arg(short, long, default_value = "tree", value_name = "FORM")]
    pub output: TraceForm,
    /// How to reach the API.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// In which form to print a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TraceForm {
    /// For people.
    Tree,
    /// One object, with all pods.
    Json,
}

/// `stint top`.
#[derive(Clone, Debug, Args)]
pub struct TopArgs {
    /// Print once and end, as when the output is no terminal.
    #[arg(long)]
    pub once: bool,
    /// Time between two looks.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    pub every: Duration,
    /// Only this namespace's Jobs; all when absent.
    #[arg(short = 'N', long = "only", value_name = "NAMESPACE")]
    pub only: Option<String>,
    /// How to reach the API.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// `stint events`.
#[derive(Clone, Debug, Args)]
pub struct EventsArgs {
    /// Only those about this: a Job's name, `job/NAME` or `pod/NAME`.
    #[arg(value_name = "JOB|pod/NAME")]
    pub about: Option<String>,
    /// Go on as they come.
    #[arg(short, long)]
    pub follow: bool,
    /// Only of this type.
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<EventType>,
    /// In all namespaces.
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Form of the output.
    #[arg(short, long, default_value = "table", value_name = "FORM")]
    pub output: Format,
    /// How to reach the API.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// Types of Events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EventType {
    /// Something happened.
    Normal,
    /// Somebody should look.
    Warning,
}

/// `stint doctor`.
#[derive(Clone, Debug, Args)]
pub struct DoctorArgs {
    /// The monitoring address of nats-server, which tells whether it syncs its writes:
    /// http://HOST:8222.
    #[arg(long, value_name = "URL")]
    pub monitor: Option<String>,
    /// Form of the output.
    #[arg(short, long, default_value = "text", value_name = "FORM")]
    pub output: DoctorForm,
    /// How to reach the API.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// In which form to print findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DoctorForm {
    /// For people.
    Text,
    /// An array of findings.
    Json,
}
