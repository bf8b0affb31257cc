//! A whole Stint of real processes on free ports in a temporary directory: nats-server,
//! coordinators, workers. Ended when dropped, whatever happens.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_nats::{Client, ConnectOptions};
use nix::sys::signal::Signal;
use stint::nats_server::find_or_fetch;
use tempfile::TempDir;

use crate::api::Api;
use crate::http::Http;
use crate::parts::{Dress, Keeper, Part, Program, tail};
use crate::relay::Relay;
use crate::wait::until;

/// The part that is nats-server.
pub const NATS: &str = "nats-server";
/// Starting takes no longer.
const START: Duration = Duration::from_secs(30);
/// Outside the range from which the kernel takes ports for outgoing connections: a server that is
/// restarted must find its port free.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
/// How much of each log a failed test shows.
const TAIL_LINES: usize = 15;

static SERVER: LazyLock<PathBuf> =
    LazyLock::new(|| find_or_fetch().expect("a nats-server is found or fetched").path);

/// What a world consists of.
#[derive(Clone, Debug)]
pub struct Shape {
    /// How many coordinators: `coordinator-0`…
    pub coordinators: usize,
    /// How many workers: `worker-0`…
    pub workers: usize,
    /// How many pods each worker runs at a time.
    pub slots: u32,
    /// Lease, renewal and grace of the workers, in seconds.
    pub lease: (f64, f64, f64),
    /// `--keep-pods` of the coordinators.
    pub keep_pods: Option<u32>,
    /// `--keep-deleted` of the coordinators, in seconds.
    pub keep_deleted: Option<f64>,
    /// `max_payload` of nats-server, in bytes.
    pub max_payload: Option<u32>,
    /// `sync_interval: always` of nats-server.
    pub sync_always: bool,
    /// `max_file_store` of nats-server, in bytes.
    pub max_store: Option<u64>,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            coordinators: 1,
            workers: 1,
            slots: 8,
            lease: (60.0, 15.0, 10.0),
            keep_pods: None,
            keep_deleted: None,
            max_payload: None,
            sync_always: false,
            max_store: None,
        }
    }
}

/// The processes, and a connection.
#[derive(Debug)]
pub struct World {
    parts: Mutex<BTreeMap<String, Part>>,
    dresses: Mutex<BTreeMap<String, Dress>>,
    keeper: Keeper,
    client: Client,
    stint: PathBuf,
    port: u16,
    shape: Shape,
    dir: TempDir,
}

