//! A Job's template made ready, and what it says is to be executed for one pod.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, PodSpec};
use serde::Deserialize as _;
use serde_json::Value;
use stint_common::id::PodId;
use stint_common::pod_meta::{self, PodMetadata, PodSource};
use stint_common::wire::{IndexFailures, Template, TraceContext};

use super::env::Variables;
use super::error::PrepareError;
use super::expand::Text;
use super::field::Fields;
use super::host::Host;
use super::resources;
use super::security::security;
use super::setup::{Limits, Security, Setup};
use super::volumes::{PreparedMount, Volumes};
use crate::pod::{RestartPolicy, Settings};

/// `terminationGracePeriodSeconds` where the template has none.
const DEFAULT_GRACE_SECONDS: u32 = 30;

/// What is to be executed for one container of one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
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
        refuse_init_containers(&spec)?;
        let fields = Fields { template, spec: &spec, host };
        let volumes = Volumes::of(&spec, fields)?;
        let containers = spec.containers.iter().enumerate();
        let context = spec.security_context.as_ref();
        Ok(Self {
            job_name: template.job_name.clone(),
            indexed: template.indexed,
            settings: Arc::new(settings(&spec)),
            containers: containers
                .map(|(index, container)| {
                    PreparedContainer::new(container, index, fields, &volumes)
                })
                .collect::<Result<_, _>>()?,
            volumes,
            volume_group: context
                .and_then(|context| context.fs_group)
                .and_then(|group| u32::try_from(group).ok()),
            names_host: spec.hostname.as_ref().is_some_and(|name| !name.is_empty()),
            template: value,
        })
    }

    /// What the machine of each of its pods has to know.
    #[must_use]
    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
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
        trace: Option<&TraceContext>,
    ) -> Option<LaunchSpec> {
        let container = self.containers.get(index)?;
        let metadata = self.metadata(pod, failures);
        let values = container.variables.values(pod, &metadata);
        let setup = self.setup(container, pod, &metadata, &values);
        Some(LaunchSpec { setup, ..container.launch(&values, &metadata, trace) })
    }

    /// What has to be arranged for a container, if anything.
    fn setup(
        &self,
        container: &PreparedContainer,
        pod: PodId,
        metadata: &PodMetadata,
        values: &[Arc<str>],
    ) -> Option<Box<Setup>> {
        let nothing = container.mounts.is_empty()
            && container.security.is_empty()
            && container.limits.is_empty();
        if nothing && !self.names_host {
            return None;
        }
        let hostname = metadata.hostname.as_deref().filter(|_| self.names_host);
        Some(Box::new(Setup {
            pod: Arc::from(pod.uid().to_string()),
            volumes: self.volumes.of_pod(pod, metadata),
            volume_group: self.volume_group,
            mounts: container.mounts.iter().map(|mount| mount.of_pod(values)).collect(),
            security: container.security.clone(),
            limits: container.limits,
            hostname: hostname.map(Arc::from),
            inherits_home: !container.variables.contains("HOME"),
        }))
    }

    /// Devices that the container at `index` asks for, and those that the containers before it do.
    #[must_use]
    pub fn devices(&self, index: usize) -> (BTreeMap<String, u64>, BTreeMap<String, u64>) {
        let mut before = BTreeMap::new();
        for (name, count) in self.containers.iter().take(index).flat_map(|it| &it.devices) {
            *before.entry(name.clone()).or_default() += count;
        }
        let own = self.containers.get(index).map(|container| container.devices.clone());
        (before, own.unwrap_or_default())
    }

    /// Whether a pod may leave something on this machine that has to be cleared away.
    #[must_use]
    pub fn leaves_something(&self) -> bool {
        !self.volumes.is_empty()
    }
}

impl PreparedContainer {
    fn new(
        container: &Container,
        index: usize,
        fields: Fields<'_>,
        volumes: &Volumes,
    ) -> Result<Self, PrepareError> {
        let path = format!("spec.containers[{index}]");
        let variables = Variables::of(container, fields, &path)?;
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
            mounts: volumes.mounts(container, &variables, &path)?,
            security: security(fields.spec, container),
            limits: Limits { pids: fields.host.pids, ..resources::limits(container) },
            devices: resources::devices(container),
            variables,
        })
    }

    fn launch(
        &self,
        values: &[Arc<str>],
        metadata: &PodMetadata,
        trace: Option<&TraceContext>,
    ) -> LaunchSpec {
        let mut env = self.inherited.clone();
        let mut offer = |name: &str, value: &str| {
            if !self.variables.contains(name) {
                env.push((Arc::from(name), Arc::from(value)));
            }
        };
        offer("HOSTNAME", metadata.host());
        if let Some(trace) = trace {
            offer("TRACEPARENT", &trace.traceparent);
            trace.tracestate.iter().for_each(|state| offer("TRACESTATE", state));
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

fn refuse_init_containers(spec: &PodSpec) -> Result<(), PrepareError> {
    if spec.init_containers.iter().flatten().next().is_some() {
        return Err(PrepareError::Unsupported { field: "spec.initContainers".to_owned() });
    }
    Ok(())
}

fn settings(spec: &PodSpec) -> Settings {
    let restarts = spec.restart_policy.as_deref() == Some("OnFailure");
    Settings {
        containers: spec.containers.iter().map(|container| Arc::from(&*container.name)).collect(),
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

fn working_dir(container: &Container, host: &Host) -> Arc<str> {
    let Some(written) = container.working_dir.as_deref().filter(|path| !path.is_empty()) else {
        return Arc::from(host.working_dir.as_str());
    };
    if written.starts_with('/') {
        return Arc::from(written);
    }
    Arc::from(format!("{}/{written}", host.working_dir.trim_end_matches('/')))
}
