//! What a pod of a Job is called and carries: name, hostname, labels, annotations, and the index
//! variable.
//!
//! The worker (for the downward API) and the coordinator (for the pod that a client sees) both ask
//! here, so that a process reads of itself what `kubectl` shows of it. Works on the stored template
//! as JSON.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::id::PodId;
use crate::names;
use crate::wire::IndexFailures;

/// Label and annotation of an Indexed Job's pod: its completion index.
pub const COMPLETION_INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// Annotation of a pod where each index has its own back-off limit: how often the index has failed.
pub const INDEX_FAILURE_COUNT: &str = "batch.kubernetes.io/job-index-failure-count";
/// Annotation: how often it has failed in ways that a failure policy ignores, if it has.
pub const INDEX_IGNORED_FAILURE_COUNT: &str = "batch.kubernetes.io/job-index-ignored-failure-count";
/// Label of a Job's pods: the Job's name.
pub const JOB_NAME: &str = "batch.kubernetes.io/job-name";
/// The same label under its older key.
pub const LEGACY_JOB_NAME: &str = "job-name";
/// Label of a Job's pods: the Job's uid.
pub const CONTROLLER_UID: &str = "batch.kubernetes.io/controller-uid";
/// The same label under its older key.
pub const LEGACY_CONTROLLER_UID: &str = "controller-uid";
/// Finalizer of a pod whose end is not counted yet.
pub const TRACKING_FINALIZER: &str = "batch.kubernetes.io/job-tracking";
/// Environment variable that gives an Indexed Job's container its index.
pub const COMPLETION_INDEX_ENV: &str = "JOB_COMPLETION_INDEX";

/// Where Kubernetes looks for a termination message when a template says nothing.
const USUAL_MESSAGE_PATH: &str = "/dev/termination-log";

/// Where a container has to be shown a file for its termination message, if anywhere: to show it in
/// `/dev` costs a container a view of files of its own, so the usual place is shown only to one
/// that speaks of it. `path` is its `terminationMessagePath`, `texts` are command, arguments and
/// values of variables.
pub fn message_path<'a, 't>(
    path: Option<&'a str>,
    mut texts: impl Iterator<Item = &'t str>,
) -> Option<&'a str> {
    let path = path.filter(|path| !path.is_empty())?;
    let wanted = path != USUAL_MESSAGE_PATH || texts.any(|text| text.contains(USUAL_MESSAGE_PATH));
    wanted.then_some(path)
}

/// What all pods of one Job are made from.
#[derive(Clone, Copy, Debug)]
pub struct PodSource<'a> {
    /// `metadata.name` of the Job.
    pub job_name: &'a str,
    /// Whether the Job's `completionMode` is Indexed.
    pub indexed: bool,
    /// `spec.template` of the Job as stored: defaulted, with the generated labels.
    pub template: &'a Value,
}

/// The part of a pod's metadata that follows from its template and its identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodMetadata {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.generateName`.
    pub generate_name: String,
    /// `spec.hostname`: `<job>-<index>` for Indexed Jobs, else the template's, if it has one.
    pub hostname: Option<String>,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `metadata.annotations`.
    pub annotations: BTreeMap<String, String>,
}

impl PodMetadata {
    /// What the pod's host is called: `spec.hostname`, else the pod's name.
    #[must_use]
    pub fn host(&self) -> &str {
        self.hostname.as_deref().unwrap_or(&self.name)
    }
}

/// The metadata of the pod `pod` of a Job; `failures` are those of its index before it, with a
/// back-off limit per index.
#[must_use]
pub fn pod_metadata(
    source: PodSource<'_>,
    pod: PodId,
    failures: Option<IndexFailures>,
) -> PodMetadata {
    let index = source.indexed.then_some(pod.slot);
    let mut metadata = PodMetadata {
        name: names::pod_name(source.job_name, source.indexed, pod),
        generate_name: names::pod_generate_name(source.job_name, index),
        hostname: source.template["spec"]["hostname"]
            .as_str()
            .filter(|name| !name.is_empty())
            .map(ToOwned::to_owned),
        labels: strings(&source.template["metadata"]["labels"]),
        annotations: strings(&source.template["metadata"]["annotations"]),
    };
    // A template has these but under a selector made by hand.
    // Differs from Kubernetes: there such pods go without. Here pods are found by them.
    let uid = pod.job.to_string();
    for (key, value) in [
        (LEGACY_JOB_NAME, source.job_name),
        (JOB_NAME, source.job_name),
        (LEGACY_CONTROLLER_UID, &uid),
        (CONTROLLER_UID, &uid),
    ] {
        metadata.labels.entry(key.to_owned()).or_insert_with(|| value.to_owned());
    }
    if let Some(index) = index {
        metadata.hostname = Some(format!("{}-{index}", source.job_name));
        metadata.labels.insert(COMPLETION_INDEX.to_owned(), index.to_string());
        metadata.annotations.insert(COMPLETION_INDEX.to_owned(), index.to_string());
    }
    if let Some(IndexFailures { counted, ignored }) = failures {
        let mut annotate = |key: &str, count: u32| {
            metadata.annotations.insert(key.to_owned(), count.to_string());
        };
        annotate(INDEX_FAILURE_COUNT, counted);
        if ignored > 0 {
            annotate(INDEX_IGNORED_FAILURE_COUNT, ignored);
        }
    }
    metadata
}

fn strings(value: &Value) -> BTreeMap<String, String> {
    let entries = value.as_object().into_iter().flatten();
    entries.filter_map(|(key, text)| Some((key.clone(), text.as_str()?.to_owned()))).collect()
}

