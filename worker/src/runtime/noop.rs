//! A runtime that runs nothing: for tests, and to measure the protocol alone.
//!
//! Every run exits 0 at once, on the caller's thread; `["exit", "3"]` exits 3, `["sleep-ms", "50"]`
//! runs for 50 ms unless it is stopped, `["missing"]` cannot be started, `["no-room"]` meets a full
//! machine.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use stint_common::time;
use stint_common::wire::Exit;

use super::port::{EventSink, RunId, Runtime, RuntimeEvent, StartError};
use crate::launch::LaunchSpec;
use crate::logs::LogReader;

const SIGTERM: i32 = nix::libc::SIGTERM;
const SIGKILL: i32 = nix::libc::SIGKILL;

/// Runs nothing.
pub struct NoopRuntime {
    shared: Arc<Shared>,
}

struct Shared {
    sink: Box<dyn Fn(RuntimeEvent) + Send + Sync>,
    sleepers: Mutex<Sleepers>,
    changed: Condvar,
}

#[derive(Default)]
struct Sleepers {
    due: BinaryHeap<Reverse<(Instant, RunId)>>,
    /// Those of `due` that were not stopped.
    live: HashSet<RunId>,
    /// Runs that wait for a place.
    line: VecDeque<(RunId, LaunchSpec)>,
    places: usize,
    /// Sleepers out of the line.
    placed: HashSet<RunId>,
    frozen: bool,
    closed: bool,
}

impl NoopRuntime {
    /// A runtime that tells `sink`.
    #[must_use]
    pub fn new(sink: impl EventSink) -> Self {
        let shared = Arc::new(Shared {
            sink: Box::new(move |event| sink.deliver(event)),
            sleepers: Mutex::default(),
            changed: Condvar::new(),
        });
        let clock = shared.clone();
        std::thread::spawn(move || clock.run());
        Self { shared }
    }
}

impl Drop for NoopRuntime {
    fn drop(&mut self) {
        self.shared.sleepers().closed = true;
        self.shared.changed.notify_one();
    }
}

impl Shared {
    fn sleepers(&self) -> MutexGuard<'_, Sleepers> {
        self.sleepers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn exited(&self, run: RunId, exit: Exit) {
        (self.sink)(RuntimeEvent::Exited { run, exit, at: time::now() });
        if self.sleepers().placed.remove(&run) {
            self.start_lined_up();
        }
    }

    fn start_lined_up(&self) {
        loop {
            let mut sleepers = self.sleepers();
            if sleepers.frozen || sleepers.placed.len() >= sleepers.places {
                return;
            }
            let Some((run, spec)) = sleepers.line.pop_front() else { return };
            if spec.argv.first().is_some_and(|program| &**program == "sleep-ms") {
                sleepers.placed.insert(run);
            }
            drop(sleepers);
            self.start(run, &spec);
        }
    }

    /// Whether a run was still in the line; it is then no more.
    fn withdraw(&self, run: RunId) -> bool {
        let mut sleepers = self.sleepers();
        let before = sleepers.line.len();
        sleepers.line.retain(|(other, _)| *other != run);
        sleepers.line.len() < before
    }

    fn start(&self, run: RunId, spec: &LaunchSpec) {
        let argument =
            spec.argv.get(1).and_then(|argument| argument.parse::<u32>().ok()).unwrap_or(0);
        let program = spec.argv.first().map_or("", |program| &**program);
        let error = match program {
            "missing" => Some(StartError::Container { message: "no such file".to_owned() }),
            "no-room" => Some(StartError::Worker {
                what: "starting a process",
                source: std::io::Error::from_raw_os_error(nix::libc::EAGAIN),
            }),
            _ => None,
        };
        if let Some(error) = error {
            (self.sink)(RuntimeEvent::NotStarted { run, error });
            return;
        }
        let logs = LogReader::empty();
        (self.sink)(RuntimeEvent::Started { run, at: time::now(), logs });
        match program {
            "sleep-ms" => self.sleep(run, Duration::from_millis(u64::from(argument))),
            "exit" => self.exited(run, Exit::Code(i32::try_from(argument).unwrap_or(1))),
            _ => self.exited(run, Exit::Code(0)),
        }
    }

