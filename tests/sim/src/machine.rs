//! A worker's machine: runs pods by a timetable that follows from the seed, and tells the truth of
//! it.
//!
//! A pod's program is `work LEAST MOST FAILS IGNORES`: it takes between so many milliseconds, fails
//! in so many of a thousand cases, and ignores TERM in so many.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use stint_common::id::Incarnation;
use stint_common::time::boottime_ms;
use stint_common::wire::Exit;
use stint_worker::launch::LaunchSpec;
use stint_worker::logs::LogReader;
use stint_worker::runtime::{RunId, Runtime, RuntimeEvent, StartError};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::process::Process;
use super::rng::Rng;
use super::truth::{self, ONE_LOOK, Running, SharedTruth};

/// What a pod finds in this variable, if it asked for it.
pub const SETTING: &str = "SETTING";
/// The value.
pub const SET: &str = "on";

const SIGKILL: i32 = nix::libc::SIGKILL;

/// One run of a program.
struct Run {
    due: Instant,
    exit: Exit,
    ignores_term: bool,
}

#[derive(Default)]
struct State {
    runs: BTreeMap<RunId, Run>,
    /// Starts that were asked for while all was frozen.
    starts: VecDeque<(RunId, LaunchSpec)>,
    line: VecDeque<(RunId, LaunchSpec)>,
    placed: BTreeSet<RunId>,
    places: usize,
    frozen: bool,
    asleep: bool,
    still_since: Option<Instant>,
    /// Until when anything may be started.
    proven_until_ms: i64,
    dead: bool,
}

struct Inner {
    me: Incarnation,
    seed: u64,
    process: Process,
    truth: SharedTruth,
    sink: mpsc::UnboundedSender<RuntimeEvent>,
    state: Mutex<State>,
    changed: Notify,
}

/// The runtime of one life of a worker. Cheap to clone.
#[derive(Clone)]
pub struct Machine(Arc<Inner>);

impl Machine {
    /// A machine on which nothing runs.
    #[must_use]
    pub fn start(
        me: Incarnation,
        seed: u64,
        process: Process,
        truth: SharedTruth,
        sink: mpsc::UnboundedSender<RuntimeEvent>,
    ) -> Self {
        let inner = Inner {
            me,
            seed,
            process,
            truth,
            sink,
            state: Mutex::default(),
            changed: Notify::new(),
        };
        let machine = Self(Arc::new(inner));
        tokio::spawn(machine.clone().drive());
        machine
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Timestamp {
        self.0.process.act(stint_common::time::now)
    }

    async fn drive(self) {
        loop {
            let due = {
                let state = self.state();
                if state.dead {
                    return;
                }
                let still = state.frozen || state.asleep;
                let due = state.runs.iter().map(|(run, at)| (at.due, *run)).min();
                due.filter(|_| !still)
            };
            let changed = self.0.changed.notified();
            match due {
                Some((at, run)) if at <= Instant::now() => self.exit(run, None),
                Some((at, _)) => {
                    tokio::select! {
                        biased;
                        () = changed => {}
                        () = tokio::time::sleep_until(at) => {}
                    }
                }
                None => changed.await,
            }
        }
    }

    fn exit(&self, run: RunId, signal: Option<i32>) {
        let Some(ended) = self.state().runs.remove(&run) else { return };
        truth::lock(&self.0.truth).ends(self.running(run));
        let exit = signal.map_or(ended.exit, Exit::Signal);
        drop(self.0.sink.send(RuntimeEvent::Exited { run, exit, at: self.now() }));
        if self.state().placed.remove(&run) {
            self.start_next();
        }
    }

    fn running(&self, run: RunId) -> Running {
        Running { on: self.0.me, run: run.0 }
    }

    /// Nothing is started while all is frozen, as with processes.
    fn start_next(&self) {
        loop {
            let (run, spec) = {
                let mut state = self.state();
                let proven = self.0.process.act(boottime_ms) < state.proven_until_ms;
                if state.frozen || state.dead || !proven {
                    return;
                }
                match state.starts.pop_front() {
                    Some(start) => start,
                    None if state.placed.len() >= state.places => return,
                    None => {
                        let Some((run, spec)) = state.line.pop_front() else { return };
                        state.placed.insert(run);
                        (run, spec)
                    }
                }
            };
            self.begin(run, &spec);
        }
    }

    fn begin(&self, run: RunId, spec: &LaunchSpec) {
        let uid = spec.variable("STINT_POD_UID").unwrap_or_default();
        let mut chance = Rng::new(self.0.seed ^ fold(uid) ^ run.0.wrapping_mul(0x9E37_79B9));
        if chance.chance(5) {
            self.state().placed.remove(&run);
            let source = std::io::Error::from_raw_os_error(nix::libc::EAGAIN);
            let error = StartError::Worker { what: "starting a process", source };
            drop(self.0.sink.send(RuntimeEvent::NotStarted { run, error }));
            return;
        }
        let number = |index: usize| {
            spec.argv.get(index).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0)
        };
        let took = chance.between(number(1), number(2).max(number(1)));
        let exit = if chance.chance(number(3)) {
            Exit::Code(1 + (took % 3) as i32)
        } else {
            Exit::Code(0)
        };
        let ignores_term = chance.chance(number(4));
        let restarts = spec.variable("RESTARTS").is_some();
        let set = spec.variable(SETTING).is_none_or(|value| value == SET);
        let mut truth = truth::lock(&self.0.truth);
        truth.must_not(!set, || format!("pod {uid} has another setting than it asked for"));
        truth.starts(uid, self.running(run), restarts);
        let unproven = !truth.is_proven(self.0.me, Duration::ZERO);
        truth.must_not(unproven, || format!("pod {uid} was started without proof of the lease"));
        drop(truth);
        let due = Instant::now() + Duration::from_millis(took);
        self.state().runs.insert(run, Run { due, exit, ignores_term });
        let logs = LogReader::empty();
        drop(self.0.sink.send(RuntimeEvent::Started { run, at: self.now(), logs }));
        self.0.changed.notify_one();
    }

