//! What of a Job may change. Compares JSON, in which absent and empty mean the same.

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use serde_json::{Map, Value, json};

use super::job::{Options, job};
use super::metadata::{IMMUTABLE, immutable, meta_update, object_meta};
use super::spec;
use crate::admission::cause::{Causes, Path};
use crate::admission::defaults::object;
use crate::admission::semantic;

/// A Job, typed and as JSON.
#[derive(Clone, Copy, Debug)]
pub struct Both<'a> {
    /// Typed.
    pub job: &'a Job,
    /// The same as JSON.
    pub json: &'a Value,
}

/// Everything that is wrong with a changed Job: with the Job, and with the change. Each fault once.
#[must_use]
pub fn update(new: Both<'_>, old: Both<'_>) -> Causes {
    let options = Options::for_update(old.job, old.json);
    let path = Path::root("metadata");
    let mut causes = Causes::default();
    object_meta(&new.job.metadata, &path, &mut causes);
    meta_update(&new.job.metadata, &old.job.metadata, &path, &mut causes);
    causes.append(job(new.job, &options));
    causes.append(job_update(new, old, &options));
    causes.unique()
}

/// Everything that is wrong with a change.
#[must_use]
pub fn job_update(new: Both<'_>, old: Both<'_>, options: &Options) -> Causes {
    let mut causes = Causes::default();
    meta_update(&new.job.metadata, &old.job.metadata, &Path::root("metadata"), &mut causes);
    let default = JobSpec::default();
    let new_spec = new.job.spec.as_ref().unwrap_or(&default);
    let old_spec = old.job.spec.as_ref().unwrap_or(&default);
    let path = Path::root("spec");
    spec::job_spec(new_spec, &path, options, &mut causes);
    completions(new_spec, old_spec, &path.child("completions"), &mut causes);
    let (new_json, old_json) = (&new.json["spec"], &old.json["spec"]);
    let stays = |name: &str, causes: &mut Causes| {
        let (new, old) = (&new_json[name], &old_json[name]);
        if new.is_null() != old.is_null() || !semantic::equal(new, old) {
            causes.invalid(&path.child(name), new, IMMUTABLE);
        }
    };
    stays("selector", &mut causes);
    let suspended = old_spec.suspend == Some(true);
    template(
        (&new_json["template"], &old_json["template"]),
        suspended,
        options,
        &path.child("template"),
        &mut causes,
    );
    for name in
        ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"]
    {
        stays(name, &mut causes);
    }
    causes
}

/// Completions of an Indexed Job may change together with parallelism, those of others not at all.
fn completions(new: &JobSpec, old: &JobSpec, path: &Path<'_>, causes: &mut Causes) {
    if new.completion_mode.as_deref() != Some("Indexed") {
        immutable(&new.completions, &old.completions, path, causes);
    } else if new.completions.is_some()
        && new.completions != old.completions
        && new.completions != new.parallelism
    {
        let detail = "can only be modified in tandem with spec.parallelism";
        causes.invalid(path, new.completions, detail);
    }
}

/// The template stays, but for what a suspended Job may change.
fn template(
    (new, old): (&Value, &Value),
    suspended: bool,
    options: &Options,
    path: &Path<'_>,
    causes: &mut Causes,
) {
    let mut old = old.clone();
    if options.mutable_scheduling {
        take_scheduling(&mut old, new);
    }
    if suspended && options.mutable_resources {
        take_resources(&mut old, new);
        if !semantic::equal(&new["spec"], &old["spec"]) {
            causes.invalid(&path.child("spec"), &new["spec"], IMMUTABLE);
        }
    } else if !semantic::equal(new, &old) {
        causes.invalid(path, new, IMMUTABLE);
    }
}

/// Makes the old template's scheduling fields, labels and annotations those of the new one.
fn take_scheduling(old: &mut Value, new: &Value) {
    let Some(template) = old.as_object_mut() else { return };
    for name in ["labels", "annotations"] {
        take(object(template, "metadata"), name, &new["metadata"][name]);
    }
    let spec = object(template, "spec");
    for name in ["nodeSelector", "tolerations", "schedulingGates"] {
        take(spec, name, &new["spec"][name]);
    }
    let node_affinity = &new["spec"]["affinity"]["nodeAffinity"];
    if spec.contains_key("affinity") || !node_affinity.is_null() {
        take(object(spec, "affinity"), "nodeAffinity", node_affinity);
    }
}

/// Makes the old containers' resources those of the new ones, if these are the same containers.
fn take_resources(old: &mut Value, new: &Value) {
    let default = json!([]);
    for list in ["containers", "initContainers"] {
        let (Some(old), Some(new)) = (
            old["spec"].get_mut(list).and_then(Value::as_array_mut),
            new["spec"].get(list).unwrap_or(&default).as_array(),
        ) else {
            continue;
        };
        if old.len() != new.len() {
            continue;
        }
        for (old, new) in old.iter_mut().zip(new) {
            let same = old["name"] == new["name"];
            if let Some(old) = old.as_object_mut().filter(|_| same) {
                take(old, "resources", &new["resources"]);
            }
        }
    }
}

fn take(object: &mut Map<String, Value>, name: &str, value: &Value) {
    if value.is_null() {
        object.shift_remove(name);
    } else {
        object.insert(name.to_owned(), value.clone());
    }
}
