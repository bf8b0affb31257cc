//! Children that are no leaders: orphans of pods, which are ours to reap, and children that other
//! parts of the program spawned (a nats-server in `stint dev`), which are not.

use std::thread;
use std::time::Duration;

use nix::unistd::{Pid, getpgid, getpgrp};

use super::reaper::{Reaper, reap};
use super::spawn::{How, Which, wait};

/// Before another look, when somebody else's zombie comes first.
const PAUSE: Duration = Duration::from_millis(1);

impl Reaper {
    /// A child has ended that is not known.
    pub(super) fn stranger(&mut self, pid: Pid) {
        if is_orphan(pid) {
            self.orphans.remove(&pid);
            reap(pid);
            return;
        }
        // It stands before all others in every look at all children, until its owner takes it.
        if !self.poll_known() {
            thread::sleep(PAUSE);
        }
    }

    /// Looks at each leader and the watchdog by its pid. Whether one had ended.
    fn poll_known(&mut self) -> bool {
        let registry = self.shared.registry();
        let known: Vec<Pid> = registry.leaders.keys().copied().chain(registry.watchdog).collect();
        drop(registry);
        let mut found = false;
        for pid in known {
            if let Ok(Some(ended)) = wait(Which::One(pid), How::Look) {
                self.ended(ended);
                found = true;
            }
        }
        found
    }
}

/// A child of the main thread. But no process of a run is in our group, and children of other parts
/// of the program are, as a rule: the kernel hands these over when the thread that spawned them
/// ends.
fn is_orphan(pid: Pid) -> bool {
    getpgid(Some(pid)) != Ok(getpgrp())
        && matches!(wait(Which::OneOfThisThread(pid), How::Look), Ok(Some(_)))
}
