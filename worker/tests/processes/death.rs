//! The death of the worker is the death of its pods, however it dies.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stint_common::id::Incarnation;
use stint_worker::runtime::process::watchdog;
use stint_worker::runtime::{RunId, Runtime as _, RuntimeEvent};
use tempfile::TempDir;

use crate::Case;
use crate::world::{World, open, spec, tagged, until, within};

pub(crate) const CASES: [Case; 5] = [
    ("death::pods_die_with_a_killed_worker", pods_die_with_a_killed_worker),
    ("death::a_killed_watchdog_is_replaced", a_killed_watchdog_is_replaced),
    ("death::the_next_life_sweeps", the_next_life_sweeps),
    ("death::the_watchdog_is_deaf", the_watchdog_is_deaf),
    ("death::closing_kills", closing_kills),
];

/// The first argument of this program when it is to be a worker that runs the cases' pods until it
/// is killed.
pub(crate) const ROLE: &str = "be-worker";

/// What a worker's death must not leave: a leader, members of its group, sessions of their own, and
/// a leader whose environment is empty. The tag is the first argument.
const PODS: [&str; 4] = [
    "sleep 1000 & sleep 1000",
    "setsid sleep 1000 & sleep 1000",
    "(setsid sh -c '(setsid sleep 1000 &); sleep 1000' &); trap '' TERM; while :; do sleep 0.01; done",
    "exec env -i sh -c 'while :; do sleep 0.01; done' $0",
];

/// Runs the pods and says so; then waits to be killed.
pub(crate) fn be_worker(args: &[String]) {
    let [dir, tag] = args else { panic!("{args:?}") };
    let (runtime, events) = open(Path::new(dir));
    for (number, script) in PODS.iter().enumerate() {
        let run = RunId(u64::try_from(number).unwrap());
        runtime.start(run, spec(tag, &["sh", "-c", script, tag])).unwrap();
    }
    for event in &events {
        if let RuntimeEvent::NotStarted { error, .. } = event {
            panic!("{error}");
        }
        println!("started");
    }
}

/// A worker in a process of its own.
struct Worker {
    child: Child,
    dir: TempDir,
    tag: String,
}

impl Worker {
    /// Returns when its pods run.
    fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let tag = Incarnation::random().to_string();
        let program = std::env::current_exe().unwrap();
        let mut command = Command::new(program);
        command.arg(ROLE).arg(dir.path()).arg(&tag).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.take(PODS.len()).count(), PODS.len());
        let worker = Self { child, dir, tag };
        // Nine sleeps and shells, and the worker itself, which has the tag among its arguments.
        until("all pods run", || tagged(&worker.tag).len() >= 10);
        worker
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// The watchdog of a data directory.
fn watchdog_of(dir: &Path) -> Option<Pid> {
    let is_watchdog = |pid: &Pid| {
        let cmdline = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        cmdline.split(|byte| *byte == 0).any(|argument| argument == watchdog::SUBCOMMAND.as_bytes())
    };
    tagged(dir.to_str().unwrap()).into_iter().find(is_watchdog)
}

fn pods_die_with_a_killed_worker() {
    let mut worker = Worker::start();
    worker.kill();
    let took = within(Duration::from_secs(5), "all are gone", || tagged(&worker.tag).is_empty());
    println!("  gone {took:?} after kill -9 of the worker");
    until("the watchdog is gone", || watchdog_of(worker.dir.path()).is_none());
}

fn a_killed_watchdog_is_replaced() {
    let mut worker = Worker::start();
    let first = watchdog_of(worker.dir.path()).unwrap();
    kill(first, Signal::SIGKILL).unwrap();
    until("there is another", || {
        watchdog_of(worker.dir.path()).is_some_and(|watchdog| watchdog != first)
    });
    // It may still be setting up: its pipe is its sign all the same.
    worker.kill();
    until("all are gone", || tagged(&worker.tag).is_empty());
}

fn the_next_life_sweeps() {
    let mut worker = Worker::start();
    let watchdog = watchdog_of(worker.dir.path()).unwrap();
    // Neither may act on the other's death.
    kill(watchdog, Signal::SIGSTOP).unwrap();
    worker.kill();
    kill(watchdog, Signal::SIGKILL).unwrap();
    assert!(tagged(&worker.tag).len() >= 9);
    let (_runtime, _events) = open(worker.dir.path());
    assert_eq!(tagged(&worker.tag), []);
}

fn the_watchdog_is_deaf() {
    let mut worker = Worker::start();
    let watchdog = watchdog_of(worker.dir.path()).unwrap();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        kill(watchdog, signal).unwrap();
    }
    worker.kill();
    until("all are gone", || tagged(&worker.tag).is_empty());
}

fn closing_kills() {
    let world = World::new();
    world.script("(setsid sleep 1000 &); sleep 1000");
    until("two processes run", || tagged(&world.tag).len() >= 2);
    let tag = world.tag.clone();
    drop(world);
    assert_eq!(tagged(&tag), []);
}
