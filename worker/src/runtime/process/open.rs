//! Opening and closing the runtime, and its face to the agent.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, channel, sync_channel};
use std::sync::{Arc, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::Signal;
use stint_common::id::Incarnation;

use super::cgroup::{Cgroups, Controller};
use super::pods::Pods;
use super::reaper::Reaper;
use super::registry::{Chore, Registry, Run};
use super::shared::{Parts, Shared};
use super::sweep::{Stuck, sweep};
use super::table::{Life, Table};
use super::{freeze, launcher, limits, main_thread, proc, rights, spawner};
use crate::launch::LaunchSpec;
use crate::runtime::{Abilities, EventSink, RunId, Runtime, RuntimeEvent, StartError};

/// What an earlier life left is gone within this time, or is stuck in the kernel.
const SWEEP_WITHIN: Duration = Duration::from_secs(60);
/// An earlier runtime of this program gives the main thread back within this time.
const MAIN_WITHIN: Duration = Duration::from_secs(60);
/// A watchdog says that it watches within this time.
const WATCHDOG_WITHIN: Duration = Duration::from_secs(10);
/// Closing waits so long for processes to go.
const CLOSE_WITHIN: Duration = Duration::from_secs(10);

/// Pods that are over and not cleared away yet: more than a worker runs at a time.
const CLEARING: usize = 16_384;

/// Volumes whose size no file system limits are measured this often.
const LOOK_AT_PODS: Duration = Duration::from_secs(2);
/// But no more than this part of the time is spent on it.
const LOOK_SHARE: u32 = 10;

/// How the runtime is opened.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where output files live; absolute. It belongs to one worker, which holds a lock on it.
    pub data_dir: PathBuf,
    /// This life of the worker.
    pub life: Incarnation,
    /// Threads that spawn. While one waits for the kernel to load a program, another can go on.
    pub spawners: usize,
    /// Starts that may wait for a spawner.
    pub queue: usize,
    /// Directories of the machine that pods may see as `hostPath` volumes, with all that is below.
    pub host_paths: Vec<PathBuf>,
    /// The process that this one runs pods for, if it is another.
    pub agent: Option<i32>,
    /// What is run as watchdog and as launcher. `None` leaves the worker unwatched, and unable to
    /// run containers that need a launcher: for tests and measurements.
    pub watchdog: Option<WatchdogCommand>,
}

impl Config {
    /// What is best for most machines.
    #[must_use]
    pub fn new(data_dir: PathBuf, life: Incarnation) -> Self {
        let watchdog = Some(WatchdogCommand::this_program());
        let (host_paths, agent) = (Vec::new(), None);
        Self { data_dir, life, spawners: 2, queue: 4096, host_paths, agent, watchdog }
    }
}

/// A program that calls [`watchdog::main`](super::watchdog::main) or
/// [`launcher::main`] when its arguments say so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchdogCommand {
    /// The program.
    pub program: PathBuf,
    /// Arguments before the subcommand.
    pub args: Vec<String>,
}

impl WatchdogCommand {
    /// This very program: the file that is executed now, even if an upgrade has replaced it on
    /// disk.
    #[must_use]
    pub fn this_program() -> Self {
        Self { program: PathBuf::from("/proc/self/exe"), args: Vec::new() }
    }
}

/// Why the runtime cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The system refused something.
    #[error("{what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Processes of an earlier life do not go.
    #[error("sweeping what an earlier life of this worker left")]
    Sweep(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The program did not lend its main thread.
    #[error("the process runtime needs the main thread: call `with_main_thread` in `main`")]
    MainThread,
    /// An earlier runtime of this program is not closed.
    #[error("an earlier process runtime of this program is still open")]
    Busy,
    /// The watchdog does not start.
    #[error("the watchdog does not start")]
    Watchdog,
}

impl From<Stuck> for OpenError {
    fn from(stuck: Stuck) -> Self {
        Self::Sweep(Box::new(stuck))
    }
}

/// Runs containers as host processes.
pub struct ProcessRuntime {
    shared: Arc<Shared>,
    clearing: SyncSender<Arc<str>>,
}

