//! What a spawner tells the launcher.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::launch::Security;

/// Everything that the launcher has to know. Nothing of it stands on a command line, where other
/// users would see it, nor in the launcher's own environment, where it could change the launcher.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(in super::super) struct Instructions {
    /// The program as written, and its arguments.
    pub(super) argv: Vec<Arc<str>>,
    /// The whole environment.
    pub(super) env: Vec<(Arc<str>, Arc<str>)>,
    /// Where the program runs, as seen from within.
    pub(super) working_dir: Arc<str>,
    /// `HOME` and `USER` are those of the worker.
    pub(super) inherits_home: bool,
    /// Files of cgroups in which it writes itself down.
    pub(super) cgroups: Vec<PathBuf>,
    /// What is mounted.
    pub(super) binds: Vec<Bind>,
    /// An empty directory, for the container's root if it needs one of its own.
    pub(super) staging: PathBuf,
    /// As whom, and with what rights.
    pub(super) security: Security,
    /// Where filters on system calls lie.
    pub(super) profiles: PathBuf,
    /// The name of its host.
    pub(super) hostname: Option<Arc<str>>,
    /// Only tries whether all this can be done, and executes nothing.
    pub(super) try_out: bool,
}

/// A file or directory of the machine, and where the container sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Bind {
    /// Where it is.
    pub(in super::super) source: PathBuf,
    /// The part of it that is shown.
    pub(in super::super) sub_path: Arc<str>,
    /// Where the container sees it.
    pub(in super::super) target: Arc<str>,
    /// Whether it can only be read.
    pub(in super::super) read_only: bool,
}

impl Instructions {
    /// Whether the container has a view of files of its own.
    pub(super) fn has_own_view(&self) -> bool {
        !self.binds.is_empty() || self.security.read_only_root
    }
}

/// Why the launcher could not get so far.
#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub(in super::super) struct Failure {
    /// The machine had no room: it may be tried again.
    pub(super) machine: bool,
    /// The program's file is open for writing, perhaps only for a moment.
    #[serde(default)]
    pub(super) busy: bool,
    /// For people.
    pub(super) message: String,
}

impl Failure {
    /// The container asks for what cannot be had.
    pub(super) fn container(message: impl Into<String>) -> Self {
        Self { machine: false, busy: false, message: message.into() }
    }

    /// The system refused something.
    pub(super) fn system(what: impl std::fmt::Display, error: impl Into<std::io::Error>) -> Self {
        let error = error.into();
        let machine = super::super::spawn::is_machines_fault(&error);
        Self { machine, busy: false, message: format!("{what}: {error}") }
    }
}
