//! Looking at processes of this machine, by id and by what stands in their environment.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A process that was told to has come to a stop by then.
const STOPS: Duration = Duration::from_secs(20);

/// Whether a process is there and not a zombie.
#[must_use]
pub fn lives(pid: i32) -> bool {
    !matches!(state(pid), Some('Z' | 'X') | None)
}

/// The state of a process as `/proc` shows it: `R`, `S`, `T`…
#[must_use]
pub fn state(pid: i32) -> Option<char> {
    state_in(Path::new(&format!("/proc/{pid}")))
}

/// What the `stat` of a process or of a thread says.
fn state_in(directory: &Path) -> Option<char> {
    let stat = fs::read_to_string(directory.join("stat")).ok()?;
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

/// The process id that a pod's script wrote into a file, once it is whole.
#[must_use]
pub fn pid_in(file: &Path) -> Option<i32> {
    fs::read_to_string(file).ok()?.strip_suffix('\n')?.trim().parse().ok()
}

/// Processes whose environment has this variable with this value: the pods of one test.
#[must_use]
pub fn with_variable(name: &str, value: &str) -> Vec<i32> {
    let wanted = format!("{name}={value}");
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            let variables = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            variables.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
        })
        .filter(|pid| lives(*pid))
        .collect()
}

/// Sends a signal; a process that is gone is no error. After STOP all its threads stand still: on a
/// busy machine they go on until the one that has the signal gets its turn.
///
/// # Panics
///
/// When the process may not be signalled, or does not come to a stop.
pub fn signal(pid: i32, signal: Signal) {
    match kill(Pid::from_raw(pid), signal) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(errno) => panic!("sending {signal} to {pid}: {errno}"),
    }
    let begun = Instant::now();
    while signal == Signal::SIGSTOP && threads(pid).any(|state| !matches!(state, 'T' | 'Z' | 'X')) {
        assert!(begun.elapsed() < STOPS, "{pid} goes on after {signal}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// States of a process's threads; none if it is gone.
fn threads(pid: i32) -> impl Iterator<Item = char> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks.filter_map(|task| state_in(&task.path()))
}
