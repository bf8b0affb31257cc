//! A Job's template made ready, and what it says is to be executed for one pod.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, LifecycleHandler, PodSpec, Probe};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stint_common::id::PodId;
use stint_common::names;
use stint_common::pod_meta::{self, PodMetadata, PodSource};
use stint_common::wire::{IndexFailures, Template, TraceContext};

use super::env::Variables;
use super::error::PrepareError;
use super::expand::Text;
use super::field::Fields;
use super::handler::{self, Handler};
use super::host::Host;
use super::resources;
use super::security::security;
use super::setup::{Limits, Security, Setup};
use super::volumes::{PreparedMount, Volumes};
use crate::pod::{
    ActionKind, ContainerSettings, Hook, ProbeSettings, RestartPolicy, Role, Settings,
};

/// `terminationGracePeriodSeconds` where the template has none.
const DEFAULT_GRACE_SECONDS: u32 = 30;

/// What is to be executed for one container of one pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchSpec {
    /// The program as written, and its arguments. Never empty.
    pub argv: Vec<Arc<str>>,
    /// The whole environment, each name once.
    pub env: Vec<(Arc<str>, Arc<str>)>,
    /// Where it runs. Absolute.
    pub working_dir: Arc<str>,
    /// What has to be arranged before it is executed; most containers need nothing.
    pub setup: Option<Box<Setup>>,
}

impl LaunchSpec {
    /// The value of a variable of the environment.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.env.iter().find(|(known, _)| &**known == name).map(|(_, value)| &**value)
    }
}

/// A Job's template, worked out as far as it is the same for all of its pods.
#[derive(Debug)]
pub struct PreparedJob {
    job_name: String,
    indexed: bool,
    template: Value,
    settings: Arc<Settings>,
    containers: Vec<PreparedContainer>,
    volumes: Volumes,
    volume_group: Option<u32>,
    /// Bytes that its pods may take up on disk.
    disk: Option<u64>,
    /// The template names the pods' host.
    names_host: bool,
}

#[derive(Debug)]
struct PreparedContainer {
    argv: Vec<Text>,
    variables: Variables,
    /// What the container inherits of the machine and does not define itself.
    inherited: Vec<(Arc<str>, Arc<str>)>,
    working_dir: Arc<str>,
    mounts: Vec<PreparedMount>,
    security: Security,
    limits: Limits,
    /// Devices that it asks for, by the name of their resource.
    devices: BTreeMap<String, u64>,
    /// Where it is shown a file for its termination message, if anywhere.
    message_path: Option<Arc<str>>,
    /// `terminationMessagePolicy: FallbackToLogsOnError`.
    falls_back_to_logs: bool,
    handlers: Vec<(ActionKind, Handler)>,
}

/// What is known of a run only when it is to be started.
#[derive(Clone, Debug, Default)]
pub struct RunFacts<'a> {
    /// The span that it belongs to.
    pub trace: Option<&'a TraceContext>,
    /// Where it may leave its termination message. Absolute.
    pub termination_log: Option<Arc<str>>,
}

impl PreparedJob {
    /// Reads a template.
    ///
    /// # Errors
    ///
    /// When it is no pod template, or asks for what a host process cannot have.
    pub fn new(template: &Template, host: &Host) -> Result<Self, PrepareError> {
        let value: Value =
            serde_json::from_str(template.pod_template.get()).map_err(PrepareError::Template)?;
        let mut spec = value["spec"].clone();
        if template.indexed {
            pod_meta::inject_completion_index(&mut spec);
        }
        let spec = PodSpec::deserialize(spec).map_err(PrepareError::Template)?;
        let fields = Fields { template, spec: &spec, host };
        let volumes = Volumes::of(&spec, &value["spec"]["volumes"], fields)?;
        let containers = containers(&spec)
            .map(|(container, path)| PreparedContainer::new(container, &path, fields, &volumes))
            .collect::<Result<_, _>>()?;
        let context = spec.security_context.as_ref();
        Ok(Self {
            job_name: template.job_name.clone(),
            indexed: template.indexed,
            settings: Arc::new(settings(&spec)),
            containers,
            volumes,
            volume_group: context
                .and_then(|context| context.fs_group)
                .and_then(|group| u32::try_from(group).ok()),
            disk: resources::disk(&spec),
            names_host: spec.hostname.as_ref().is_some_and(|name| !name.is_empty()),
            template: value,
        })
    }

