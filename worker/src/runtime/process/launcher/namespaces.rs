//! Namespaces of the container's own: of mounts, of the host's name; and of users where only that
//! allows the others.

use std::fs;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid, sethostname};

use super::super::rights;
use super::instructions::{Failure, Instructions};

/// Leaves the machine's namespaces as far as the container needs it.
pub(super) fn enter(instructions: &Instructions) -> Result<(), Failure> {
    let mut flags = CloneFlags::empty();
    flags.set(CloneFlags::CLONE_NEWNS, instructions.has_own_view());
    flags.set(CloneFlags::CLONE_NEWUTS, instructions.hostname.is_some());
    if flags.is_empty() {
        return Ok(());
    }
    if rights::may_mount() {
        unshare(flags).map_err(|error| Failure::system("making namespaces", error))?;
    } else if let Err(failure) = as_own_root(flags) {
        // The name is in the environment, too; files cannot be made up for.
        return if instructions.has_own_view() { Err(failure) } else { Ok(()) };
    }
    if let Some(hostname) = &instructions.hostname {
        let set = sethostname(&**hostname);
        set.map_err(|error| Failure::system("naming the container's host", error))?;
    }
    Ok(())
}

/// A user namespace in which this user and this group are themselves, and nobody else is anybody.
fn as_own_root(flags: CloneFlags) -> Result<(), Failure> {
    let (user, group) = (geteuid(), getegid());
    unshare(flags | CloneFlags::CLONE_NEWUSER).map_err(|error| {
        Failure::system("making a user namespace (is it allowed to this user?)", error)
    })?;
    for (file, text) in [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("{user} {user} 1")),
        ("gid_map", format!("{group} {group} 1")),
    ] {
        fs::write(format!("/proc/self/{file}"), text)
            .map_err(|error| Failure::system("mapping this user into its namespace", error))?;
    }
    Ok(())
}
