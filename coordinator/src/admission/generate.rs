//! What the API server adds to a Job on create: system metadata, the selector, and labels for its
//! pods.

use jiff::Timestamp;
use serde_json::{Map, Value};
use stint_common::id::JobUid;
use stint_common::pod_meta::{CONTROLLER_UID, JOB_NAME, LEGACY_CONTROLLER_UID, LEGACY_JOB_NAME};
use stint_common::time::format_seconds;

use super::defaults::object;

/// A generated name is `generateName`, cut to this many bytes, and the suffix.
const MAX_GENERATED_PREFIX: usize = 58;

/// What the API server decides about a new object.
#[derive(Clone, Copy, Debug)]
pub struct System<'a> {
    /// `metadata.namespace` of the request.
    pub namespace: &'a str,
    /// The new object's uid.
    pub uid: JobUid,
    /// The time of the request.
    pub now: Timestamp,
    /// Five letters for `generateName`.
    pub name_suffix: &'a str,
}

/// Writes the metadata that no client may choose, and the name if it is to be generated.
pub fn system_metadata(metadata: &mut Map<String, Value>, system: System<'_>) {
    // Field managers are not kept: Stint applies patches without them.
    let server_side =
        ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "managedFields"];
    metadata.retain(|name, _| !server_side.contains(&name.as_str()) && name != "resourceVersion");
    let text = |metadata: &Map<String, Value>, name: &str| {
        metadata.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let prefix = text(metadata, "generateName");
    if text(metadata, "name").is_empty() && !prefix.is_empty() {
        let cut = prefix.floor_char_boundary(MAX_GENERATED_PREFIX);
        let name = format!("{}{}", &prefix[..cut], system.name_suffix);
        metadata.insert("name".to_owned(), Value::from(name));
    }
    metadata.insert("namespace".to_owned(), Value::from(system.namespace));
    metadata.insert("uid".to_owned(), Value::from(system.uid.to_string()));
    metadata.insert("creationTimestamp".to_owned(), Value::from(format_seconds(system.now)));
    metadata.insert("generation".to_owned(), Value::from(1));
}

/// Adds the selector and the labels that make a Job's pods its own. A value of the user's that is
/// in the way stays, and validation refuses it. Says whether it did anything: not with
/// `manualSelector`.
pub fn selector(job: &mut Value) -> bool {
    let own = |name: &str| job["metadata"][name].as_str().unwrap_or_default().to_owned();
    let (name, uid) = (own("name"), own("uid"));
    if job["spec"]["manualSelector"] == Value::Bool(true) {
        return false;
    }
    let Some(spec) = job.get_mut("spec").and_then(Value::as_object_mut) else { return false };
    let labels = object(object(object(spec, "template"), "metadata"), "labels");
    for (key, value) in [
        (LEGACY_JOB_NAME, &name),
        (JOB_NAME, &name),
        (LEGACY_CONTROLLER_UID, &uid),
        (CONTROLLER_UID, &uid),
    ] {
        labels.entry(key).or_insert_with(|| Value::from(value.as_str()));
    }
    let matched = object(object(spec, "selector"), "matchLabels");
    matched.entry(CONTROLLER_UID).or_insert_with(|| Value::from(uid));
    true
}
