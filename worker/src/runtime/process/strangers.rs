//! Children that are no leaders: orphans of pods, which are ours to reap, and children that other
//! parts of the program spawned (a nats-server in `stint dev`), which are not.

use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::{Pid, getpgid, getpgrp};

use super::reaper::{Reaper, reap};
use super::spawn::{How, Which, wait};

/// Whoever spawned a child takes its end within this time, or never will.
const OWNER_WITHIN: Duration = Duration::from_secs(1);
/// Before another look, when somebody else's zombie comes first.
const PAUSE: Duration = Duration::from_millis(1);

impl Reaper {
    /// A child has ended that is not known.
    pub(super) fn stranger(&mut self, pid: Pid) {
        if self.is_orphan(pid) {
            self.orphans.remove(&pid);
            self.strangers.remove(&pid);
            reap(pid);
            return;
        }
        // It stands before all others in every look at all children, until its owner takes it.
        if !self.poll_leaders() {
            thread::sleep(PAUSE);
        }
    }

    fn is_orphan(&mut self, pid: Pid) -> bool {
        let group = getpgid(Some(pid)).ok();
        // No process of a run is in our group; children of other parts of the program are, as a
        // rule.
        if group == Some(getpgrp()) {
            return false;
        }
        if self.on_main {
            return matches!(wait(Which::OneOfThisThread(pid), How::Look), Ok(Some(_)));
        }
        if self.orphans.contains_key(&pid) || group != Some(pid) {
            return true;
        }
        let since = *self.strangers.entry(pid).or_insert_with(Instant::now);
        since.elapsed() > OWNER_WITHIN
    }

    /// Looks at each leader by its pid. Whether one had ended.
    fn poll_leaders(&mut self) -> bool {
        let leaders: Vec<Pid> = self.shared.registry().leaders.keys().copied().collect();
        let mut found = false;
        for leader in leaders {
            if let Ok(Some(ended)) = wait(Which::One(leader), How::Look) {
                self.ended(ended);
                found = true;
            }
        }
        found
    }
}