    /// The same, with variables of these containers to be asked for before they are started.
    #[must_use]
    pub fn asking_for(mut self, are_asked_for: impl Fn(&str) -> bool) -> Self {
        for container in &mut Arc::make_mut(&mut self.settings).containers {
            container.is_configured = are_asked_for(&container.name);
        }
        self
    }

    /// What the machine of each of its pods has to know.
    #[must_use]
    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// The Job's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.job_name
    }

    /// What a pod is called.
    #[must_use]
    pub fn pod_name(&self, pod: PodId) -> String {
        names::pod_name(&self.job_name, self.indexed, pod)
    }

    /// A pod's completion index, if the Job gives such.
    #[must_use]
    pub fn completion_index(&self, pod: PodId) -> Option<u32> {
        self.indexed.then_some(pod.slot.0)
    }

    /// Names, labels and annotations of a pod.
    #[must_use]
    pub fn metadata(&self, pod: PodId, failures: Option<IndexFailures>) -> PodMetadata {
        let Self { job_name, indexed, template, .. } = self;
        pod_meta::pod_metadata(PodSource { job_name, indexed: *indexed, template }, pod, failures)
    }

    /// What is to be executed for the container at `index` of `pod`, whose completion index failed
    /// so often before; `None` if the template has no such container.
    #[must_use]
    pub fn launch(
        &self,
        pod: PodId,
        failures: Option<IndexFailures>,
        index: usize,
        run: &RunFacts<'_>,
    ) -> Option<LaunchSpec> {
        let container = self.containers.get(index)?;
        let metadata = self.metadata(pod, failures);
        let values = container.variables.values(pod, &metadata);
        let setup = self.setup(container, pod, &metadata, &values, run);
        Some(LaunchSpec { setup, ..container.launch(&values, &metadata, run) })
    }

    /// What has to be arranged for a container, if anything.
    fn setup(
        &self,
        container: &PreparedContainer,
        pod: PodId,
        metadata: &PodMetadata,
        values: &[Arc<str>],
        run: &RunFacts<'_>,
    ) -> Option<Box<Setup>> {
        let nothing = container.mounts.is_empty()
            && container.message_path.is_none()
            && container.security.is_empty()
            && container.limits.is_empty();
        if nothing && !self.names_host {
            return None;
        }
        let hostname = metadata.hostname.as_deref().filter(|_| self.names_host);
        let file = run.termination_log.as_ref();
        let log = file.and_then(|path| path.rsplit_once('/'));
        Some(Box::new(Setup {
            pod: Arc::from(pod.uid().to_string()),
            volumes: self.volumes.of_pod(pod, metadata),
            disk: self.disk,
            volume_group: self.volume_group,
            mounts: container.mounts.iter().map(|mount| mount.of_pod(values)).collect(),
            leaves_in: log.map(|(directory, _)| Arc::from(directory)),
            leaves_at: file.cloned().zip(container.message_path.clone()),
            security: container.security.clone(),
            limits: container.limits,
            hostname: hostname.map(Arc::from),
            inherits_home: !container.variables.contains("HOME"),
        }))
    }

    /// Devices of those that were given out before the container at `index`, and its own.
    ///
    /// Sidecars come first, then the main containers; an init container has no others beside it
    /// than the sidecars before it.
    #[must_use]
    pub fn devices(&self, index: usize) -> (BTreeMap<String, u64>, BTreeMap<String, u64>) {
        let mut before = BTreeMap::new();
        let beside = self.runs_beside(index).filter_map(|beside| self.containers.get(beside));
        for (name, count) in beside.flat_map(|container| &container.devices) {
            *before.entry(name.clone()).or_default() += count;
        }
        let own = self.containers.get(index).map(|container| container.devices.clone());
        (before, own.unwrap_or_default())
    }

    /// The containers that run beside the one at `index` and have their devices before it.
    fn runs_beside(&self, index: usize) -> impl Iterator<Item = usize> {
        let role = |at: usize| self.settings.containers.get(at).map(|it| it.role);
        let own = role(index);
        (0..self.containers.len()).filter(move |at| match role(*at) {
            Some(Role::Main) => own == Some(Role::Main) && *at < index,
            Some(Role::Sidecar) => own == Some(Role::Main) || *at < index,
            Some(Role::Init) | None => false,
        })
    }

    /// Whether a pod may leave something on this machine that has to be cleared away.
    #[must_use]
    pub fn leaves_something(&self) -> bool {
        let own_view =
            |it: &PreparedContainer| it.security.read_only_root || it.message_path.is_some();
        !self.volumes.is_empty() || self.containers.iter().any(own_view)
    }

    /// What is to be done for a hook or probe of the container at `index`.
    #[must_use]
    pub fn handler(&self, index: usize, kind: ActionKind) -> Option<&Handler> {
        let handlers = self.containers.get(index)?.handlers.iter();
        handlers.filter(|(of, _)| *of == kind).map(|(_, handler)| handler).next()
    }

    /// Whether the end of a failed container's output stands in for a termination message.
    #[must_use]
    pub fn falls_back_to_logs(&self, index: usize) -> bool {
        self.containers.get(index).is_some_and(|container| container.falls_back_to_logs)
    }
}

