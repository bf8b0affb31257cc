//! What can be typed. Clap definitions only: no rules, nothing from `command`.

mod server;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use server::{CoordinatorArgs, DevArgs, LaunchArgs, NatsArgs, WorkerArgs};

/// Kubernetes Jobs without Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "stint", version, about, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// How much the program says of itself.
    #[command(flatten)]
    pub log: LogArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How much the program says of itself, on standard error.
#[derive(Clone, Debug, Args)]
pub struct LogArgs {
    /// Log filter, such as `info` or `stint_worker=debug` [default: info for servers, else warn].
    #[arg(long = "log", global = true, env = "STINT_LOG", value_name = "FILTER")]
    pub filter: Option<String>,
    /// Form of the log.
    #[arg(long = "log-format", global = true, env = "STINT_LOG_FORMAT", default_value = "text")]
    pub format: LogFormat,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run all of Stint on this machine: nats-server, coordinator and worker.
    Dev(DevArgs),
    /// Run a coordinator: admits Jobs, decides what their pods do.
    Coordinator(CoordinatorArgs),
    /// Run a worker: claims pods and runs them on this machine.
    Worker(WorkerArgs),
    /// Become a program that dies with its parent.
    #[command(name = "__launch", hide = true)]
    Launch(LaunchArgs),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn definitions_are_sound() {
        Cli::command().debug_assert();
    }
}
