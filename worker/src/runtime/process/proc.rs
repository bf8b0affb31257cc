//! What `/proc` says of processes. A process may be gone by the time it is looked at: then there is
//! nothing.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use nix::unistd::Pid;

/// One process, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: Pid,
    pub(super) parent: Pid,
    pub(super) group: Pid,
    pub(super) session: Pid,
    /// When it was started, in clock ticks since boot. With the pid it names a process for ever.
    pub(super) start_ticks: u64,
    pub(super) state: State,
}

impl Process {
    /// Whether both were the same process, whatever it did.
    pub(super) fn is_the_same(&self, other: &Self) -> bool {
        (self.pid, self.start_ticks) == (other.pid, other.start_ticks)
    }
}

/// What a process is doing, as far as anybody here cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Running or waiting.
    Alive,
    /// Stopped by a signal.
    Stopped,
    /// Held by whoever debugs it.
    Traced,
    /// Dead, and not reaped by its parent.
    Zombie,
}

/// A process, if it exists.
pub(super) fn process(pid: Pid) -> Option<Process> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// All processes.
pub(super) fn processes() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| process(Pid::from_raw(pid))).collect()
}

/// `/proc/<pid>/stat`: the name stands in brackets and may hold anything, brackets too.
fn parse(stat: &str) -> Option<Process> {
    let (pid, _) = stat.split_once(' ')?;
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = match fields.next()? {
        "Z" | "X" | "x" => State::Zombie,
        "T" => State::Stopped,
        "t" => State::Traced,
        _ => State::Alive,
    };
    let mut pids = fields.by_ref().take(3).map(|field| field.parse().map(Pid::from_raw));
    Some(Process {
        pid: Pid::from_raw(pid.parse().ok()?),
        parent: pids.next()?.ok()?,
        group: pids.next()?.ok()?,
        session: pids.next()?.ok()?,
        // `starttime` is the 22nd field of the line.
        start_ticks: fields.nth(15)?.parse().ok()?,
        state,
    })
}

/// Whether a STOP waits for a process, as it does where it came when that stood still already.
pub(super) fn awaits_stop(pid: Pid) -> bool {
    const STOP: u64 = 1 << (nix::libc::SIGSTOP - 1);
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let pending = status.lines().find_map(|line| line.strip_prefix("ShdPnd:"));
    let pending = pending.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    pending.is_some_and(|mask| mask & STOP != 0)
}

/// A variable of a process' environment, as it was when its program was started. Nothing for a
/// zombie, for a process of another user, or when it is not text.
pub(super) fn variable(pid: Pid, name: &str) -> Option<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let mut entries = environment.split(|byte| *byte == 0);
    let value =
        entries.find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
    std::ffi::OsStr::from_bytes(value).to_str().map(ToOwned::to_owned)
}

/// Whether it is still the process that was seen before.
pub(super) fn is_still(seen: &Process) -> bool {
    process(seen.pid).is_some_and(|now| now.start_ticks == seen.start_ticks)
}

/// The ticks in which `start_ticks` counts, now.
pub(super) fn now_ticks() -> u64 {
    /// `USER_HZ`: the same on every architecture that Linux has a 64-bit kernel for.
    const TICKS_PER_SECOND: i64 = 100;
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME);
    now.ok().map_or(0, |now| {
        let ticks =
            now.tv_sec() * TICKS_PER_SECOND + now.tv_nsec() * TICKS_PER_SECOND / 1_000_000_000;
        u64::try_from(ticks).unwrap_or(0)
    })
}

/// Which boot of the machine this is; pids and ticks mean nothing in another one.
pub(super) fn boot_id() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_is_passed_over() {
        let stat = "42 (a) b) S 1 40 39 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 777 1000 2 x";
        let process = parse(stat).unwrap();
        let pids = [process.pid, process.parent, process.group, process.session];
        assert_eq!(pids.map(Pid::as_raw), [42, 1, 40, 39]);
        assert_eq!((process.start_ticks, process.state), (777, State::Alive));
        assert_eq!(parse("42 (x"), None);
    }

    #[test]
    fn this_process_is_found() {
        let this = process(nix::unistd::getpid()).unwrap();
        assert!(processes().iter().any(|process| process.pid == this.pid));
        assert!(is_still(&this) && this.start_ticks <= now_ticks());
        assert_eq!(variable(this.pid, "PATH"), std::env::var("PATH").ok());
        assert!(!boot_id().is_empty());
    }
}
