//! Wiring: builds the runtime, the fence, the lease and the agent, owns shutdown.
//!
//! A worker lives several lives if it must: when its lease was lost, its pods are killed and a new
//! life begins.

mod machine;
mod signals;

use std::net::UdpSocket;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use stint_common::config::NatsConfig;
use stint_common::id::Incarnation;
use stint_common::nats::{self, Committer, ConnectError, Jet, PortError};
use stint_common::task;
use stint_common::time::now;
use stint_common::wire::{self, NodeWord, Offer, VERSION, WorkerLease, WorkerState};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::agent::{
    Agent, Ending, Fence, HelloError, Home, HomeError, Keeper, Orders, Settings, going_on,
    leave_untaken,
};
use crate::forward::Outlet;
use crate::launch::Host;
use crate::machine::Machine;
use crate::runtime::process::{self, ProcessRuntime};
use crate::runtime::{Runtime, RuntimeEvent};
use crate::supervisor::{self, SupervisedRuntime};

/// An agent that is told to hand over has ended within this time.
const HAND_OVER: Duration = Duration::from_secs(30);

/// What a worker is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// How to reach NATS.
    pub nats: NatsConfig,
    /// Where identity and output files live. Locked while the worker runs.
    pub data_dir: PathBuf,
    /// The worker's name; the host's name when absent.
    pub name: Option<String>,
    /// CPUs that its pods may ask for together; those of the machine when absent.
    pub slots: Option<u32>,
    /// What it is told of its machine.
    pub machine: Machine,
    /// How long a lease lasts after a renewal was sent.
    pub lease: Duration,
    /// How often it is renewed.
    pub renew: Duration,
    /// How long after the lease's end the worker may be recorded as lost.
    pub grace: Duration,
    /// At shutdown pods have so many seconds to end by themselves after TERM, if they ask for more.
    pub shutdown_seconds: u32,
    /// Pods are processes of a supervisor, and outlive this process; else they end with it.
    pub supervised: bool,
    /// Another agent that uses the data directory is told to hand its pods over.
    pub take_over: bool,
    /// Where pods' output goes besides the logs' stream.
    pub outlet: Option<Outlet>,
}

/// How a worker is told to stop.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// It stops its pods, and ends when their ends are written.
    pub shutdown: CancellationToken,
    /// It ends and leaves its pods to the next agent on the same data directory. Without a
    /// supervisor they end with it.
    pub hand_over: CancellationToken,
}

impl Stop {
    /// The same for one life of the worker.
    fn orders(&self) -> Orders {
        let (shutdown, hand_over) = (self.shutdown.clone(), self.hand_over.clone());
        Orders { shutdown, hand_over, lost: CancellationToken::new() }
    }
}

impl Config {
    /// The defaults of DESIGN: renewed every 15 s, lost after 60 s and a grace of 10 s.
    #[must_use]
    pub fn new(nats: NatsConfig, data_dir: PathBuf) -> Self {
        Self {
            nats,
            data_dir,
            name: None,
            slots: None,
            machine: Machine::default(),
            lease: Duration::from_secs(60),
            renew: Duration::from_secs(15),
            grace: Duration::from_secs(10),
            shutdown_seconds: 30,
            supervised: true,
            take_over: false,
            outlet: None,
        }
    }
}

