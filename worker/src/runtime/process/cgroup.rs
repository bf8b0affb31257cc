//! Limits of a run, by cgroups: version 2 where its controllers are, else version 1.
//!
//! ```text
//! v2   <own cgroup>/stint-<id>/r<run>             memory.max, cpu.max, pids.max
//! v1   <own cgroup of memory>/stint-<id>/r<run>   one tree for each controller
//! ```
//!
//! What the machine has is found out once, when the runtime opens. Only runs that have limits get a
//! cgroup; the launcher joins it before it does anything else.

mod room;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};
use uuid::Uuid;

use self::room::{Limited, Room, Unit};
use super::launcher::mount_point;
use crate::launch::Limits;
use crate::runtime::{RunId, StartError};

/// CPU time is given out anew so often, in microseconds: the kernel's own default.
const PERIOD_MICROS: u64 = 100_000;
/// The kernel takes no smaller share of a period.
const LEAST_QUOTA_MICROS: u64 = 1_000;

/// Where the unit file lets the agent run.
const SUBGROUP: &str = "stint-agent";

/// What limits something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Controller {
    /// Memory, and what happens when there is none left.
    Memory,
    /// CPU time.
    Cpu,
    /// How many processes there may be.
    Pids,
}

const CONTROLLERS: [(Controller, &str); 3] =
    [(Controller::Memory, "memory"), (Controller::Cpu, "cpu"), (Controller::Pids, "pids")];

/// A tree of cgroups that this worker may use, and what it limits.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Tree {
    root: PathBuf,
    version: Version,
    controllers: BTreeSet<Controller>,
    /// The unit whose cgroup counts for this tree, and in which the next agent may have to start.
    unit: Option<Unit>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// The trees of this machine; none where the worker may not use any.
#[derive(Debug, Default)]
pub(super) struct Cgroups {
    trees: Vec<Tree>,
    limited: Arc<Mutex<Limited>>,
}

fn locked(limited: &Mutex<Limited>) -> MutexGuard<'_, Limited> {
    limited.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cgroups {
    /// Finds what this worker may use, and removes what its earlier life left there.
    /// `agent` is the process that this one works for, if it is another: it makes room with it.
    pub(super) fn find(data_dir: &Path, agent: Option<i32>) -> Self {
        let id = Uuid::new_v5(&Uuid::NAMESPACE_URL, data_dir.as_os_str().as_encoded_bytes());
        let name = format!("stint-{}", &id.simple().to_string()[..12]);
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mut trees = Vec::new();
        for place in places(&own, &mounts) {
            match place.take(&name, agent) {
                Ok(Some(tree)) => trees.push(tree),
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(path = %place.own.display(), %error, "a cgroup cannot be used");
                }
            }
        }
        Self { trees, limited: Arc::default() }
    }

    fn limited(&self) -> MutexGuard<'_, Limited> {
        locked(&self.limited)
    }

    /// Removes this worker's own cgroups, once no run is left.
    pub(super) fn remove(&self) {
        for tree in &self.trees {
            if let Err(error) = fs::remove_dir(&tree.root) {
                tracing::debug!(path = %tree.root.display(), %error, "removing a cgroup");
            }
            tree.leave_unit();
        }
    }

    /// What can be limited here.
    pub(super) fn controllers(&self) -> BTreeSet<Controller> {
        self.trees.iter().flat_map(|tree| tree.controllers.iter().copied()).collect()
    }

    /// Makes the cgroup of a run. What cannot be limited here is left unlimited: whoever asks knows
    /// what can.
    pub(super) fn make(&self, run: RunId, limits: &Limits) -> Result<RunCgroup, StartError> {
        let worker = |source| StartError::Worker { what: "limiting a container", source };
        let mut made = RunCgroup { run, places: Vec::new(), limited: self.limited.clone() };
        // Held all the while: limits begin to hold, or cease to, for all runs.
        let mut limited = self.limited();
        if limited.room == Room::Left {
            self.hold_again(&mut limited).map_err(worker)?;
        }
        limited.add(run, *limits);
        for tree in &self.trees {
            let directory = tree.root.join(format!("r{}", run.0));
            let place = Place { directory, version: tree.version };
            place.make().map_err(worker)?;
            // Noted first: what is half made is removed, too.
            made.places.push(place);
            if limited.room == Room::None || tree.unit.is_none() {
                tree.limit(&made.places[made.places.len() - 1], limits).map_err(worker)?;
            }
        }
        Ok(made)
    }
}

