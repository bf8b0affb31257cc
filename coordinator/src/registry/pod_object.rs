//! The pod that a client sees: the Job's template, the pod's identity, its record, and what it was
//! told.
//!
//! Nothing of it is stored as an object. What a worker reports, `pod_status`
//! shows.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use stint_common::annotations::TIMES;
use stint_common::id::PodId;
use stint_common::pod_meta::{self, PodSource, TRACKING_FINALIZER};
use stint_common::time::{after, format_seconds};
use stint_common::wire::{IndexFailures, PodRecord, PodState, PodWord};

use super::pod_status::{PodName, status};
use super::pods_position::PodsPosition;

/// What is known of a pod besides its template.
#[derive(Clone, Debug)]
pub struct PodView<'a> {
    /// When the attempt was issued.
    pub created_at: Timestamp,
    /// Its record; `None` while nobody has claimed it.
    pub record: Option<&'a PodRecord>,
    /// Set when it was told to end.
    pub deletion: Option<Deletion>,
    /// What clients say of it, in place of what it was made with.
    pub word: Option<&'a PodWord>,
    /// Whether its end is still to be counted.
    pub finalizer: bool,
    /// How often its index has failed before, with a back-off limit per index.
    pub index_failures: Option<IndexFailures>,
    /// `metadata.resourceVersion`, when there is one to show.
    pub(super) revision: Option<PodsPosition>,
}

/// That a pod was told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// When it was first told.
    pub at: Timestamp,
    /// How long it may take.
    pub grace_seconds: u32,
    /// Whether it was evicted.
    pub evicted: bool,
}

/// The pod `pod` of a Job, as a client sees it.
#[must_use]
pub fn pod_object(namespace: &str, source: PodSource<'_>, pod: PodId, view: &PodView<'_>) -> Value {
    let about = pod_meta::pod_metadata(source, pod, view.index_failures);
    let mut spec = source.template["spec"].clone();
    if source.indexed {
        pod_meta::inject_completion_index(&mut spec);
    }
    if let Some(spec) = spec.as_object_mut() {
        if let Some(claim) = view.record.and_then(|record| record.claim.as_ref()) {
            spec.insert("nodeName".to_owned(), Value::from(claim.worker.as_str()));
        }
        if let Some(hostname) = &about.hostname {
            spec.insert("hostname".to_owned(), Value::from(hostname.as_str()));
        }
    }
    let name = PodName { name: &about.name, namespace, uid: pod.uid().0 };
    let mut status = status(&spec, view, name);
    show_waiting(&mut status, view);
    let metadata = metadata(namespace, source, pod, view, about);
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status})
}

/// A container that waits for something says what for.
fn show_waiting(status: &mut Value, view: &PodView<'_>) {
    let Some(waiting) = view.record.and_then(|record| record.waiting.as_ref()) else { return };
    for list in ["initContainerStatuses", "containerStatuses"] {
        let containers = status.get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            if waiting.container.is_empty() {
                container["state"]["waiting"]["message"] = json!(waiting.message);
            } else if container["name"] == *waiting.container {
                container["state"] =
                    json!({"waiting": {"reason": waiting.reason, "message": waiting.message}});
            }
        }
    }
}

fn metadata(
    namespace: &str,
    source: PodSource<'_>,
    pod: PodId,
    view: &PodView<'_>,
    about: pod_meta::PodMetadata,
) -> Value {
    let mut metadata = Map::new();
    let mut put = |name: &str, value: Value| {
        metadata.insert(name.to_owned(), value);
    };
    put("name", Value::from(about.name));
    put("generateName", Value::from(about.generate_name));
    put("namespace", Value::from(namespace));
    put("uid", Value::from(pod.uid().to_string()));
    if let Some(revision) = view.revision {
        put("resourceVersion", Value::from(revision.to_string()));
    }
    put("generation", Value::from(1));
    put("creationTimestamp", Value::from(format_seconds(view.created_at)));
    if let Some(deletion) = view.deletion {
        let grace = std::time::Duration::from_secs(deletion.grace_seconds.into());
        put("deletionTimestamp", Value::from(format_seconds(after(deletion.at, grace))));
        put("deletionGracePeriodSeconds", Value::from(deletion.grace_seconds));
    }
    let labels = view.word.map_or(&about.labels, |word| &word.labels);
    if !labels.is_empty() {
        put("labels", json!(labels));
    }
    let mut annotations = view.word.map_or(&about.annotations, |word| &word.annotations).clone();
    if let Some(record) = view.record {
        annotations.insert(TIMES.to_owned(), times(record));
    }
    if !annotations.is_empty() {
        put("annotations", json!(annotations));
    }
    put(
        "ownerReferences",
        json!([{
            "apiVersion": "batch/v1",
            "kind": "Job",
            "name": source.job_name,
            "uid": pod.job,
            "controller": true,
            "blockOwnerDeletion": true,
        }]),
    );
    let own = view.finalizer.then_some(TRACKING_FINALIZER);
    let others = view.word.map_or(&[][..], |word| &word.finalizers);
    let finalizers: Vec<&str> = own.into_iter().chain(others.iter().map(String::as_str)).collect();
    if !finalizers.is_empty() {
        put("finalizers", json!(finalizers));
    }
    if let Some(managed) = view.word.and_then(|word| word.managed_fields.as_ref()) {
        put("managedFields", managed.clone());
    }
    Value::Object(metadata)
}

/// The pod's times as its record has them: what is shown elsewhere is cut to seconds.
fn times(record: &PodRecord) -> String {
    let (started, finished) = match &record.state {
        PodState::Claimed => (None, None),
        PodState::Running(running) => {
            (Some(running.started_at).filter(|_| !running.only_tried), None)
        }
        PodState::Terminated(end) => (end.started_at, Some(end.finished_at)),
    };
    let claimed = record.claim.as_ref().map(|claim| claim.claimed_at);
    let times = [
        ("created", Some(record.created_at)),
        ("claimed", claimed),
        ("started", started),
        ("finished", finished),
    ];
    let known = times.into_iter().filter_map(|(name, at)| Some(format!("{name}={:.6}", at?)));
    known.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
