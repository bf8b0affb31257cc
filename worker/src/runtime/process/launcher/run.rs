//! The launcher's whole life.

use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{ExitCode, Stdio};
use std::sync::Arc;

use super::super::program::Programs;
use super::super::spawn::{self, Refused};
use super::identity::{self, Home};
use super::instructions::{Failure, Instructions};
use super::{mounts, namespaces, seccomp, talk};
use crate::launch::LaunchSpec;
use crate::runtime::StartError;

/// The name of the hidden subcommand.
pub const SUBCOMMAND: &str = "__run";

/// Arranges what its standard input says, and becomes the program. To be called in `main`, before
/// any thread is started. Returns only if the program cannot be executed.
#[must_use]
pub fn main() -> ExitCode {
    let Ok(socket) = io::stdin().as_fd().try_clone_to_owned() else { return ExitCode::FAILURE };
    let mut socket = UnixStream::from(socket);
    // If there are none the worker is gone, and there is nobody to be told.
    let Ok(instructions) = talk::listen(&mut socket) else { return ExitCode::FAILURE };
    match run(instructions, &mut socket) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _nobody_reads = talk::fail(&mut socket, &failure);
            ExitCode::FAILURE
        }
    }
}

fn run(instructions: Instructions, socket: &mut UnixStream) -> Result<(), Failure> {
    for file in &instructions.cgroups {
        // First of all: everything that follows counts as the container's.
        std::fs::write(file, "0")
            .map_err(|error| Failure::system("joining the container's cgroup", error))?;
    }
    let filter = seccomp::prepare(&instructions.security, &instructions.profiles)?;
    namespaces::enter(&instructions)?;
    if instructions.has_own_view() {
        mounts::arrange(&instructions)?;
    }
    let home = identity::assume(&instructions.security)?;
    let tell = |socket: &mut UnixStream| {
        talk::ready(socket).map_err(|error| Failure::system("answering the worker", error))
    };
    if instructions.try_out {
        return tell(socket);
    }
    let spec = spec(instructions, home);
    let program =
        Programs::default().find(&spec).ok_or_else(|| failure(spawn::not_found(&spec)))?;
    tell(socket)?;
    // The very last: what else is done here need not be allowed to the program.
    filter.as_ref().map_or(Ok(()), seccomp::apply)?;
    let error = spawn::command(&program, &spec).stdin(Stdio::null()).exec();
    Err(match spawn::refused(error, &program, &spec) {
        Refused::Now(error) => failure(error),
        Refused::Busy(error) => Failure { busy: true, ..failure(error) },
    })
}

fn spec(instructions: Instructions, home: Option<Home>) -> LaunchSpec {
    let Instructions { argv, mut env, working_dir, inherits_home, .. } = instructions;
    if let Some(Home { user, directory }) = home.filter(|_| inherits_home) {
        env.retain(|(name, _)| !["HOME", "USER"].contains(&&**name));
        env.push((Arc::from("HOME"), Arc::from(directory)));
        env.extend(user.map(|user| (Arc::from("USER"), Arc::from(user))));
    }
    LaunchSpec { argv, env, working_dir, setup: None }
}

fn failure(error: StartError) -> Failure {
    match error {
        StartError::Worker { what, source } => Failure::system(what, source),
        StartError::Container { message } => Failure::container(message),
        StartError::Cancelled => Failure::container("cancelled"),
    }
}
