//! What a pod's machine has to know of its template. Made once per Job.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// `restartPolicy` of a Job's pods; Always is refused by Kubernetes there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestartPolicy {
    /// A container runs once.
    Never,
    /// A container that failed is started again in its pod.
    OnFailure,
}

/// What the machine has to know of a pod; the same for all pods of a Job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Its containers in the template's order, then its init containers in theirs.
    pub containers: Vec<ContainerSettings>,
    /// `restartPolicy`.
    pub restart_policy: RestartPolicy,
    /// `terminationGracePeriodSeconds`; used when the pod ends one of its own containers.
    pub grace_seconds: u32,
    /// `activeDeadlineSeconds` of the pod, counted from its `startTime`.
    pub active_deadline: Option<Duration>,
}

/// What the machine has to know of one container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSettings {
    /// `name`.
    pub name: Arc<str>,
    /// What it is for.
    pub role: Role,
    /// Variables of it come from elsewhere, and are asked for before its first start.
    #[serde(default)]
    pub is_configured: bool,
    /// `lifecycle.postStart`.
    pub post_start: Option<Hook>,
    /// `lifecycle.preStop`.
    pub pre_stop: Option<Hook>,
    /// `startupProbe`.
    pub startup: Option<ProbeSettings>,
    /// `livenessProbe`.
    pub liveness: Option<ProbeSettings>,
    /// `readinessProbe`.
    pub readiness: Option<ProbeSettings>,
}

/// What a container is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// One of `containers`: the pod is over when these are.
    Main,
    /// One of `initContainers`: has to succeed before the next one starts.
    Init,
    /// One of `initContainers` with `restartPolicy: Always`: has to be started before the next one
    /// starts, and runs as long as the pod.
    Sidecar,
}

/// A handler of `lifecycle`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hook {
    /// `sleep`.
    Sleep(Duration),
    /// Something that the executor does and reports on.
    Run,
}

/// A probe, without what it does: the executor knows that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeSettings {
    /// `initialDelaySeconds`, from the start of the process.
    pub initial_delay: Duration,
    /// `periodSeconds`, from one try to the next.
    pub period: Duration,
    /// `timeoutSeconds` of one try.
    pub timeout: Duration,
    /// `successThreshold`: so many in a row are a success.
    pub success_threshold: u32,
    /// `failureThreshold`: so many in a row are a failure.
    pub failure_threshold: u32,
    /// `terminationGracePeriodSeconds` of a container that this probe ends; else the pod's.
    pub grace_seconds: Option<u32>,
}

impl Settings {
    /// Whether the pod is over with the first exit of the only process that it starts. Its start
    /// may then be asked for before there is room for it, since nothing counts from the asking.
    #[must_use]
    pub fn is_one_run(&self) -> bool {
        self.is_plain()
            && self.restart_policy == RestartPolicy::Never
            && self.active_deadline.is_none()
    }

    /// Whether there is one container, of which nothing is asked but to run: while it does, its
    /// start is all that its record has to say.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        matches!(&self.containers[..], [only] if only.is_plain())
    }

    /// Whether there is one container, and its variables have to be asked for before anything of
    /// the pod can be started.
    #[must_use]
    pub fn asks_first(&self) -> bool {
        matches!(&self.containers[..], [only] if only.is_configured)
    }

    /// The containers that are started before any other, by their places.
    pub fn first_to_start(&self) -> impl Iterator<Item = usize> {
        let init = self.containers.iter().position(|it| it.role != Role::Main);
        // What is behind a hook waits for it.
        let hook = self.containers.iter().position(|it| it.post_start.is_some());
        match init {
            Some(first) => first..=first,
            None => 0..=hook.unwrap_or(self.containers.len().saturating_sub(1)),
        }
    }

    /// Whether there are init containers.
    #[must_use]
    pub fn has_init_containers(&self) -> bool {
        self.containers.last().is_some_and(|last| last.role != Role::Main)
    }
}

impl ContainerSettings {
    /// A main container without hooks and probes.
    #[must_use]
    pub fn plain(name: Arc<str>) -> Self {
        Self {
            name,
            role: Role::Main,
            is_configured: false,
            post_start: None,
            pre_stop: None,
            startup: None,
            liveness: None,
            readiness: None,
        }
    }

    fn is_plain(&self) -> bool {
        self.role == Role::Main
            && self.post_start.is_none()
            && self.pre_stop.is_none()
            && !self.has_probes()
    }

    /// Whether it is looked at while it runs.
    #[must_use]
    pub fn has_probes(&self) -> bool {
        self.startup.is_some() || self.liveness.is_some() || self.readiness.is_some()
    }
}
