//! A spawner: a thread that starts runs, one after another.
//!
//! It must live as long as the runtime: children of a thread that ends go to the main thread, where
//! they would be taken for orphans.

use std::io;
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use stint_common::time;

use super::busy::Start;
use super::marker::Marker;
use super::registry::{Chore, Leader};
use super::shared::Shared;
use super::spawn::Refused;
use super::{launcher, proc, spawn, terminate};
use crate::launch::LaunchSpec;
use crate::logs::{Capture, LogReader};
use crate::runtime::{RunId, RuntimeEvent, StartError};

/// Before a watchdog that could not be started is tried again.
const WATCHDOG_PAUSE: Duration = Duration::from_millis(200);

enum Job {
    Start(Start),
    Chore(Chore),
}

/// Works until the runtime is closed.
pub(super) fn run(shared: &Shared) {
    while let Some(job) = next(shared) {
        match job {
            Job::Start(wanted) => start(shared, wanted),
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
        if let Some(start) = registry.take_start() {
            return Some(Job::Start(start));
        }
        registry = match registry.next_due() {
            None => shared.work.wait(registry).unwrap_or_else(PoisonError::into_inner),
            Some(due) => {
                let pause = due.saturating_duration_since(Instant::now());
                let waited = shared.work.wait_timeout(registry, pause);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
    }
}

fn start(shared: &Shared, start: Start) {
    let run = start.run;
    match try_start(shared, run, &start.spec) {
        Ok(leader) => {
            let logs = LogReader::new(leader.capture.clone());
            // Told before it is noted: the reaper, who knows it only then, cannot tell of its end
            // earlier.
            shared.deliver(RuntimeEvent::Started { run, at: time::now(), logs });
            shared.registry().started(run, leader);
        }
        Err(refused) => {
            let busy = matches!(refused, Refused::Busy(_));
            if busy && shared.registry().put_off(start).is_ok() {
                // Whoever is free next sees to it.
                shared.work.notify_all();
                return;
            }
            shared.registry().not_started(run);
            shared.deliver(RuntimeEvent::NotStarted { run, error: refused.into() });
        }
    }
    shared.changed.notify_all();
}

fn try_start(shared: &Shared, run: RunId, spec: &LaunchSpec) -> Result<Leader, Refused> {
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
) -> Result<nix::unistd::Pid, Refused> {
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
            result => return result.map_err(|error| spawn::refused(error, &program, spec)),
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