/// Gives every container and init container of an Indexed Job's pod spec the variable
/// `JOB_COMPLETION_INDEX`, as its last one, unless the container defines that name itself.
pub fn inject_completion_index(pod_spec: &mut Value) {
    for list in ["initContainers", "containers"] {
        let containers = pod_spec.get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten().filter_map(Value::as_object_mut) {
            inject_into_container(container);
        }
    }
}

fn inject_into_container(container: &mut Map<String, Value>) {
    let variables = container.entry("env").or_insert(Value::Null);
    if variables.is_null() {
        *variables = Value::Array(Vec::new());
    }
    let Some(variables) = variables.as_array_mut() else { return };
    if variables.iter().any(|variable| variable["name"] == COMPLETION_INDEX_ENV) {
        return;
    }
    variables.push(json!({
        "name": COMPLETION_INDEX_ENV,
        "valueFrom": {"fieldRef": {
            "apiVersion": "v1",
            "fieldPath": format!("metadata.labels['{COMPLETION_INDEX}']"),
        }},
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Attempt, JobUid, Slot};
    use uuid::Uuid;

    fn pod(slot: u32) -> PodId {
        PodId { job: JobUid(Uuid::from_u128(1)), slot: Slot(slot), attempt: Attempt(0) }
    }

    #[test]
    fn the_usual_file_is_for_who_speaks_of_it() {
        let shown = |path, text: &'static str| message_path(path, [text].into_iter()).is_some();
        let usual = Some(USUAL_MESSAGE_PATH);
        assert!(!shown(None, "") && !shown(Some(""), "") && !shown(usual, "true"));
        assert!(shown(usual, "echo done > /dev/termination-log") && shown(Some("/tmp/m"), "true"));
    }

    #[test]
    fn an_indexed_pod_knows_its_index() {
        let template = json!({
            "metadata": {"labels": {"app": "x"}, "annotations": {"note": "y"}},
            "spec": {"hostname": "mine"},
        });
        let source = PodSource { job_name: "pi", indexed: true, template: &template };
        let metadata = pod_metadata(source, pod(7), None);
        assert_eq!(metadata.hostname.as_deref(), Some("pi-7"));
        assert_eq!(metadata.generate_name, "pi-7-");
        assert!(metadata.name.starts_with("pi-7-"));
        assert_eq!(metadata.labels[COMPLETION_INDEX], "7");
        assert_eq!(metadata.annotations[COMPLETION_INDEX], "7");
        assert_eq!((&*metadata.labels["app"], &*metadata.annotations["note"]), ("x", "y"));
    }

    #[test]
    fn a_pod_without_index_is_called_by_its_template_or_its_name() {
        let template = json!({"metadata": {"labels": null}, "spec": {}});
        let source = PodSource { job_name: "pi", indexed: false, template: &template };
        let metadata = pod_metadata(source, pod(7), None);
        assert_eq!(metadata.labels[JOB_NAME], "pi");
        assert_eq!(metadata.labels[CONTROLLER_UID], pod(7).job.to_string());
        assert!(metadata.labels.len() == 4 && metadata.annotations.is_empty());
        assert_eq!(metadata.hostname, None);
        assert_eq!(metadata.host(), metadata.name);
        let template = json!({"spec": {"hostname": "mine"}});
        let source = PodSource { template: &template, ..source };
        assert_eq!(pod_metadata(source, pod(7), None).host(), "mine");
    }

    #[test]
    fn failures_of_an_index_are_annotations() {
        let template = json!({});
        let source = PodSource { job_name: "pi", indexed: true, template: &template };
        let annotations = |counted, ignored| {
            let failures = IndexFailures { counted, ignored };
            let mut all = pod_metadata(source, pod(7), Some(failures)).annotations;
            all.remove(COMPLETION_INDEX);
            all
        };
        let counted = (INDEX_FAILURE_COUNT.to_owned(), "0".to_owned());
        assert_eq!(annotations(0, 0), BTreeMap::from([counted]));
        let both = [(INDEX_FAILURE_COUNT, "2"), (INDEX_IGNORED_FAILURE_COUNT, "1")];
        let both = both.map(|(key, count)| (key.to_owned(), count.to_owned()));
        assert_eq!(annotations(2, 1), BTreeMap::from(both));
    }

    #[test]
    fn a_label_of_the_templates_own_stays() {
        let template = json!({"metadata": {"labels": {"job-name": "other"}}});
        let source = PodSource { job_name: "pi", indexed: false, template: &template };
        let labels = pod_metadata(source, pod(7), None).labels;
        assert_eq!((&*labels[LEGACY_JOB_NAME], &*labels[JOB_NAME]), ("other", "pi"));
    }

    #[test]
    fn the_index_variable_is_added_once_and_never_over_the_users() {
        let mut spec = json!({
            "containers": [{"name": "a"}, {"name": "b", "env": [{"name": COMPLETION_INDEX_ENV, "value": "x"}]}],
            "initContainers": [{"name": "i", "env": null}],
        });
        inject_completion_index(&mut spec);
        inject_completion_index(&mut spec);
        for list in ["containers", "initContainers"] {
            let variable = &spec[list][0]["env"];
            assert_eq!(variable.as_array().unwrap().len(), 1);
            let path = &variable[0]["valueFrom"]["fieldRef"]["fieldPath"];
            assert_eq!(path, "metadata.labels['batch.kubernetes.io/job-completion-index']");
        }
        assert_eq!(spec["containers"][1]["env"].as_array().unwrap().len(), 1);
        assert_eq!(spec["containers"][1]["env"][0]["value"], "x");
    }
}
