//! Arguments of the commands that ask the API.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use clap_complete::Shell;

use super::NatsArgs;

/// How to reach the API, and in which namespace to look.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Connection")]
pub struct ConnectArgs {
    /// How to reach NATS.
    #[command(flatten)]
    pub nats: NatsArgs,
    /// Namespace.
    #[arg(short, long, env = "STINT_NAMESPACE", default_value = "default", value_name = "NAME")]
    pub namespace: String,
}

/// In which form to print.
#[derive(Clone, Copy, Debug, Args)]
pub struct OutputArgs {
    /// Form of the output.
    #[arg(short, long, default_value = "table", value_name = "FORM")]
    pub output: Format,
}

/// In which form to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns for people.
    Table,
    /// More columns.
    Wide,
    /// The API's objects.
    Json,
    /// The API's objects.
    Yaml,
    /// One `kind/name` a line.
    Name,
}

/// `stint create`.
#[derive(Clone, Debug, Args)]
pub struct CreateArgs {
    /// Manifest, JSON or YAML, one or many documents; `-` reads standard input.
    #[arg(short = 'f', long = "filename", required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Form of the output.
    #[arg(short, long, value_name = "FORM")]
    pub output: Option<Format>,
    /// How to reach the API.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// `stint get`.
#[derive(Clone, Debug, Args)]
pub struct GetArgs {
    /// What: `jobs`, `pods`, `job/NAME`…
    #[arg(value_name = "TYPE[/NAME]")]
    pub resource: String,
    /// Names; all when absent.
    pub names: Vec<String>,
    /// Labels to match, such as `app=x,tier!=web`.
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub selector: Option<String>,
    /// Fields to match, such as `status.phase=Failed`.
    #[arg(long, value_name = "SELECTOR")]
    pub field_selector: Option<String>,
    /// In all namespaces.
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// After the list, show changes as they come.
    #[arg(short, long)]
    pub watch: bool,
    /// Form of the output.
    #[command(flatten)]
    pub output: OutputArgs,
    /// How to reach the API.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// `stint describe`.
#[derive(Clone, Debug, Args)]
pub struct DescribeArgs {
    /// What: `job NAME`, `pod/NAME`…
    #[arg(required = true, value_name = "TYPE NAME | TYPE/NAME")]
    pub targets: Vec<String>,
    /// How to reach the API.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// `stint logs`.
#[derive(Clone, Debug, Args)]
pub struct LogsArgs {
    /// A Job's name, `job/NAME` or `pod/NAME`.
    #[arg(value_name = "JOB|pod/NAME")]
    pub target: String,
    /// Go on as pods write, until the Job ends.
    #[arg(short, long)]
    pub follow: bool,
    /// Only these indexes of an Indexed Job, such as `3-9` or `0,4`.
    #[arg(long, value_name = "INDEXES")]
    pub index: Option<String>,
    /// Only pods that failed.
    #[arg(long)]
    pub failed: bool,
    /// Only the last lines of each pod.
    #[arg(long, value_name = "LINES")]
    pub tail: Option<u64>,
    /// Only this container.
    #[arg(short, long, value_name = "NAME")]
    pub container: Option<String>,
    /// That of the container's run before, where it was started again.
    #[arg(short, long, conflicts_with = "follow")]
    pub previous: bool,
    /// Say before each line whose it is: when there are several pods, always, or never.
    #[arg(long, default_value = "auto", value_name = "WHEN")]
    pub prefix: Prefix,
    /// How to reach the API.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// When lines of a log say whose they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Prefix {
    /// When there are several pods.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// `stint results`.
#[derive(Clone, Debug, Args)]
pub struct ResultsArgs {
    /// The Job.
    #[arg(value_name = "JOB")]
    pub job: String,
    /// Only this container's.
    #[arg(short, long, value_name = "NAME")]
    pub container: Option<String>,
    /// Form of the output.
    #[arg(short, long, default_value = "table", value_name = "FORM")]
    pub output: ResultsForm,
    /// How to reach the API.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// In which form to print results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ResultsForm {
    /// A line each.
    Table,
    /// One array of `{index, pod, container, result}`.
    Json,
}

/// A table for people, or the same for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StructuredForm {
    /// Columns for people.
    Table,
    /// An array of objects.
    Json,
}

/// `stint wait`.
#[derive(Clone, Debug, Args)]
pub struct WaitArgs {
    /// The Job.
    #[arg(value_name = "JOB")]
    pub job: String,
    /// For what.
    #[arg(long = "for", default_value = "any", value_name = "WHAT")]
    pub condition: ForCondition,
    /// How long, such as `90s`, `10m` [default: for ever].
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// How to reach the API.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ForCondition {
    /// That it is complete; exit code 1 if it fails instead.
    Complete,
    /// That it has failed; exit code 1 if it completes instead.
    Failed,
    /// Its end; exit code 0 or 1 by outcome.
    Any,
    /// That it is gone.
    Delete,
}

/// `stint suspend` and `stint resume`.
#[derive(Clone, Debug, Args)]
pub struct SuspendArgs {
    /// The Jobs.
    #[arg(required = true, value_name = "JOB")]
    pub jobs: Vec<String>,
    /// How to reach the API.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// `stint completion`.
#[derive(Clone, Copy, Debug, Args)]
pub struct CompletionArgs {
    /// The shell.
    pub shell: Shell,
}

/// `stint kubeconfig`.
#[derive(Clone, Debug, Args)]
pub struct KubeconfigArgs {
    /// Where the API is offered over HTTP: what `stint dev` printed.
    #[arg(long, env = "STINT_HTTP", default_value = "http://127.0.0.1:8230", value_name = "URL")]
    pub server: String,
    /// Token with which one says who one is.
    #[arg(long, env = "STINT_HTTP_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub token: Option<String>,
    /// Who has signed the server's certificate (PEM).
    #[arg(long, value_name = "FILE")]
    pub certificate_authority: Option<PathBuf>,
    /// Certificate with which one says who one is (PEM).
    #[arg(long, value_name = "FILE", requires = "client_key")]
    pub client_certificate: Option<PathBuf>,
    /// Its key (PEM).
    #[arg(long, value_name = "FILE", requires = "client_certificate")]
    pub client_key: Option<PathBuf>,
    /// Namespace.
    #[arg(short, long, env = "STINT_NAMESPACE", default_value = "default", value_name = "NAME")]
    pub namespace: String,
}

/// `90`, `90s`, `10m`, `2h`, `1h30m`; a bare number is seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a time: write 90s, 10m, 1h30m");
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let mut total = 0_u64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        let unit = match rest.as_bytes()[digits] {
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            _ => return Err(wrong()),
        };
        total = number.checked_mul(unit).and_then(|n| n.checked_add(total)).ok_or_else(wrong)?;
        rest = &rest[digits + 1..];
    }
    if text.is_empty() { Err(wrong()) } else { Ok(Duration::from_secs(total)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let check = |text, seconds| assert_eq!(duration(text), Ok(Duration::from_secs(seconds)));
        check("90", 90);
        check("90s", 90);
        check("10m", 600);
        check("1h30m", 5400);
        for wrong in ["", "m", "1x", "1h30", "-1s", "99999999999999999999h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
