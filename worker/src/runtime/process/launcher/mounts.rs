//! The container's view of files: the machine's own, with its volumes where it wants them.
//!
//! Volumes are opened before anything is changed, so that no mount can hide the source of another.

use std::fs;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Component, Path};

use nix::errno::Errno;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags};
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, mount_change, mount_remount,
    move_mount, open_tree,
};

use super::instructions::{Bind, Failure, Instructions};
use super::mirror::Tree;
use super::read_only;

/// A volume, cut loose from where it is.
struct Loose {
    tree: OwnedFd,
    is_dir: bool,
}

/// Makes the view. This process has a mount namespace of its own by now.
pub(super) fn arrange(instructions: &Instructions) -> Result<(), Failure> {
    // What the machine unmounts goes here, too; what is mounted here stays here.
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        .map_err(|error| Failure::system("parting from the machine's mounts", error))?;
    let before = rustix::process::umask(Mode::empty());
    let mut binds: Vec<(&Bind, Loose)> = Vec::with_capacity(instructions.binds.len());
    for bind in &instructions.binds {
        binds.push((bind, cut_loose(bind)?));
    }
    // A volume that is mounted into another one comes after it.
    binds.sort_by(|(one, _), (other, _)| one.target.cmp(&other.target));
    let mut tree = Tree::new(&instructions.staging);
    let mut targets = Vec::with_capacity(binds.len());
    let mut writable = Vec::with_capacity(binds.len());
    for (bind, loose) in binds {
        let target = tree.mount_point(Path::new(&*bind.target), loose.is_dir)?;
        attach(&loose.tree, &target)?;
        if bind.read_only {
            make_read_only(&target)?;
        }
        tree.mounted(&target);
        writable.push((&*bind.target, !bind.read_only));
        targets.push(target);
    }
    make_working_dir(&instructions.working_dir, &writable)?;
    if instructions.security.read_only_root {
        read_only::all_but(&targets)?;
    }
    rustix::process::umask(before);
    Ok(())
}

/// In a volume that can be written to, a `workingDir` that is missing is made, as runtimes do;
/// elsewhere it would be left on the machine.
fn make_working_dir(path: &str, mounted: &[(&str, bool)]) -> Result<(), Failure> {
    let path = Path::new(path);
    let above = mounted.iter().filter(|(target, _)| path.starts_with(target));
    let nearest = above.max_by_key(|(target, _)| Path::new(target).components().count());
    let Some((target, _)) = nearest.filter(|(_, writable)| *writable) else { return Ok(()) };
    if path.exists() {
        return Ok(());
    }
    let refused = |error| Failure::system(format_args!("workingDir {path:?}"), error);
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let volume = rustix::fs::open(*target, flags, Mode::empty()).map_err(refused)?;
    let inside = path.strip_prefix(target).unwrap_or(path);
    // A link that somebody left in the volume must not have us make it elsewhere.
    let made = beneath(&volume, inside, Some(Mode::from_raw_mode(0o755)));
    made.map(drop).map_err(|error| in_volume(&format!("workingDir {path:?}"), error))
}

/// A volume that is full is not the machine's want of room.
fn in_volume(what: &str, error: rustix::io::Errno) -> Failure {
    match error {
        rustix::io::Errno::NOSPC | rustix::io::Errno::DQUOT => {
            Failure::container(format!("{what}: {error}"))
        }
        error => Failure::system(what, error),
    }
}

fn cut_loose(bind: &Bind) -> Result<Loose, Failure> {
    let source = bind.source.display();
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let opened = rustix::fs::open(&bind.source, flags, Mode::empty());
    let mut found = opened.map_err(|error| Failure::system(format_args!("{source}"), error))?;
    if !bind.sub_path.is_empty() {
        found = beneath(&found, Path::new(&*bind.sub_path), None).map_err(|error| match error {
            rustix::io::Errno::XDEV => {
                Failure::container(format!("subPath {:?}: leads out of its volume", bind.sub_path))
            }
            error => in_volume(&format!("subPath {:?}", bind.sub_path), error),
        })?;
    }
    let loose = Loose { is_dir: is_dir(&found), tree: clone_tree(&found)? };
    Ok(loose)
}