impl World {
    /// Starts everything; returns when the API answers and all workers have said hello.
    ///
    /// # Panics
    ///
    /// When something does not start.
    pub async fn start(stint: &str, shape: Shape) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let keeper = Keeper::start();
        let (port, server) = start_server(&keeper, Path::new(stint), dir.path(), &shape).await;
        let client = connect(port).await;
        let parts = Mutex::new(BTreeMap::from([(NATS.to_owned(), server)]));
        let stint = PathBuf::from(stint);
        let dresses = Mutex::default();
        let world = Self { parts, dresses, keeper, client, stint, port, shape, dir };
        for part in world.roles() {
            world.play(&part);
            if part == "coordinator-0" {
                // The streams are its to make.
                world.await_api().await;
            }
        }
        world.await_workers().await;
        world
    }

    /// The world that tests of one program share while any of them runs.
    pub async fn shared(stint: &str) -> Arc<Self> {
        static SHARED: Mutex<Weak<World>> = Mutex::new(Weak::new());
        static STARTING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
        let _one_at_a_time = STARTING.lock().await;
        let there = SHARED.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        if let Some(world) = there {
            return world;
        }
        let shape = Shape { slots: 32, ..Shape::default() };
        let world = Arc::new(Self::start(stint, shape).await);
        *SHARED.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&world);
        world
    }

    fn roles(&self) -> Vec<String> {
        let coordinators = (0..self.shape.coordinators).map(|n| format!("coordinator-{n}"));
        coordinators.chain((0..self.shape.workers).map(|n| format!("worker-{n}"))).collect()
    }

    /// The address of nats-server.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// A network of its own to nats-server, for parts that are started with its address
    /// (`--nats`).
    pub async fn network(&self) -> Relay {
        Relay::start(self.port).await
    }

    /// A new connection, which lives in the runtime of whoever asks for it.
    pub async fn connect(&self) -> Client {
        connect(self.port).await
    }

    /// The connection of the test that started this world: of no use to others that share it.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The temporary directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The API as seen from a namespace of this test's own.
    #[must_use]
    pub fn api(&self, namespace: &str) -> Api {
        Api { client: self.client.clone(), namespace: namespace.to_owned() }
    }

    /// The API over HTTP, as a coordinator said when it was started last.
    ///
    /// # Panics
    ///
    /// When it has not said so.
    #[must_use]
    pub fn http(&self, coordinator: &str) -> Http {
        let log = self.log(coordinator);
        let said = log.lines().rev().find_map(|line| line.strip_prefix("STINT_HTTP=http://"));
        Http { address: said.expect("a coordinator says where it listens").to_owned() }
    }

    /// Starts one more coordinator, with arguments of its own; returns where it offers the API.
    ///
    /// # Panics
    ///
    /// When it runs already, or does not become ready.
    pub async fn offer(&self, part: &str, arguments: &[&str]) -> String {
        let own = ["coordinator", "--nats", &self.url()].map(str::to_owned);
        let more = arguments.iter().map(|argument| (*argument).to_owned());
        let program = self.run_stint(part, own.into_iter().chain(more));
        let before = {
            let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
            parts.insert(part.to_owned(), self.keeper.run(program))
        };
        assert!(before.is_none(), "{part} runs already");
        until(&format!("{part} is ready"), START, || {
            let said = self.log(part);
            async move { said.lines().any(|line| line == "ready").then_some(()) }
        })
        .await;
        let log = self.log(part);
        let said = log.lines().rev().find_map(|line| line.strip_prefix("STINT_HTTP="));
        said.expect("a coordinator says where it listens").to_owned()
    }

    /// From its next start on a part is started so.
    pub fn dress(&self, part: &str, dress: Dress) {
        let mut dresses = self.dresses.lock().unwrap_or_else(PoisonError::into_inner);
        dresses.insert(part.to_owned(), dress);
    }

    fn dress_of(&self, part: &str) -> Dress {
        let dresses = self.dresses.lock().unwrap_or_else(PoisonError::into_inner);
        dresses.get(part).cloned().unwrap_or_default()
    }

    fn run_stint(&self, part: &str, arguments: impl Iterator<Item = String>) -> Program {
        Program {
            launcher: self.stint.clone(),
            program: self.stint.clone(),
            arguments: arguments.map(Into::into).collect(),
            log: self.dir.path().join(format!("{part}.log")),
            dress: self.dress_of(part),
        }
    }

    /// Starts a part (again), on the same data.
    ///
    /// # Panics
    ///
    /// When it runs already, or there is no such part.
    pub fn play(&self, part: &str) {
        self.play_with(part, &[]);
    }

    /// Starts a part with further arguments; a worker may be called as one likes.
    ///
    /// # Panics
    ///
    /// When it runs already, or there is no such part.
    pub fn play_with(&self, part: &str, arguments: &[&str]) {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let program = match part {
            NATS => {
                let program = server_program(&self.stint, self.dir.path());
                Program { dress: self.dress_of(NATS), ..program }
            }
            _ => self.program(part, arguments),
        };
        let before = parts.insert(part.to_owned(), self.keeper.run(program));
        assert!(before.is_none(), "{part} runs already");
    }

    /// `kill -9`.
    ///
    /// # Panics
    ///
    /// When there is no such part.
    pub fn kill(&self, part: &str) {
        self.take(part).kill();
    }

    /// The supervisor of a worker's pods, while there is one.
    #[must_use]
    pub fn supervisor(&self, part: &str) -> Option<i32> {
        supervisor_in(&self.dir.path().join(part))
    }

    /// `kill -9` for a worker's agent and its supervisor at the same time.
    ///
    /// # Panics
    ///
    /// When there is no such part.
    pub fn kill_with_supervisor(&self, part: &str) {
        let supervisor = self.supervisor(part);
        self.kill(part);
        if let Some(pid) = supervisor {
            crate::proc::signal(pid, Signal::SIGKILL);
        }
    }

    /// Takes a part out of the world's hands.
    ///
    /// # Panics
    ///
    /// When there is no such part.
    pub fn take(&self, part: &str) -> Part {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.remove(part).unwrap_or_else(|| panic!("{part} does not run"))
    }

    /// Sends a part a signal.
    ///
    /// # Panics
    ///
    /// When there is no such part.
    pub fn signal(&self, part: &str, signal: Signal) {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.get(part).unwrap_or_else(|| panic!("{part} does not run")).signal(signal);
    }

    /// What a part has said, from its first start on.
    #[must_use]
    pub fn log(&self, part: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(format!("{part}.log"))).unwrap_or_default()
    }

    /// Parts that have ended by themselves.
    #[must_use]
    pub fn ended_by_themselves(&self) -> Vec<String> {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = parts.iter_mut().filter_map(|(name, part)| Some((name, part.ended()?)));
        ended.map(|(name, status)| format!("{name}: {status}")).collect()
    }

    /// Waits until the API answers.
    pub async fn await_api(&self) {
        let api = self.api("default");
        until("the API answers", START, || async {
            let body = bytes::Bytes::new();
            let answer = api.raw("stint.v1.default.jobs.list".to_owned(), &[], body).await;
            answer.is_ok_and(|answer| crate::api::read(&answer).code.is_none()).then_some(())
        })
        .await;
    }

    /// Waits until every worker has said that it takes pods.
    pub async fn await_workers(&self) {
        let parts: Vec<String> = {
            let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
            parts.keys().filter(|part| part.starts_with("worker-")).cloned().collect()
        };
        for part in parts {
            until(&format!("{part} is ready"), START, || {
                let said = self.log(&part);
                async move { said.lines().any(|line| line == "ready").then_some(()) }
            })
            .await;
        }
    }

    fn program(&self, part: &str, further: &[&str]) -> Program {
        let role = part.split('-').next().unwrap_or(part);
        let mut arguments = vec![role.to_owned()];
        if !further.contains(&"--nats") {
            arguments.extend(["--nats".to_owned(), self.url()]);
        }
        if role == "coordinator" {
            arguments.extend(["--http".to_owned(), "127.0.0.1:0".to_owned()]);
            let keep = self.shape.keep_pods.map(|keep| ("--keep-pods", keep.to_string()));
            let deleted = self.shape.keep_deleted.map(|keep| ("--keep-deleted", keep.to_string()));
            for (flag, value) in keep.into_iter().chain(deleted) {
                arguments.extend([flag.to_owned(), value]);
            }
        }
        if role == "worker" {
            let (lease, renew, grace) = self.shape.lease;
            let host_path = self.dir.path().join("host");
            std::fs::create_dir_all(&host_path).expect("a directory can be made");
            let flags = [
                ("--data", self.dir.path().join(part).display().to_string()),
                ("--name", part.to_owned()),
                ("--host-path", host_path.display().to_string()),
                ("--slots", self.shape.slots.to_string()),
                ("--lease-seconds", lease.to_string()),
                ("--renew-seconds", renew.to_string()),
                ("--grace-seconds", grace.to_string()),
            ];
            for (flag, value) in flags {
                if !further.contains(&flag) {
                    arguments.extend([flag.to_owned(), value]);
                }
            }
        }
        arguments.extend(further.iter().map(ToString::to_string));
        self.run_stint(part, arguments.into_iter())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let parts = self.parts.get_mut().unwrap_or_else(PoisonError::into_inner);
            for part in parts.keys() {
                let log = tail(&self.dir.path().join(format!("{part}.log")), TAIL_LINES);
                eprintln!("--- {part}\n{log}");
            }
        }
        let parts = self.parts.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Workers first: what they run ends with them while their servers still stand.
        while let Some((_, part)) = parts.pop_last() {
            drop(part);
        }
        // Supervisors outlive their agents.
        let inside = std::fs::read_dir(self.dir.path()).into_iter().flatten().flatten();
        for pid in inside.filter_map(|entry| supervisor_in(&entry.path())) {
            crate::proc::signal(pid, Signal::SIGKILL);
        }
    }
}

