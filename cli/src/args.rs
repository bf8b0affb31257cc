//! What can be typed. Clap definitions only: no rules, nothing from `command`.

mod backup;
mod change;
mod client;
mod config;
mod demo;
mod look;
mod machine;
mod nats;
mod node;
mod run;
mod server;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use backup::{BackupArgs, RestoreArgs};
pub use change::{
    ApplyArgs, Cascade, DeleteArgs, MarkArgs, PatchArgs, PatchKind, RerunArgs, Subresource,
};
pub use client::{
    CompletionArgs, ConnectArgs, CreateArgs, DescribeArgs, ForCondition, Format, GetArgs,
    KubeconfigArgs, LogsArgs, OutputArgs, Prefix, ResultsArgs, ResultsForm, StructuredForm,
    SuspendArgs, WaitArgs,
};
pub use config::{ConfigArgs, ConfigCommand, ConfigViewArgs, ManArgs};
pub use demo::{DemoArgs, DemoCountArgs, DemoMergeArgs};
pub use look::{
    DoctorArgs, DoctorForm, EventType, EventsArgs, ExplainArgs, TopArgs, TraceArgs, TraceForm,
};
pub use nats::NatsArgs;
pub use node::{CordonArgs, DrainArgs};
pub use run::{AdHocArgs, ProgressStyle, RunArgs};
pub use server::{CoordinatorArgs, DevArgs, LaunchArgs, MachineArgs, WorkerArgs};

/// Kubernetes Jobs without Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "stint", version, about, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 complete, 1 the Job failed, 2 usage, 3 not found, \
    4 cannot reach, 124 timed out, 130 interrupted.")]
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
    #[arg(
        long = "log-format",
        global = true,
        env = "STINT_LOG_FORMAT",
        default_value = "text",
        value_name = "FORM"
    )]
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
    /// Submit a Job and follow it to its end.
    Run(Box<RunArgs>),
    /// Submit Jobs from a file.
    Create(CreateArgs),
    /// Submit Jobs from a file, or change those that are there to what it says.
    Apply(ApplyArgs),
    /// Show Jobs or pods.
    Get(GetArgs),
    /// Show one Job or pod in full.
    Describe(DescribeArgs),
    /// Say why a Job does not go on.
    Explain(ExplainArgs),
    /// Show where a Job's time went, pod by pod.
    Trace(TraceArgs),
    /// Show how busy workers and Jobs are.
    Top(TopArgs),
    /// Show what was told about Jobs.
    Events(EventsArgs),
    /// Print what a Job's pods wrote.
    Logs(LogsArgs),
    /// Print what a Job's pods left as their results.
    Results(ResultsArgs),
    /// Wait for a Job.
    Wait(WaitArgs),
    /// Delete Jobs or pods.
    Delete(DeleteArgs),
    /// Change a part of a Job.
    Patch(PatchArgs),
    /// Set or take off labels.
    Label(MarkArgs),
    /// Set or take off annotations.
    Annotate(MarkArgs),
    /// Run a finished Job again, or what of it failed, as a new Job.
    Rerun(RerunArgs),
    /// Stop a Job's pods until it is resumed.
    Suspend(SuspendArgs),
    /// Let a suspended Job go on.
    Resume(SuspendArgs),
    /// Let a worker take no more pods; those that it has go on.
    Cordon(CordonArgs),
    /// Let a worker take pods again.
    Uncordon(CordonArgs),
    /// Let a worker take no more pods, and wait until it has none.
    Drain(DrainArgs),
    /// Start everything, run real Jobs, show them, and check the result.
    Demo(DemoArgs),
    /// Run all of Stint on this machine: nats-server, coordinator and worker.
    Dev(DevArgs),
    /// Run a coordinator: admits Jobs, decides what their pods do.
    Coordinator(CoordinatorArgs),
    /// Run a worker: claims pods and runs them on this machine.
    Worker(WorkerArgs),
    /// Look at an installation: what is well, what is not, which promises hold.
    Doctor(DoctorArgs),
    /// Take everything that is stored out, into a directory; all goes on meanwhile.
    Backup(BackupArgs),
    /// Put back what `stint backup` took out, while no coordinator and no worker runs.
    Restore(RestoreArgs),
    /// Print a configuration with which kubectl asks Stint.
    Kubeconfig(KubeconfigArgs),
    /// Show what is configured, and where each value comes from.
    Config(ConfigArgs),
    /// Write manual pages.
    Man(ManArgs),
    /// Print a completion script for a shell.
    Completion(CompletionArgs),
    /// Become a program that dies with its parent.
    #[command(name = "__launch", hide = true)]
    Launch(LaunchArgs),
    /// The demo's first Job: count one share.
    #[command(name = "__demo-count", hide = true)]
    DemoCount(DemoCountArgs),
    /// The demo's second Job: merge the shares.
    #[command(name = "__demo-merge", hide = true)]
    DemoMerge(DemoMergeArgs),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn definitions_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_ad_hoc_command_keeps_its_own_flags() {
        let words =
            ["stint", "run", "--name", "x", "--completions", "3", "--", "ls", "-l", "-n", "--"];
        let Command::Run(run) = Cli::parse_from(words).command else { panic!("not run") };
        assert_eq!(run.ad_hoc.command, ["ls", "-l", "-n", "--"]);
        assert_eq!(run.ad_hoc.completions, Some(3));
    }

    #[test]
    fn a_file_and_a_command_exclude_each_other() {
        assert!(Cli::try_parse_from(["stint", "run", "-f", "x", "--", "ls"]).is_err());
        assert!(Cli::try_parse_from(["stint", "run"]).is_err());
        assert!(Cli::try_parse_from(["stint", "run", "-f", "x", "--completions", "3"]).is_err());
    }
}
