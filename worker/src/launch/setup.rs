//! What has to be arranged on the machine before a container's program may be executed.
//!
//! Plain data: the pure side works it out, the process runtime carries it out. A container that
//! asks for nothing has none of it, and is spawned as it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use stint_common::capability::Capabilities;

/// What one container needs, and what it shares with the others of its pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// Names the pod's directory on this machine: its uid.
    pub pod: Arc<str>,
    /// The pod's volumes, made when its first container starts and removed after its last.
    pub volumes: Arc<[Volume]>,
    /// Bytes that all of them on disk may hold together.
    pub disk: Option<u64>,
    /// The group that volumes are given to.
    pub volume_group: Option<u32>,
    /// Which of them the container sees, and where.
    pub mounts: Vec<Mount>,
    /// The directory for its termination message, which stays writable.
    pub leaves_in: Option<Arc<str>>,
    /// Its file in there, and where else it is to be seen.
    pub leaves_at: Option<(Arc<str>, Arc<str>)>,
    /// As whom its program runs, and what it may do.
    pub security: Security,
    /// What it may use at most.
    pub limits: Limits,
    /// The host name that it sees, where it asks for one.
    pub hostname: Option<Arc<str>>,
    /// `HOME` and `USER` are the worker's own, and not the container's word.
    pub inherits_home: bool,
}

/// What a container may use at most; what is not said is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Thousandths of a CPU.
    pub cpu_milli: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
}

impl Limits {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A directory or file that a pod brings along, or takes from the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Its name in the pod: a DNS label.
    pub name: Arc<str>,
    /// What it is.
    pub source: VolumeSource,
}

/// What a volume is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VolumeSource {
    /// An empty directory that lives as long as the pod.
    Empty {
        /// In memory, and not on disk.
        memory: bool,
        /// How many bytes it may hold.
        limit: Option<u64>,
    },
    /// A file or directory of the machine.
    Host {
        /// Where it is.
        path: Arc<str>,
        /// What must be there.
        kind: HostPathKind,
    },
    /// Files with these contents, by their paths in the volume. Cannot be written to.
    Files {
        /// By path.
        files: BTreeMap<String, FileContent>,
        /// They are kept in memory, and not on disk.
        memory: bool,
    },
}

/// A file of a volume. What it holds is nobody's business in a log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileContent {
    /// What it holds.
    #[serde(with = "text")]
    pub bytes: Arc<[u8]>,
    /// Its permissions.
    pub mode: u32,
}

impl std::fmt::Debug for FileContent {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} bytes, {:o}", self.bytes.len(), self.mode)
    }
}

/// Bytes as base64: a number for each byte would be four times as long.
mod text {
    use std::sync::Arc;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<[u8]>, D::Error> {
        let text = String::deserialize(from)?;
        STANDARD.decode(text).map(Arc::from).map_err(de::Error::custom)
    }
}

/// `type` of a `hostPath`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostPathKind {
    /// Anything that is there.
    Any,
    /// A directory, made if there is none.
    DirectoryOrCreate,
    /// A directory.
    Directory,
    /// A file, made if there is none.
    FileOrCreate,
    /// A file.
    File,
    /// A Unix socket.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
}

/// A volume as one container sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Which volume, by its place in [`Setup::volumes`].
    pub volume: usize,
    /// Where; absolute.
    pub path: Arc<str>,
    /// The part of the volume that is shown; all of it if empty.
    pub sub_path: Arc<str>,
    /// Whether it cannot be written to.
    pub read_only: bool,
    /// Variables without a value that its `subPathExpr` asks for: it cannot be mounted then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Arc<str>>,
}

/// As whom a program runs, and what it may do. Empty: as the worker itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Security {
    /// User id.
    pub user: Option<u32>,
    /// Group id.
    pub group: Option<u32>,
    /// Further groups.
    pub groups: Vec<u32>,
    /// The machine's own groups of the user come on top.
    pub merge_groups: bool,
    /// It must not be root's.
    pub non_root: bool,
    /// No program that it executes gets more than it has.
    pub no_new_privileges: bool,
    /// Files outside of its volumes cannot be written to.
    pub read_only_root: bool,
    /// What it may do of what only root may, if that is said.
    pub capabilities: Option<Capabilities>,
    /// Which system calls it may not make.
    pub filter: Option<Filter>,
}

/// A filter on system calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Filter {
    /// What container runtimes forbid where nothing else is said.
    Usual,
    /// A profile by its path in the worker's directory of them.
    Profile(String),
}

impl Security {
    /// Whether it asks for anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self { merge_groups: self.merge_groups, ..Self::default() }
    }
}
