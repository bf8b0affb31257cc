//! What a pod may learn of the machine it runs on.

use stint_common::wire::Allocatable;

/// The variables of the worker's own environment that a container gets.
pub const INHERITED: [&str; 7] = ["PATH", "HOME", "LANG", "TZ", "USER", "SHELL", "TMPDIR"];

/// Where a container looks for its program when neither it nor the worker has a `PATH`.
pub(super) const DEFAULT_PATH: &str =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Facts of the machine, the same for all pods that it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The worker's name: `spec.nodeName` of its pods.
    pub node_name: String,
    /// The machine's address: `status.hostIP`, and `status.podIP` too, since its pods share its
    /// network.
    pub ip: String,
    /// Where a container without `workingDir` runs; a relative `workingDir` starts here. Absolute.
    pub working_dir: String,
    /// What it has for pods.
    pub allocatable: Allocatable,
    /// Processes and threads that each container may have, if that is limited.
    pub pids: Option<u64>,
    inherited: Vec<(String, String)>,
}

impl Host {
    /// The machine, with what containers inherit of `environment` ([`INHERITED`]).
    #[must_use]
    pub fn new(
        node_name: &str,
        ip: &str,
        working_dir: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let mut inherited: Vec<_> = environment
            .into_iter()
            .filter(|(name, _)| INHERITED.contains(&name.as_str()))
            .collect();
        if !inherited.iter().any(|(name, _)| name == "PATH") {
            inherited.push(("PATH".to_owned(), DEFAULT_PATH.to_owned()));
        }
        Self {
            node_name: node_name.to_owned(),
            ip: ip.to_owned(),
            working_dir: working_dir.to_owned(),
            allocatable: Allocatable::default(),
            pids: None,
            inherited,
        }
    }

    /// The same machine, with what it has for pods and for each container.
    #[must_use]
    pub fn with(self, allocatable: Allocatable, pids: Option<u64>) -> Self {
        Self { allocatable, pids, ..self }
    }

    /// The variables that containers inherit.
    #[must_use]
    pub fn inherited(&self) -> &[(String, String)] {
        &self.inherited
    }
}