/// Why a worker could not go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// JetStream could not be reached, or is not fit.
    #[error("connecting")]
    Connect(#[from] ConnectError),
    /// The data directory cannot be used.
    #[error("opening the data directory")]
    Home(#[from] HomeError),
    /// What pods leave behind has no place to lie in.
    #[error("making a directory for termination messages in the data directory")]
    Data(#[source] std::io::Error),
    /// The machine refuses what is needed to run pods.
    #[error("getting ready to run pods")]
    Runtime(#[from] process::OpenError),
    /// Signals cannot be handled.
    #[error("handling signals that are ignored")]
    Signals(#[source] std::io::Error),
    /// There is no supervisor to run pods.
    #[error("finding or starting the supervisor")]
    Supervisor(#[from] supervisor::FindError),
    /// The lease could not be taken.
    #[error("taking the lease")]
    Hello(#[from] HelloError),
    /// A subscription could not be made.
    #[error("subscribing")]
    Subscribe(#[source] PortError),
    /// A name that NATS subjects or Kubernetes cannot hold.
    #[error("`{name}` is not a worker's name: {why}; give another with --name")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// Where a runtime says what happens to its runs.
type Sink = mpsc::UnboundedSender<RuntimeEvent>;

/// Runs a worker until `shutdown` is cancelled. `ready` is cancelled once it takes pods.
///
/// # Errors
///
/// When JetStream cannot be reached at start, its server is too old, the data directory is in use,
/// or another live worker has the name.
pub async fn run(config: Config, ready: CancellationToken, stop: Stop) -> Result<(), ServeError> {
    let host_paths = config.machine.host_paths.clone();
    if config.supervised {
        let open = move |data_dir: PathBuf, life: Incarnation, sink: Sink| {
            let sink = move |event| drop(sink.send(event));
            let config = supervisor::Config { data_dir, life, host_paths: host_paths.clone() };
            SupervisedRuntime::open(&config, sink).map_err(ServeError::from)
        };
        return run_with(config, open, ready, stop).await;
    }
    signals::ignore_alone().map_err(ServeError::Signals)?;
    let open = move |data_dir: PathBuf, life: Incarnation, sink: Sink| {
        let sink = move |event| drop(sink.send(event));
        let host_paths = host_paths.clone();
        let config = process::Config { host_paths, ..process::Config::new(data_dir, life) };
        ProcessRuntime::open(config, sink).map_err(ServeError::from)
    };
    run_with(config, open, ready, stop).await
}

/// Runs a worker over another runtime: `open` makes one for each life.
///
/// # Errors
///
/// As [`run`].
pub async fn run_with<R: Runtime>(
    config: Config,
    open: impl Fn(PathBuf, Incarnation, Sink) -> Result<R, ServeError>,
    ready: CancellationToken,
    stop: Stop,
) -> Result<(), ServeError> {
    let take_over = config.take_over.then_some(HAND_OVER);
    let home = Home::open(&config.data_dir, take_over)?;
    let hostname = hostname();
    let name = config.name.clone().unwrap_or_else(|| hostname.to_ascii_lowercase());
    check_name(&name)?;
    let orders = stop.orders();
    let Some(connected) = orders.unless_told(nats::connect_at_start(&config.nats)).await else {
        let (sink, mut heard) = mpsc::unbounded_channel();
        let runtime = Arc::new(open(home.path.clone(), Incarnation::random(), sink)?);
        let left = going_on(&runtime.kept());
        let grace = Duration::from_secs(u64::from(config.shutdown_seconds));
        let ending = leave_untaken(&*runtime, left, &mut heard, &orders, grace).await;
        close(runtime, ending).await;
        return Ok(());
    };
    let (_, jet) = connected?;
    let host = Host::new(&name, &address(), "/", std::env::vars());
    let worker = Worker {
        objects: Committer::start(jet.clone(), jet.names.objects_stream()),
        jet,
        name,
        hostname,
        home: home.id,
        data_dir: home.path.clone(),
        slots: config.slots.unwrap_or_else(cpus).max(1),
        lease: config.lease,
        renew: config.renew,
        grace: config.grace,
        shutdown_seconds: config.shutdown_seconds,
        outlet: config.outlet,
        host,
        told: config.machine,
        machine: machine::look(address(), cpus()),
    };
    loop {
        // Events wait here unbounded in form only: there are three for each run, and runs are
        // bounded.
        let (sink, heard) = mpsc::unbounded_channel();
        let fresh = Incarnation::random();
        let runtime = Arc::new(open(home.path.clone(), fresh, sink)?);
        let me = runtime.life().unwrap_or(fresh);
        let fence = Fence::start(&runtime);
        let life = Life { me, runtime: Arc::clone(&runtime), fence, heard };
        let ending = worker.live(life, &ready, &stop).await?;
        close(runtime, ending).await;
        match ending {
            Ending::Shutdown | Ending::GaveUp | Ending::HandedOver => return Ok(()),
            Ending::Lost => tracing::warn!(worker = worker.name, "beginning a new life"),
        }
    }
}

/// Ends what ran the pods, unless they are another's now.
async fn close<R: Runtime>(runtime: Arc<R>, ending: Ending) {
    if ending == Ending::HandedOver {
        return;
    }
    // Waits for the ends of processes.
    let closed = tokio::task::spawn_blocking(move || runtime.close()).await;
    if let Err(error) = closed {
        tracing::error!(%error, "ending what ran the pods");
    }
}

/// What a worker is in all of its lives.
#[derive(Clone, Debug)]
pub struct Worker {
    /// The connection.
    pub jet: Jet,
    /// Writer of the objects' stream.
    pub objects: Committer,
    /// Its name.
    pub name: String,
    /// Its machine's host name.
    pub hostname: String,
    /// Identity of its data directory.
    pub home: Incarnation,
    /// Where what pods leave behind lies while they run.
    pub data_dir: PathBuf,
    /// How many pods run at a time.
    pub slots: u32,
    /// As [`Config::lease`].
    pub lease: Duration,
    /// As [`Config::renew`].
    pub renew: Duration,
    /// As [`Config::grace`].
    pub grace: Duration,
    /// As [`Config::shutdown_seconds`].
    pub shutdown_seconds: u32,
    /// As [`Config::outlet`].
    pub outlet: Option<Outlet>,
    /// What pods may learn of the machine.
    pub host: Host,
    /// What it is told of its machine.
    pub told: Machine,
    /// What others may learn of it.
    pub machine: wire::Machine,
}

/// What one life of a worker is made of.
pub struct Life<R: Runtime> {
    /// Drawn for this life.
    pub me: Incarnation,
    /// What the life before left was swept when it was opened.
    pub runtime: Arc<R>,
    /// Somebody looks at it.
    pub fence: Arc<Fence>,
    /// What the runtime says.
    pub heard: mpsc::UnboundedReceiver<RuntimeEvent>,
}

impl Worker {
    /// Lives from hello to the end of the lease or to `shutdown`. `ready` is cancelled once pods
    /// are taken.
    ///
    /// # Errors
    ///
    /// When the lease cannot be taken, or the connection is closed.
    pub async fn live<R: Runtime>(
        &self,
        life: Life<R>,
        ready: &CancellationToken,
        stop: &Stop,
    ) -> Result<Ending, ServeError> {
        let Life { me, runtime, fence, mut heard } = life;
        let orders = stop.orders();
        let (jet, objects) = (self.jet.clone(), self.objects.clone());
        let keeper = Keeper::new(jet.clone(), objects, Arc::clone(&fence), self.renew);
        let offer = self.told.offer(self.slots, &self.name, &runtime.abilities());
        let hello = keeper.hello(self.first_lease(me, offer.clone()), runtime.has_kept());
        let host = self.host.clone().with(offer.allocatable.clone(), self.told.pids);
        let devices = self.told.devices.clone();
        let settings = Settings {
            name: self.name.clone(),
            offer,
            devices,
            data_dir: self.data_dir.clone(),
            shutdown_seconds: self.shutdown_seconds,
            outlet: self.outlet.clone(),
        };
        let agent = Agent::new(settings, me, runtime, fence, jet, host);
        let mut agent = agent.map_err(ServeError::Data)?;
        let hello = match orders.unless_told(hello).await {
            None => return Ok(agent.leave_early(&mut heard, &orders).await),
            Some(Err(HelloError::Over)) => return Ok(Ending::Lost),
            Some(hello) => hello?,
        };
        let (over, lost) = (CancellationToken::new(), orders.lost.clone());
        let keeping = task::spawn(keep(keeper, hello, over.clone(), lost));
        ready.cancel();
        tracing::info!(worker = self.name, slots = self.slots, incarnation = %me, "taking pods");
        let ending = agent.run(heard, orders).await.map_err(ServeError::Subscribe)?;
        if ending != Ending::Shutdown {
            // Without goodbye: the chain goes on, or pods were left whose ends are not written.
            keeping.abort();
            return Ok(ending);
        }
        over.cancel();
        if let Err(error) = keeping.await {
            tracing::error!(%error, "the lease's keeper ended badly");
        }
        Ok(ending)
    }

    fn first_lease(&self, me: Incarnation, offer: Offer) -> WorkerLease {
        WorkerLease {
            v: VERSION,
            worker: self.name.clone(),
            incarnation: me,
            home: self.home,
            renewal: 0,
            state: WorkerState::Ready,
            slots: self.slots,
            offer: Some(offer),
            word: NodeWord::default(),
            hostname: self.hostname.clone(),
            started_at: now(),
            home_since: None,
            lease_ms: millis(self.lease),
            grace_ms: millis(self.grace),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            machine: Some(self.machine.clone()),
        }
    }
}

async fn keep(
    keeper: Keeper,
    hello: crate::agent::Hello,
    over: CancellationToken,
    lost: CancellationToken,
) {
    if keeper.keep(hello, over).await {
        lost.cancel();
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn cpus() -> u32 {
    std::thread::available_parallelism()
        .ok()
        .and_then(|cpus| u32::try_from(cpus.get()).ok())
        .unwrap_or(1)
}

fn hostname() -> String {
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}

/// This machine's address as others on its network see it. No packet is sent for this.
fn address() -> String {
    let probe = || {
        let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
        socket.connect("192.0.2.1:9").ok()?;
        Some(socket.local_addr().ok()?.ip().to_string())
    };
    probe().unwrap_or_else(|| "127.0.0.1".to_owned())
}

/// Kubernetes' node names are DNS subdomains.
fn check_name(name: &str) -> Result<(), ServeError> {
    let error = |why| ServeError::Name { name: name.to_owned(), why };
    if name.is_empty() || name.len() > 253 {
        return Err(error("it must have 1 to 253 characters"));
    }
    let label = |label: &str| {
        let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty()
            && label.bytes().all(inside)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.split('.').all(label) {
        return Ok(());
    }
    Err(error(
        "only lower case letters, digits, `-` and `.` may be in it, and each part begins and ends with a letter or digit",
    ))
}
