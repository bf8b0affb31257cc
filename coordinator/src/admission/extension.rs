//! Annotations by which a Job asks for what Kubernetes does not have: they must say what they mean,
//! and some of them may not change.

use k8s_openapi::api::batch::v1::Job;
use serde_json::Value;
use stint_common::annotations::{
    DEPENDS_ON, Extensions, INDEXES, KNOWN, PREFIX, RERUN_OF, RERUN_OF_UID, WAITING_CONDITION,
};

use super::cause::{Causes, Path};
use super::text;

/// What Kubernetes says of a field that must stay as it is.
const IMMUTABLE: &str = "field is immutable";

/// Everything that is wrong with a Job's annotations under Stint's prefix.
pub(super) fn check(job: &Job, causes: &mut Causes) {
    let metadata = Path::root("metadata");
    let list = metadata.child("annotations");
    let Some(annotations) = &job.metadata.annotations else { return };
    for key in annotations.keys().filter(|key| key.starts_with(PREFIX)) {
        if !KNOWN.contains(&key.as_str()) {
            causes.not_supported(&list, key, &KNOWN);
        }
    }
    let said = |key: &str| annotations.get(key).map(String::as_str).unwrap_or_default();
    let extensions = Extensions::read(Some(annotations), |key, detail| {
        causes.invalid(&list.key(key), said(key), detail);
    });
    for name in &extensions.depends_on {
        names_a_job(&list.key(DEPENDS_ON), name, causes);
        if Some(name) == job.metadata.name.as_ref() {
            causes.invalid(&list.key(DEPENDS_ON), name, "a Job cannot depend on itself");
        }
    }
    if let Some(name) = annotations.get(RERUN_OF) {
        names_a_job(&list.key(RERUN_OF), name, causes);
    }
    if let Some(uid) = annotations.get(RERUN_OF_UID)
        && uid.parse::<uuid::Uuid>().is_err()
    {
        causes.invalid(&list.key(RERUN_OF_UID), uid, "must be the uid of a Job");
    }
    let Some(last) = extensions.indexes.and_then(|indexes| indexes.last()) else { return };
    let spec = job.spec.as_ref();
    let completions = spec.and_then(|spec| spec.completions).unwrap_or(0);
    let indexed = spec.and_then(|spec| spec.completion_mode.as_deref()) == Some("Indexed");
    if !indexed {
        causes.invalid(&list.key(INDEXES), said(INDEXES), "requires indexed completion mode");
    } else if i64::from(last) >= i64::from(completions) {
        let detail = format!("must be less than {completions} (the number of completions)");
        causes.invalid(&list.key(INDEXES), said(INDEXES), detail);
    }
}

fn names_a_job(path: &Path<'_>, name: &str, causes: &mut Causes) {
    causes.invalid_each(path, name, text::dns_subdomain(name));
}

/// What of them may not change; `stored` is the old Job with its status.
pub(super) fn check_update(new: &Job, old: &Job, stored: &Value, causes: &mut Causes) {
    let metadata = Path::root("metadata");
    let list = metadata.child("annotations");
    let said = |job: &Job, key: &str| -> Option<String> {
        job.metadata.annotations.as_ref().and_then(|all| all.get(key)).cloned()
    };
    let changed = |key: &str| said(new, key) != said(old, key);
    for key in [INDEXES, RERUN_OF, RERUN_OF_UID].into_iter().filter(|key| changed(key)) {
        causes.invalid(&list.key(key), said(new, key), IMMUTABLE);
    }
    if changed(DEPENDS_ON) && !may_wait(stored) {
        let detail = "may only be changed while the Job waits";
        causes.invalid(&list.key(DEPENDS_ON), said(new, DEPENDS_ON), detail);
    }
    let completions = |job: &Job| job.spec.as_ref().and_then(|spec| spec.completions);
    if said(old, INDEXES).is_some() && completions(new) != completions(old) {
        let detail = format!("may not be changed where {INDEXES} says which indexes run");
        causes.invalid(&Path::root("spec").child("completions"), completions(new), detail);
    }
}

/// Whether a Job waits for others, or has not been looked at yet.
fn may_wait(stored: &Value) -> bool {
    let status = &stored["status"];
    let conditions = status["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let waits = |found: &Value| found["type"] == WAITING_CONDITION && found["status"] == "True";
    status["startTime"].is_null() && (conditions.is_empty() || conditions.iter().any(waits))
}
