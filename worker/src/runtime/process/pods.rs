//! What pods have on the machine beside processes: directories for their volumes.
//!
//! ```text
//! <data>/pods/<uid>/volumes/<volume>   emptyDir, or files that were written for the pod
//! <data>/pods/<uid>/root               empty; the root of a container that needs one of its own
//! /dev/shm/stint-<id>/<uid>/<volume>   emptyDir in memory, where nothing can be mounted
//! ```
//!
//! Everything is made when the first container that wants it starts, and removed after the pod's
//! last. What a killed worker left is swept by its next life.

use std::collections::HashMap;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use stint_common::quantity;
use uuid::Uuid;

use super::launcher::Bind;
use super::rights;
use crate::launch::{FileContent, HostPathKind, Setup, Volume, VolumeSource};
use crate::runtime::StartError;

/// The pod by which it is tried out what can be done here.
pub(super) const TRIAL: &str = "trial";
/// A pod's directory of volumes.
const VOLUMES: &str = "volumes";
/// Memory that is a directory for everybody, where only root may mount its own.
const SHARED_MEMORY: &str = "/dev/shm";

/// The directories of all pods.
#[derive(Debug)]
pub(super) struct Pods {
    root: PathBuf,
    memory: PathBuf,
    allowed: Vec<PathBuf>,
    made: Mutex<HashMap<Arc<str>, Vec<Limited>>>,
}

/// A directory that may hold so much, and that no file system limits.
#[derive(Clone, Debug)]
struct Limited {
    /// The volume, or all volumes of a pod.
    name: Option<Arc<str>>,
    path: PathBuf,
    bytes: u64,
}

impl Pods {
    /// Those of the worker with this data directory, whose pods may see these files of the machine.
    pub(super) fn new(data_dir: &Path, allowed: &[PathBuf]) -> Self {
        let id = Uuid::new_v5(&Uuid::NAMESPACE_URL, data_dir.as_os_str().as_encoded_bytes());
        Self {
            root: data_dir.join("pods"),
            memory: Path::new(SHARED_MEMORY).join(format!("stint-{}", id.simple())),
            allowed: allowed.iter().filter_map(|path| fs::canonicalize(path).ok()).collect(),
            made: Mutex::default(),
        }
    }

    /// Makes the volumes of a pod, if they are not there, and says what the container mounts.
    pub(super) fn make_ready(&self, setup: &Setup) -> Result<Vec<Bind>, StartError> {
        if setup.mounts.is_empty() && !setup.security.read_only_root && setup.leaves_at.is_none() {
            return Ok(Vec::new());
        }
        {
            let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
            if !made.contains_key(&setup.pod) {
                let limited = self.make(setup)?;
                made.insert(setup.pod.clone(), limited);
            }
        }
        let mut binds = Vec::with_capacity(setup.mounts.len());
        for mount in &setup.mounts {
            let Some(volume) = setup.volumes.get(mount.volume) else { continue };
            if let Some(missing) = &mount.missing {
                // Kubelet's own words.
                let message = format!("subPathExpr of {}: missing value for {missing}", mount.path);
                return Err(StartError::Container { message });
            }
            binds.push(Bind {
                source: self.source(&setup.pod, volume)?,
                sub_path: mount.sub_path.clone(),
                target: mount.path.clone(),
                read_only: mount.read_only,
            });
        }
        Ok(binds)
    }

    /// Where a pod's container may build its root.
    pub(super) fn staging(&self, pod: &str) -> PathBuf {
        self.root.join(pod).join("root")
    }

    /// A directory to try mounting with.
    pub(super) fn trial(&self) -> io::Result<PathBuf> {
        fs::create_dir_all(self.staging(TRIAL))?;
        let volume = self.volume(TRIAL, "trial");
        fs::create_dir_all(&volume)?;
        Ok(volume)
    }

    fn volume(&self, pod: &str, name: &str) -> PathBuf {
        self.root.join(pod).join(VOLUMES).join(name)
    }

    /// Pods with a volume that holds more than it may, and what is to be said of it.
    pub(super) fn overfull(&self) -> Vec<(Arc<str>, String)> {
        let limited: Vec<(Arc<str>, Limited)> = {
            let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
            let each = made.iter().flat_map(|(pod, all)| all.iter().map(move |it| (pod, it)));
            each.map(|(pod, limited)| (pod.clone(), limited.clone())).collect()
        };
        let over = limited.into_iter().filter(|(_, it)| size_of(&it.path) > it.bytes);
        let told = over.map(|(pod, Limited { name, bytes, .. })| {
            let bytes = quantity::bytes(bytes);
            // Kubelet's own words.
            let message = match name {
                Some(name) => {
                    format!("Usage of EmptyDir volume {name:?} exceeds the limit \"{bytes}\". ")
                }
                None => format!(
                    "Pod ephemeral local storage usage exceeds the total limit of containers \
                     {bytes}. "
                ),
            };
            (pod, message)
        });
        told.collect()
    }

