//! Arguments of the long-running roles.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

/// How a server role reaches NATS.
#[derive(Clone, Debug, Args)]
pub struct NatsArgs {
    /// NATS servers, comma separated [also NATS_URL; default: nats://127.0.0.1:4222].
    #[arg(long, env = "STINT_NATS_URL", value_name = "URL")]
    pub nats: Option<String>,
    /// What `NATS_URL` says; a place for it, so that the environment is read here only.
    #[arg(long, env = "NATS_URL", hide = true)]
    pub nats_url: Option<String>,
    /// Credentials file (JWT and nkey).
    #[arg(long, env = "NATS_CREDS", value_name = "FILE")]
    pub creds: Option<PathBuf>,
}

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
    /// Pods that each worker runs at a time [default: number of CPUs].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub slots: Option<u32>,
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
    /// How long the last state of a deleted Job is kept, for coordinators that were away.
    #[arg(long, env = "STINT_KEEP_DELETED", value_name = "SECONDS", default_value_t = 3600.0, value_parser = seconds)]
    pub keep_deleted: f64,
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
    /// Pods that run at a time [default: number of CPUs].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub slots: Option<u32>,
    /// How long a lease lasts after a renewal.
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, value_parser = seconds)]
    pub lease_seconds: f64,
    /// How often it is renewed [default: a quarter of the lease].
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub renew_seconds: Option<f64>,
    /// How long after the lease's end the worker may be recorded as lost.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = seconds)]
    pub grace_seconds: f64,
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
