//! A whole Stint on one machine: nats-server, coordinator and workers as children of this process.
//!
//! ```text
//! Dev ── Supervised "nats-server"   ready when its port greets with our server name
//!     ├─ Supervised "coordinator"   `stint coordinator`, ready when it prints `ready`
//!     └─ Supervised "worker"…       `stint worker`, likewise
//! ```
//!
//! A child that dies is started again with back-off; all die with this process, however it dies. It
//! does not print anything for the user: `command::dev` does.

mod child;
mod data_dir;
mod nats;
mod supervise;

use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::nats_server::NatsServer;
pub use child::StartError;
use child::{Output, Program, Ready};
use data_dir::DataDir;
pub use data_dir::LockError;
use supervise::Supervised;

/// Where `kubectl` is told to ask.
pub const HTTP_PORT: u16 = 8230;
/// What pods have of their grace periods when it ends: somebody waits at a terminal.
const SHUTDOWN_SECONDS: &str = "5";
/// Workers stop their pods within their grace periods; past this they are killed.
const WORKER_LIMIT: Duration = Duration::from_secs(40);
/// A coordinator only has to finish what is on its way.
const COORDINATOR_LIMIT: Duration = Duration::from_secs(10);
/// The server writes out what JetStream holds in memory.
const NATS_LIMIT: Duration = Duration::from_secs(20);

/// What is to be started.
#[derive(Clone, Debug)]
pub struct Options {
    /// The `stint` program: launcher, coordinator and worker.
    pub stint: PathBuf,
    /// The server to start.
    pub server: NatsServer,
    /// Where everything is kept; a second start goes on from there.
    pub data: PathBuf,
    /// Where the server listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the API is offered over HTTP; port 0 takes a free one, `None` the usual one, or if
    /// that is taken a free one.
    pub http: Option<SocketAddr>,
    /// How many workers.
    pub workers: u32,
    /// Slots of each worker; the number of CPUs when absent.
    pub slots: Option<u32>,
    /// Further arguments of each worker.
    pub worker_arguments: Vec<OsString>,
    /// Whether every acknowledged write is on disk.
    pub sync_always: bool,
    /// Arguments for coordinator and workers alike (`--log …`).
    pub arguments: Vec<OsString>,
    /// Where the children's own logs go: this process's standard error, or files in the data
    /// directory.
    pub logs_to_files: bool,
}

/// Why it could not be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data directory cannot be used, or is in use.
    #[error("using the data directory {path}")]
    DataDir {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: LockError,
    },
    /// A file of ours in it cannot be written.
    #[error("writing {path}")]
    Write {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Somebody else listens there.
    #[error("listening on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A child did not become ready.
    #[error("starting {name}")]
    Start {
        /// Which child.
        name: String,
        /// Why.
        #[source]
        source: StartError,
    },
}

/// A running Stint. Dropping it kills everything; [`Dev::stop`] is the orderly way.
#[derive(Debug)]
pub struct Dev {
    url: String,
    http: SocketAddr,
    workers: Vec<Supervised>,
    coordinator: Supervised,
    nats: Supervised,
    // Last, so that the lock goes when nobody uses the directory any more.
    data: DataDir,
}

impl Dev {
    /// Starts everything and returns when it is ready to take Jobs.
    ///
    /// # Errors
    ///
    /// When the data directory or the address is in use, or a child does not become ready.
    pub async fn start(options: &Options) -> Result<Self, Error> {
        let in_data_dir = |source| Error::DataDir { path: options.data.clone(), source };
        let mut data = DataDir::lock(&options.data).map_err(in_data_dir)?;
        data.wait_for_leftovers().await.map_err(in_data_dir)?;
        let (nats, address) = nats::start(options, &data).await?;
        let url = format!("nats://{address}");
        data.note_url(&url).map_err(in_data_dir)?;
        let (coordinator, http) = coordinator(options, &data, &url).await?;
        let mut workers = Vec::new();
        for number in 1..=options.workers {
            workers.push(start(worker(options, &data, &url, number)).await?);
        }
        Ok(Self { url, http, workers, coordinator, nats, data })
    }

    /// What `NATS_URL` is to be set to.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where the API is offered over HTTP.
    #[must_use]
    pub fn http(&self) -> String {
        format!("http://{}", self.http)
    }

    /// Stops everything in order: workers end their pods while NATS can still take in the ends.
    pub async fn stop(self) {
        let mut stopping = tokio::task::JoinSet::new();
        for worker in self.workers {
            stopping.spawn(worker.stop(WORKER_LIMIT));
        }
        stopping.join_all().await;
        self.coordinator.stop(COORDINATOR_LIMIT).await;
        self.nats.stop(NATS_LIMIT).await;
        drop(self.data);
    }
}

/// Starts the coordinator and returns it with the address at which it answers.
async fn coordinator(
    options: &Options,
    data: &DataDir,
    url: &str,
) -> Result<(Supervised, SocketAddr), Error> {
    let any = options.http.is_none_or(|address| address.port() == 0);
    let mut attempt = 1;
    loop {
        let http = http_address(options.http)?;
        let offer = http.to_string();
        let arguments = ["coordinator", "--nats", url, "--http", &offer];
        match start(role(options, data, &arguments)).await {
            Ok(coordinator) => return Ok((coordinator, http)),
            // Somebody else was quicker: another `stint dev`, say.
            Err(Error::Start { source: StartError::Ended { .. }, .. })
                if any && attempt < nats::PORT_ATTEMPTS && nats::claim(http).is_err() =>
            {
                attempt += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Finds out that the address is free, and which port it is: a coordinator that is started again
/// must be where it was.
fn http_address(wanted: Option<SocketAddr>) -> Result<SocketAddr, Error> {
    let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, HTTP_PORT));
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    match wanted {
        Some(address) => nats::claim(address),
        None => nats::claim(usual).or_else(|_| nats::claim(any)),
    }
}

async fn start(program: Program) -> Result<Supervised, Error> {
    let name = program.name.clone();
    Supervised::start(program).await.map_err(|source| Error::Start { name, source })
}

/// A child that is this program in another role.
fn role(options: &Options, data: &DataDir, arguments: &[&str]) -> Program {
    let name = arguments[0].to_owned();
    let mut arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
    arguments.extend(options.arguments.iter().cloned());
    let output = output(options, data, &name);
    let program = options.stint.clone();
    Program {
        name,
        launcher: options.stint.clone(),
        program,
        arguments,
        ready: Ready::Line,
        output,
    }
}

fn worker(options: &Options, data: &DataDir, url: &str, number: u32) -> Program {
    let mut program = role(options, data, &["worker", "--nats", url]);
    let name = format!("worker-{number}");
    program.arguments.extend(["--name".into(), format!("dev-{number}").into()]);
    program.arguments.extend(["--shutdown-seconds".into(), SHUTDOWN_SECONDS.into()]);
    program.arguments.extend(["--data".into(), data.path().join(&name).into_os_string()]);
    if let Some(slots) = options.slots {
        program.arguments.extend(["--slots".into(), slots.to_string().into()]);
    }
    program.arguments.extend(options.worker_arguments.iter().cloned());
    // What `stint dev` starts ends with it, however it ends.
    program.arguments.push("--no-supervisor".into());
    program.output = output(options, data, &name);
    Program { name, ..program }
}

fn output(options: &Options, data: &DataDir, name: &str) -> Output {
    if options.logs_to_files {
        Output::File(data.path().join(format!("{name}.log")))
    } else {
        Output::Inherit
    }
}