impl PreparedContainer {
    fn new(
        container: &Container,
        path: &str,
        fields: Fields<'_>,
        volumes: &Volumes,
    ) -> Result<Self, PrepareError> {
        let variables = Variables::of(container, fields, path)?;
        let command = container.command.iter().flatten();
        if command.clone().next().is_none() {
            return Err(PrepareError::NoCommand { field: format!("{path}.command") });
        }
        let argv = command.chain(container.args.iter().flatten());
        let inherited = fields.host.inherited().iter();
        Ok(Self {
            argv: argv.map(|argument| variables.parse(argument)).collect(),
            inherited: inherited
                .filter(|(name, _)| !variables.contains(name))
                .map(|(name, value)| (Arc::from(name.as_str()), Arc::from(value.as_str())))
                .collect(),
            working_dir: working_dir(container, fields.host),
            mounts: volumes.mounts(container, &variables, path)?,
            security: security(fields.spec, container),
            limits: Limits { pids: fields.host.pids, ..resources::limits(container) },
            devices: resources::devices(container),
            message_path: message_path(container),
            falls_back_to_logs: container.termination_message_policy.as_deref()
                == Some("FallbackToLogsOnError"),
            handlers: handler::handlers(container, &fields.host.ip),
            variables,
        })
    }

    fn launch(
        &self,
        values: &[Arc<str>],
        metadata: &PodMetadata,
        run: &RunFacts<'_>,
    ) -> LaunchSpec {
        let mut env = self.inherited.clone();
        let mut offer = |name: &str, value: &str| {
            if !self.variables.contains(name) {
                env.push((Arc::from(name), Arc::from(value)));
            }
        };
        offer("HOSTNAME", metadata.host());
        if let Some(file) = &run.termination_log {
            offer("STINT_TERMINATION_LOG", file);
        }
        if let Some(trace) = run.trace {
            offer("TRACEPARENT", &trace.traceparent);
            trace.tracestate.iter().for_each(|state| offer("TRACESTATE", state));
            trace.baggage.iter().for_each(|baggage| offer("BAGGAGE", baggage));
        }
        env.extend(self.variables.named(values));
        LaunchSpec {
            argv: self.argv.iter().map(|argument| argument.render(values)).collect(),
            env,
            working_dir: self.working_dir.clone(),
            setup: None,
        }
    }
}

