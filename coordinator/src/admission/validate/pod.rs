//! The pod template of a Job: labels, annotations, and what concerns the pod as a whole.

use k8s_openapi::api::core::v1::{PodSpec, PodTemplateSpec};

use super::{container, metadata, placing, security, volumes};
use crate::admission::cause::{Causes, Path};
use crate::admission::text;

const RESTART_POLICIES: [&str; 3] = ["Always", "OnFailure", "Never"];
const DNS_POLICIES: [&str; 4] = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];

/// Everything that is wrong with a template. Its labels are at `template.labels`: Kubernetes leaves
/// `metadata` out of these paths.
pub(super) fn template(template: &PodTemplateSpec, path: &Path<'_>, causes: &mut Causes) {
    let meta = template.metadata.as_ref();
    let labels = meta.and_then(|meta| meta.labels.as_ref());
    let annotations = meta.and_then(|meta| meta.annotations.as_ref());
    metadata::labels(labels, &path.child("labels"), causes);
    metadata::annotations(annotations, &path.child("annotations"), causes);
    if let Some(cost) =
        annotations.and_then(|all| all.get("controller.kubernetes.io/pod-deletion-cost"))
    {
        deletion_cost(cost, &path.child("annotations"), causes);
    }
    let default = PodSpec::default();
    let pod = template.spec.as_ref().unwrap_or(&default);
    pod_spec(pod, &path.child("spec"), causes);
    if pod.ephemeral_containers.as_ref().is_some_and(|list| !list.is_empty()) {
        let spec = path.child("spec");
        let detail = "ephemeral containers not allowed in pod template";
        causes.forbidden(&spec.child("ephemeralContainers"), detail);
    }
}

/// A whole number without a plus sign or leading zeros.
fn deletion_cost(cost: &str, path: &Path<'_>, causes: &mut Causes) {
    let plain = cost.parse::<i32>().is_ok_and(|number| number.to_string() == cost);
    if !plain {
        let path = path.key("controller.kubernetes.io/pod-deletion-cost");
        causes.invalid(&path, cost, "must be a 32bit integer");
    }
}

fn pod_spec(pod: &PodSpec, path: &Path<'_>, causes: &mut Causes) {
    if pod.termination_grace_period_seconds.is_none() {
        causes.required(&path.child("terminationGracePeriodSeconds"), "");
    }
    let volumes = volumes::volumes(pod, &path.child("volumes"), causes);
    let grace_seconds = pod.termination_grace_period_seconds;
    container::containers(
        &pod.containers,
        &volumes,
        grace_seconds,
        &path.child("containers"),
        causes,
    );
    if pod.host_network == Some(true) {
        container::host_network(&pod.containers, &path.child("containers"), causes);
    }
    container::init_containers(pod, &volumes, &path.child("initContainers"), causes);
    one_of(pod.restart_policy.as_deref(), &RESTART_POLICIES, &path.child("restartPolicy"), causes);
    one_of(pod.dns_policy.as_deref(), &DNS_POLICIES, &path.child("dnsPolicy"), causes);
    metadata::labels(pod.node_selector.as_ref(), &path.child("nodeSelector"), causes);
    security::of_pod(pod, path, causes);
    placing::placing(pod, path, causes);
    names(pod, path, causes);
    if let Some(seconds) = pod.active_deadline_seconds {
        let most = i64::from(i32::MAX);
        if !(1..=most).contains(&seconds) {
            let detail = format!("must be between 1 and {most}, inclusive");
            causes.invalid(&path.child("activeDeadlineSeconds"), seconds, detail);
        }
    }
    for (name, host) in [("hostname", &pod.hostname), ("subdomain", &pod.subdomain)] {
        if let Some(host) = given(host.as_deref()) {
            causes.invalid_each(&path.child(name), host, text::dns_label(host));
        }
    }
    if let Some(name) = given(pod.priority_class_name.as_deref()) {
        let faults = text::dns_subdomain(name);
        causes.invalid_each(&path.child("priorityClassName"), name, faults);
    }
    if let Some(name) = pod.runtime_class_name.as_deref() {
        causes.invalid_each(&path.child("runtimeClassName"), name, text::dns_subdomain(name));
    }
}

fn names(pod: &PodSpec, path: &Path<'_>, causes: &mut Causes) {
    for (field, name) in
        [("serviceAccountName", &pod.service_account_name), ("nodeName", &pod.node_name)]
    {
        if let Some(name) = given(name.as_deref()) {
            causes.invalid_each(&path.child(field), name, text::dns_subdomain(name));
        }
    }
}

/// Go does not tell an empty text from an absent one.
pub(super) fn given(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

/// A value that is required and one of those known.
pub(super) fn one_of(value: Option<&str>, known: &[&str], path: &Path<'_>, causes: &mut Causes) {
    match given(value) {
        None => causes.required(path, ""),
        Some(value) if known.contains(&value) => {}
        Some(value) => causes.not_supported(path, value, known),
    }
}
