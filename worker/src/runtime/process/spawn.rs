//! The two ends of a process: it is spawned here, and its exit is taken here.
//!
//! Spawning stays on the fast path of `std::process::Command`, which is `posix_spawn`: no code of
//! ours in the child, the program given by path. `fork` would copy the page tables of the whole
//! worker each time.

use std::fs::File;
use std::io::{self, ErrorKind, PipeWriter, Read as _};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::libc;
use nix::unistd::Pid;
use stint_common::wire::Exit;

use super::launcher;
use super::marker::{Marker, VARIABLE};
use super::open::WatchdogCommand;
use super::watchdog::{READY, SUBCOMMAND};
use crate::launch::LaunchSpec;
use crate::logs::Capture;
use crate::runtime::StartError;

/// Spawns the leader of a new process group.
pub(super) fn spawn(
    program: &Path,
    spec: &LaunchSpec,
    marker: Marker,
    capture: &Capture,
    null: &File,
) -> io::Result<Pid> {
    let mut command = command(program, spec);
    command
        .env(VARIABLE, marker.value())
        .stdin(Stdio::from(OwnedFd::from(null.try_clone()?)))
        .stdout(Stdio::from(OwnedFd::from(capture.stdout().try_clone()?)))
        .stderr(Stdio::from(OwnedFd::from(capture.stderr().try_clone()?)))
        .process_group(0);
    Ok(pid_of(&command.spawn()?))
}

/// Spawns a launcher as the leader of a new process group; our end of its socket comes with it.
pub(super) fn launcher(
    command: &WatchdogCommand,
    marker: Marker,
    capture: Option<&Capture>,
    null: &File,
) -> io::Result<(Pid, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    let (stdout, stderr) = match capture {
        Some(capture) => (capture.stdout(), capture.stderr()),
        None => (null, null),
    };
    let child = Command::new(&command.program)
        .arg0("stint")
        .args(&command.args)
        .arg(launcher::SUBCOMMAND)
        .env_clear()
        .env(VARIABLE, marker.value())
        .current_dir("/")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::from(OwnedFd::from(stdout.try_clone()?)))
        .stderr(Stdio::from(OwnedFd::from(stderr.try_clone()?)))
        .process_group(0)
        .spawn()?;
    Ok((pid_of(&child), ours))
}

/// The program with its arguments, variables and directory, and none of ours.
pub(super) fn command(program: &Path, spec: &LaunchSpec) -> Command {
    let mut command = Command::new(program);
    if let Some((name, arguments)) = spec.argv.split_first() {
        command.arg0(&**name).args(arguments.iter().map(|argument| &**argument));
    }
    command
        .env_clear()
        .envs(spec.env.iter().map(|(name, value)| (&**name, &**value)))
        .current_dir(&*spec.working_dir);
    command
}

fn pid_of(child: &std::process::Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap_or_default())
}

/// Why a run was not started this time.
#[derive(Debug)]
pub(super) enum Refused {
    /// Another try would end the same.
    Now(StartError),
    /// The file of its program is open for writing, perhaps only for a moment; the error is for
    /// when it stays so.
    Busy(StartError),
}

impl From<StartError> for Refused {
    fn from(error: StartError) -> Self {
        Self::Now(error)
    }
}

impl From<Refused> for StartError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Now(error) | Refused::Busy(error) => error,
        }
    }
}

/// Whose fault it is that `program` could not be spawned, and what to say of it.
pub(super) fn refused(error: io::Error, program: &Path, spec: &LaunchSpec) -> Refused {
    if is_machines_fault(&error) {
        return Refused::Now(StartError::Worker { what: "spawning a process", source: error });
    }
    let name = spec.argv.first().map_or("", |name| &**name);
    if error.kind() == ErrorKind::ExecutableFileBusy {
        let message =
            format!("exec: {name:?}: text file busy: it, or its interpreter, is open for writing");
        return Refused::Busy(StartError::Container { message });
    }
    let message = match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::PermissionDenied
            if !Path::new(&*spec.working_dir).is_dir() =>
        {
            format!("workingDir {:?}: no such directory", spec.working_dir)
        }
        ErrorKind::NotFound if program.exists() => {
            format!("exec: {name:?}: its interpreter does not exist")
        }
        ErrorKind::NotFound => format!("exec: {name:?}: no such file or directory"),
        ErrorKind::PermissionDenied => format!("exec: {name:?}: permission denied"),
        _ => format!("exec: {name:?}: {error}"),
    };
    Refused::Now(StartError::Container { message })
}

