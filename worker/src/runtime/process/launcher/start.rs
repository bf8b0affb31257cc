//! The spawner's side: starts a launcher, tells it what to do, hears what became of it.

use std::fs::Permissions;
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::super::cgroup::RunCgroup;
use super::super::marker::Marker;
use super::super::registry::Run;
use super::super::shared::Shared;
use super::super::spawn::{self, How, Refused, Which, wait};
use super::instructions::{Bind, Failure, Instructions};
use super::talk;
use crate::launch::{LaunchSpec, Setup};
use crate::logs::Capture;
use crate::runtime::{RunId, StartError};

/// The worker's directory of seccomp profiles, named as the kubelet's.
const PROFILES: &str = "seccomp";
/// While the launcher says nothing, whether it is still wanted is looked at so often.
const LOOK: Duration = Duration::from_millis(50);

/// Starts `spec` through a launcher. Returns when the program itself runs.
pub(in super::super) fn start(
    shared: &Shared,
    run: RunId,
    spec: &LaunchSpec,
    setup: &Setup,
    capture: &Capture,
) -> Result<(Pid, Option<RunCgroup>), Refused> {
    let cgroup =
        if setup.limits.is_empty() { None } else { Some(shared.cgroups.make(run, &setup.limits)?) };
    let mut binds = shared.pods.make_ready(setup)?;
    if let Some(directory) = setup.leaves_in.clone().filter(|_| setup.security.read_only_root) {
        // As any volume, it is spared.
        let (source, sub_path) = (Path::new(&*directory).to_owned(), Arc::from(""));
        binds.push(Bind { source, sub_path, target: directory, read_only: false });
    }
    if let Some((file, target)) = &setup.leaves_at {
        let source = Path::new(&**file).to_owned();
        leave_room(&source).map_err(|source| StartError::Worker {
            what: "making a file for a termination message",
            source,
        })?;
        binds.push(Bind { source, sub_path: "".into(), target: target.clone(), read_only: false });
    }
    let marker = Marker { life: shared.life, run };
    let mut env = spec.env.clone();
    env.push((Marker::name(), marker.value().into()));
    let instructions = Instructions {
        argv: spec.argv.clone(),
        env,
        working_dir: spec.working_dir.clone(),
        inherits_home: setup.inherits_home,
        cgroups: cgroup.as_ref().map(RunCgroup::joins).unwrap_or_default(),
        binds,
        staging: shared.pods.staging(&setup.pod),
        security: setup.security.clone(),
        profiles: shared.data_dir.join(PROFILES),
        hostname: setup.hostname.clone(),
        try_out: false,
    };
    let started =
        carry_out(shared, marker, &instructions, Some(capture), || is_killed(shared, run));
    match started {
        Ok(pid) => Ok((pid, cgroup)),
        // Its own limit killed the launcher: trying again would not help, and take the place of
        // others.
        Err(Refused::Now(StartError::Worker { .. }))
            if cgroup.is_some_and(|it| it.ran_out_of_memory()) =>
        {
            let message = "killed for want of memory as it was set up: its limit is too low";
            Err(StartError::Container { message: message.to_owned() }.into())
        }
        Err(error) => Err(error),
    }
}

/// An empty file that everybody may write to.
fn leave_room(path: &Path) -> io::Result<()> {
    std::fs::File::create(path)?.set_permissions(Permissions::from_mode(0o666))
}

/// Whether containers can have views of files of their own here; if not, why.
pub(in super::super) fn try_out(shared: &Shared) -> Result<(), StartError> {
    let trial = shared
        .pods
        .trial()
        .map_err(|source| StartError::Worker { what: "making directories for pods", source })?;
    let bind = |target: &str, read_only| Bind {
        source: trial.clone(),
        sub_path: "part".into(),
        target: target.into(),
        read_only,
    };
    let instructions = Instructions {
        binds: vec![bind("/.stint-trial", false), bind("/tmp", true)],
        staging: shared.pods.staging(super::super::pods::TRIAL),
        try_out: true,
        ..Instructions::default()
    };
    // No run has this number: runs are counted from one.
    let marker = Marker { life: shared.life, run: RunId(0) };
    let tried = carry_out(shared, marker, &instructions, None, || false);
    let pid = tried?;
    let _ended = wait(Which::One(pid), How::Await);
    let _reaped = wait(Which::One(pid), How::Reap);
    shared.pods.remove(super::super::pods::TRIAL);
    Ok(())
}

fn carry_out(
    shared: &Shared,
    marker: Marker,
    instructions: &Instructions,
    capture: Option<&Capture>,
    is_killed: impl Fn() -> bool,
) -> Result<Pid, Refused> {
    let Some(command) = &shared.watchdog_command else {
        let message = "this worker has no launcher".to_owned();
        return Err(StartError::Container { message }.into());
    };
    let spawned = spawn::launcher(command, marker, capture, &shared.null);
    let (pid, mut socket) =
        spawned.map_err(|source| StartError::Worker { what: "starting the launcher", source })?;
    let result = match talk(&mut socket, instructions, pid, is_killed) {
        Ok(said) => talk::verdict(&said).map_err(refused),
        Err(source) => Err(StartError::Worker { what: "talking with the launcher", source }.into()),
    };
    if result.is_err() {
        // It is ours to reap: nobody else has heard of it.
        let _gone = killpg(pid, Signal::SIGKILL);
        let _ended = wait(Which::One(pid), How::Await);
        let _reaped = wait(Which::One(pid), How::Reap);
    }
    result.map(|()| pid)
}

fn talk(
    socket: &mut UnixStream,
    instructions: &Instructions,
    pid: Pid,
    is_killed: impl Fn() -> bool,
) -> io::Result<Vec<u8>> {
    socket.set_read_timeout(Some(LOOK))?;
    talk::instruct(socket, instructions)?;
    let mut said = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return Ok(said),
            Ok(count) => said.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => {
                // It may hang in a file system of the machine, or be frozen.
                if is_killed() {
                    let _gone = killpg(pid, Signal::SIGKILL);
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// Whether the run was killed while it is started.
fn is_killed(shared: &Shared, run: RunId) -> bool {
    let registry = shared.registry();
    matches!(registry.runs.get(&run), Some(Run::Spawning { signal: Some(Signal::SIGKILL) }) | None)
}

fn refused(failure: Failure) -> Refused {
    let Failure { machine, busy, message } = failure;
    if machine {
        let source = io::Error::other(message);
        return StartError::Worker { what: "setting up a container", source }.into();
    }
    let error = StartError::Container { message };
    if busy { Refused::Busy(error) } else { Refused::Now(error) }
}
