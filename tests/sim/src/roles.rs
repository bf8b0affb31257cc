//! Coordinators and workers: production code as simulated processes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stint_common::id::{Incarnation, draw};
use stint_common::names::Names;
use stint_common::nats::{Committer, Jet, SetUpError};
use stint_coordinator::control::Keep;
use stint_coordinator::registry::Registry;
use stint_coordinator::{control, serve};
use stint_worker::agent::{Ending, Fence, LOOK};
use stint_worker::launch::Host;
use stint_worker::machine::Machine as Told;
use stint_worker::serve::{Life, Stop, Worker};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::jetstream::LinkId;
use super::machine::Machine;
use super::net::{Net, SimPort};
use super::process::Process;
use super::truth::SharedTruth;

/// The lease of simulated workers: long enough for every usual delay, short enough for short runs.
pub const LEASE: Duration = Duration::from_secs(6);
/// How long a template may be without its Job.
pub const STRAYS: Duration = Duration::from_secs(60);
/// Claims are asked about while many pods still run: their workers know them, and say nothing.
pub const CLAIMS: Duration = Duration::from_secs(2);
const RENEW: Duration = Duration::from_millis(1500);
/// What a worker is given beyond its lease.
pub const GRACE: Duration = Duration::from_secs(1);

fn jet(port: SimPort) -> Jet {
    let reconnects = port.reconnects();
    Jet::new(Arc::new(port), Names::default(), true, reconnects)
}

async fn assemble(jet: Jet, keep: Keep) -> Result<(Registry, control::Shared), SetUpError> {
    let owns = watch::Sender::new(false);
    serve::assemble(jet, 1, keep, None, owns).await
}

/// A process and its connection.
#[derive(Clone)]
pub struct Role {
    /// The process.
    pub process: Process,
    /// Its connection.
    pub link: LinkId,
    /// Ends it in order.
    pub shutdown: CancellationToken,
}

impl Role {
    fn new(net: &Net, process: Process) -> (Self, Jet) {
        let port = net.connect();
        let role = Self { process, link: port.link(), shutdown: CancellationToken::new() };
        let (net, link) = (net.clone(), role.link);
        role.process.at_death(move || net.close(link));
        let jet = jet(port);
        (role, jet)
    }
}

/// A coordinator.
#[derive(Clone)]
pub struct Coordinator {
    /// Its process.
    pub role: Role,
    registry: Arc<Mutex<Option<Arc<Registry>>>>,
}

impl Coordinator {
    /// Starts one.
    #[must_use]
    pub fn start(net: &Net, process: Process, keep: Keep) -> Self {
        let (role, jet) = Role::new(net, process);
        let registry = Arc::default();
        let coordinator = Self { role, registry };
        coordinator.role.process.run(coordinator.clone().serve(jet, keep));
        coordinator
    }

    async fn serve(self, jet: Jet, keep: Keep) {
        // One that cannot begin is started again by what looks after it.
        if let Ok((registry, shared)) = assemble(jet, keep).await {
            *self.registry.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(Arc::new(registry));
            control::run(shared, self.role.shutdown.clone()).await;
        }
        self.role.process.kill();
    }

    /// What answers requests, if it does.
    #[must_use]
    pub fn registry(&self) -> Option<Arc<Registry>> {
        let answers = self.role.process.lives() && !self.role.shutdown.is_cancelled();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner).clone();
        registry.filter(|_| answers)
    }
}

/// What stays of a worker when its process ends.
#[derive(Clone)]
pub struct Home {
    /// Its name.
    pub name: String,
    /// Identity of its data directory.
    pub id: Incarnation,
    /// How many pods run at a time.
    pub slots: u32,
    /// Decides what its pods do.
    pub seed: u64,
    /// What pods can ask of it.
    pub labels: BTreeMap<String, String>,
}

/// A worker.
#[derive(Clone)]
pub struct Agent {
    /// Its process.
    pub role: Role,
    machine: Arc<Mutex<Option<Machine>>>,
}

impl Agent {
    /// Starts one.
    #[must_use]
    pub fn start(net: &Net, process: Process, home: Home, truth: SharedTruth) -> Self {
        let (role, jet) = Role::new(net, process);
        let agent = Self { role, machine: Arc::default() };
        let machine = agent.machine.clone();
        agent.role.process.at_death(move || {
            let machine = machine.lock().unwrap_or_else(PoisonError::into_inner).take();
            machine.iter().for_each(Machine::die);
        });
        agent.role.process.run(agent.clone().serve(jet, home, truth));
        agent
    }

    async fn serve(self, jet: Jet, home: Home, truth: SharedTruth) {
        // Nothing is ever left in it: no process of this world is real.
        let dir = directory().expect("a directory can be made");
        let worker = Worker {
            objects: Committer::start(jet.clone(), jet.names.objects_stream()),
            host: Host::new(&home.name, "127.0.0.1", "/", []),
            jet,
            hostname: home.name.clone(),
            name: home.name.clone(),
            home: home.id,
            data_dir: dir.path().to_owned(),
            slots: home.slots,
            lease: LEASE,
            renew: RENEW,
            grace: GRACE,
            shutdown_seconds: 5,
            outlet: None,
            told: Told { memory: Some(1 << 30), labels: home.labels.clone(), ..Told::default() },
            machine: stint_common::wire::Machine::default(),
        };
        loop {
            let me = Incarnation(draw());
            let (sink, heard) = mpsc::unbounded_channel();
            let process = self.role.process.clone();
            let machine = Machine::start(me, home.seed, process.clone(), truth.clone(), sink);
            let before = self.take_machine(Some(machine.clone()));
            before.iter().for_each(Machine::die);
            let fence = Fence::closed();
            process.run(keep(fence.clone(), machine.clone()));
            let life = Life { me, runtime: Arc::new(machine), fence, heard };
            let ready = CancellationToken::new();
            let shutdown = self.role.shutdown.clone();
            let stop = Stop { shutdown, ..Stop::default() };
            match worker.live(life, &ready, &stop).await {
                Ok(Ending::Lost) => {}
                Ok(Ending::Shutdown | Ending::GaveUp | Ending::HandedOver) | Err(_) => break,
            }
        }
        self.role.process.kill();
    }

    fn take_machine(&self, next: Option<Machine>) -> Option<Machine> {
        let mut machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut machine, next)
    }

    /// The machine that its pods run on now.
    #[must_use]
    pub fn machine(&self) -> Option<Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A directory in memory, where there is such: to make and remove one on a disk takes a twentieth
/// of a seed's time.
fn directory() -> std::io::Result<tempfile::TempDir> {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())
}

/// The fence's thread. It goes on while the agent's tasks are slow, and stops with the process.
async fn keep(fence: Arc<Fence>, machine: Machine) {
    loop {
        fence.look(&machine);
        machine.check_fence(fence.is_open());
        tokio::time::sleep(LOOK).await;
    }
}