    fn make(&self, setup: &Setup) -> Result<Vec<Limited>, StartError> {
        let worker = |source| StartError::Worker { what: "making a pod's volumes", source };
        let mut limited = Vec::new();
        self.make_room(&setup.pod).map_err(worker)?;
        for volume in &*setup.volumes {
            match &volume.source {
                VolumeSource::Host { .. } => {}
                VolumeSource::Empty { memory, limit } => {
                    let path = self.place(setup, volume, *memory, *limit).map_err(worker)?;
                    own(&path, 0o777, 0o2000, setup.volume_group).map_err(worker)?;
                    let measured = !(*memory && rights::may_mount());
                    if let Some(bytes) = limit.filter(|_| measured) {
                        limited.push(Limited { name: Some(volume.name.clone()), path, bytes });
                    }
                }
                VolumeSource::Files { files, memory } => {
                    let path = self.place(setup, volume, *memory, None).map_err(worker)?;
                    for (name, content) in files {
                        write(&path, name, content, setup.volume_group).map_err(|error| {
                            if !is_files_fault(&error) {
                                return worker(error);
                            }
                            // Kubelet's own words.
                            let volume = &volume.name;
                            let what = format!("MountVolume.SetUp failed for volume {volume:?}");
                            container(format!("{what} : {name:?}: {error}"))
                        })?;
                    }
                }
            }
        }
        if let Some(bytes) = setup.disk {
            let path = self.root.join(&*setup.pod).join(VOLUMES);
            limited.push(Limited { name: None, path, bytes });
        }
        Ok(limited)
    }

    fn make_room(&self, pod: &str) -> io::Result<()> {
        fs::create_dir_all(self.staging(pod))?;
        // What is in them is for the pod alone; it is shown to it by mounts.
        fs::set_permissions(&self.root, Permissions::from_mode(0o700))
    }

    /// Makes the directory of a volume.
    fn place(
        &self,
        setup: &Setup,
        volume: &Volume,
        memory: bool,
        limit: Option<u64>,
    ) -> io::Result<PathBuf> {
        let path = self.volume(&setup.pod, &volume.name);
        fs::create_dir_all(&path)?;
        if memory { self.in_memory(setup, volume, limit) } else { Ok(path) }
    }

    fn in_memory(&self, setup: &Setup, volume: &Volume, limit: Option<u64>) -> io::Result<PathBuf> {
        let path = self.volume(&setup.pod, &volume.name);
        if !rights::may_mount() {
            let path = self.make_memory(&setup.pod)?.join(&*volume.name);
            fs::create_dir_all(&path)?;
            return Ok(path);
        }
        // Half of made before a crash: mounted already.
        let _none = unmount(&path, UnmountFlags::DETACH);
        let size = limit.map_or_else(String::new, |bytes| format!("size={bytes},"));
        let options = std::ffi::CString::new(format!("{size}mode=0777"))?;
        mount("stint", &path, "tmpfs", MountFlags::NODEV | MountFlags::NOSUID, &*options)?;
        Ok(path)
    }

    fn make_memory(&self, pod: &str) -> io::Result<PathBuf> {
        let path = self.memory.join(pod);
        fs::create_dir_all(&path)?;
        fs::set_permissions(&self.memory, Permissions::from_mode(0o700))?;
        Ok(path)
    }

    fn source(&self, pod: &str, volume: &Volume) -> Result<PathBuf, StartError> {
        match &volume.source {
            VolumeSource::Host { path, kind } => self
                .host(Path::new(&**path), *kind)
                .map_err(|text| container(format!("volume {:?}: {text}", volume.name))),
            VolumeSource::Empty { memory: true, .. } | VolumeSource::Files { memory: true, .. }
                if !rights::may_mount() =>
            {
                Ok(self.memory.join(pod).join(&*volume.name))
            }
            VolumeSource::Empty { .. } | VolumeSource::Files { .. } => {
                Ok(self.volume(pod, &volume.name))
            }
        }
    }