fn message_path(container: &Container) -> Option<Arc<str>> {
    let commands = container.command.iter().chain(&container.args).flatten();
    let variables = container.env.iter().flatten().filter_map(|it| it.value.as_ref());
    let texts = commands.chain(variables).map(String::as_str);
    let path = pod_meta::message_path(container.termination_message_path.as_deref(), texts)?;
    Some(Arc::from(format!("/{}", path.trim_start_matches('/'))))
}

/// All containers with their paths, in the machine's order: the main ones, then the others.
fn containers(spec: &PodSpec) -> impl Iterator<Item = (&Container, String)> {
    let main = spec.containers.iter().enumerate();
    let main = main.map(|(index, it)| (it, format!("spec.containers[{index}]")));
    let others = spec.init_containers.iter().flatten().enumerate();
    main.chain(others.map(|(index, it)| (it, format!("spec.initContainers[{index}]"))))
}

fn settings(spec: &PodSpec) -> Settings {
    let restarts = spec.restart_policy.as_deref() == Some("OnFailure");
    let main = spec.containers.iter().map(|it| container_settings(it, Role::Main));
    let others = spec.init_containers.iter().flatten().map(|it| {
        let sidecar = it.restart_policy.as_deref() == Some("Always");
        container_settings(it, if sidecar { Role::Sidecar } else { Role::Init })
    });
    Settings {
        containers: main.chain(others).collect(),
        restart_policy: if restarts { RestartPolicy::OnFailure } else { RestartPolicy::Never },
        grace_seconds: spec
            .termination_grace_period_seconds
            .map_or(DEFAULT_GRACE_SECONDS, |seconds| u32::try_from(seconds).unwrap_or(u32::MAX)),
        active_deadline: spec
            .active_deadline_seconds
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map(Duration::from_secs),
    }
}

fn container_settings(container: &Container, role: Role) -> ContainerSettings {
    let lifecycle = container.lifecycle.as_ref();
    let post_start = lifecycle.and_then(|lifecycle| lifecycle.post_start.as_ref());
    let pre_stop = lifecycle.and_then(|lifecycle| lifecycle.pre_stop.as_ref());
    ContainerSettings {
        name: Arc::from(&*container.name),
        role,
        is_configured: false,
        post_start: post_start.map(hook_settings),
        pre_stop: pre_stop.map(hook_settings),
        startup: container.startup_probe.as_ref().map(probe_settings),
        liveness: container.liveness_probe.as_ref().map(probe_settings),
        readiness: container.readiness_probe.as_ref().map(probe_settings),
    }
}

fn hook_settings(hook: &LifecycleHandler) -> Hook {
    match &hook.sleep {
        Some(sleep) => {
            Hook::Sleep(Duration::from_secs(u64::try_from(sleep.seconds).unwrap_or_default()))
        }
        None => Hook::Run,
    }
}

/// With the API server's defaults, which also stand in for 0.
fn probe_settings(probe: &Probe) -> ProbeSettings {
    let number = |given: Option<i32>, default: u32| {
        let given = given.and_then(|number| u32::try_from(number).ok());
        given.filter(|number| *number > 0).unwrap_or(default)
    };
    let seconds = |given, default| Duration::from_secs(u64::from(number(given, default)));
    ProbeSettings {
        initial_delay: seconds(probe.initial_delay_seconds, 0),
        period: seconds(probe.period_seconds, 10),
        timeout: seconds(probe.timeout_seconds, 1),
        success_threshold: number(probe.success_threshold, 1),
        failure_threshold: number(probe.failure_threshold, 3),
        grace_seconds: probe
            .termination_grace_period_seconds
            .map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX)),
    }
}

fn working_dir(container: &Container, host: &Host) -> Arc<str> {
    let Some(written) = container.working_dir.as_deref().filter(|path| !path.is_empty()) else {
        return Arc::from(host.working_dir.as_str());
    };
    if written.starts_with('/') {
        return Arc::from(written);
    }
    Arc::from(format!("{}/{written}", host.working_dir.trim_end_matches('/')))
}
