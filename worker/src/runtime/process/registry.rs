//! Which runs there are, and what each is doing. Guarded by one lock, which is never held over a
//! wait.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use stint_common::time::boottime_ms;

use super::busy::{PutOff, Start};
use super::cgroup::RunCgroup;
use super::proc::Process;
use super::table::Slot;
use crate::launch::LaunchSpec;
use crate::logs::Capture;
use crate::runtime::RunId;

/// All runs.
#[derive(Debug, Default)]
pub(super) struct Registry {
    pub(super) runs: HashMap<RunId, Run>,
    /// The runs that are `Running`, by the pid of their leader.
    pub(super) leaders: HashMap<Pid, RunId>,
    /// Starts that no spawner has taken yet; some may have been withdrawn.
    pub(super) starts: VecDeque<(RunId, LaunchSpec)>,
    /// The same, of runs that wait for a place.
    pub(super) line: VecDeque<(RunId, LaunchSpec)>,
    /// The same, of runs whose program was busy; they keep their places.
    pub(super) put_off: Vec<PutOff>,
    /// How many runs out of the line may be going on.
    pub(super) places: usize,
    /// Those that are, from the start of their process to the end of the last of their tree.
    pub(super) placed: HashSet<RunId>,
    /// What spawners do before any start, and also while all is frozen.
    pub(super) chores: VecDeque<Chore>,
    /// Spawners between taking a start and noting its leader.
    pub(super) spawning: usize,
    pub(super) watchdog: Option<Pid>,
    pub(super) frozen: bool,
    /// Processes that stood still before that: they do not go on with the others.
    pub(super) stood_still: Vec<Process>,
    /// Until when anything may be started, in milliseconds of CLOCK_BOOTTIME; 0: nobody has said,
    /// and whoever starts runs answers for it.
    pub(super) proven_until_ms: i64,
    pub(super) closed: bool,
}

/// What a run is doing.
#[derive(Debug)]
pub(super) enum Run {
    /// Its start waits for a spawner.
    Queued,
    /// A spawner has it; the signal is sent as soon as there is a process.
    Spawning { signal: Option<Signal> },
    /// Its leader exists, perhaps as a zombie.
    Running(Leader),
    /// Its leader was reaped; what is left of its tree is being killed.
    Closing,
}

/// The first process of a run.
#[derive(Debug)]
pub(super) struct Leader {
    pub(super) pid: Pid,
    pub(super) started_ticks: u64,
    pub(super) slot: Slot,
    pub(super) capture: Arc<Capture>,
    /// Where it has limits.
    pub(super) cgroup: Option<RunCgroup>,
}

/// Something to be done once, on a spawner thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Chore {
    /// Send TERM to what left the groups of these runs.
    TerminateEscaped(Vec<RunId>),
    /// Start a watchdog.
    Watchdog,
}

impl Registry {
    /// Sends `signal` to the group of a run, now or as soon as there is one. The leader is not
    /// reaped while the registry is locked, so its group cannot be somebody else's.
    pub(super) fn signal(&mut self, run: RunId, signal: Signal) {
        match self.runs.get_mut(&run) {
            Some(Run::Running(leader)) => signal_group(leader.pid, signal),
            Some(Run::Spawning { signal: pending }) => {
                // KILL is not taken back by a TERM that comes later.
                if *pending != Some(Signal::SIGKILL) {
                    *pending = Some(signal);
                }
            }
            Some(Run::Queued | Run::Closing) | None => {}
        }
    }

    /// Sends `signal` to the groups of all runs that have a process, but for these.
    pub(super) fn signal_all(&self, signal: Signal, but_for: &HashSet<Pid>) {
        let groups = self.leaders.keys().filter(|group| !but_for.contains(group));
        groups.for_each(|group| signal_group(*group, signal));
    }

    /// Whether the start was withdrawn in time.
    pub(super) fn withdraw(&mut self, run: RunId) -> bool {
        let queued = matches!(self.runs.get(&run), Some(Run::Queued));
        if queued {
            self.remove(run);
        }
        queued
    }

