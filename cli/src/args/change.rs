//! Arguments of the commands that change what is there.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum};

use super::client::{ConnectArgs, Format, duration};

/// `stint apply`.
#[derive(Clone, Debug, Args)]
pub struct ApplyArgs {
    /// Manifest, JSON or YAML, one or many documents; `-` reads standard input.
    #[arg(short = 'f', long = "filename", required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Only say what would be done.
    #[arg(long)]
    pub dry_run: bool,
    /// Form of the output.
    #[arg(short, long, value_name = "FORM")]
    pub output: Option<Format>,
    /// How to reach the API.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// `stint patch`.
#[derive(Clone, Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).args(["patch", "patch_file"])))]
#[command(after_help = "\
Examples:
  stint patch job pi -p '{\"spec\": {\"parallelism\": 4}}'
  stint patch job pi --type json -p '[{\"op\": \"replace\", \"path\": \"/spec/suspend\", \"value\": true}]'")]
pub struct PatchArgs {
    /// What: `job NAME…`, `job/NAME…`.
    #[arg(required = true, value_name = "TYPE NAME… | TYPE/NAME…")]
    pub targets: Vec<String>,
    /// The patch, JSON or YAML.
    #[arg(short, long, value_name = "PATCH")]
    pub patch: Option<String>,
    /// A file with the patch; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    pub patch_file: Option<PathBuf>,
    /// Which kind of patch it is.
    #[arg(long = "type", default_value = "strategic", value_name = "TYPE")]
    pub kind: PatchKind,
    /// The part of the object that is patched.
    #[arg(long, value_name = "NAME")]
    pub subresource: Option<Subresource>,
    /// Only say what would come of it.
    #[arg(long)]
    pub dry_run: bool,
    /// Form of the output.
    #[arg(short, long, value_name = "FORM")]
    pub output: Option<Format>,
    /// How to reach the API.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// Kinds of patches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PatchKind {
    /// Lists are merged by what their items are called.
    Strategic,
    /// Lists are replaced (RFC 7386).
    Merge,
    /// A list of operations (RFC 6902).
    Json,
}

/// Parts of an object that can be patched by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Subresource {
    /// `status`.
    Status,
}

/// `stint label` and `stint annotate`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  stint label job pi team=film tier-
  stint annotate jobs -l team=film stint.internal/backoff-base=1s")]
pub struct MarkArgs {
    /// What, and the changes: `job NAME… KEY=VALUE… KEY-…`; a dash at the end takes a key off.
    #[arg(required = true, value_name = "TYPE NAME… | TYPE/NAME… KEY=VALUE… KEY-…")]
    pub words: Vec<String>,
    /// Instead of names: labels to match, such as `app=x,tier!=web`.
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub selector: Option<String>,
    /// Change values that are there.
    #[arg(long)]
    pub overwrite: bool,
    /// How to reach the API.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// `stint delete`.
#[derive(Clone, Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).args(["targets", "files"])))]
pub struct DeleteArgs {
    /// What: `job NAME…`, `pod/NAME`…; a type alone with `-l` or `--all`.
    #[arg(value_name = "TYPE NAME… | TYPE/NAME…")]
    pub targets: Vec<String>,
    /// What a manifest names; `-` reads standard input.
    #[arg(short = 'f', long = "filename", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Instead of names: labels to match, such as `app=x,tier!=web`.
    #[arg(short = 'l', long, value_name = "SELECTOR", conflicts_with = "files")]
    pub selector: Option<String>,
    /// All of the type, in this namespace.
    #[arg(long, conflicts_with_all = ["files", "selector"])]
    pub all: bool,
    /// What becomes of a Job's pods.
    #[arg(long, default_value = "background", value_name = "HOW")]
    pub cascade: Cascade,
    /// What is not there is no error.
    #[arg(long)]
    pub ignore_not_found: bool,
    /// Time that pods have to end by themselves [default: what their template says].
    #[arg(long, value_name = "SECONDS")]
    pub grace_period: Option<u32>,
    /// Return only when they are gone.
    #[arg(long)]
    pub wait: bool,
    /// How long to wait, such as `90s`, `10m`.
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "wait")]
    pub timeout: Option<Duration>,
    /// How to reach the API.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// What becomes of a Job's pods when it is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Cascade {
    /// They are stopped after it is gone.
    Background,
    /// They are stopped, and it goes when they have ended.
    Foreground,
    /// They run to their ends, and it goes when they have ended.
    Orphan,
}

/// `stint rerun`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Makes a new Job of one that has finished. It says where it came from in its annotations
stint.internal/rerun-of and stint.internal/rerun-of-uid; indexes keep their numbers.")]
pub struct RerunArgs {
    /// The Job that has finished.
    #[arg(value_name = "JOB")]
    pub job: String,
    /// Only what has not succeeded.
    #[arg(long, conflicts_with = "index")]
    pub failed: bool,
    /// Only these indexes of an Indexed Job, such as `1,3-5`.
    #[arg(long, value_name = "INDEXES")]
    pub index: Option<String>,
    /// Name of the new Job [default: made from the old one's].
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Form of the output.
    #[arg(short, long, value_name = "FORM")]
    pub output: Option<Format>,
    /// How to reach the API.
    #[command(flatten)]
    pub connect: ConnectArgs,
}
