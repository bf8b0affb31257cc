//! Room in a unit's cgroup for the next agent.
//!
//! Under version 2 no process may stand in a cgroup that counts for its children, and there a
//! service manager puts the next agent. So while no agent is there, the unit's cgroup counts for
//! nobody, and limits do not hold; the next agent moves out of the way, and they hold again, of
//! memory for what is taken from then on. A unit whose agent has a place beside the pods
//! (`DelegateSubgroup=`, systemd 254 and later) needs none of this.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{CONTROLLERS, Cgroups, Place, RunCgroup, Tree, controllers_in, processes};
use crate::launch::Limits;
use crate::runtime::RunId;

/// How often the unit's cgroup is made to count again at once. Later each container that is to have
/// limits tries, too, and does not start without.
const TRIES: u32 = 5;

/// A unit's cgroup, and where its processes are while it counts for the pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) base: PathBuf,
    pub(super) leaf: PathBuf,
}

/// The runs that have cgroups.
#[derive(Debug, Default)]
pub(super) struct Limited {
    /// Whether limits hold.
    pub(super) room: Room,
    runs: BTreeMap<u64, LimitedRun>,
}

/// Whether there is room in the unit's cgroup for an agent, so that limits do not hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Room {
    /// The unit's cgroup counts, and limits hold.
    #[default]
    None,
    /// An agent is to come.
    Made,
    /// An agent came, and the cgroup could not be made to count again.
    Left,
}

#[derive(Debug)]
struct LimitedRun {
    limits: Limits,
    /// Something of it was killed for want of memory, before its counters began anew.
    ran_out: bool,
}

impl Limited {
    pub(super) fn add(&mut self, run: RunId, limits: Limits) {
        self.runs.insert(run.0, LimitedRun { limits, ran_out: false });
    }

    pub(super) fn remove(&mut self, run: RunId) {
        self.runs.remove(&run.0);
    }

    pub(super) fn ran_out(&self, run: RunId) -> bool {
        self.runs.get(&run.0).is_some_and(|run| run.ran_out)
    }
}

impl Cgroups {
    /// The agent is gone, and another one is to come.
    pub(in super::super) fn make_room(&self) {
        let Some((tree, unit)) = self.in_unit() else { return };
        let mut limited = self.limited();
        for (number, run) in &mut limited.runs {
            run.ran_out |= tree.place(RunId(*number)).ran_out_of_memory();
        }
        limited.room = Room::Made;
        tree.cease_to_count(&tree.control());
        tree.cease_to_count(&unit.base.join("cgroup.subtree_control"));
    }

    /// An agent is there.
    pub(in super::super) fn limit_again(&self) {
        let mut limited = self.limited();
        if limited.room == Room::None {
            return;
        }
        if let Err(error) = self.hold_again(&mut limited) {
            tracing::error!(
                %error,
                "limits of the containers that run do not hold: tried again before the next that \
                 has some"
            );
        }
    }

    /// Makes limits hold, of all runs.
    pub(super) fn hold_again(&self, limited: &mut Limited) -> io::Result<()> {
        let Some((tree, unit)) = self.in_unit() else { return Ok(()) };
        limited.room = Room::Left;
        // A process may end, or start another one, between being found and being moved.
        let mut counted = tree.count_again(unit);
        for _ in 1..TRIES {
            if counted.is_err() {
                counted = tree.count_again(unit);
            }
        }
        counted?;
        limited.room = Room::None;
        for (number, run) in &limited.runs {
            if let Err(error) = tree.limit(&tree.place(RunId(*number)), &run.limits) {
                tracing::error!(run = number, %error, "a container is not limited any more");
            }
        }
        Ok(())
    }

    fn in_unit(&self) -> Option<(&Tree, &Unit)> {
        self.trees.iter().find_map(|tree| Some((tree, tree.unit.as_ref()?)))
    }
}

impl Tree {
    /// The unit may be started again before this process is gone.
    pub(super) fn leave_unit(&self) {
        if let Some(unit) = &self.unit {
            self.cease_to_count(&unit.base.join("cgroup.subtree_control"));
        }
    }

    fn cease_to_count(&self, control: &Path) {
        for (_, word) in CONTROLLERS.iter().filter(|it| self.controllers.contains(&it.0)) {
            if let Err(error) = fs::write(control, format!("-{word}")) {
                tracing::warn!(
                    path = %control.display(), controller = word, %error,
                    "making room for the next agent: systemd may not be able to start it"
                );
            }
        }
    }

    fn control(&self) -> PathBuf {
        self.root.join("cgroup.subtree_control")
    }

    fn place(&self, run: RunId) -> Place {
        Place { directory: self.root.join(format!("r{}", run.0)), version: self.version }
    }

