//! The supervisor: pods outlive the agent, and nothing outlives the supervisor.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use stint_common::id::Incarnation;
use stint_common::wire::Exit;
use stint_worker::runtime::{KeptRun, RunId, Runtime as _, RuntimeEvent};
use stint_worker::supervisor::{Config, SupervisedRuntime};
use tempfile::TempDir;

use crate::Case;
use crate::world::{spec, states, tagged, until};

pub(crate) const CASES: [Case; 10] = [
    ("supervised::pods_outlive_the_agent", pods_outlive_the_agent),
    ("supervised::what_ends_meanwhile_is_told", what_ends_meanwhile_is_told),
    ("supervised::no_file_of_ours_is_a_pods", no_file_of_ours_is_a_pods),
    ("supervised::half_a_round_is_none", half_a_round_is_none),
    ("supervised::pods_die_with_the_supervisor", pods_die_with_the_supervisor),
    ("supervised::pods_die_though_the_directory_is_gone", pods_die_though_the_directory_is_gone),
    ("supervised::pods_stand_still_without_proof", pods_stand_still_without_proof),
    ("supervised::closing_leaves_nothing", closing_leaves_nothing),
    (
        "supervised::pods_heed_signals_and_the_supervisor_does_not",
        pods_heed_signals_and_the_supervisor_does_not,
    ),
    ("supervised::nobody_comes_after_the_last", nobody_comes_after_the_last),
];

/// A data directory and the agents that come and go on it.
struct Home {
    dir: TempDir,
    tag: String,
}

struct Agent {
    runtime: SupervisedRuntime,
    events: Receiver<RuntimeEvent>,
}

impl Home {
    fn new() -> Self {
        Self { dir: TempDir::new().unwrap(), tag: Incarnation::random().to_string() }
    }

    fn agent(&self) -> Agent {
        let (sender, events) = channel();
        let sender = std::sync::Mutex::new(sender);
        let config = Config {
            data_dir: self.dir.path().to_owned(),
            life: Incarnation::random(),
            host_paths: Vec::new(),
        };
        let sink = move |event| drop(sender.lock().unwrap().send(event));
        Agent { runtime: SupervisedRuntime::open(&config, sink).unwrap(), events }
    }

    fn supervisor(&self) -> Pid {
        let text = std::fs::read_to_string(self.dir.path().join("supervisor.lock")).unwrap();
        Pid::from_raw(text.trim().parse().unwrap())
    }

    fn start(&self, agent: &Agent, run: u64, script: &str) -> RunId {
        let spec = spec(&self.tag, &["/bin/sh", "-c", script]);
        agent.runtime.start(RunId(run), spec).unwrap();
        RunId(run)
    }
}

impl Agent {
    fn event(&self) -> RuntimeEvent {
        self.events.recv_timeout(Duration::from_secs(30)).unwrap()
    }

    fn prove(&self, within: Duration) {
        self.runtime.prove(now_ms() + i64::try_from(within.as_millis()).unwrap());
    }
}

fn now_ms() -> i64 {
    let now = Duration::from(clock_gettime(ClockId::CLOCK_BOOTTIME).unwrap());
    i64::try_from(now.as_millis()).unwrap()
}

fn note(text: &str) -> Box<serde_json::value::RawValue> {
    serde_json::value::to_raw_value(text).unwrap()
}

fn only(runs: Vec<KeptRun>) -> KeptRun {
    let [run] = <[KeptRun; 1]>::try_from(runs).unwrap();
    run
}

fn pods_outlive_the_agent() {
    let home = Home::new();
    let first = home.agent();
    let life = first.runtime.life();
    assert!(!first.runtime.has_kept());
    let go = home.dir.path().join("go");
    let script = format!("echo one; until [ -e {} ]; do sleep 0.02; done; echo two", go.display());
    let run = home.start(&first, 7, &script);
    first.runtime.note("pod", note("the first"));
    first.runtime.note("pod", note("the second"));
    first.runtime.flush();
    assert!(matches!(first.event(), RuntimeEvent::Started { .. }));
    drop(first);
    let second = home.agent();
    assert_eq!(second.runtime.life(), life);
    let kept = second.runtime.kept();
    let notes: Vec<&str> = kept.notes.iter().map(|note| note.get()).collect();
    assert_eq!((notes, kept.last_run), (vec!["\"the second\""], 7));
    let kept = only(kept.runs);
    assert_eq!((kept.run, kept.end.is_none()), (run, true));
    let (_, mut logs) = kept.started.unwrap();
    assert!(!tagged(&home.tag).is_empty(), "it runs on");
    std::fs::write(&go, "").unwrap();
    let RuntimeEvent::Exited { exit, .. } = second.event() else { panic!("no exit") };
    assert_eq!(exit, Exit::Code(0));
    assert_eq!(logs.finish(exit).inline.unwrap().stdout, "one\ntwo\n");
    second.runtime.forget(Some("pod"), &[run]);
    second.runtime.flush();
    drop(second);
    assert!(!home.agent().runtime.has_kept());
}