/// A name that `PATH` does not lead to, in Kubernetes' own words.
pub(super) fn not_found(spec: &LaunchSpec) -> StartError {
    let name = spec.argv.first().map_or("", |name| &**name);
    StartError::Container { message: format!("exec: {name:?}: executable file not found in $PATH") }
}

/// Want of processes, memory, files or disk.
pub(super) fn is_machines_fault(error: &io::Error) -> bool {
    const MACHINE: [i32; 8] = [
        libc::EAGAIN,
        libc::ENOMEM,
        libc::EMFILE,
        libc::ENFILE,
        libc::ENOSPC,
        libc::EDQUOT,
        libc::EIO,
        libc::EINTR,
    ];
    error.raw_os_error().is_some_and(|code| MACHINE.contains(&code))
}

/// Spawns a watchdog and waits until it watches. The pipe's end ends with us.
pub(super) fn watchdog(
    command: &WatchdogCommand,
    data_dir: &Path,
) -> io::Result<(Pid, PipeWriter)> {
    let (reader, writer) = io::pipe()?;
    let mut child = Command::new(&command.program)
        .arg0("stint")
        .args(&command.args)
        .arg(SUBCOMMAND)
        .arg(data_dir)
        .current_dir("/")
        .stdin(reader)
        .stdout(Stdio::piped())
        .spawn()?;
    let mut ready = [0];
    match child.stdout.take().map(|mut stdout| stdout.read_exact(&mut ready)) {
        Some(Ok(())) if ready == [READY] => Ok((pid_of(&child), writer)),
        _ => Err(io::Error::other("the watchdog did not say that it watches")),
    }
}

/// A child that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) pid: Pid,
    pub(super) exit: Exit,
}

/// Which children are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// Any child of this process.
    Any,
    /// Any child of this thread.
    OfThisThread,
    /// This one.
    One(Pid),
    /// This one, if it is a child of this thread.
    OneOfThisThread(Pid),
}

/// How a child's end is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// Waits for one, and leaves it a zombie.
    Await,
    /// Looks for one, and leaves it a zombie.
    Look,
    /// Takes it away, if there is one.
    Reap,
}

/// The end of a child; `None` if there are such children and none has ended. `ECHILD`: there are
/// none.
///
/// Not nix's `waitid`, which fails on a child that a real-time signal ended.
#[expect(unsafe_code, reason = "waitid fills a siginfo_t, whose fields are a union")]
pub(super) fn wait(which: Which, how: How) -> io::Result<Option<Ended>> {
    let (kind, id, thread) = match which {
        Which::Any => (libc::P_ALL, 0, 0),
        Which::OfThisThread => (libc::P_ALL, 0, libc::__WNOTHREAD),
        Which::One(pid) => (libc::P_PID, pid.as_raw().unsigned_abs(), 0),
        Which::OneOfThisThread(pid) => {
            (libc::P_PID, pid.as_raw().unsigned_abs(), libc::__WNOTHREAD)
        }
    };
    let how = match how {
        How::Await => libc::WNOWAIT,
        How::Look => libc::WNOWAIT | libc::WNOHANG,
        How::Reap => libc::WNOHANG,
    };
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: `info` is writable and large enough; the kernel fills it, or leaves it zero where no
    // child ended.
    let info = unsafe {
        if libc::waitid(kind, id, info.as_mut_ptr(), libc::WEXITED | how | thread) != 0 {
            return Err(io::Error::last_os_error());
        }
        info.assume_init()
    };
    // SAFETY: after waitid the union holds what belongs to SIGCHLD, or zeros.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    if pid == 0 {
        return Ok(None);
    }
    let exited = info.si_code == libc::CLD_EXITED;
    let exit = if exited { Exit::Code(status) } else { Exit::Signal(status) };
    Ok(Some(Ended { pid: Pid::from_raw(pid), exit }))
}
