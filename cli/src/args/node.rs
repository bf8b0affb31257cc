//! Arguments of the commands about workers.

use std::time::Duration;

use clap::Args;

use super::client::{ConnectArgs, duration};

/// `stint cordon` and `stint uncordon`.
#[derive(Clone, Debug, Args)]
pub struct CordonArgs {
    /// Workers.
    #[arg(required = true, value_name = "NODE")]
    pub nodes: Vec<String>,
    /// How to reach the API.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// `stint drain`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Pods that have not ended by then are evicted: stopped within their grace periods, failed with the
condition DisruptionTarget, and replaced elsewhere as their Jobs say. Pods that wait for a ConfigMap
or Secret are evicted at once. Draining again is harmless; `stint uncordon` undoes it.")]
pub struct DrainArgs {
    /// The worker.
    #[arg(value_name = "NODE")]
    pub node: String,
    /// How long its pods may take to end by themselves, such as `90s`, `2h`; 0 evicts at once.
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = duration)]
    pub timeout: Duration,
    /// Time that evicted pods have to end [default: what their template says].
    #[arg(long, value_name = "SECONDS")]
    pub grace_period: Option<u32>,
    /// How to reach the API.
    #[command(flatten)]
    pub connect: ConnectArgs,
}