impl Tree {
    fn limit(&self, place: &Place, limits: &Limits) -> io::Result<()> {
        self.controllers.iter().try_for_each(|controller| place.limit(*controller, limits))
    }
}

/// The cgroup of one run: a directory in each tree. Dropped, it is removed if it is empty.
#[derive(Debug)]
pub(super) struct RunCgroup {
    run: RunId,
    places: Vec<Place>,
    limited: Arc<Mutex<Limited>>,
}

#[derive(Debug)]
struct Place {
    directory: PathBuf,
    version: Version,
}

impl RunCgroup {
    /// The files to which the launcher writes itself.
    pub(super) fn joins(&self) -> Vec<PathBuf> {
        self.places.iter().map(|place| place.directory.join("cgroup.procs")).collect()
    }

    /// Sends KILL to every process in it. Whether there was none.
    pub(super) fn kill(&self) -> bool {
        self.places.first().is_none_or(Place::kill)
    }
}

impl Drop for RunCgroup {
    fn drop(&mut self) {
        locked(&self.limited).remove(self.run);
        for place in &self.places {
            if let Err(error) = fs::remove_dir(&place.directory) {
                // Swept by the worker's next life.
                tracing::warn!(path = %place.directory.display(), %error, "removing a cgroup");
            }
        }
    }
}

impl Place {
    fn make(&self) -> io::Result<()> {
        match fs::create_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            result => result,
        }
    }

    fn write(&self, file: &str, text: &str) -> io::Result<()> {
        fs::write(self.directory.join(file), text)
    }

    fn limit(&self, controller: Controller, limits: &Limits) -> io::Result<()> {
        match controller {
            Controller::Memory => limits.memory.map_or(Ok(()), |bytes| self.limit_memory(bytes)),
            Controller::Cpu => limits.cpu_milli.map_or(Ok(()), |milli| self.limit_cpu(milli)),
            Controller::Pids => {
                limits.pids.map_or(Ok(()), |pids| self.write("pids.max", &pids.to_string()))
            }
        }
    }

    fn limit_memory(&self, bytes: u64) -> io::Result<()> {
        let text = bytes.to_string();
        match self.version {
            Version::Two => {
                self.write("memory.max", &text)?;
                // Memory on disk is no memory; not every kernel counts it.
                let _uncounted = self.write("memory.swap.max", "0");
                let _older = self.write("memory.oom.group", "1");
                Ok(())
            }
            Version::One => {
                self.write("memory.limit_in_bytes", &text)?;
                let _uncounted = self.write("memory.memsw.limit_in_bytes", &text);
                Ok(())
            }
        }
    }

    fn limit_cpu(&self, milli: u64) -> io::Result<()> {
        let quota = (milli * PERIOD_MICROS / 1000).max(LEAST_QUOTA_MICROS);
        match self.version {
            Version::Two => self.write("cpu.max", &format!("{quota} {PERIOD_MICROS}")),
            Version::One => {
                self.write("cpu.cfs_period_us", &PERIOD_MICROS.to_string())?;
                self.write("cpu.cfs_quota_us", &quota.to_string())
            }
        }
    }

    fn kill(&self) -> bool {
        let processes = processes(&self.directory);
        if self.version == Version::Two && self.write("cgroup.kill", "1").is_ok() {
            return processes.is_empty();
        }
        for pid in &processes {
            let _gone = kill(*pid, Signal::SIGKILL);
        }
        processes.is_empty()
    }

    fn ran_out_of_memory(&self) -> bool {
        let file = match self.version {
            Version::One => "memory.oom_control",
            Version::Two => "memory.events",
        };
        let text = fs::read_to_string(self.directory.join(file)).unwrap_or_default();
        kills(&text) > 0
    }
}

/// The processes in a cgroup.
fn processes(directory: &Path) -> Vec<Pid> {
    let text = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).map(Pid::from_raw).collect()
}

