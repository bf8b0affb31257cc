//! The reaper: the one thread that takes the ends of children. It is the main thread, whose own
//! children are orphans and nothing else.
//!
//! A leader's zombie is kept until its group was sent KILL, as the kernel does to a container whose
//! first process ends; so no signal can meet a pid that is somebody else's by then.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use stint_common::time;

use super::close::Closing;
use super::registry::{Chore, signal_group};
use super::shared::Shared;
use super::spawn::{Ended, How, Which, wait};
use crate::runtime::RunId;

/// Between two looks while something is being killed, or another's zombie is in the way.
const PAUSE: Duration = Duration::from_millis(1);
/// A spawner notes its child within this time, or the child is not a leader.
const NOTED_WITHIN: Duration = Duration::from_millis(100);
/// With no child at all there is nothing to wait for but a start.
const IDLE: Duration = Duration::from_secs(1);

/// The reaper's own state. What it shares with others is in [`Shared`].
pub(super) struct Reaper {
    pub(super) shared: Arc<Shared>,
    /// Runs whose leader was reaped and whose tree is not known to be gone.
    pub(super) closing: Vec<Closing>,
    /// Orphans that were seen alive, and the run that each belongs to.
    pub(super) orphans: HashMap<Pid, Option<RunId>>,
    /// When the trees that are being killed are looked at next.
    pub(super) next_look: Instant,
}

impl Reaper {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, closing: Vec::new(), orphans: HashMap::new(), next_look: Instant::now() }
    }

    /// Works until the runtime is closed and all children are gone.
    pub(super) fn run(mut self) {
        while !self.is_done() {
            let how = if self.closing.is_empty() { How::Await } else { How::Look };
            match wait(Which::Any, how) {
                Ok(Some(ended)) => self.ended(ended),
                Ok(None) => thread::sleep(PAUSE),
                Err(error) => self.no_child(&error),
            }
            self.look_at_closing();
        }
    }

    fn is_done(&self) -> bool {
        let registry = self.shared.registry();
        registry.closed && registry.runs.is_empty() && registry.watchdog.is_none()
    }

    /// There are no children, or the wait was interrupted: which comes again soon enough.
    fn no_child(&self, error: &io::Error) {
        if error.kind() == io::ErrorKind::Interrupted {
            return;
        }
        let registry = self.shared.registry();
        let pause = if self.closing.is_empty() { IDLE } else { PAUSE };
        if registry.leaders.is_empty() && !registry.closed {
            drop(self.shared.wait_for_change(registry, pause));
        } else {
            drop(registry);
            thread::sleep(PAUSE);
        }
    }

    pub(super) fn ended(&mut self, ended: Ended) {
        let mut registry = self.shared.registry();
        if let Some((run, leader)) = registry.take_leader(ended.pid) {
            drop(registry);
            let at = time::now();
            signal_group(leader.pid, Signal::SIGKILL);
            reap(leader.pid);
            self.close(Closing { run, leader, exit: ended.exit, at });
        } else if registry.watchdog == Some(ended.pid) {
            registry.watchdog = None;
            if !registry.closed {
                registry.chores.push_back(Chore::Watchdog);
            }
            drop(registry);
            reap(ended.pid);
            self.shared.work.notify_one();
        } else if registry.spawning > 0 {
            // Perhaps a leader that its spawner has not noted yet: when it has, this comes again.
            let spawning = registry.spawning;
            let registry = self.shared.wait_for_change(registry, NOTED_WITHIN);
            let still = registry.spawning >= spawning && !registry.leaders.contains_key(&ended.pid);
            drop(registry);
            if still {
                self.stranger(ended.pid);
            }
        } else {
            drop(registry);
            self.stranger(ended.pid);
        }
    }
}

/// Takes away a zombie of ours.
pub(super) fn reap(pid: Pid) {
    let _gone = wait(Which::One(pid), How::Reap);
}