    /// A file of the machine, if this worker lets its pods have it.
    fn host(&self, path: &Path, kind: HostPathKind) -> Result<PathBuf, String> {
        let shown = path.display();
        let refuse = || {
            format!(
                "hostPath {shown} is not allowed on this worker: start it with --host-path DIR to \
                 let its pods see a directory of the machine"
            )
        };
        let allowed = |path: &Path| self.allowed.iter().any(|allowed| path.starts_with(allowed));
        let makes = matches!(kind, HostPathKind::DirectoryOrCreate | HostPathKind::FileOrCreate);
        if makes && fs::symlink_metadata(path).is_err() {
            let real = real_place(path).ok_or_else(refuse)?;
            if !allowed(&real) {
                return Err(refuse());
            }
            make_host_path(&real, kind).map_err(|error| format!("making {shown}: {error}"))?;
        }
        let real = fs::canonicalize(path)
            .map_err(|error| format!("hostPath type check failed: {shown}: {error}"))?;
        // Judged by where it really is: a symbolic link leads nowhere else.
        if !allowed(&real) {
            return Err(refuse());
        }
        let found = fs::metadata(&real).map_err(|error| format!("{shown}: {error}"))?.file_type();
        let (fits, what) = match kind {
            HostPathKind::Any => (true, ""),
            HostPathKind::Directory | HostPathKind::DirectoryOrCreate => {
                (found.is_dir(), "a directory")
            }
            HostPathKind::File | HostPathKind::FileOrCreate => (found.is_file(), "a file"),
            HostPathKind::Socket => (found.is_socket(), "a socket"),
            HostPathKind::CharDevice => (found.is_char_device(), "a character device"),
            HostPathKind::BlockDevice => (found.is_block_device(), "a block device"),
        };
        if fits {
            Ok(real)
        } else {
            Err(format!("hostPath type check failed: {shown} is not {what}"))
        }
    }

    /// Clears away what a pod had. What cannot be is said, and swept by the next life.
    pub(super) fn remove(&self, pod: &str) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).remove(pod);
        for path in [self.root.join(pod), self.memory.join(pod)] {
            if let Err(error) = clear(&path) {
                tracing::error!(path = %path.display(), %error, "cannot clear away what a pod had");
            }
        }
    }

    /// Clears away what an earlier life left.
    pub(super) fn sweep(&self) {
        for root in [&self.root, &self.memory] {
            if let Err(error) = clear(root) {
                tracing::error!(path = %root.display(), %error, "cannot clear away what pods had");
            }
        }
    }
}

fn container(message: String) -> StartError {
    StartError::Container { message }
}

/// Gives a directory or file its permissions, and to the pod's group, if it has one.
fn own(path: &Path, mode: u32, of_group: u32, group: Option<u32>) -> io::Result<()> {
    let mut mode = mode;
    if let Some(group) = group {
        if rights::may_be_anybody() {
            std::os::unix::fs::chown(path, None, Some(group))?;
        }
        mode |= of_group;
    }
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// The names of the files do not go with each other, or with any file system: they will not at the
/// next try either.
fn is_files_fault(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotADirectory
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::AlreadyExists
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::InvalidFilename
    )
}

fn write(volume: &Path, name: &str, content: &FileContent, group: Option<u32>) -> io::Result<()> {
    let mut parts = Path::new(name).components();
    let inside = parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !inside || name.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{name:?} leads outside")));
    }
    let path = volume.join(name);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    // A half-written file of an earlier try may be read-only.
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::write(&path, &content.bytes)?;
    own(&path, content.mode, 0o440, group)
}

/// Where a path that does not exist would be: its parent is real.
fn real_place(path: &Path) -> Option<PathBuf> {
    let mut missing = Vec::new();
    let mut path = path;
    loop {
        missing.push(path.file_name()?);
        path = path.parent()?;
        if let Ok(real) = fs::canonicalize(path) {
            return Some(missing.iter().rev().fold(real, |path, name| path.join(name)));
        }
    }
}

fn make_host_path(path: &Path, kind: HostPathKind) -> io::Result<()> {
    if kind == HostPathKind::DirectoryOrCreate {
        return fs::create_dir_all(path);
    }
    fs::OpenOptions::new().create(true).append(true).open(path).map(drop)
}

/// Removes a directory with all that is in it, and what is mounted in it. Nothing that is mounted
/// is ever emptied.
fn clear(path: &Path) -> io::Result<()> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mounts = table.lines().filter_map(super::launcher::mount_point);
    for mounted in mounts.filter(|mounted| mounted.starts_with(path)) {
        unmount(&mounted, UnmountFlags::DETACH)?;
    }
    let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            // A pod took our own right to its directories away.
            open_up(path)?;
            fs::remove_dir_all(path)
        }
        Err(error) if gone(&error) => Ok(()),
        result => result,
    }
}

/// What a directory takes up on its disk, as far as it can be looked at.
fn size_of(directory: &Path) -> u64 {
    fs::metadata(directory).map_or(0, |meta| size_on(meta.dev(), directory))
}

/// What is mounted in it is on another device: in memory.
fn size_on(device: u64, directory: &Path) -> u64 {
    let mut bytes = 0_u64;
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let Ok(meta) = fs::symlink_metadata(entry.path()) else { continue };
        if meta.dev() != device {
            continue;
        }
        bytes = bytes.saturating_add(meta.blocks().saturating_mul(512));
        if meta.is_dir() {
            bytes = bytes.saturating_add(size_on(device, &entry.path()));
        }
    }
    bytes
}

fn open_up(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}
