//! Stops all runs where they stand, and lets them go on.
//!
//! By signals, also where a run has a cgroup: docs/pods.md says why. What a pod has stopped itself,
//! as a shell does with its jobs, is noted before, and stays so.

use std::collections::HashSet;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};

use super::marker::Marker;
use super::proc::{self, Process, State};
use super::shared::Shared;
use super::sweep::with_descendants;

/// Each look stops all that it finds; what forks between two looks is found by the next. Past this
/// many, a run forks faster than it is stopped, and only KILL to its group (which is atomic) helps.
const LOOKS: usize = 50;

/// Sends STOP to every process of every run, until none is found going.
pub(super) fn freeze(shared: &Shared) {
    let mut stood_still = processes_of_runs(shared);
    stood_still.retain(|process| process.state == State::Stopped);
    {
        let mut registry = shared.registry();
        if std::mem::replace(&mut registry.frozen, true) {
            // It was us who stopped them.
            stood_still.clone_from(&registry.stood_still);
        }
        registry.signal_all(Signal::SIGSTOP, &HashSet::new());
    }
    for _ in 0..LOOKS {
        let mut going = processes_of_runs(shared);
        going.retain(|process| process.state == State::Alive);
        if going.is_empty() {
            break;
        }
        signal_each(&going, Signal::SIGSTOP);
        // Its pod has let it go on in between.
        stood_still.retain(|process| !going.iter().any(|it| it.is_the_same(process)));
    }
    let mut registry = shared.registry();
    let reached = |process: &Process| registry.leaders.contains_key(&process.group);
    // Or it did so before the STOP to its group.
    stood_still.retain(|process| !reached(process) || proc::awaits_stop(process.pid));
    registry.stood_still = stood_still;
}

/// Sends CONT to every process of every run. Also to those that do not stand still: a STOP may wait
/// for a process that is in the kernel (for its child to exec, as after a vfork), and would stop it
/// when it comes out.
pub(super) fn thaw(shared: &Shared) {
    let mut frozen = processes_of_runs(shared);
    {
        let mut registry = shared.registry();
        registry.frozen = false;
        let spared = std::mem::take(&mut registry.stood_still);
        let groups = spared.iter().map(|process| process.group).collect();
        registry.signal_all(Signal::SIGCONT, &groups);
        frozen.retain(|process| !spared.iter().any(|it| it.is_the_same(process)));
    }
    signal_each(&frozen, Signal::SIGCONT);
    shared.work.notify_all();
}

fn signal_each(processes: &[Process], signal: Signal) {
    for process in processes.iter().filter(|process| proc::is_still(process)) {
        let _gone = kill(process.pid, signal);
    }
}

/// The living processes of all runs.
fn processes_of_runs(shared: &Shared) -> Vec<Process> {
    let all = proc::processes();
    let leaders: HashSet<Pid> = shared.registry().leaders.keys().copied().collect();
    let this = getpid();
    let is_root = |process: &&Process| {
        let marked = || Marker::of(process.pid).is_some_and(|marker| marker.life == shared.life);
        leaders.contains(&process.group) || (process.parent == this && marked())
    };
    let roots = all.iter().filter(is_root).map(|process| process.pid).collect();
    let tree = with_descendants(&all, roots);
    all.into_iter()
        .filter(|process| process.state != State::Zombie && tree.contains(&process.pid))
        .collect()
}