    /// Takes the next start that was not withdrawn. None without proof: a machine that has slept
    /// may come here before anybody has looked at the clock and frozen what runs.
    pub(super) fn take_start(&mut self) -> Option<Start> {
        while self.may_start() {
            let due = self.take_due();
            let next = due.or_else(|| self.starts.pop_front().map(first_try));
            let placed = next.is_none();
            let start = next.or_else(|| self.next_in_line().map(first_try))?;
            if let Some(state @ Run::Queued) = self.runs.get_mut(&start.run) {
                *state = Run::Spawning { signal: None };
                self.spawning += 1;
                if placed {
                    self.placed.insert(start.run);
                }
                return Some(start);
            }
        }
        None
    }

    /// A spawner has found the program of a run busy: it is tried again. Gives the start back if it
    /// is not, since it was tried for long enough or is to end.
    pub(super) fn put_off(&mut self, start: Start) -> Result<(), Start> {
        match self.runs.get_mut(&start.run) {
            Some(state @ Run::Spawning { signal: None }) => {
                let put_off = start.put_off(Instant::now())?;
                *state = Run::Queued;
                self.spawning -= 1;
                self.put_off.push(put_off);
                Ok(())
            }
            Some(Run::Spawning { .. } | Run::Queued | Run::Running(_) | Run::Closing) | None => {
                Err(start)
            }
        }
    }

    /// When the next start that was put off is due, if it may be made then.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let next = self.put_off.iter().map(|put_off| put_off.until).min();
        next.filter(|_| self.may_start())
    }

    fn take_due(&mut self) -> Option<Start> {
        if self.put_off.is_empty() {
            return None;
        }
        let now = Instant::now();
        let due = self.put_off.iter().position(|put_off| put_off.until <= now)?;
        Some(self.put_off.swap_remove(due).start)
    }

    fn may_start(&self) -> bool {
        !self.frozen && self.is_proven()
    }

    fn is_proven(&self) -> bool {
        self.proven_until_ms == 0 || boottime_ms() < self.proven_until_ms
    }

    fn next_in_line(&mut self) -> Option<(RunId, LaunchSpec)> {
        if self.placed.len() < self.places { self.line.pop_front() } else { None }
    }

    /// A run is over, or never began. Whether that lets another one start.
    pub(super) fn remove(&mut self, run: RunId) -> bool {
        self.runs.remove(&run);
        self.placed.remove(&run) && !self.line.is_empty()
    }

    /// A spawner has started the run.
    pub(super) fn started(&mut self, run: RunId, leader: Leader) {
        self.spawning -= 1;
        let pid = leader.pid;
        self.leaders.insert(pid, run);
        let before = self.runs.insert(run, Run::Running(leader));
        if let Some(Run::Spawning { signal: Some(signal) }) = before {
            signal_group(pid, signal);
        }
        if self.frozen {
            signal_group(pid, Signal::SIGSTOP);
        }
    }

    /// A spawner could not start the run.
    pub(super) fn not_started(&mut self, run: RunId) {
        self.spawning -= 1;
        self.remove(run);
    }

    /// The leader has ended and is about to be reaped: no more signals go to its group from
    /// elsewhere.
    pub(super) fn take_leader(&mut self, pid: Pid) -> Option<(RunId, Leader)> {
        let run = self.leaders.remove(&pid)?;
        match self.runs.insert(run, Run::Closing) {
            Some(Run::Running(leader)) => Some((run, leader)),
            Some(Run::Queued | Run::Spawning { .. } | Run::Closing) | None => None,
        }
    }

    /// When the oldest of the runs that have a process was started, in ticks.
    pub(super) fn oldest_ticks(&self) -> Option<u64> {
        let running = self.runs.values().filter_map(|run| match run {
            Run::Running(leader) => Some(leader.started_ticks),
            Run::Queued | Run::Spawning { .. } | Run::Closing => None,
        });
        running.min()
    }
}

fn first_try((run, spec): (RunId, LaunchSpec)) -> Start {
    Start { run, spec, tried: None }
}

/// To a group whose leader is not reaped: it exists.
pub(super) fn signal_group(group: Pid, signal: Signal) {
    let _all_of_another_user = killpg(group, signal);
}
