//! Namespaces: a name, and whether it is going.

use k8s_openapi::api::core::v1::Namespace;
use serde_json::{Value, json};

use super::rules::{Rules, judge_no_change, judge_nothing, read_plainly};
use crate::admission::defaults::object;
use crate::admission::read::Identity;
use crate::admission::text;

/// `status.phase` of a namespace that can be used.
pub const ACTIVE: &str = "Active";
/// `status.phase` of one that is being emptied.
pub const TERMINATING: &str = "Terminating";
/// The finalizer in `spec` that stands for what is in a namespace.
pub const KUBERNETES: &str = "kubernetes";
/// The label that every namespace has.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Namespaces.
pub static NAMESPACE: Rules = Rules {
    identity: Identity { api_version: "v1", kind: "Namespace" },
    namespaced: false,
    name: text::dns_label,
    read: read_plainly::<Namespace>,
    complete,
    carry,
    judge: judge_nothing,
    judge_change: judge_no_change,
};

fn complete(namespace: &mut Value) {
    let name = namespace["metadata"]["name"].clone();
    let Some(members) = namespace.as_object_mut() else { return };
    let labels = object(object(members, "metadata"), "labels");
    labels.insert(NAME_LABEL.to_owned(), name);
    let being_deleted = object(members, "metadata").contains_key("deletionTimestamp");
    if !being_deleted {
        members.insert("spec".to_owned(), json!({"finalizers": [KUBERNETES]}));
        members.insert("status".to_owned(), json!({"phase": ACTIVE}));
    }
}

fn carry(new: &mut Value, old: &Value) {
    for member in ["spec", "status"] {
        new[member] = old[member].clone();
    }
}
