//! Places to mount at that the machine does not have.
//!
//! A pod may ask for a volume at `/data` on a machine without a `/data`. Making it there would
//! leave something behind, and could not be undone while other pods use it. So the nearest
//! directory that exists is replaced, in the container's view only, by a mirror: a small file
//! system in memory that shows everything that the directory holds, and takes what is missing.

use std::ffi::OsString;
use std::fs::{self, FileType};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::instructions::Failure;
use super::mounts;

/// Each entry costs a mount; a directory with more is not mirrored.
const MOST_ENTRIES: usize = 4096;
/// What a container may write into a mirror, beside its volumes.
const ROOM: &str = "size=64m";

/// The container's tree of files while it is made.
pub(super) struct Tree<'a> {
    staging: &'a Path,
    /// Directories in which something can be made without touching the machine's files.
    own: Vec<PathBuf>,
    /// Mounted volumes: the same, with everything in them.
    volumes: Vec<PathBuf>,
}

impl<'a> Tree<'a> {
    /// The machine's own tree. `staging` is an empty directory in it that nobody else uses.
    pub(super) fn new(staging: &'a Path) -> Self {
        Self { staging, own: Vec::new(), volumes: Vec::new() }
    }

    /// Where `target` is, once there is something to mount at.
    pub(super) fn mount_point(&mut self, target: &Path, is_dir: bool) -> Result<PathBuf, Failure> {
        if let Ok(found) = fs::canonicalize(target) {
            if found == Path::new("/") {
                let text = "mountPath /: a volume cannot take the place of the machine's files";
                return Err(Failure::container(text));
            }
            return if found.is_dir() == is_dir {
                Ok(found)
            } else {
                let kind = if is_dir { "a directory" } else { "a file" };
                let text = format!("mountPath {}: there is no {kind} there", target.display());
                Err(Failure::container(text))
            };
        }
        let (base, missing) = nearest(target)?;
        if !self.is_own(&base) {
            self.mirror(&base)?;
        }
        let mut path = base;
        let last = missing.len() - 1;
        for (index, name) in missing.iter().enumerate() {
            path.push(name);
            if index == last && !is_dir {
                mounts::touch(&path)?;
            } else {
                make_dir(&path, 0o755)?;
                self.own.push(path.clone());
            }
        }
        Ok(path)
    }

    /// A volume was mounted there.
    pub(super) fn mounted(&mut self, target: &Path) {
        self.volumes.push(target.to_owned());
    }

    fn is_own(&self, directory: &Path) -> bool {
        self.own.iter().any(|own| own == directory)
            || self.volumes.iter().any(|volume| directory.starts_with(volume))
    }

    fn mirror(&mut self, directory: &Path) -> Result<(), Failure> {
        let what =
            |error| Failure::system(format_args!("mirroring {}", directory.display()), error);
        let entries = entries(directory).map_err(what)?;
        if entries.len() > MOST_ENTRIES {
            return Err(Failure::container(format!(
                "{} has {} entries, too many for a place to mount at to be made up: make the \
                 directory on the machine",
                directory.display(),
                entries.len()
            )));
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let old = rustix::fs::open(directory, flags, Mode::empty())
            .map_err(|error| what(error.into()))?;
        let meta = fs::metadata(directory).map_err(what)?;
        let is_root = directory == Path::new("/");
        let place = if is_root { self.staging } else { directory };
        let options = format!("{ROOM},mode={:o}\0", meta.mode() & 0o7777);
        let options = std::ffi::CStr::from_bytes_until_nul(options.as_bytes()).unwrap_or_default();
        mount("stint", place, "tmpfs", MountFlags::NODEV | MountFlags::NOSUID, options)
            .map_err(|error| what(error.into()))?;
        // In a user namespace other users cannot be named; then it stays this user's own.
        let _own = std::os::unix::fs::chown(place, Some(meta.uid()), Some(meta.gid()));
        for (name, kind) in entries {
            show_entry(&old, directory, &name, kind, place)?;
        }
        if is_root {
            self.become_root()?;
        }
        self.own.push(directory.to_owned());
        Ok(())
    }

    /// The mirror of `/` becomes the root.
    fn become_root(&self) -> Result<(), Failure> {
        let what = |error: std::io::Error| Failure::system("changing the root", error);
        let relative = self.staging.strip_prefix("/").unwrap_or(self.staging);
        // The mirror shows the directory in which it stands, and so itself.
        let _none = unmount(self.staging.join(relative), UnmountFlags::DETACH);
        std::env::set_current_dir(self.staging).map_err(what)?;
        rustix::process::pivot_root(".", ".").map_err(|error| what(error.into()))?;
        unmount(".", UnmountFlags::DETACH).map_err(|error| what(error.into()))?;
        std::env::set_current_dir("/").map_err(what)
    }
}

/// The longest part of a path that exists, as a real directory, and what is missing below it.
fn nearest(target: &Path) -> Result<(PathBuf, Vec<OsString>), Failure> {
    let mut missing = Vec::new();
    let mut path = target;
    loop {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            let text = format!("mountPath {}: not a path to mount at", target.display());
            return Err(Failure::container(text));
        };
        missing.insert(0, name.to_owned());
        if let Ok(found) = fs::canonicalize(parent) {
            return if found.is_dir() {
                Ok((found, missing))
            } else {
                let text = format!(
                    "mountPath {}: {} is not a directory",
                    target.display(),
                    found.display()
                );
                Err(Failure::container(text))
            };
        }
        path = parent;
    }
}

fn entries(directory: &Path) -> std::io::Result<Vec<(OsString, FileType)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        found.push((entry.file_name(), entry.file_type()?));
        if found.len() > MOST_ENTRIES {
            break;
        }
    }
    Ok(found)
}

fn show_entry(
    old: &OwnedFd,
    directory: &Path,
    name: &std::ffi::OsStr,
    kind: FileType,
    place: &Path,
) -> Result<(), Failure> {
    let target = place.join(name);
    if kind.is_symlink() {
        let to = rustix::fs::readlinkat(old, name, Vec::new()).map_err(|error| {
            Failure::system(format_args!("reading {}", directory.join(name).display()), error)
        })?;
        let to = std::os::unix::ffi::OsStrExt::from_bytes(to.as_bytes());
        return symlink::<&std::ffi::OsStr, _>(to, &target)
            .map_err(|error| Failure::system(format_args!("making {}", target.display()), error));
    }
    if kind.is_dir() {
        make_dir(&target, 0o755)?;
    } else {
        mounts::touch(&target)?;
    }
    match mounts::show(old, name, &target) {
        // Gone since it was listed.
        Err(_) if rustix::fs::statat(old, name, mounts::ITSELF).is_err() => Ok(()),
        result => result,
    }
}

fn make_dir(path: &Path, mode: u32) -> Result<(), Failure> {
    rustix::fs::mkdir(path, Mode::from_raw_mode(mode))
        .map_err(|error| Failure::system(format_args!("making {}", path.display()), error))
}