fn is_dir(file: &OwnedFd) -> bool {
    rustix::fs::fstat(file).is_ok_and(|stat| {
        rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory
    })
}

/// A copy of the mounts from `file` on, which is nowhere yet.
fn clone_tree(file: &OwnedFd) -> Result<OwnedFd, Failure> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    open_tree(file, "", flags).map_err(|error| Failure::system("taking hold of a volume", error))
}

/// Opens a part of a volume, making directories that are missing, with the permissions of the
/// volume unless others are said. No symbolic link leads out of it.
fn beneath(
    volume: &OwnedFd,
    path: &Path,
    mode: Option<Mode>,
) -> Result<OwnedFd, rustix::io::Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let open = |path: &Path| {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        rustix::fs::openat2(volume, path, flags, Mode::empty(), resolve)
    };
    match open(path) {
        Err(rustix::io::Errno::NOENT) => {}
        result => return result,
    }
    let own = Mode::from_raw_mode(rustix::fs::fstat(volume)?.st_mode & 0o7777);
    let mode = mode.unwrap_or(own);
    let mut parent = volume.try_clone().map_err(|_| rustix::io::Errno::MFILE)?;
    let mut so_far = std::path::PathBuf::new();
    for component in path.components() {
        let Component::Normal(name) = component else { continue };
        so_far.push(name);
        match rustix::fs::mkdirat(&parent, name, mode) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
        parent = open(&so_far)?;
    }
    Ok(parent)
}

fn attach(tree: &OwnedFd, target: &Path) -> Result<(), Failure> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(tree.as_fd(), "", CWD, target, flags)
        .map_err(|error| Failure::system(format_args!("mounting at {}", target.display()), error))
}

/// The flags that a mount has by now: a user namespace must not take them off.
pub(super) fn flags_of(mount_point: &Path) -> Result<MountFlags, Errno> {
    use rustix::fs::StatVfsMountFlags as Has;
    let has = rustix::fs::statvfs(mount_point)
        .map_err(|error| Errno::from_raw(error.raw_os_error()))?
        .f_flag;
    let mut flags = MountFlags::empty();
    for (held, flag) in [
        (Has::RDONLY, MountFlags::RDONLY),
        (Has::NOSUID, MountFlags::NOSUID),
        (Has::NODEV, MountFlags::NODEV),
        (Has::NOEXEC, MountFlags::NOEXEC),
        (Has::NOATIME, MountFlags::NOATIME),
        (Has::NODIRATIME, MountFlags::NODIRATIME),
        (Has::RELATIME, MountFlags::RELATIME),
    ] {
        flags.set(flag, has.contains(held));
    }
    Ok(flags)
}

/// Forbids writing through one mount.
pub(super) fn make_read_only(mount_point: &Path) -> Result<(), Failure> {
    let what = || format!("making {} read-only", mount_point.display());
    let flags = flags_of(mount_point).map_err(|error| Failure::system(what(), error))?;
    let flags = flags | MountFlags::BIND | MountFlags::RDONLY;
    mount_remount(mount_point, flags, "").map_err(|error| Failure::system(what(), error))
}

/// Clones what stands at `name` in `directory` and mounts it at `target`.
pub(super) fn show(
    directory: &OwnedFd,
    name: &std::ffi::OsStr,
    target: &Path,
) -> Result<(), Failure> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE
        | OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
    let tree = open_tree(directory, name, flags)
        .map_err(|error| Failure::system(format_args!("showing {}", target.display()), error))?;
    attach(&tree, target)
}

/// Makes an empty file, or takes the one that is there.
pub(super) fn touch(path: &Path) -> Result<(), Failure> {
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map(drop)
        .map_err(|error| Failure::system(format_args!("making {}", path.display()), error))
}

/// `AT_` flags of a look at the link itself.
pub(super) const ITSELF: AtFlags = AtFlags::SYMLINK_NOFOLLOW;