    fn count_again(&self, unit: &Unit) -> io::Result<()> {
        for process in processes(&unit.base) {
            match fs::write(unit.leaf.join("cgroup.procs"), process.to_string()) {
                // It has ended.
                Err(error) if error.raw_os_error() == Some(nix::libc::ESRCH) => {}
                moved => moved?,
            }
        }
        for control in [unit.base.join("cgroup.subtree_control"), self.control()] {
            for (controller, word) in CONTROLLERS {
                let counts = controllers_in(&control).contains(&controller);
                if self.controllers.contains(&controller) && !counts {
                    fs::write(&control, format!("+{word}"))?;
                }
            }
        }
        Ok(())
    }
}

impl RunCgroup {
    /// Whether something of the run was killed for want of memory.
    pub(in super::super) fn ran_out_of_memory(&self) -> bool {
        self.places.iter().any(Place::ran_out_of_memory)
            || super::locked(&self.limited).ran_out(self.run)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;
    use std::sync::Arc;

    use super::super::{Controller, Version};
    use super::*;

    /// Files in place of the kernel's: what is written to them stays.
    fn unit(base: &Path) -> Cgroups {
        let root = base.join("stint-1");
        let leaf = base.join("stint-1-worker");
        for directory in [&root, &leaf] {
            fs::create_dir(directory).expect("it can be made");
        }
        let unit = Some(Unit { base: base.to_owned(), leaf });
        let controllers = BTreeSet::from([Controller::Memory]);
        let tree = Tree { root, version: Version::Two, controllers, unit };
        Cgroups { trees: vec![tree], limited: Arc::default() }
    }

    fn read(file: &Path) -> String {
        fs::read_to_string(file).unwrap_or_default()
    }

    #[test]
    fn limits_cease_while_no_agent_is_there_and_are_set_again() {
        let base = tempfile::tempdir().expect("a temporary directory can be made");
        let cgroups = unit(base.path());
        let limits = Limits { memory: Some(4096), ..Limits::default() };
        let file = |run: u32, name: &str| base.path().join(format!("stint-1/r{run}/{name}"));
        let one = cgroups.make(RunId(1), &limits).expect("it is made");
        assert_eq!(read(&file(1, "memory.max")), "4096");

        fs::write(file(1, "memory.events"), "oom_kill 1\n").expect("it can be written");
        cgroups.make_room();
        let control = base.path().join("cgroup.subtree_control");
        let below = base.path().join("stint-1/cgroup.subtree_control");
        assert_eq!([read(&control), read(&below)], ["-memory", "-memory"]);
        // The kernel's files go with what counts.
        for name in ["memory.events", "memory.max"] {
            fs::remove_file(file(1, name)).expect("it was there");
        }
        // A run that stood in line: it waits for nobody.
        let two = cgroups.make(RunId(2), &limits).expect("it is made");
        assert_eq!(read(&file(2, "memory.max")), "");

        fs::write(base.path().join("cgroup.procs"), "77\n").expect("it can be written");
        cgroups.limit_again();
        assert_eq!(read(&base.path().join("stint-1-worker/cgroup.procs")), "77");
        assert_eq!([read(&control), read(&below)], ["+memory", "+memory"]);
        assert_eq!([1, 2].map(|run| read(&file(run, "memory.max"))), ["4096", "4096"]);
        assert!(one.ran_out_of_memory() && !two.ran_out_of_memory());
        drop(one);
        assert!(!cgroups.limited().ran_out(RunId(1)));
    }
    #[test]
    fn no_container_that_has_limits_starts_without_when_they_could_not_be_set_again() {
        let base = tempfile::tempdir().expect("a temporary directory can be made");
        let cgroups = unit(base.path());
        let limits = Limits { memory: Some(4096), ..Limits::default() };
        let file = |run: u32, name: &str| base.path().join(format!("stint-1/r{run}/{name}"));
        let _one = cgroups.make(RunId(1), &limits).expect("it is made");
        cgroups.make_room();
        fs::remove_file(file(1, "memory.max")).expect("it was there");

        // The agent cannot be moved out of the way.
        fs::write(base.path().join("cgroup.procs"), "77\n").expect("it can be written");
        let moved = base.path().join("stint-1-worker/cgroup.procs");
        fs::create_dir(&moved).expect("it can be made");
        cgroups.limit_again();
        assert!(cgroups.make(RunId(2), &limits).is_err());
        assert_eq!(read(&file(1, "memory.max")), "");

        fs::remove_dir(&moved).expect("it was made");
        let _two = cgroups.make(RunId(2), &limits).expect("it is made");
        assert_eq!([1, 2].map(|run| read(&file(run, "memory.max"))), ["4096", "4096"]);
    }
}
