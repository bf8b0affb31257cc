//! The launcher between `stint dev` and its children: asks the kernel to kill this process when its
//! parent dies, then becomes the program.
//!
//! What must happen in a child between fork and exec happens here, in a program of its own, so that
//! the parent never runs code in a forked copy of itself.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::getppid;

/// The hidden subcommand's name.
pub const SUBCOMMAND: &str = "__launch";

/// Becomes `program`; returns only if that fails.
pub(crate) fn become_program(parent: u32, program: &[OsString]) -> io::Error {
    if let Err(errno) = prctl::set_pdeathsig(Signal::SIGKILL) {
        return errno.into();
    }
    // The parent may have died before the request: then nobody would ever send the signal.
    if u32::try_from(getppid().as_raw()) != Ok(parent) {
        return io::Error::other("the parent is gone");
    }
    let Some((name, arguments)) = program.split_first() else {
        return io::Error::other("no program is named");
    };
    Command::new(name).args(arguments).exec()
}

/// The words that start `program` under the launcher, as a child of this process.
pub(crate) fn command(launcher: &Path, program: &Path) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(launcher);
    command.args([SUBCOMMAND, "--parent", &std::process::id().to_string(), "--"]).arg(program);
    command
}
