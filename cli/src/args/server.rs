//! Arguments of the long-running roles.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use stint_worker::machine::Machine;

use super::NatsArgs;
use super::machine;

/// `stint dev`.
#[derive(Clone, Debug, Args)]
pub struct DevArgs {
    /// Where everything is kept [default: stint/dev in the user's data directory].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where nats-server listens; port 0 takes any free one.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:4222", value_parser = address)]
    pub nats: SocketAddr,
    /// Where the API is offered over HTTP, for kubectl; port 0 takes any free one [default:
    /// 127.0.0.1:8230, or any free port if that is taken].
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    pub http: Option<SocketAddr>,
    /// Number of workers.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub workers: u32,
    /// CPUs that pods of each worker may ask for together [default: the machine's].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub slots: Option<u32>,
    /// What each worker has to offer.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// Have every acknowledged write on disk: safe from power loss, and slower.
    #[arg(long)]
    pub fsync: bool,
}

/// `stint coordinator`.
#[derive(Clone, Debug, Args)]
pub struct CoordinatorArgs {
    /// How to reach NATS.
    #[command(flatten)]
    pub nats: NatsArgs,
    /// Copies of each stream that JetStream keeps: 1 on one server, 3 in a cluster.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=5))]
    pub replicas: u8,
    /// A Job with more pods than this has them in traces of so many each, linked to its own; 0: in
    /// its own, however many there are.
    #[arg(long, env = "STINT_TRACE_SHARD_PODS", value_name = "N", default_value_t = 1000)]
    pub trace_shard_pods: u32,
    /// So many spans of a Job are sent, about; failures are sent besides.
    #[arg(long, env = "STINT_TRACE_MAX_SPANS", value_name = "N", default_value_t = 5000, value_parser = clap::value_parser!(u32).range(10..))]
    pub trace_max_spans: u32,
    /// Offer the API over HTTP, too, for kubectl; port 0 takes any free one.
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    pub http: Option<SocketAddr>,
    /// Users, their tokens, and what they may do over HTTP; read again when it changes [default:
    /// everybody may do everything].
    #[arg(long, value_name = "FILE", requires = "http")]
    pub http_access: Option<PathBuf>,
    /// Offer it over TLS: the certificate, and those above it (PEM).
    #[arg(long, value_name = "FILE", requires = "http_key")]
    pub http_cert: Option<PathBuf>,
    /// The certificate's key (PEM).
    #[arg(long, value_name = "FILE", requires = "http_cert")]
    pub http_key: Option<PathBuf>,
    /// Who signs the certificates by which clients are known (PEM).
    #[arg(long, value_name = "FILE", requires_all = ["http_cert", "http_access"])]
    pub http_client_ca: Option<PathBuf>,
    /// Records of ended pods that are kept, failures longest: what pods and results can be read
    /// from.
    #[arg(long, env = "STINT_KEEP_PODS", value_name = "N", default_value_t = 100_000)]
    pub keep_pods: usize,
    /// How long the last state of a deleted object is kept, for coordinators that were away.
    #[arg(long, env = "STINT_KEEP_DELETED", value_name = "SECONDS", default_value_t = 3600.0, value_parser = seconds)]
    pub keep_deleted: f64,
}

/// What a worker has to offer.
#[derive(Clone, Debug, Default, Args)]
pub struct MachineArgs {
    /// A directory of the machine that pods may see as hostPath volumes, with all that is below
    /// it. May be given several times.
    #[arg(long = "host-path", value_name = "DIR")]
    pub host_paths: Vec<PathBuf>,
    /// A label by which pods choose workers. May be given several times.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = checked(machine::label))]
    pub labels: Vec<String>,
    /// A taint, which keeps pods away that do not tolerate it: KEY[=VALUE]:NoSchedule. May be given
    /// several times.
    #[arg(long = "taint", value_name = "TAINT", value_parser = checked(machine::taint))]
    pub taints: Vec<String>,
    /// Devices that pods may ask for: NAME=COUNT or NAME=COUNT:VARIABLE, such as
    /// nvidia.com/gpu=2:CUDA_VISIBLE_DEVICES. May be given several times.
    #[arg(long = "resource", value_name = "DEVICES", value_parser = checked(machine::devices))]
    pub resources: Vec<String>,
    /// Memory that pods may ask for together [default: the machine's].
    #[arg(long, value_name = "QUANTITY", value_parser = checked(machine::bytes))]
    pub memory: Option<String>,
    /// Pods that run at a time, whatever they ask for [default: 110, or the CPUs if more].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub pods: Option<u64>,
    /// CPU that a pod takes up which does not say [default: 1].
    #[arg(long, value_name = "QUANTITY", value_parser = checked(machine::cpu))]
    pub default_request: Option<String>,
    /// Processes and threads that each container may have [default: not limited].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub pids: Option<u64>,
    /// Take pods with limits of CPU and memory also where these cannot be enforced.
    #[arg(long)]
    pub best_effort_limits: bool,
}

