//! A runtime, what it said, and a way to find the processes of a test.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use stint_common::id::Incarnation;
use stint_common::wire::{Exit, LogSummary};
use stint_worker::launch::LaunchSpec;
use stint_worker::logs::LogReader;
use stint_worker::runtime::process::{Config, ProcessRuntime};
use stint_worker::runtime::{RunId, Runtime, RuntimeEvent, StartError};
use tempfile::TempDir;

/// Nothing here takes longer, however loaded the machine is.
const PATIENCE: Duration = Duration::from_secs(30);
/// In the environment of every process of one test.
const TAG: &str = "STINT_TEST_TAG";

/// A runtime under test.
pub(crate) struct World {
    pub(crate) runtime: ProcessRuntime,
    pub(crate) tag: String,
    events: Receiver<RuntimeEvent>,
    readers: HashMap<RunId, LogReader>,
    /// Ends that nobody has asked for yet.
    ends: HashMap<RunId, (Exit, LogSummary)>,
    /// Runs of which something was killed for want of memory.
    pub(crate) out_of_memory: Vec<RunId>,
    next: AtomicU64,
    dir: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::allowing(&[])
    }

    /// A runtime whose pods may see these directories of the machine.
    pub(crate) fn allowing(host_paths: &[PathBuf]) -> Self {
        let dir = TempDir::new().unwrap();
        let (runtime, events) = open_allowing(dir.path(), host_paths);
        let tag = Incarnation::random().to_string();
        let (readers, ends, next) = (HashMap::new(), HashMap::new(), AtomicU64::new(1));
        Self { runtime, tag, events, readers, ends, next, dir, out_of_memory: Vec::new() }
    }

    /// Starts a shell script.
    pub(crate) fn script(&self, script: &str) -> RunId {
        self.start(spec(&self.tag, &["/bin/sh", "-c", script]))
    }

    pub(crate) fn start(&self, spec: LaunchSpec) -> RunId {
        let run = RunId(self.next.fetch_add(1, Ordering::Relaxed));
        self.runtime.start(run, spec).unwrap();
        run
    }

    pub(crate) fn command(&self, argv: &[&str]) -> RunId {
        self.start(spec(&self.tag, argv))
    }

    /// Waits for the end of a run: its exit, and what it wrote.
    pub(crate) fn end(&mut self, run: RunId) -> (Exit, LogSummary) {
        loop {
            if let Some(end) = self.ends.remove(&run) {
                return end;
            }
            match self.event() {
                RuntimeEvent::Started { run, logs, .. } => {
                    self.readers.insert(run, logs);
                }
                RuntimeEvent::Exited { run: over, exit, .. } => {
                    let logs = self.readers.remove(&over).unwrap().finish(exit);
                    self.ends.insert(over, (exit, logs));
                }
                RuntimeEvent::NotStarted { error, .. } => panic!("{error}"),
                RuntimeEvent::OutOfMemory { run } => self.out_of_memory.push(run),
                other @ (RuntimeEvent::Overfull { .. } | RuntimeEvent::Died) => {
                    panic!("{other:?}")
                }
            }
        }
    }

    /// Waits for the end of a run, or for why it was not started.
    pub(crate) fn outcome(&mut self, run: RunId) -> Result<(Exit, LogSummary), StartError> {
        loop {
            match self.event() {
                RuntimeEvent::NotStarted { run: refused, error } if refused == run => {
                    return Err(error);
                }
                RuntimeEvent::Started { run, logs, .. } => {
                    self.readers.insert(run, logs);
                }
                RuntimeEvent::Exited { run: over, exit, .. } if over == run => {
                    return Ok((exit, self.readers.remove(&over).unwrap().finish(exit)));
                }
                RuntimeEvent::OutOfMemory { run } => self.out_of_memory.push(run),
                other => panic!("{other:?}"),
            }
        }
    }

    /// The worker's data directory.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Waits until a run says why it was not started.
    pub(crate) fn refusal(&mut self, run: RunId) -> StartError {
        loop {
            match self.event() {
                RuntimeEvent::NotStarted { run: refused, error } if refused == run => return error,
                RuntimeEvent::Started { run, logs, .. } => {
                    self.readers.insert(run, logs);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    pub(crate) fn event(&mut self) -> RuntimeEvent {
        self.events.recv_timeout(PATIENCE).unwrap()
    }

    /// Starts a script and waits for its end.
    pub(crate) fn run(&mut self, script: &str) -> (Exit, LogSummary) {
        let run = self.script(script);
        self.end(run)
    }
}

/// A runtime in a directory.
pub(crate) fn open(dir: &Path) -> (ProcessRuntime, Receiver<RuntimeEvent>) {
    open_allowing(dir, &[])
}

fn open_allowing(dir: &Path, host_paths: &[PathBuf]) -> (ProcessRuntime, Receiver<RuntimeEvent>) {
    let (sender, events) = channel();
    let sender = Mutex::new(sender);
    let host_paths = host_paths.to_owned();
    let config = Config { host_paths, ..Config::new(dir.to_owned(), Incarnation::random()) };
    let runtime = ProcessRuntime::open(config, move |event| {
        let _test_is_over = sender.lock().unwrap().send(event);
    });
    (runtime.unwrap(), events)
}

/// A command in `/`, with the usual `PATH` and the test's tag.
pub(crate) fn spec(tag: &str, argv: &[&str]) -> LaunchSpec {
    let pair = |name: &str, value: &str| (Arc::from(name), Arc::from(value));
    LaunchSpec {
        argv: argv.iter().map(|argument| Arc::from(*argument)).collect(),
        env: vec![pair("PATH", "/usr/bin:/bin"), pair(TAG, tag)],
        working_dir: Arc::from("/"),
        setup: None,
    }
}

/// What a run wrote, if it was little.
pub(crate) fn stdout(logs: &LogSummary) -> &str {
    logs.inline.as_ref().map_or("", |inline| &inline.stdout)
}

/// Living processes with this tag in their environment or among their arguments.
pub(crate) fn tagged(tag: &str) -> Vec<Pid> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let holds = |pid: &i32, file: &str| {
        let bytes = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        bytes.windows(tag.len()).any(|window| window == tag.as_bytes())
    };
    let this = nix::unistd::getpid().as_raw();
    let found = pids.filter(|pid| *pid != this && (holds(pid, "environ") || holds(pid, "cmdline")));
    found.map(Pid::from_raw).collect()
}

/// The state letters of processes.
pub(crate) fn states(pids: &[Pid]) -> String {
    let state = |pid: &Pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.chars().next()
    };
    pids.iter().filter_map(state).collect()
}

/// How often each process was taken off a processor: a process that goes on does not stay at one
/// number.
pub(crate) fn switches(pids: &[Pid]) -> Vec<String> {
    let lines = |pid: &Pid| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().filter(|line| line.contains("ctxt_switches")).collect()
    };
    pids.iter().map(lines).collect()
}

/// Waits until it is so.
pub(crate) fn until(what: &str, is_so: impl FnMut() -> bool) -> Duration {
    within(PATIENCE, what, is_so)
}

/// Waits until it is so, at most so long.
pub(crate) fn within(most: Duration, what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < most, "waited {most:?} until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
    start.elapsed()
}
