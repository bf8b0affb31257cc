//! Arguments of `config` and `man`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::client::{ConnectArgs, StructuredForm};

/// `stint config`.
#[derive(Clone, Debug, Args)]
pub struct ConfigArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What to do with the configuration.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Show what holds, and where each value comes from.
    View(ConfigViewArgs),
}

/// `stint config view`.
#[derive(Clone, Debug, Args)]
pub struct ConfigViewArgs {
    /// Form of the output.
    #[arg(short, long, default_value = "table", value_name = "FORM")]
    pub output: StructuredForm,
    /// How to reach the API.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// `stint man`.
#[derive(Clone, Debug, Args)]
pub struct ManArgs {
    /// Where to write them.
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}