impl ProcessRuntime {
    /// Kills what an earlier life left in `data_dir`, and starts the threads. Blocks for a few
    /// milliseconds; for longer only if there is something to be killed.
    ///
    /// # Errors
    ///
    /// When something of an earlier life cannot be killed, or the system refuses files, threads or
    /// a watchdog.
    pub fn open(config: Config, sink: impl EventSink) -> Result<Self, OpenError> {
        let system = |what| move |source: io::Error| OpenError::System { what, source };
        limits::keep_files_to_ourselves();
        set_child_subreaper(true).map_err(|errno| system("becoming a subreaper")(errno.into()))?;
        if let Some(earlier) = Life::read(&config.data_dir) {
            let killed = sweep(&earlier, SWEEP_WITHIN)?;
            if killed > 0 {
                tracing::warn!(killed, "killed processes that an earlier life of this worker left");
            }
        }
        let pods = Arc::new(Pods::new(&config.data_dir, &config.host_paths));
        pods.sweep();
        let cgroups = Cgroups::find(&config.data_dir, config.agent);
        let table = Table::create(&config.data_dir, config.life);
        let shared = Shared::new(Parts {
            life: config.life,
            table: table.map_err(system("noting this life in the data directory"))?,
            data_dir: config.data_dir,
            watchdog_command: config.watchdog,
            queue_limit: config.queue,
            opened_ticks: proc::now_ticks(),
            null: File::open("/dev/null").map_err(system("opening /dev/null"))?,
            pods,
            cgroups,
            sink: Box::new(sink),
        });
        let (clearing, to_clear) = sync_channel::<Arc<str>>(CLEARING);
        let keeper = shared.clone();
        let keep = move || keep_pods(&keeper, &to_clear);
        Builder::new().name("pods".to_owned()).spawn(keep).map_err(system("starting threads"))?;
        let runtime = Self { shared, clearing };
        runtime.start_threads(config.spawners)?;
        runtime.await_watchdog()?;
        Ok(runtime)
    }

    fn start_threads(&self, spawners: usize) -> Result<(), OpenError> {
        self.start_reaper()?;
        self.shared.registry().chores.push_back(Chore::Watchdog);
        for _ in 0..spawners.max(1) {
            let shared = self.shared.clone();
            let thread = Builder::new().name("spawner".to_owned());
            thread
                .spawn(move || spawner::run(&shared))
                .map_err(|source| OpenError::System { what: "starting threads", source })?;
        }
        Ok(())
    }

    /// Returns once it works. Before that nothing is spawned: the reaper of an earlier runtime
    /// would take our children for orphans.
    fn start_reaper(&self) -> Result<(), OpenError> {
        let shared = self.shared.clone();
        let (begun, begins) = channel();
        let lent = main_thread::run(Box::new(move || {
            let _opening_was_given_up = begun.send(());
            Reaper::new(shared).run();
        }));
        if !lent {
            return Err(OpenError::MainThread);
        }
        begins.recv_timeout(MAIN_WITHIN).map_err(|_| OpenError::Busy)
    }

    fn await_watchdog(&self) -> Result<(), OpenError> {
        let wanted = self.shared.watchdog_command.is_some();
        let watched =
            self.wait_until(WATCHDOG_WITHIN, |registry| !wanted || registry.watchdog.is_some());
        if watched { Ok(()) } else { Err(OpenError::Watchdog) }
    }

    fn wait_until(&self, within: Duration, is_so: impl Fn(&Registry) -> bool) -> bool {
        let deadline = Instant::now() + within;
        let mut registry = self.shared.registry();
        while !is_so(&registry) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            registry = self.shared.wait_for_change(registry, left);
        }
        true
    }

    fn queue(&self, run: RunId, add: impl FnOnce(&mut Registry)) -> Result<(), StartError> {
        let mut registry = self.shared.registry();
        let waiting = registry.starts.len() + registry.line.len() + registry.put_off.len();
        if waiting >= self.shared.queue_limit {
            let source = io::Error::from(io::ErrorKind::WouldBlock);
            return Err(StartError::Worker { what: "queueing a start", source });
        }
        registry.runs.insert(run, Run::Queued);
        add(&mut registry);
        let may_start = !registry.starts.is_empty() || registry.placed.len() < registry.places;
        drop(registry);
        if may_start {
            self.shared.work.notify_one();
        }
        Ok(())
    }

    fn cancelled(&self, run: RunId) {
        self.shared.deliver(RuntimeEvent::NotStarted { run, error: StartError::Cancelled });
        // It may have had a place.
        self.shared.work.notify_one();
    }

    /// Kills all runs and waits until they are gone; the sink hears of each. Whether they are.
    #[must_use]
    pub fn kill_and_wait(&self) -> bool {
        self.kill_all();
        self.wait_until(CLOSE_WITHIN, |registry| registry.runs.is_empty())
    }

    /// The process that this one runs pods for is gone, and another is to be started in its place.
    pub fn agent_left(&self) {
        self.shared.cgroups.make_room();
    }

    /// The next one is there.
    pub fn agent_came(&self) {
        self.shared.cgroups.limit_again();
    }

    /// How many runs wait for a place.
    #[must_use]
    pub fn in_line(&self) -> usize {
        self.shared.registry().line.len()
    }

    /// How many runs there are, from their start to the end of the last process of their tree.
    #[must_use]
    pub fn live(&self) -> usize {
        self.shared.registry().runs.len()
    }
}