/// The process that holds the supervisor's lock in a worker's data directory.
fn supervisor_in(data: &Path) -> Option<i32> {
    let lock = std::fs::File::open(data.join("supervisor.lock")).ok()?;
    if lock.try_lock_shared().is_ok() {
        return None;
    }
    crate::proc::pid_in(&data.join("supervisor.lock"))
}

/// A connection that comes back by itself.
async fn connect(port: u16) -> Client {
    ConnectOptions::new()
        .reconnect_delay_callback(|_| Duration::from_millis(50))
        .request_timeout(Some(Duration::from_secs(10)))
        .connect(format!("nats://127.0.0.1:{port}"))
        .await
        .expect("the server answers")
}

fn server_program(stint: &Path, dir: &Path) -> Program {
    Program {
        launcher: stint.to_owned(),
        program: SERVER.clone(),
        arguments: vec!["--config".into(), dir.join("nats.conf").into()],
        log: dir.join(format!("{NATS}.log")),
        dress: Dress::default(),
    }
}

/// Starts nats-server on a free port; another one when somebody was faster.
async fn start_server(keeper: &Keeper, stint: &Path, dir: &Path, shape: &Shape) -> (u16, Part) {
    let payload = shape.max_payload.map_or_else(String::new, |max| format!("max_payload: {max}\n"));
    let sync = if shape.sync_always { ", sync_interval: always" } else { "" };
    let store = shape.max_store.map_or_else(String::new, |max| format!(", max_file_store: {max}"));
    loop {
        let port = free_port();
        let config = format!(
            "listen: 127.0.0.1:{port}\nserver_name: \"test-{port}-{}\"\n\
             {payload}jetstream {{ store_dir: \"{}\"{sync}{store} }}\n",
            std::process::id(),
            dir.join("jetstream").display()
        );
        std::fs::write(dir.join("nats.conf"), config).expect("the directory can be written to");
        let mut server = keeper.run(server_program(stint, dir));
        let outcome = until("nats-server answers", START, || {
            let ended = server.ended();
            async move {
                if ended.is_some() {
                    return Some(false);
                }
                let connected =
                    async_nats::connect(format!("nats://127.0.0.1:{port}")).await.ok()?;
                let ours = format!("test-{port}-{}", std::process::id());
                (connected.server_info().server_name == ours).then_some(true)
            }
        });
        if outcome.await {
            return (port, server);
        }
    }
}

fn free_port() -> u16 {
    let start = u16::try_from(uuid::Uuid::new_v4().as_u128() % u128::from(PORTS.end - PORTS.start));
    let start = PORTS.start + start.unwrap_or(0);
    (start..PORTS.end)
        .chain(PORTS)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("some port is free")
}
