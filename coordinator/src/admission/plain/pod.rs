//! Pods: what clients may say of one. Everything else of a pod is its Job's, or its worker's word.

use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;
use stint_common::pod_meta::{
    COMPLETION_INDEX, CONTROLLER_UID, JOB_NAME, LEGACY_CONTROLLER_UID, LEGACY_JOB_NAME,
    TRACKING_FINALIZER,
};

use super::rules::{Rules, judge_nothing, read_plainly};
use crate::admission::cause::{Causes, Path};
use crate::admission::read::Identity;
use crate::admission::{semantic, text};

/// Labels by which a Job's pods are known.
const OWN_LABELS: [&str; 5] =
    [COMPLETION_INDEX, CONTROLLER_UID, JOB_NAME, LEGACY_CONTROLLER_UID, LEGACY_JOB_NAME];

/// Pods.
pub static POD: Rules = Rules {
    identity: Identity { api_version: "v1", kind: "Pod" },
    namespaced: true,
    name: text::dns_subdomain,
    read: read_plainly::<Pod>,
    complete: |_| {},
    carry,
    judge: judge_nothing,
    judge_change,
};

/// A pod's status is its worker's, and its generation follows from its spec.
fn carry(new: &mut Value, old: &Value) {
    new["status"] = old["status"].clone();
    new["metadata"]["generation"] = old["metadata"]["generation"].clone();
}

// Differs from Kubernetes: there images, tolerations and deadlines of a pod can be changed, and a
// pod whose labels or owner are changed is its Job's no more.
fn judge_change(new: &Value, old: &Value, causes: &mut Causes) {
    if !semantic::equal(&new["spec"], &old["spec"]) {
        let detail = "not supported by Stint: a pod's spec is that of its Job's template; change \
                      the Job, and delete the pod if it is to be made anew";
        causes.forbidden(&Path::root("spec"), detail);
    }
    let metadata = Path::root("metadata");
    if !semantic::equal(&new["metadata"]["ownerReferences"], &old["metadata"]["ownerReferences"]) {
        let detail = "not supported by Stint: a pod is its Job's for good";
        causes.forbidden(&metadata.child("ownerReferences"), detail);
    }
    let labels = metadata.child("labels");
    for name in OWN_LABELS {
        if new["metadata"]["labels"][name] != old["metadata"]["labels"][name] {
            let detail = "not supported by Stint: a Job's pods are known by this label";
            causes.forbidden(&labels.key(name), detail);
        }
    }
    let tracked = |pod: &Value| {
        let finalizers = pod["metadata"]["finalizers"].as_array();
        finalizers.into_iter().flatten().any(|name| *name == *TRACKING_FINALIZER)
    };
    if tracked(old) && !tracked(new) {
        let detail = format!("{TRACKING_FINALIZER} goes when the pod's end has been counted");
        causes.forbidden(&metadata.child("finalizers"), &detail);
    }
}
