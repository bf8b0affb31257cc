//! What is let in, but perhaps not what was meant: the texts of the `Warning` headers.

use std::collections::HashSet;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Container, EnvVar, PodSpec};

use super::cause::Path;
use super::text;

/// The image of a container that means the host's own programs: nothing is to be said of it.
const NO_IMAGE: &str = "host";
/// Above these two an Indexed Job's indexes may not be tracked by Kubernetes.
const MANY_COMPLETIONS: i32 = 100_000;
const MANY_PARALLEL: i32 = 10_000;

/// Priority classes that every cluster has.
const KNOWN_PRIORITIES: [&str; 2] = ["system-cluster-critical", "system-node-critical"];

/// Kubernetes' and Stint's warnings about a new Job.
#[must_use]
pub fn on_create(job: &Job) -> Vec<String> {
    let mut warnings = kubernetes_on_create(job);
    warnings.extend(of_stint(job));
    warnings
}

/// Kubernetes' own warnings about a new Job.
#[must_use]
pub fn kubernetes_on_create(job: &Job) -> Vec<String> {
    let faults = text::dns_label(job.metadata.name.as_deref().unwrap_or_default());
    let mut warnings = Vec::new();
    if !faults.is_empty() {
        warnings.push(format!(
            "metadata.name: this is used in Pod names and hostnames, which can result in \
             surprising behavior; a DNS label is recommended: [{}]",
            faults.join(" ")
        ));
    }
    warnings.extend(of_spec(job));
    warnings
}

/// Kubernetes' warnings about a spec, new or changed.
#[must_use]
pub fn of_spec(job: &Job) -> Vec<String> {
    let Some(spec) = &job.spec else { return Vec::new() };
    let mut warnings = Vec::new();
    let many = spec.completions.unwrap_or(0) > MANY_COMPLETIONS
        && spec.parallelism.unwrap_or(0) > MANY_PARALLEL;
    if spec.completion_mode.as_deref() == Some("Indexed") && many {
        warnings.push(
            "spec: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism \
             higher than 10^4, Kubernetes might not be able to track completedIndexes when a big \
             number of indexes fail"
                .to_owned(),
        );
    }
    if let Some(pod) = &spec.template.spec {
        of_pod(pod, &mut warnings);
    }
    warnings
}

fn of_pod(pod: &PodSpec, warnings: &mut Vec<String>) {
    let job = Path::root("spec");
    let template = job.child("template");
    let path = template.child("spec");
    let lists = [
        ("initContainers", pod.init_containers.as_deref().unwrap_or_default()),
        ("containers", pod.containers.as_slice()),
    ];
    pull_secrets(pod, &path.child("imagePullSecrets"), warnings);
    for (name, containers) in lists {
        for (index, container) in containers.iter().enumerate() {
            hidden_variables(container, &path.child(name).index(index), warnings);
        }
    }
    if pod.termination_grace_period_seconds.is_some_and(|seconds| seconds < 0) {
        warnings.push(format!(
            "{}: must be >= 0; negative values are invalid and will be treated as 1",
            path.child("terminationGracePeriodSeconds")
        ));
    }
}

fn pull_secrets(pod: &PodSpec, path: &Path<'_>, warnings: &mut Vec<String>) {
    let secrets = pod.image_pull_secrets.as_deref().unwrap_or_default();
    let mut seen = HashSet::new();
    let mut empty = Vec::new();
    for (index, secret) in secrets.iter().enumerate() {
        let path = path.index(index);
        if !seen.insert(&secret.name) {
            warnings.push(format!("{}: duplicate name {:?}", path.child("name"), secret.name));
        }
        if secret.name.is_empty() {
            empty.push(format!("{}: invalid empty name \"\"", path.child("name")));
        }
    }
    warnings.append(&mut empty);
}

/// Variables that are defined twice, unless the second one uses the first.
fn hidden_variables(container: &Container, path: &Path<'_>, warnings: &mut Vec<String>) {
    let mut seen: HashSet<&str> = HashSet::new();
    for (index, variable) in container.env.iter().flatten().enumerate() {
        if !seen.insert(&variable.name) && hides(variable) {
            warnings.push(format!(
                "{}: hides previous definition of {:?}, which may be dropped when using apply",
                path.child("env").index(index),
                variable.name
            ));
        }
    }
}

fn hides(variable: &EnvVar) -> bool {
    let reference = format!("$({})", variable.name);
    let value = variable.value.as_deref().unwrap_or_default();
    variable.value_from.is_some() || value == reference || !value.contains(&reference)
}

/// What is different here from a cluster of containers.
fn of_stint(job: &Job) -> Vec<String> {
    let pod = job.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let is_image = |image: &String| image != NO_IMAGE;
    let has_image = pod
        .is_some_and(|pod| pod.containers.iter().any(|it| it.image.as_ref().is_some_and(is_image)));
    let mut warnings = Vec::new();
    if has_image {
        warnings
            .push("image is not pulled: the process runtime runs command on the host".to_owned());
    }
    let class = pod.and_then(|pod| pod.priority_class_name.as_deref()).unwrap_or_default();
    if !class.is_empty() && !KNOWN_PRIORITIES.contains(&class) {
        warnings.push(format!(
            "spec.template.spec.priorityClassName: {class:?} is not known: the pods have priority 0"
        ));
    }
    let owners = job.metadata.owner_references.as_deref().unwrap_or_default();
    if owners.iter().any(|owner| owner.kind != "CronJob" || owner.api_version != "batch/v1") {
        warnings.push(
            "metadata.ownerReferences: recorded only: Stint does not delete a Job with its owner"
                .to_owned(),
        );
    }
    warnings
}