/// Clears away what pods had, and looks at what the others have, until the runtime is closed.
fn keep_pods(shared: &Shared, to_clear: &Receiver<Arc<str>>) {
    let mut next_look = Instant::now() + LOOK_AT_PODS;
    loop {
        match to_clear.recv_timeout(next_look.saturating_duration_since(Instant::now())) {
            Ok(pod) => shared.pods.remove(&pod),
            Err(RecvTimeoutError::Timeout) => {
                let begun = Instant::now();
                for (pod, message) in shared.pods.overfull() {
                    shared.deliver(RuntimeEvent::Overfull { pod, message });
                }
                next_look = begun + LOOK_AT_PODS.max(begun.elapsed() * LOOK_SHARE);
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

impl Drop for ProcessRuntime {
    fn drop(&mut self) {
        if !self.kill_and_wait() {
            tracing::error!("processes of pods cannot be killed");
        }
        self.shared.registry().closed = true;
        self.shared.cgroups.remove();
        // The watchdog takes this for our death, finds nothing, and ends.
        *self.shared.watchdog_pipe.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.shared.work.notify_all();
        self.shared.changed.notify_all();
    }
}

impl Runtime for ProcessRuntime {
    fn start(&self, run: RunId, spec: LaunchSpec) -> Result<(), StartError> {
        self.queue(run, |registry| registry.starts.push_back((run, spec)))
    }

    fn line_up(&self, run: RunId, spec: LaunchSpec) -> Result<(), StartError> {
        self.queue(run, |registry| registry.line.push_back((run, spec)))
    }

    fn set_places(&self, places: usize) {
        self.shared.registry().places = places;
        self.shared.work.notify_all();
    }

    fn terminate(&self, run: RunId) {
        let mut registry = self.shared.registry();
        if registry.withdraw(run) {
            drop(registry);
            return self.cancelled(run);
        }
        registry.signal(run, Signal::SIGTERM);
        // One look at all processes serves all runs that are stopped at about the same time.
        match registry.chores.back_mut() {
            Some(Chore::TerminateEscaped(runs)) => runs.push(run),
            Some(Chore::Watchdog) | None => {
                registry.chores.push_back(Chore::TerminateEscaped(vec![run]));
            }
        }
        drop(registry);
        self.shared.work.notify_one();
    }

    fn kill(&self, run: RunId) {
        let mut registry = self.shared.registry();
        if registry.withdraw(run) {
            drop(registry);
            return self.cancelled(run);
        }
        registry.signal(run, Signal::SIGKILL);
    }

    fn freeze_all(&self) {
        freeze::freeze(&self.shared);
    }

    fn thaw_all(&self) {
        freeze::thaw(&self.shared);
    }

    fn prove(&self, until_ms: i64) {
        let mut registry = self.shared.registry();
        registry.proven_until_ms = registry.proven_until_ms.max(until_ms);
        let waits = !registry.starts.is_empty()
            || !registry.line.is_empty()
            || !registry.put_off.is_empty();
        drop(registry);
        if waits {
            self.shared.work.notify_all();
        }
    }

    fn abilities(&self) -> Abilities {
        let views = launcher::try_out(&self.shared);
        if let Err(error) = &views {
            tracing::warn!(%error, "pods with volumes cannot run on this machine");
        }
        let limits = self.shared.cgroups.controllers();
        Abilities {
            views: views.is_ok(),
            memory_volumes: rights::may_mount(),
            root: rights::may_be_anybody(),
            memory_limits: limits.contains(&Controller::Memory),
            cpu_limits: limits.contains(&Controller::Cpu),
            pids_limits: limits.contains(&Controller::Pids),
        }
    }

    fn clear_away(&self, pod: Arc<str>) {
        if let Err(error) = self.clearing.try_send(pod) {
            tracing::error!(%error, "what a pod had is left to the worker's next life to clear away");
        }
    }

    fn kill_all(&self) {
        let runs: Vec<RunId> = self.shared.registry().runs.keys().copied().collect();
        runs.into_iter().for_each(|run| self.kill(run));
    }
}
