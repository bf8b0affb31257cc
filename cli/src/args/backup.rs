//! Taking out and putting back what is stored.

use std::path::PathBuf;

use clap::Args;

use super::client::ConnectArgs;

/// `stint backup`.
#[derive(Clone, Debug, Args)]
pub struct BackupArgs {
    /// A directory that is new or empty. Secrets will be in it.
    #[arg(value_name = "DIRECTORY")]
    pub directory: PathBuf,
    /// Leave output and Events out: Jobs go on without them.
    #[arg(long)]
    pub without_output: bool,
    /// How to reach NATS.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// `stint restore`.
#[derive(Clone, Debug, Args)]
pub struct RestoreArgs {
    /// What `stint backup`, or `nats account backup`, has made.
    #[arg(value_name = "DIRECTORY")]
    pub directory: PathBuf,
    /// Delete the streams of Stint that are there, with all that is in them.
    #[arg(long)]
    pub replace: bool,
    /// Copies that each stream is to have, in place of what it had.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=5))]
    pub replicas: Option<u32>,
    /// How to reach NATS.
    #[command(flatten)]
    pub connect: ConnectArgs,
}