    /// A run that waits is over before it began.
    fn withdraw(&self, run: RunId) -> bool {
        let mut state = self.state();
        let before = state.starts.len() + state.line.len();
        state.starts.retain(|(other, _)| *other != run);
        state.line.retain(|(other, _)| *other != run);
        let withdrawn = state.starts.len() + state.line.len() < before;
        drop(state);
        if withdrawn {
            let error = StartError::Cancelled;
            drop(self.0.sink.send(RuntimeEvent::NotStarted { run, error }));
        }
        withdrawn
    }

    /// Everything ends without a word: the worker's process is gone.
    pub fn die(&self) {
        let mut state = self.state();
        state.dead = true;
        let runs = std::mem::take(&mut state.runs);
        state.starts.clear();
        state.line.clear();
        drop(state);
        let mut truth = truth::lock(&self.0.truth);
        runs.into_keys().for_each(|run| truth.ends(self.running(run)));
        truth.stands(self.0.me, false);
        drop(truth);
        self.0.changed.notify_one();
    }

    /// The fence is open only while the lease is proven.
    pub fn check_fence(&self, open: bool) {
        let mut truth = truth::lock(&self.0.truth);
        let unproven = open && !truth.is_proven(self.0.me, Duration::ZERO);
        truth.must_not(unproven, || format!("{:?} has an open fence without proof", self.0.me));
    }

    /// The whole machine stands still, or goes on.
    pub fn sleep(&self, asleep: bool) {
        self.stand(|state| state.asleep = asleep);
        if !asleep {
            // The fence has one look to stop what may no longer run.
            let machine = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(ONE_LOOK).await;
                truth::lock(&machine.0.truth).check_overlaps(machine.0.me);
            });
        }
    }

    fn stand(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        if state.dead {
            return;
        }
        change(&mut state);
        let still = state.frozen || state.asleep;
        match (still, state.still_since) {
            (true, None) => state.still_since = Some(Instant::now()),
            (false, Some(since)) => {
                state.still_since = None;
                let stood = since.elapsed();
                state.runs.values_mut().for_each(|run| run.due += stood);
            }
            (true, Some(_)) | (false, None) => {}
        }
        drop(state);
        truth::lock(&self.0.truth).stands(self.0.me, still);
        self.0.changed.notify_one();
    }
}

fn fold(text: &str) -> u64 {
    text.bytes().fold(7, |hash: u64, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)))
}

impl Runtime for Machine {
    fn start(&self, run: RunId, spec: LaunchSpec) -> Result<(), StartError> {
        self.state().starts.push_back((run, spec));
        self.start_next();
        Ok(())
    }

    fn line_up(&self, run: RunId, spec: LaunchSpec) -> Result<(), StartError> {
        self.state().line.push_back((run, spec));
        self.start_next();
        Ok(())
    }

    fn set_places(&self, places: usize) {
        self.state().places = places;
        self.start_next();
    }

    fn terminate(&self, run: RunId) {
        if self.withdraw(run) {
            return;
        }
        let mut state = self.state();
        if let Some(run) = state.runs.get_mut(&run).filter(|run| !run.ignores_term) {
            run.due = Instant::now() + Duration::from_millis(20);
            run.exit = Exit::Signal(nix::libc::SIGTERM);
        }
        drop(state);
        self.0.changed.notify_one();
    }

    fn kill(&self, run: RunId) {
        if !self.withdraw(run) {
            self.exit(run, Some(SIGKILL));
        }
    }

    fn prove(&self, until_ms: i64) {
        self.state().proven_until_ms = until_ms;
        self.start_next();
    }

    fn freeze_all(&self) {
        self.stand(|state| state.frozen = true);
    }

    fn thaw_all(&self) {
        self.stand(|state| state.frozen = false);
        truth::lock(&self.0.truth).check_overlaps(self.0.me);
        self.start_next();
    }

    fn kill_all(&self) {
        let (line, runs) = {
            let mut state = self.state();
            let mut line: Vec<RunId> = state.starts.drain(..).map(|(run, _)| run).collect();
            line.extend(state.line.drain(..).map(|(run, _)| run));
            (line, state.runs.keys().copied().collect::<Vec<RunId>>())
        };
        for run in line {
            let error = StartError::Cancelled;
            drop(self.0.sink.send(RuntimeEvent::NotStarted { run, error }));
        }
        runs.into_iter().for_each(|run| self.exit(run, Some(SIGKILL)));
    }
}