    /// Wakes sleepers, on the one thread that there is for all of them.
    fn run(&self) {
        let mut sleepers = self.sleepers();
        while !sleepers.closed {
            let now = Instant::now();
            let next =
                sleepers.due.peek().map(|Reverse((at, _))| at.saturating_duration_since(now));
            match next.filter(|_| !sleepers.frozen) {
                Some(Duration::ZERO) => {
                    let due = sleepers.due.pop();
                    let run = due.map(|Reverse((_, run))| run);
                    let run = run.filter(|run| sleepers.live.remove(run));
                    drop(sleepers);
                    run.into_iter().for_each(|run| self.exited(run, Exit::Code(0)));
                    sleepers = self.sleepers();
                }
                wait => {
                    let wait = wait.unwrap_or(Duration::from_secs(3600));
                    let waited = self.changed.wait_timeout(sleepers, wait);
                    sleepers = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
    }

    fn sleep(&self, run: RunId, duration: Duration) {
        let mut sleepers = self.sleepers();
        sleepers.live.insert(run);
        sleepers.due.push(Reverse((Instant::now() + duration, run)));
        drop(sleepers);
        self.changed.notify_one();
    }

    fn signal(&self, run: RunId, signal: i32) {
        if self.withdraw(run) {
            return (self.sink)(RuntimeEvent::NotStarted { run, error: StartError::Cancelled });
        }
        let live = self.sleepers().live.remove(&run);
        if live {
            self.exited(run, Exit::Signal(signal));
        }
    }
}

impl Runtime for NoopRuntime {
    fn start(&self, run: RunId, spec: LaunchSpec) -> Result<(), StartError> {
        self.shared.start(run, &spec);
        Ok(())
    }

    fn line_up(&self, run: RunId, spec: LaunchSpec) -> Result<(), StartError> {
        self.shared.sleepers().line.push_back((run, spec));
        self.shared.start_lined_up();
        Ok(())
    }

    fn set_places(&self, places: usize) {
        self.shared.sleepers().places = places;
        self.shared.start_lined_up();
    }

    fn terminate(&self, run: RunId) {
        self.shared.signal(run, SIGTERM);
    }

    fn kill(&self, run: RunId) {
        self.shared.signal(run, SIGKILL);
    }

    fn freeze_all(&self) {
        self.shared.sleepers().frozen = true;
    }

    fn thaw_all(&self) {
        self.shared.sleepers().frozen = false;
        self.shared.changed.notify_one();
        self.shared.start_lined_up();
    }

    fn kill_all(&self) {
        let mut sleepers = self.shared.sleepers();
        let line: Vec<RunId> = sleepers.line.drain(..).map(|(run, _)| run).collect();
        let live: Vec<RunId> = sleepers.live.drain().collect();
        drop(sleepers);
        for run in line {
            (self.shared.sink)(RuntimeEvent::NotStarted { run, error: StartError::Cancelled });
        }
        live.into_iter().for_each(|run| self.shared.exited(run, Exit::Signal(SIGKILL)));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn spec(argv: &[&str]) -> LaunchSpec {
        LaunchSpec {
            argv: argv.iter().map(|argument| Arc::from(*argument)).collect(),
            env: Vec::new(),
            working_dir: Arc::from("/"),
            setup: None,
        }
    }

    fn exit(events: &mpsc::Receiver<RuntimeEvent>) -> Exit {
        loop {
            match events.recv_timeout(Duration::from_secs(10)).unwrap() {
                RuntimeEvent::Exited { exit, .. } => return exit,
                RuntimeEvent::Started { .. }
                | RuntimeEvent::Overfull { .. }
                | RuntimeEvent::OutOfMemory { .. }
                | RuntimeEvent::Died => {}
                RuntimeEvent::NotStarted { .. } => return Exit::NotStarted,
            }
        }
    }

    #[test]
    fn a_line_goes_on_by_itself_and_not_beyond_its_places() {
        let (sender, events) = mpsc::channel();
        let sender = Mutex::new(sender);
        let runtime = NoopRuntime::new(move |event| sender.lock().unwrap().send(event).unwrap());
        for number in 0..3 {
            runtime.line_up(RunId(number), spec(&["sleep-ms", "100000"])).unwrap();
        }
        assert!(events.try_recv().is_err(), "there is no place yet");
        runtime.set_places(1);
        let started = |number| {
            let event = events.recv_timeout(Duration::from_secs(10)).unwrap();
            assert!(
                matches!(event, RuntimeEvent::Started { run, .. } if run == RunId(number)),
                "{event:?}"
            );
        };
        started(0);
        assert!(events.try_recv().is_err(), "there is one place");
        runtime.kill(RunId(1));
        assert_eq!(exit(&events), Exit::NotStarted);
        runtime.kill(RunId(0));
        assert_eq!(exit(&events), Exit::Signal(SIGKILL));
        started(2);
        runtime.kill_all();
        assert_eq!(exit(&events), Exit::Signal(SIGKILL));
    }

    #[test]
    fn runs_end_as_their_arguments_say() {
        let (sender, events) = mpsc::channel();
        let sender = Mutex::new(sender);
        let runtime = NoopRuntime::new(move |event| sender.lock().unwrap().send(event).unwrap());
        let run = |number: u64, argv: &[&str]| {
            runtime.start(RunId(number), spec(argv)).unwrap();
            if argv[1..] == ["100000"] {
                runtime.terminate(RunId(number));
            }
            exit(&events)
        };
        assert_eq!(run(1, &["true"]), Exit::Code(0));
        assert_eq!(run(2, &["exit", "3"]), Exit::Code(3));
        assert_eq!(run(3, &["sleep-ms", "5"]), Exit::Code(0));
        assert_eq!(run(4, &["sleep-ms", "100000"]), Exit::Signal(15));
        assert_eq!(run(5, &["missing"]), Exit::NotStarted);
    }
}
