//! A spawner: a thread that starts runs, one after another.
//!
//! It must live as long as the runtime: children of a thread that ends go to the main thread, where
//! they would be taken for orphans.

use std::io;
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::Duration;

use stint_common::time;

use super::marker::Marker;
use super::registry::{Chore, Leader};
use super::shared::Shared;
use super::{launcher, proc, spawn, terminate};
use crate::launch::LaunchSpec;
use crate::logs::{Capture, LogReader};
use crate::runtime::{RunId, RuntimeEvent, StartError};

/// Before a watchdog that could not be started is tried again.
const WATCHDOG_PAUSE: Duration = Duration::from_millis(200);

enum Job {
    Start(RunId, LaunchSpec),
    Chore(Chore),
}

/// Works until the runtime is closed.
pub(super) fn run(shared: &Shared) {
    while let Some(job) = next(shared) {
        match job {
            Job::Start(run, spec) => start(shared, run, &spec),
            Job::Chore(Chore::TerminateEscaped(runs)) => terminate::escaped(shared, &runs),
            Job::Chore(Chore::Watchdog) => watchdog(shared),
        }
    }
}

fn next(shared: &Shared) -> Option<Job> {
    let mut registry = shared.registry();
    loop {
        if registry.closed {
            return None;
        }
        if let Some(chore) = registry.chores.pop_front() {
            return Some(Job::Chore(chore));
        }
        if let Some((run, spec)) = registry.take_start() {
            return Some(Job::Start(run, spec));
        }
        registry = shared.work.wait(registry).unwrap_or_else(PoisonError::into_inner);
    }
}

fn start(shared: &Shared, run: RunId, spec: &LaunchSpec) {
    match try_start(shared, run, spec) {
        Ok(leader) => {
            let logs = LogReader::new(leader.capture.clone());
            // Told before it is noted: the reaper, who knows it only then, cannot tell of its end
            // earlier.
            shared.deliver(RuntimeEvent::Started { run, at: time::now(), logs });
            shared.registry().started(run, leader);
        }
        Err(error) => {
            shared.registry().not_started(run);
            shared.deliver(RuntimeEvent::NotStarted { run, error });
        }
    }
    shared.changed.notify_all();
}

fn try_start(shared: &Shared, run: RunId, spec: &LaunchSpec) -> Result<Leader, StartError> {
    let capture = shared.pool.capture();
    let capture =
        capture.map_err(|source| StartError::Worker { what: "making output files", source })?;
    let (pid, cgroup) = match &spec.setup {
        None => (spawn_program(shared, run, spec, &capture)?, None),
        Some(setup) => launcher::start(shared, run, spec, setup, &capture)?,
    };
    let started_ticks = proc::now_ticks();
    let slot = shared.table.note(pid, started_ticks);
    Ok(Leader { pid, started_ticks, slot, capture, cgroup })
}

fn spawn_program(
    shared: &Shared,
    run: RunId,
    spec: &LaunchSpec,
    capture: &Arc<Capture>,
) -> Result<nix::unistd::Pid, StartError> {
    let marker = Marker { life: shared.life, run };
    let mut searched_again = false;
    loop {
        let program = shared.programs.find(spec).ok_or_else(|| spawn::not_found(spec))?;
        let spawned = spawn::spawn(&program, spec, marker, capture, &shared.null);
        let missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        match spawned {
            // It may have moved since it was found.
            Err(error) if missing(&error) && !searched_again => {
                shared.programs.forget(spec);
                searched_again = true;
            }
            result => return result.map_err(|error| spawn::start_error(error, &program, spec)),
        }
    }
}

/// Starts a watchdog. While there is none, only the death of the worker itself goes unwatched; so a
/// failure holds nobody up, and it is tried again.
pub(super) fn watchdog(shared: &Shared) {
    let Some(command) = &shared.watchdog_command else { return };
    match spawn::watchdog(command, &shared.data_dir) {
        Ok((pid, pipe)) => {
            let mut held = shared.watchdog_pipe.lock().unwrap_or_else(PoisonError::into_inner);
            let mut registry = shared.registry();
            registry.watchdog = Some(pid);
            if !registry.closed {
                *held = Some(pipe);
            }
        }
        Err(error) => {
            tracing::error!(%error, "no watchdog: pods would outlive a killed worker");
            thread::sleep(WATCHDOG_PAUSE);
            shared.registry().chores.push_back(Chore::Watchdog);
        }
    }
    shared.changed.notify_all();
}
