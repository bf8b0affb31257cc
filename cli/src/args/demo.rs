//! Arguments of the demo, and of the programs that its Jobs run.

use std::path::PathBuf;

use clap::Args;

/// `stint demo`.
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// In how many shares the input is counted.
    #[arg(long, default_value_t = 24, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=500))]
    pub shares: u32,
    /// How many pods the burst at the end has.
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub burst: u32,
    /// Folder with source trees to count [default: cargo's registry folder].
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
}

/// Counts one share of the crates under a folder.
#[derive(Clone, Debug, Args)]
pub struct DemoCountArgs {
    /// Which share.
    #[arg(long)]
    pub share: u32,
    /// Of how many.
    #[arg(long)]
    pub of: u32,
    /// Where the crates are.
    #[arg(long)]
    pub root: PathBuf,
    /// Where the result goes.
    #[arg(long)]
    pub out: PathBuf,
    /// The share that fails, once.
    #[arg(long)]
    pub stumble: Option<u32>,
}

/// Merges the shares into one table.
#[derive(Clone, Debug, Args)]
pub struct DemoMergeArgs {
    /// How many shares there are.
    #[arg(long)]
    pub of: u32,
    /// Where they are, and where the sum goes.
    #[arg(long)]
    pub out: PathBuf,
}
