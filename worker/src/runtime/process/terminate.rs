//! TERM for what left its run's group.

use std::collections::{HashMap, HashSet};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};

use super::marker::Marker;
use super::proc::{self, Process};
use super::registry::{Registry, Run};
use super::shared::Shared;
use super::sweep::with_descendants;
use crate::runtime::RunId;

/// Sends TERM to the processes of `runs` outside their groups; the groups themselves have got it.
pub(super) fn escaped(shared: &Shared, runs: &[RunId]) {
    let all = proc::processes();
    let wanted: HashSet<RunId> = runs.iter().copied().collect();
    let leaders = leaders(&shared.registry(), &wanted);
    let this = getpid();
    let is_orphan = |process: &&Process| {
        let marked = || {
            Marker::of(process.pid)
                .is_some_and(|marker| marker.life == shared.life && wanted.contains(&marker.run))
        };
        process.parent == this && !leaders.contains_key(&process.pid) && marked()
    };
    let orphans = all.iter().filter(is_orphan).map(|process| process.pid);
    let tree = with_descendants(&all, leaders.keys().copied().chain(orphans).collect());
    for process in all.iter().filter(|process| tree.contains(&process.pid)) {
        if !leaders.contains_key(&process.group) && proc::is_still(process) {
            let _gone = kill(process.pid, Signal::SIGTERM);
        }
    }
}

fn leaders(registry: &Registry, wanted: &HashSet<RunId>) -> HashMap<Pid, RunId> {
    let leaders = wanted.iter().filter_map(|run| match registry.runs.get(run) {
        Some(Run::Running(leader)) => Some((leader.pid, *run)),
        Some(Run::Queued | Run::Spawning { .. } | Run::Closing) | None => None,
    });
    leaders.collect()
}
