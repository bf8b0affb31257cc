//! A Job as a whole: its metadata, the selector that belongs to it, and the names its pods will
//! have.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use serde_json::Value;
use stint_common::pod_meta::{CONTROLLER_UID, JOB_NAME, LEGACY_CONTROLLER_UID, LEGACY_JOB_NAME};

use super::{metadata, selector, spec};
use crate::admission::cause::{Causes, Path};
use crate::admission::text;

/// What validation takes into account besides the Job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Require the prefixed labels too: not of Jobs from before these existed.
    pub require_prefixed_labels: bool,
    /// Let values of a selector pass that are no label's: the old Job has such.
    pub allow_invalid_selector_values: bool,
    /// Let the template's scheduling fields and labels change: the Job is suspended.
    pub mutable_scheduling: bool,
    /// Let the resources of the template's containers change: the Job is suspended.
    pub mutable_resources: bool,
}

impl Options {
    /// For a new Job.
    #[must_use]
    pub fn for_create() -> Self {
        Self { require_prefixed_labels: true, ..Self::default() }
    }

    /// For a change of `old`, whose JSON is `stored`.
    #[must_use]
    pub fn for_update(old: &Job, stored: &Value) -> Self {
        let spec = old.spec.clone().unwrap_or_default();
        let labels =
            spec.template.metadata.and_then(|metadata| metadata.labels).unwrap_or_default();
        let status = &stored["status"];
        let is_suspended =
            |condition: &Value| condition["type"] == "Suspended" && condition["status"] == "True";
        let said = status["conditions"].as_array().is_some_and(|all| all.iter().any(is_suspended));
        let not_started = status["startTime"].is_null();
        let idle = status["active"].as_i64().unwrap_or(0) == 0;
        let mutable = spec.suspend == Some(true) && (not_started || said) && idle;
        Self {
            require_prefixed_labels: labels.contains_key(JOB_NAME)
                && labels.contains_key(CONTROLLER_UID),
            allow_invalid_selector_values: spec
                .selector
                .is_some_and(|it| selector::has_invalid_value(&it)),
            mutable_scheduling: mutable,
            mutable_resources: mutable,
        }
    }
}

/// Everything that is wrong with a Job.
#[must_use]
pub fn job(job: &Job, options: &Options) -> Causes {
    let mut causes = Causes::default();
    let path = Path::root("metadata");
    metadata::object_meta(&job.metadata, &path, &mut causes);
    metadata::finalizer_names(&job.metadata, &path, &mut causes);
    let default = JobSpec::default();
    let spec = job.spec.as_ref().unwrap_or(&default);
    generated_selector(job, spec, options, &mut causes);
    spec::job_spec(spec, &Path::root("spec"), options, &mut causes);
    host_names(job, spec, &path, &mut causes);
    causes
}

/// The selector and the labels of the template must be the Job's own, unless it was made by hand.
fn generated_selector(job: &Job, spec: &JobSpec, options: &Options, causes: &mut Causes) {
    let Some(selector) = spec.selector.as_ref().filter(|_| spec.manual_selector != Some(true))
    else {
        return;
    };
    let uid = job.metadata.uid.as_deref().unwrap_or_default();
    let name = job.metadata.name.as_deref().unwrap_or_default();
    if uid.is_empty() {
        causes.required(&Path::root("metadata").child("uid"), "");
    }
    let labels = spec.template.metadata.as_ref().and_then(|metadata| metadata.labels.as_ref());
    let mut expected = BTreeMap::new();
    for (key, value, required) in [
        (LEGACY_CONTROLLER_UID, uid, true),
        (LEGACY_JOB_NAME, name, true),
        (CONTROLLER_UID, uid, options.require_prefixed_labels),
        (JOB_NAME, name, options.require_prefixed_labels),
    ] {
        if required {
            expected.insert(key.to_owned(), value.to_owned());
            has_label(labels, key, value, causes);
        }
    }
    if selector::matches(selector, Some(&expected)) == Some(false) {
        let path = Path::root("spec");
        causes.invalid(&path.child("selector"), selector, "`selector` not auto-generated");
    }
}

fn has_label(
    labels: Option<&BTreeMap<String, String>>,
    key: &str,
    expected: &str,
    causes: &mut Causes,
) {
    let spec = Path::root("spec");
    let template = spec.child("template");
    let metadata = template.child("metadata");
    let list = metadata.child("labels");
    let detail = format!("must be '{expected}'");
    match labels.and_then(|labels| labels.get(key)) {
        None => causes.required(&list.key(key), detail),
        Some(value) if value != expected => causes.invalid(&list.key(key), labels, detail),
        Some(_) => {}
    }
}

/// The highest index of an Indexed Job must still give a host name.
fn host_names(job: &Job, spec: &JobSpec, path: &Path<'_>, causes: &mut Causes) {
    let indexed = spec.completion_mode.as_deref() == Some("Indexed");
    let Some(completions) = spec.completions.filter(|count| indexed && *count > 0) else { return };
    let name = job.metadata.name.as_deref().unwrap_or_default();
    let host = format!("{name}-{}", completions - 1);
    if !text::dns_label(&host).is_empty() {
        let detail = format!("will not able to create pod with invalid DNS label: {host}");
        causes.invalid(&path.child("name"), name, detail);
    }
}