/// A parser that keeps the text, if it is what it should be.
fn checked<T>(
    read: impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static,
) -> impl Fn(&str) -> Result<String, String> + Clone + Send + Sync + 'static {
    move |text: &str| read(text).map(|_| text.to_owned())
}

impl MachineArgs {
    /// The same as arguments, for a worker that is started as a child.
    #[must_use]
    pub fn to_arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = Vec::new();
        let mut add = |flag: &str, value: OsString| arguments.extend([flag.into(), value]);
        self.host_paths.iter().for_each(|path| add("--host-path", path.into()));
        for (flag, values) in
            [("--label", &self.labels), ("--taint", &self.taints), ("--resource", &self.resources)]
        {
            values.iter().for_each(|value| add(flag, value.into()));
        }
        let numbers = [("--pods", self.pods), ("--pids", self.pids)];
        let numbers = numbers.map(|(flag, number)| (flag, number.map(|it| it.to_string())));
        let texts = [
            ("--memory", self.memory.clone()),
            ("--default-request", self.default_request.clone()),
        ];
        for (flag, value) in numbers.into_iter().chain(texts) {
            value.into_iter().for_each(|value| add(flag, value.into()));
        }
        if self.best_effort_limits {
            arguments.push("--best-effort-limits".into());
        }
        arguments
    }

    /// What it all means; every text was checked when it was typed.
    ///
    /// # Errors
    ///
    /// What is wrong, and where.
    pub fn machine(self) -> Result<Machine, String> {
        for path in &self.host_paths {
            // Pods would be told that it is not allowed, which helps nobody.
            std::fs::canonicalize(path)
                .map_err(|error| format!("--host-path {}: {error}", path.display()))?;
        }
        Ok(Machine {
            host_paths: self.host_paths,
            labels: self
                .labels
                .iter()
                .map(|text| machine::label(text))
                .collect::<Result<_, _>>()?,
            taints: self
                .taints
                .iter()
                .map(|text| machine::taint(text))
                .collect::<Result<_, _>>()?,
            devices: self
                .resources
                .iter()
                .map(|text| machine::devices(text))
                .collect::<Result<_, _>>()?,
            memory: self.memory.as_deref().map(machine::bytes).transpose()?,
            pods: self.pods,
            default_cpu_milli: self.default_request.as_deref().map(machine::cpu).transpose()?,
            best_effort_limits: self.best_effort_limits,
            pids: self.pids,
        })
    }
}

/// `stint worker`.
#[derive(Clone, Debug, Args)]
pub struct WorkerArgs {
    /// How to reach NATS.
    #[command(flatten)]
    pub nats: NatsArgs,
    /// Where identity and output files live [default: stint/worker in the user's data directory].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The worker's name [default: the host's name].
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// CPUs that pods may ask for together; one that asks for none takes one [default: the
    /// machine's].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub slots: Option<u32>,
    /// What it has to offer.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// Offer what this worker counts to Prometheus, at /metrics; port 0 takes any free one. Who
    /// reaches the address may read it.
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    pub metrics: Option<SocketAddr>,
    /// How long a lease lasts after a renewal.
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, value_parser = seconds)]
    pub lease_seconds: f64,
    /// How often it is renewed [default: a quarter of the lease].
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub renew_seconds: Option<f64>,
    /// How long after the lease's end the worker may be recorded as lost.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = seconds)]
    pub grace_seconds: f64,
    /// How long pods may take to end when the worker is asked to (SIGTERM), if their own grace
    /// periods are longer.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(0..=86_400))]
    pub shutdown_seconds: u32,
    /// Take the place of the worker that uses the data directory: it ends, its pods go on here.
    #[arg(long)]
    pub take_over: bool,
    /// Pods are processes of the worker itself, and end with it, instead of a supervisor's, which
    /// lets the worker be restarted and upgraded under them.
    #[arg(long, conflicts_with = "take_over")]
    pub no_supervisor: bool,
}

/// The hidden launcher.
#[derive(Clone, Debug, Args)]
pub struct LaunchArgs {
    /// The process whose death ends this one.
    #[arg(long, value_name = "PID")]
    pub parent: u32,
    /// Program and arguments.
    #[arg(last = true, required = true)]
    pub program: Vec<OsString>,
}

/// `127.0.0.1:4222`, `[::1]:4222`, `localhost:4222`.
fn address(text: &str) -> Result<SocketAddr, String> {
    let text = text.replacen("localhost:", "127.0.0.1:", 1);
    text.parse().map_err(|_| "must be ADDRESS:PORT, such as 127.0.0.1:4222".to_owned())
}

/// A time in seconds that makes sense for a lease.
fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "must be a number of seconds".to_owned())?;
    let sane = (0.05..=86_400.0).contains(&seconds);
    sane.then_some(seconds).ok_or_else(|| "must be between 0.05 and 86400".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_times_are_checked_when_typed() {
        assert_eq!(address("localhost:0"), Ok("127.0.0.1:0".parse().unwrap()));
        assert!(address("4222").is_err());
        assert_eq!(seconds("0.5"), Ok(0.5));
        assert!(seconds("NaN").is_err() && seconds("-1").is_err() && seconds("x").is_err());
    }
}
