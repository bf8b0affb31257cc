//! Kills everything that a life of the worker left behind.
//!
//! Used by the watchdog when the worker died, and by the worker's next life before it takes its
//! first pod.

use std::collections::HashSet;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};

use super::marker::Marker;
use super::proc::{self, Process, State};
use super::table::Life;

/// Between two looks: long enough for the dead to go, and for a child between fork and exec to show
/// its marker.
const PAUSE: Duration = Duration::from_millis(10);
/// One look may fall between a fork and an exec; a second one, later, does not.
const CLEAN_LOOKS: u32 = 2;

/// Processes were left when the time was up: they cannot be killed (stuck in the kernel).
#[derive(Debug, thiserror::Error)]
#[error("{left} processes of an earlier life cannot be killed")]
pub(super) struct Stuck {
    left: usize,
}

/// Kills until two looks in a row find nothing. Returns how many processes were killed.
pub(super) fn sweep(life: &Life, within: Duration) -> Result<usize, Stuck> {
    let deadline = Instant::now() + within;
    let mut killed = HashSet::new();
    let mut clean = 0;
    loop {
        let found = victims(life);
        clean = if found.is_empty() { clean + 1 } else { 0 };
        if clean == CLEAN_LOOKS {
            return Ok(killed.len());
        }
        if Instant::now() > deadline {
            return Err(Stuck { left: found.len() });
        }
        for process in found {
            if proc::is_still(&process) {
                // Gone by itself in between is as good.
                let _gone = kill(process.pid, Signal::SIGKILL);
                killed.insert((process.pid, process.start_ticks));
            }
        }
        thread::sleep(PAUSE);
    }
}

/// What carries the life's marker, what is in its groups, and whatever descends from these.
fn victims(life: &Life) -> Vec<Process> {
    let spared = [getpid(), Pid::from_raw(1), Pid::from_raw(0)];
    let alive: Vec<Process> = proc::processes()
        .into_iter()
        .filter(|process| process.state != State::Zombie && !spared.contains(&process.pid))
        .collect();
    let is_ours = |process: &Process| {
        let marked = || Marker::of(process.pid).is_some_and(|marker| marker.life == life.id);
        life.has_in_group(process) || marked()
    };
    let roots: HashSet<Pid> =
        alive.iter().filter(|process| is_ours(process)).map(|process| process.pid).collect();
    let tree = with_descendants(&alive, roots);
    alive.into_iter().filter(|process| tree.contains(&process.pid)).collect()
}

/// `roots` and everything below them.
pub(super) fn with_descendants(all: &[Process], mut tree: HashSet<Pid>) -> HashSet<Pid> {
    loop {
        let before = tree.len();
        let children = all.iter().filter(|process| tree.contains(&process.parent));
        let children: Vec<Pid> = children.map(|process| process.pid).collect();
        tree.extend(children);
        if tree.len() == before {
            return tree;
        }
    }
}
