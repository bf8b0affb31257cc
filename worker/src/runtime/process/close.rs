//! The end of a run's tree: nothing of it may be left when its exit is told.
//!
//! The cheap question comes first: is the group empty, and has the worker no orphans at all? Only
//! if not are processes looked at one by one.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, getpgrp, getpid, getsid};
use stint_common::wire::Exit;

use super::cgroup::RunCgroup;
use super::marker::Marker;
use super::proc::{self, Process, State};
use super::reaper::Reaper;
use super::registry::{Leader, Run};
use super::spawn::{How, Which, wait};
use crate::runtime::{RunId, RuntimeEvent};

/// A look at all processes costs milliseconds on a full machine: between two there is this many
/// times as long.
const LOOK_SHARE: u32 = 10;
/// The dead need a moment to go.
const LEAST_PAUSE: Duration = Duration::from_millis(1);

/// A run whose leader was reaped.
#[derive(Debug)]
pub(super) struct Closing {
    pub(super) run: RunId,
    pub(super) leader: Leader,
    pub(super) exit: Exit,
    pub(super) at: Timestamp,
}

/// What a look at all processes found.
#[derive(Default)]
struct Found {
    /// Runs that have a living orphan.
    of_runs: HashSet<RunId>,
    /// There are orphans whose run cannot be told.
    unknown: bool,
    /// There are zombies whose children may have been missed: this look proves nothing.
    zombies: bool,
}

impl Reaper {
    /// The leader of a run was reaped, and its group was sent KILL.
    pub(super) fn close(&mut self, closing: Closing) {
        let cgroup_is_empty = closing.leader.cgroup.as_ref().is_none_or(RunCgroup::kill);
        if cgroup_is_empty && group_is_empty(closing.leader.pid) && self.has_no_orphans() {
            closing.leader.capture.release();
            self.over(closing);
        } else {
            self.closing.push(closing);
        }
    }

    /// Looks at the trees that are being killed, if it is time to.
    pub(super) fn look_at_closing(&mut self) {
        let start = Instant::now();
        if self.closing.is_empty() || start < self.next_look {
            return;
        }
        let found = self.kill_orphans();
        let (over, left) = std::mem::take(&mut self.closing).into_iter().partition(|closing| {
            !found.zombies
                && closing.leader.cgroup.as_ref().is_none_or(RunCgroup::kill)
                && !found.of_runs.contains(&closing.run)
                && group_is_empty(closing.leader.pid)
        });
        self.closing = left;
        for closing in Vec::into_iter(over) {
            // An orphan that cannot be told may still hold its files.
            if !found.unknown {
                closing.leader.capture.release();
            }
            self.over(closing);
        }
        self.next_look = start + (start.elapsed() * LOOK_SHARE).max(LEAST_PAUSE);
    }

    fn over(&self, closing: Closing) {
        let Closing { run, leader, exit, at } = closing;
        self.shared.table.forget(leader.slot);
        if leader.cgroup.as_ref().is_some_and(RunCgroup::ran_out_of_memory) {
            self.shared.deliver(RuntimeEvent::OutOfMemory { run });
        }
        // The reader of its output holds the files from here on.
        drop(leader);
        let next = self.shared.registry().remove(run);
        if next {
            self.shared.work.notify_one();
        }
        self.shared.deliver(RuntimeEvent::Exited { run, exit, at });
        self.shared.changed.notify_all();
    }

    /// The kernel hands orphans to the main thread: does it have any child?
    fn has_no_orphans(&self) -> bool {
        let none = wait(Which::OfThisThread, How::Look);
        none.is_err_and(|error| error.raw_os_error() == Some(Errno::ECHILD as i32))
    }

    /// Sends KILL to the orphans of runs that are over.
    fn kill_orphans(&mut self) -> Found {
        let this = getpid();
        let mut found = Found::default();
        for process in proc::processes() {
            if process.parent == this && self.may_be_orphan(&process) {
                self.kill_orphan(&process, &mut found);
            }
        }
        found
    }

    fn may_be_orphan(&self, process: &Process) -> bool {
        let registry = self.shared.registry();
        let known = registry.leaders.contains_key(&process.pid)
            || registry.watchdog == Some(process.pid)
            || process.group == getpgrp();
        drop(registry);
        // Leaders that are not noted yet are children of spawners.
        !known && wait(Which::OneOfThisThread(process.pid), How::Look).is_ok()
    }

    fn kill_orphan(&mut self, orphan: &Process, found: &mut Found) {
        if orphan.state == State::Zombie {
            found.zombies = true;
            return;
        }
        let Some(run) = self.run_of(orphan) else {
            found.unknown = true;
            return;
        };
        let registry = self.shared.registry();
        let alive = match registry.runs.get(&run) {
            Some(Run::Queued | Run::Spawning { .. } | Run::Running(_)) => true,
            Some(Run::Closing) | None => false,
        };
        let others_group = registry.leaders.contains_key(&orphan.group);
        drop(registry);
        if alive {
            return;
        }
        found.of_runs.insert(run);
        // A child of ours that we have not reaped: the pid is still its own.
        let _gone = kill(orphan.pid, Signal::SIGKILL);
        if !others_group {
            let _gone = killpg(orphan.group, Signal::SIGKILL);
        }
    }

    /// The run that an orphan belongs to, by its environment; or, if it emptied that, by
    /// elimination: when every run that could have borne it is over, it counts as one of theirs.
    fn run_of(&mut self, orphan: &Process) -> Option<RunId> {
        if let Some(Some(run)) = self.orphans.get(&orphan.pid) {
            return Some(*run);
        }
        let run = match Marker::of(orphan.pid) {
            Some(marker) if marker.life == self.shared.life => Some(marker.run),
            // Another life's: of a worker inside a pod, or beside this one in a test.
            Some(_) => return None,
            None => self.last_possible_run(orphan),
        };
        self.orphans.insert(orphan.pid, run);
        run
    }

    fn last_possible_run(&self, orphan: &Process) -> Option<RunId> {
        let left_session = orphan.session != getsid(None).unwrap_or(Pid::from_raw(0));
        let since_opened = orphan.start_ticks >= self.shared.opened_ticks;
        let registry = self.shared.registry();
        let possible = registry.spawning > 0
            || registry.oldest_ticks().is_some_and(|ticks| ticks <= orphan.start_ticks + 1);
        drop(registry);
        let last = self.closing.last().map(|closing| closing.run);
        last.filter(|_| left_session && since_opened && !possible)
    }
}

/// Whether no process, dead or alive, is in the group of a leader that was reaped.
fn group_is_empty(group: Pid) -> bool {
    killpg(group, None) == Err(Errno::ESRCH)
}
