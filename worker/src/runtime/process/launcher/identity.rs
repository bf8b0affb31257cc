//! As whom the program runs, and with what rights.

use std::ffi::CString;

use nix::unistd::{Gid, Uid, User, getegid, geteuid, getgrouplist, getgroups};
use rustix::thread::{self, CapabilitySet, CapabilitySets};
use stint_common::capability::Capabilities;

use super::super::rights;
use super::instructions::Failure;
use crate::launch::Security;

/// The group of a user whom the machine does not know: nobody's.
const NO_GROUP: u32 = 65_534;

/// Where another user is at home.
#[derive(Debug)]
pub(super) struct Home {
    /// Its name, if the machine knows it.
    pub(super) user: Option<String>,
    /// Its home directory.
    pub(super) directory: String,
}

/// Becomes what `wanted` says. Returns the home of the user if it is another one than before.
pub(super) fn assume(wanted: &Security) -> Result<Option<Home>, Failure> {
    let own = geteuid();
    let uid = wanted.user.map_or(own, Uid::from_raw);
    if wanted.non_root && uid.is_root() {
        return Err(Failure::container(
            "container has runAsNonRoot and would run as root: set runAsUser",
        ));
    }
    // Looked up while all files can still be read.
    let known = User::from_uid(uid).ok().flatten();
    let ids = ids(wanted, uid, known.as_ref())?;
    if let Some(capabilities) = wanted.capabilities {
        limit(capabilities, uid)?;
    }
    if let Some((gid, groups)) = ids {
        change(uid, gid, &groups)?;
    }
    if wanted.no_new_privileges || wanted.capabilities.is_some() && !own.is_root() {
        thread::set_no_new_privs(true)
            .map_err(|error| Failure::system("forbidding new privileges", error))?;
    }
    Ok((uid != own).then(|| Home {
        directory: known
            .as_ref()
            .map_or_else(|| "/".to_owned(), |user| user.dir.display().to_string()),
        user: known.map(|user| user.name),
    }))
}

/// Group and further groups, if anything is to be changed.
fn ids(
    wanted: &Security,
    uid: Uid,
    known: Option<&User>,
) -> Result<Option<(Gid, Vec<Gid>)>, Failure> {
    if wanted.user.is_none() && wanted.group.is_none() && wanted.groups.is_empty() {
        return Ok(None);
    }
    let unknown = Gid::from_raw(NO_GROUP);
    let primary = match (wanted.group, wanted.user) {
        (Some(group), _) => Gid::from_raw(group),
        (None, Some(_)) => known.map_or(unknown, |user| user.gid),
        (None, None) => getegid(),
    };
    let mut groups: Vec<Gid> = wanted.groups.iter().copied().map(Gid::from_raw).collect();
    if wanted.merge_groups {
        groups.extend(machines_groups(wanted, known, primary)?);
    }
    groups.sort_unstable_by_key(|group| group.as_raw());
    groups.dedup();
    if rights::may_be_anybody() {
        return Ok(Some((primary, groups)));
    }
    let own = getgroups().unwrap_or_default();
    let has = |group: &Gid| *group == getegid() || own.contains(group);
    if uid == geteuid() && primary == getegid() && groups.iter().all(has) {
        return Ok(None);
    }
    Err(Failure::container(format!(
        "this worker runs as user {} and cannot run a container as user {uid} with group \
         {primary}: only root can",
        geteuid()
    )))
}

/// Groups that the machine itself puts the user in.
fn machines_groups(
    wanted: &Security,
    known: Option<&User>,
    primary: Gid,
) -> Result<Vec<Gid>, Failure> {
    if wanted.user.is_none() {
        return getgroups().map_err(|error| Failure::system("reading the groups", error));
    }
    let name = known.and_then(|user| CString::new(user.name.as_str()).ok());
    let Some(name) = name else { return Ok(Vec::new()) };
    getgrouplist(&name, primary).map_err(|error| Failure::system("reading the groups", error))
}

fn change(uid: Uid, gid: Gid, groups: &[Gid]) -> Result<(), Failure> {
    let refused = |what| move |error: rustix::io::Errno| Failure::system(what, error);
    let groups: Vec<rustix::fs::Gid> =
        groups.iter().map(|group| rustix::fs::Gid::from_raw(group.as_raw())).collect();
    let gid = rustix::fs::Gid::from_raw(gid.as_raw());
    let uid = rustix::fs::Uid::from_raw(uid.as_raw());
    // This process has one thread: its ids are the process'.
    thread::set_thread_groups(&groups).map_err(refused("setting the groups"))?;
    thread::set_thread_res_gid(gid, gid, gid).map_err(refused("setting the group"))?;
    thread::set_thread_res_uid(uid, uid, uid).map_err(refused("setting the user"))
}

/// Leaves no capability but these to this process and all that it executes.
fn limit(capabilities: Capabilities, uid: Uid) -> Result<(), Failure> {
    let mut missing = Vec::new();
    for number in 0..64 {
        let one = CapabilitySet::from_bits_retain(1_u64 << number);
        // Past the last one that the kernel knows.
        let Ok(held) = thread::capability_is_in_bounding_set(one) else { break };
        let wanted = capabilities.0 & (1_u64 << number) != 0;
        if held && !wanted && geteuid().is_root() {
            thread::remove_capability_from_bounding_set(one)
                .map_err(|error| Failure::system("dropping a capability", error))?;
        } else if wanted && !held {
            missing.push(number);
        }
    }
    let all = capabilities == Capabilities::ALL;
    if uid.is_root() && !missing.is_empty() && !all {
        return Err(Failure::container(format!(
            "this worker does not have capabilities number {missing:?} itself"
        )));
    }
    let sets = thread::capabilities(None)
        .map_err(|error| Failure::system("reading the capabilities", error))?;
    let sets = CapabilitySets { inheritable: CapabilitySet::empty(), ..sets };
    thread::set_capabilities(None, sets)
        .map_err(|error| Failure::system("setting the capabilities", error))
}