/// `oom_kill 3`
fn kills(text: &str) -> u64 {
    let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    count.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

/// A cgroup that this process is in.
#[derive(Debug, PartialEq, Eq)]
struct Own {
    version: Version,
    own: PathBuf,
    /// Where its tree is mounted.
    mount: PathBuf,
    controllers: BTreeSet<Controller>,
}

/// The cgroup of the whole unit, if systemd has put the agent into one of its own below it
/// (`DelegateSubgroup=`): there it can put the next agent while pods of this one run. An earlier
/// life may have moved the agent into another one.
fn unit_of<'a>(own: &'a Path, name: &str) -> &'a Path {
    let in_subgroup = own.file_name().is_some_and(|it| it == SUBGROUP || it == &*leaf_name(name));
    own.parent().filter(|_| in_subgroup).unwrap_or(own)
}

/// Where this process is, in each tree that is mounted and limits something.
fn places(own: &str, mounts: &str) -> Vec<Own> {
    let mut places = Vec::new();
    for line in own.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_number), Some(names), Some(path)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let names: Vec<&str> = names.split(',').collect();
        let named = CONTROLLERS.iter().filter(|(_, name)| names.contains(name));
        let controllers: BTreeSet<Controller> = named.map(|(controller, _)| *controller).collect();
        let version = if names == [""] { Version::Two } else { Version::One };
        if version == Version::One && controllers.is_empty() {
            continue;
        }
        let Some((root, mount)) = mounts.lines().find_map(|line| mounted(line, version, &names))
        else {
            continue;
        };
        let inside = Path::new(path).strip_prefix(&root).unwrap_or(Path::new(""));
        places.push(Own { version, own: mount.join(inside), mount, controllers });
    }
    places
}

/// Root and mount point of a tree of this kind, if this line of `mountinfo` mounts it.
fn mounted(line: &str, version: Version, names: &[&str]) -> Option<(String, PathBuf)> {
    let (before, after) = line.split_once(" - ")?;
    let root = before.split(' ').nth(3)?.to_owned();
    let mut after = after.split(' ');
    let kind = after.next()?;
    let options = after.nth(1)?;
    let fits = match version {
        Version::Two => kind == "cgroup2",
        Version::One => {
            kind == "cgroup" && names.iter().all(|name| options.split(',').any(|it| it == *name))
        }
    };
    fits.then(|| Some((root, mount_point(line)?))).flatten()
}

impl Own {
    /// Makes this worker's own cgroup below, and has the kernel count in it.
    fn take(&self, name: &str, agent: Option<i32>) -> io::Result<Option<Tree>> {
        match self.version {
            Version::One => {
                let root = self.own.join(name);
                make_empty(&root)?;
                Ok(Some(Tree {
                    root,
                    version: Version::One,
                    controllers: self.controllers.clone(),
                    unit: None,
                }))
            }
            Version::Two => self.take_unified(name, agent),
        }
    }

    fn take_unified(&self, name: &str, agent: Option<i32>) -> io::Result<Option<Tree>> {
        let own = unit_of(&self.own, name);
        let (base, controllers) = match self.delegate(own, (name, agent)) {
            Ok(controllers) => (own.to_owned(), controllers),
            // Others are in it, as in a session of a user. Root may have a place of its own, and
            // there may be more that limits than there is here.
            Err(error) if own == self.mount => return Err(error),
            Err(_) => (self.mount.clone(), self.delegate(&self.mount, (name, agent))?),
        };
        if controllers.is_empty() {
            return Ok(None);
        }
        let root = base.join(name);
        make_empty(&root)?;
        for (controller, word) in CONTROLLERS {
            if controllers.contains(&controller) {
                fs::write(root.join("cgroup.subtree_control"), format!("+{word}"))?;
            }
        }
        let leaf = leaf(&base, name);
        let in_it = base != self.mount && (self.own == base || self.own == leaf);
        let unit = in_it.then_some(Unit { base, leaf });
        Ok(Some(Tree { root, version: Version::Two, controllers, unit }))
    }

