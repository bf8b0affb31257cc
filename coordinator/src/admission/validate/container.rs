//! Containers of a template: names, images, ports, mounts.

use std::collections::HashSet;

use k8s_openapi::api::core::v1::{Container, ContainerPort, PodSpec};

use super::pod::{given, one_of};
use super::{environment, handlers, resources, security, volumes};
use crate::admission::cause::{Causes, Path};
use crate::admission::text;

const MESSAGE_POLICIES: [&str; 2] = ["File", "FallbackToLogsOnError"];
const PULL_POLICIES: [&str; 3] = ["Always", "IfNotPresent", "Never"];
const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];
const MAX_PORT: i32 = 65535;

/// The main containers; there must be one.
pub(super) fn containers(
    containers: &[Container],
    volumes: &HashSet<&str>,
    grace_seconds: Option<i64>,
    path: &Path<'_>,
    causes: &mut Causes,
) {
    if containers.is_empty() {
        causes.required(path, "");
        return;
    }
    let mut names = HashSet::new();
    for (index, container) in containers.iter().enumerate() {
        let path = path.index(index);
        common(container, volumes, &path, causes);
        handlers::hooks_and_probes(container, grace_seconds, &path, causes);
        if !names.insert(container.name.as_str()) {
            causes.duplicate(&path.child("name"), &container.name);
        }
    }
    host_ports(containers, path, causes);
}

/// The init containers; their names must differ from the main ones' too.
pub(super) fn init_containers(
    pod: &PodSpec,
    volumes: &HashSet<&str>,
    path: &Path<'_>,
    causes: &mut Causes,
) {
    let mut names: HashSet<&str> = pod.containers.iter().map(|it| it.name.as_str()).collect();
    for (index, container) in pod.init_containers.iter().flatten().enumerate() {
        let list = *path;
        let path = path.index(index);
        common(container, volumes, &path, causes);
        let policy = container.restart_policy.as_deref();
        if let Some(policy) = policy.filter(|policy| *policy != "Always") {
            causes.not_supported(&path.child("restartPolicy"), policy, &["Always"]);
        }
        if !container.name.is_empty() && !names.insert(container.name.as_str()) {
            causes.duplicate(&path.child("name"), &container.name);
        }
        // They run one by one, so only their own ports can be in each other's way.
        host_ports(std::slice::from_ref(container), &list, causes);
        if policy == Some("Always") {
            let grace_seconds = pod.termination_grace_period_seconds;
            handlers::hooks_and_probes(container, grace_seconds, &path, causes);
        } else {
            for (name, given) in [
                ("lifecycle", container.lifecycle.is_some()),
                ("livenessProbe", container.liveness_probe.is_some()),
                ("readinessProbe", container.readiness_probe.is_some()),
                ("startupProbe", container.startup_probe.is_some()),
            ] {
                if given {
                    let detail = "may not be set for init containers without restartPolicy=Always";
                    causes.forbidden(&path.child(name), detail);
                }
            }
        }
    }
}

/// What holds for every kind of container.
fn common(container: &Container, names: &HashSet<&str>, path: &Path<'_>, causes: &mut Causes) {
    let name = path.child("name");
    if container.name.is_empty() {
        causes.required(&name, "");
    } else {
        causes.invalid_each(&name, &container.name, text::dns_label(&container.name));
    }
    if given(container.image.as_deref()).is_none() {
        causes.required(&path.child("image"), "");
    }
    one_of(
        container.termination_message_policy.as_deref(),
        &MESSAGE_POLICIES,
        &path.child("terminationMessagePolicy"),
        causes,
    );
    ports(container.ports.as_deref().unwrap_or_default(), &path.child("ports"), causes);
    environment::variables(
        container.env.as_deref().unwrap_or_default(),
        &path.child("env"),
        causes,
    );
    environment::sources(
        container.env_from.as_deref().unwrap_or_default(),
        &path.child("envFrom"),
        causes,
    );
    let mounts = container.volume_mounts.as_deref().unwrap_or_default();
    let context = container.security_context.as_ref();
    let privileged = context.and_then(|context| context.privileged).unwrap_or(false);
    volumes::mounts(mounts, names, privileged, &path.child("volumeMounts"), causes);
    let policy = container.image_pull_policy.as_deref();
    one_of(policy, &PULL_POLICIES, &path.child("imagePullPolicy"), causes);
    resources::resources(container, path, causes);
    security::of_container(container, path, causes);
}

fn ports(ports: &[ContainerPort], path: &Path<'_>, causes: &mut Causes) {
    let mut names = HashSet::new();
    for (index, port) in ports.iter().enumerate() {
        let path = path.index(index);
        if let Some(name) = given(port.name.as_deref()) {
            let faults = text::port_name(name);
            if faults.is_empty() && !names.insert(name) {
                causes.duplicate(&path.child("name"), name);
            }
            causes.invalid_each(&path.child("name"), name, faults);
        }
        if port.container_port == 0 {
            causes.required(&path.child("containerPort"), "");
        } else {
            port_number(port.container_port, &path.child("containerPort"), causes);
        }
        if let Some(number) = port.host_port.filter(|number| *number != 0) {
            port_number(number, &path.child("hostPort"), causes);
        }
        one_of(port.protocol.as_deref(), &PROTOCOLS, &path.child("protocol"), causes);
    }
}

pub(super) fn port_number(number: i32, path: &Path<'_>, causes: &mut Causes) {
    if !(1..=MAX_PORT).contains(&number) {
        causes.invalid(path, number, format!("must be between 1 and {MAX_PORT}, inclusive"));
    }
}

/// In the host's network a port of the host can be no other than the container's.
pub(super) fn host_network(containers: &[Container], path: &Path<'_>, causes: &mut Causes) {
    for (index, container) in containers.iter().enumerate() {
        let path = path.index(index);
        let list = path.child("ports");
        for (index, port) in container.ports.iter().flatten().enumerate() {
            let other = |number: &i32| *number != 0 && *number != port.container_port;
            if let Some(number) = port.host_port.filter(other) {
                let detail = "must match `containerPort` when `hostNetwork` is true";
                causes.invalid(&list.index(index).child("hostPort"), number, detail);
            }
        }
    }
}

/// No two containers may ask for the same port of the host.
fn host_ports(containers: &[Container], path: &Path<'_>, causes: &mut Causes) {
    let mut seen = HashSet::new();
    for (index, container) in containers.iter().enumerate() {
        let path = path.index(index);
        let list = path.child("ports");
        for (index, port) in container.ports.iter().flatten().enumerate() {
            let Some(number) = port.host_port.filter(|number| *number != 0) else { continue };
            let protocol = port.protocol.as_deref().unwrap_or_default();
            let text =
                format!("{protocol}/{}/{number}", port.host_ip.as_deref().unwrap_or_default());
            if seen.contains(&text) {
                causes.duplicate(&list.index(index).child("hostPort"), text);
            } else {
                seen.insert(text);
            }
        }
    }
}
