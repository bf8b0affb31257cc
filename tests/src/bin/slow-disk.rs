//! Makes the disk slow for the program that it becomes: `slow-disk FILE PROGRAM [ARGUMENT]…`.
//!
//! FILE says how slow, at any time anew: `LEAST MOST`, in milliseconds, for each write to a file at
//! a place of its own (`pwrite`) and each `fsync`. Writes to sockets are as fast as ever, and so is
//! everything that does not wait for the disk. It needs no rights: the kernel asks a helper about
//! these calls (seccomp's user notifications), which lets them go on when their time has come.

use std::ffi::OsString;
use std::fs;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_no_new_privs;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

/// The helper's first argument; it has a socket as its standard input.
const HELPER: &str = "--helper";
const SLOW: [libc::c_long; 3] = [libc::SYS_pwrite64, libc::SYS_fsync, libc::SYS_fdatasync];
/// `_IOWR('!', 0, struct seccomp_notif)` and `_IOWR('!', 1, struct seccomp_notif_resp)`.
const RECEIVE: libc::c_ulong = 0xc050_2100;
const SEND: libc::c_ulong = 0xc018_2101;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(first), Some(second)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: slow-disk FILE PROGRAM [ARGUMENT]…");
        return ExitCode::from(2);
    };
    let done = if first == HELPER {
        help(&PathBuf::from(second))
    } else {
        become_slow(Path::new(&first), &second, arguments)
    };
    if let Err(error) = done {
        eprintln!("slow-disk: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Hands the kernel's questions to a helper, and becomes the program. Comes back with an error or
/// not at all.
fn become_slow(
    how: &Path,
    program: &OsString,
    arguments: impl Iterator<Item = OsString>,
) -> io::Result<()> {
    let (ours, theirs) = UnixStream::pair()?;
    Command::new(std::env::current_exe()?)
        .arg(HELPER)
        .arg(how)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .spawn()?;
    set_no_new_privs()?;
    let listener = filter()?;
    let fds = [listener.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&fds)];
    sendmsg::<()>(ours.as_raw_fd(), &[IoSlice::new(b"!")], &rights, MsgFlags::empty(), None)?;
    drop(listener);
    Err(Command::new(program).args(arguments).exec())
}

/// From now on the kernel asks about the slow calls of this process, and of what it becomes.
#[expect(unsafe_code, reason = "there is no safe call that makes a listener")]
fn filter() -> io::Result<OwnedFd> {
    let statement = |code, k| libc::sock_filter { code, jt: 0, jf: 0, k };
    // The number of the call is what a filter sees first.
    let mut program = vec![statement(code(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS), 0)];
    for (number, left) in SLOW.into_iter().zip((1..=SLOW.len()).rev()) {
        let jt = u8::try_from(left).unwrap_or(1);
        let k = u32::try_from(number).unwrap_or(u32::MAX);
        let is = code(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K);
        program.push(libc::sock_filter { code: is, jt, jf: 0, k });
    }
    program.push(statement(code(libc::BPF_RET | libc::BPF_K), libc::SECCOMP_RET_ALLOW));
    program.push(statement(code(libc::BPF_RET | libc::BPF_K), libc::SECCOMP_RET_USER_NOTIF));
    let len = u16::try_from(program.len()).unwrap_or(0);
    let program = libc::sock_fprog { len, filter: program.as_mut_ptr() };
    let (mode, flag) = (libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER);
    // SAFETY: `program` and what it points to live until the call has read them.
    let listener = unsafe { libc::syscall(libc::SYS_seccomp, mode, flag, &raw const program) };
    let listener = RawFd::try_from(listener).unwrap_or(-1);
    if listener < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made it, for us.
    Ok(unsafe { OwnedFd::from_raw_fd(listener) })
}

fn code(bits: u32) -> u16 {
    u16::try_from(bits).unwrap_or(0)
}

/// Answers the kernel until the program is gone.
fn help(how: &Path) -> io::Result<()> {
    let listener = Arc::new(received()?);
    let mut dice: u64 = 1;
    while is_asked(&listener)? {
        let Ok(id) = question(&listener) else { continue };
        let (least, most) = slowness(how);
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let wait = least + (dice >> 33) % (most.saturating_sub(least) + 1);
        if wait == 0 {
            go_on(&listener, id);
            continue;
        }
        let listener = Arc::clone(&listener);
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(wait));
            go_on(&listener, id);
        });
    }
    Ok(())
}

/// The listener, from our other half.
#[expect(unsafe_code, reason = "what comes over a socket is a bare number")]
fn received() -> io::Result<OwnedFd> {
    let mut byte = [0];
    let mut parts = [IoSliceMut::new(&mut byte)];
    let mut space = nix::cmsg_space!([RawFd; 1]);
    let message = recvmsg::<()>(0, &mut parts, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)?;
    for message in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = message
            && let Some(listener) = fds.first()
        {
            // SAFETY: it was sent to us, and nobody else here knows of it.
            return Ok(unsafe { OwnedFd::from_raw_fd(*listener) });
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

/// Waits for a question; `false` when nobody is left to ask.
fn is_asked(listener: &OwnedFd) -> io::Result<bool> {
    use std::os::fd::AsFd as _;
    let mut fds = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
    match poll(&mut fds, PollTimeout::NONE) {
        Ok(_) => {}
        Err(nix::errno::Errno::EINTR) => return Ok(true),
        Err(errno) => return Err(errno.into()),
    }
    let found = fds[0].revents().unwrap_or(PollFlags::POLLHUP);
    Ok(!found.contains(PollFlags::POLLHUP))
}

/// Which call it is. An error when it was given up meanwhile.
#[expect(unsafe_code, reason = "the kernel fills a struct")]
fn question(listener: &OwnedFd) -> io::Result<u64> {
    // SAFETY: all its fields are numbers, and the kernel wants them to be zero.
    let mut asked: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: it is of the size that RECEIVE says.
    let done = unsafe { libc::ioctl(listener.as_raw_fd(), RECEIVE, &raw mut asked) };
    if done == 0 { Ok(asked.id) } else { Err(io::Error::last_os_error()) }
}

/// Lets a call go on. Whoever made it may be gone.
#[expect(unsafe_code, reason = "the kernel reads a struct")]
fn go_on(listener: &OwnedFd, id: u64) {
    let flags = u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).unwrap_or(1);
    let answer = libc::seccomp_notif_resp { id, val: 0, error: 0, flags };
    // SAFETY: it is of the size that SEND says, and is not written to.
    let _gone = unsafe { libc::ioctl(listener.as_raw_fd(), SEND, &raw const answer) };
}

/// How slow it is to be now; not at all while nobody says so.
fn slowness(how: &Path) -> (u64, u64) {
    let text = fs::read_to_string(how).unwrap_or_default();
    let mut numbers = text.split_whitespace().map(|number| number.parse().unwrap_or(0));
    let least = numbers.next().unwrap_or(0);
    (least, numbers.next().unwrap_or(least).max(least))
}