    /// Has `base` count for its children. Nobody may be in it for that, neither this process nor
    /// the agent, unless it is the root.
    fn delegate(
        &self,
        base: &Path,
        (name, agent): (&str, Option<i32>),
    ) -> io::Result<BTreeSet<Controller>> {
        let wanted = controllers_in(&base.join("cgroup.controllers"));
        let control = base.join("cgroup.subtree_control");
        let mut moved = None;
        if base != self.mount && !controllers_in(&control).is_superset(&wanted) {
            let leaf = leaf(base, name);
            if !leaf.is_dir() {
                fs::create_dir(&leaf)?;
            }
            move_into(&leaf, agent)?;
            moved = Some(leaf);
        }
        let enable = |(controller, word): &(Controller, &str)| {
            let missing = wanted.contains(controller);
            let missing = missing && !controllers_in(&control).contains(controller);
            if missing { fs::write(&control, format!("+{word}")) } else { Ok(()) }
        };
        if let Err(error) = CONTROLLERS.iter().try_for_each(enable) {
            // Nothing is left in what belongs to others.
            if let Some(leaf) = moved {
                let _kept = move_into(base, agent).and_then(|()| fs::remove_dir(leaf));
            }
            return Err(error);
        }
        Ok(controllers_in(&control).intersection(&wanted).copied().collect())
    }
}

/// Where the processes of a unit go.
fn leaf(base: &Path, name: &str) -> PathBuf {
    base.join(leaf_name(name))
}

fn leaf_name(name: &str) -> String {
    format!("{name}-worker")
}

/// Moves this process, and the one that it works for.
fn move_into(cgroup: &Path, agent: Option<i32>) -> io::Result<()> {
    [Some(getpid().as_raw()), agent]
        .into_iter()
        .flatten()
        .try_for_each(|process| fs::write(cgroup.join("cgroup.procs"), process.to_string()))
}

fn controllers_in(file: &Path) -> BTreeSet<Controller> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    CONTROLLERS
        .iter()
        .filter(|(_, word)| words.contains(word))
        .map(|(controller, _)| *controller)
        .collect()
}

/// Makes a cgroup, or empties the one that an earlier life left: what is in it is killed.
fn make_empty(root: &Path) -> io::Result<()> {
    if !root.is_dir() {
        return fs::create_dir(root);
    }
    for entry in fs::read_dir(root)?.flatten().filter(|entry| entry.path().is_dir()) {
        for pid in processes(&entry.path()) {
            let _gone = kill(pid, Signal::SIGKILL);
        }
        if let Err(error) = fs::remove_dir(entry.path()) {
            // Its processes go in their own time; it holds no name that is used again soon.
            tracing::debug!(path = %entry.path().display(), %error, "removing an old cgroup");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
30 25 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct
31 25 0:27 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory
32 25 0:28 /inside /sys/fs/cgroup/pids rw,nosuid - cgroup cgroup rw,pids
33 25 0:29 / /sys/fs/cgroup/unified rw,nosuid shared:4 - cgroup2 cgroup2 rw
";

    fn found(own: &str) -> Vec<(Version, String)> {
        let places = places(own, MOUNTS).into_iter();
        places.map(|place| (place.version, place.own.display().to_string())).collect()
    }

    #[test]
    fn an_agents_own_cgroup_stands_for_its_unit() {
        for own in ["/x/a.service/stint-agent", "/x/a.service/stint-1-worker", "/x/a.service"] {
            assert_eq!(unit_of(Path::new(own), "stint-1"), Path::new("/x/a.service"));
        }
        let of_another = Path::new("/x/a.service/stint-2-worker");
        assert_eq!(unit_of(of_another, "stint-1"), of_another);
    }

    #[test]
    fn both_versions_are_found_where_they_are_mounted() {
        use Version::{One, Two};
        let at = |version, path: &str| (version, path.to_owned());
        assert_eq!(
            found("4:cpu,cpuacct:/a\n3:memory:/\n2:pids:/inside/b\n1:name=systemd:/c\n0::/d e\n"),
            [
                at(One, "/sys/fs/cgroup/cpu,cpuacct/a"),
                at(One, "/sys/fs/cgroup/memory/"),
                at(One, "/sys/fs/cgroup/pids/b"),
                at(Two, "/sys/fs/cgroup/unified/d e"),
            ]
        );
        assert_eq!(found("5:devices:/\nx\n"), []);
    }

    #[test]
    fn kills_for_want_of_memory_are_counted() {
        assert_eq!(kills("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"), 2);
        assert_eq!(kills("low 0\noom 5\noom_kill 1\noom_group_kill 0\n"), 1);
        assert_eq!(kills(""), 0);
    }
}