fn what_ends_meanwhile_is_told() {
    let home = Home::new();
    let first = home.agent();
    home.start(&first, 1, "echo said; exit 3");
    first.runtime.flush();
    drop(first);
    until("it is over", || tagged(&home.tag).is_empty());
    let exit = || only(home.agent().runtime.kept().runs);
    until("the supervisor knows", || exit().end.is_some());
    // Told again and again, until somebody says that it was heard.
    let kept = exit();
    assert!(matches!(kept.end, Some(Ok((Exit::Code(3), _)))), "{kept:?}");
    let (_, mut logs) = kept.started.unwrap();
    assert_eq!(logs.finish(Exit::Code(3)).inline.unwrap().stdout, "said\n");
}

/// Whoever started us may have left a file open, for all that come after.
fn no_file_of_ours_is_a_pods() {
    let left_open = nix::unistd::dup(std::io::stdin()).unwrap();
    let home = Home::new();
    let agent = home.agent();
    agent.runtime.start(RunId(1), spec(&home.tag, &["/bin/ls", "/proc/self/fd"])).unwrap();
    agent.runtime.flush();
    let RuntimeEvent::Started { mut logs, .. } = agent.event() else { panic!("it starts") };
    let RuntimeEvent::Exited { exit, .. } = agent.event() else { panic!("no exit") };
    // The last one is the directory that is read.
    assert_eq!(logs.finish(exit).inline.unwrap().stdout, "0\n1\n2\n3\n");
    drop(left_open);
}

fn half_a_round_is_none() {
    let home = Home::new();
    let first = home.agent();
    home.start(&first, 1, "sleep 1000");
    first.runtime.note("pod", note("noted"));
    // Never flushed: as if it had died before.
    first.prove(Duration::from_secs(60));
    std::mem::forget(first);
    let second = home.agent();
    assert!(!second.runtime.has_kept());
    assert_eq!(tagged(&home.tag), []);
}

fn pods_die_with_the_supervisor() {
    let home = Home::new();
    let agent = home.agent();
    home.start(&agent, 1, "(setsid sleep 1000 &); sleep 1000");
    agent.runtime.flush();
    until("two processes run", || tagged(&home.tag).len() >= 2);
    let life = agent.runtime.life();
    kill(home.supervisor(), Signal::SIGKILL).unwrap();
    until("all are gone", || tagged(&home.tag).is_empty());
    while !matches!(agent.event(), RuntimeEvent::Died) {}
    drop(agent);
    let next = home.agent();
    assert!(next.runtime.life() != life && !next.runtime.has_kept());
}

/// Its watchdog has nothing to read then, and kills all the same.
fn pods_die_though_the_directory_is_gone() {
    let home = Home::new();
    let agent = home.agent();
    home.start(&agent, 1, "sleep 1000");
    agent.runtime.flush();
    until("a process runs", || !tagged(&home.tag).is_empty());
    let supervisor = home.supervisor();
    std::fs::remove_dir_all(home.dir.path()).unwrap();
    kill(supervisor, Signal::SIGKILL).unwrap();
    until("it is gone", || tagged(&home.tag).is_empty());
    // What ends it finds its lock again.
    std::fs::create_dir(home.dir.path()).unwrap();
    std::fs::write(home.dir.path().join("supervisor.lock"), format!("{supervisor}\n")).unwrap();
}

fn pods_stand_still_without_proof() {
    let home = Home::new();
    let agent = home.agent();
    agent.prove(Duration::from_millis(300));
    home.start(&agent, 1, "while :; do sleep 0.01; done");
    agent.runtime.flush();
    until("a shell runs", || !tagged(&home.tag).is_empty());
    // Also when nobody is there to see it.
    drop(agent);
    until("it stands still", || states(&tagged(&home.tag)).chars().all(|it| "TD".contains(it)));
    let agent = home.agent();
    agent.prove(Duration::from_secs(60));
    until("it goes on", || !states(&tagged(&home.tag)).contains('T'));
}

fn closing_leaves_nothing() {
    let home = Home::new();
    let agent = home.agent();
    home.start(&agent, 1, "(setsid sleep 1000 &); sleep 1000");
    agent.runtime.flush();
    until("two processes run", || tagged(&home.tag).len() >= 2);
    let supervisor = home.supervisor();
    agent.runtime.close();
    assert_eq!(tagged(&home.tag), []);
    assert!(kill(supervisor, None).is_err(), "the supervisor is gone, too");
}

/// What the supervisor does about signals is its own.
fn pods_heed_signals_and_the_supervisor_does_not() {
    let home = Home::new();
    let agent = home.agent();
    let run = home.start(&agent, 1, "exec sleep 1000");
    agent.runtime.flush();
    assert!(matches!(agent.event(), RuntimeEvent::Started { .. }));
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
        kill(home.supervisor(), signal).unwrap();
    }
    agent.runtime.terminate(run);
    agent.runtime.flush();
    let RuntimeEvent::Exited { exit, .. } = agent.event() else { panic!("no exit") };
    assert_eq!(exit, Exit::Signal(15));
    agent.runtime.close();
}

fn nobody_comes_after_the_last() {
    let home = Home::new();
    let agent = home.agent();
    home.start(&agent, 1, "sleep 1000");
    agent.runtime.flush();
    until("a process runs", || !tagged(&home.tag).is_empty());
    agent.runtime.is_last();
    drop(agent);
    until("all are gone", || tagged(&home.tag).is_empty());
}

impl Drop for Home {
    fn drop(&mut self) {
        let _gone = kill(self.supervisor(), Signal::SIGKILL);
        until("nothing is left", || tagged(&self.tag).is_empty());
    }
}
