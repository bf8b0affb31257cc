//! `metadata`: names, labels, annotations, owners, finalizers, and what of it may change.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::admission::cause::{Causes, Path};
use crate::admission::text;

/// Most bytes of all annotations of an object, keys and values.
const ANNOTATION_BYTES: usize = 256 * 1024;
/// What Kubernetes says of a field that must stay as it is.
pub(super) const IMMUTABLE: &str = "field is immutable";
/// What Kubernetes says of a number that must not be negative.
pub(super) const NOT_NEGATIVE: &str = "must be greater than or equal to 0";

type Texts = BTreeMap<String, String>;

/// Metadata of an object in a namespace, whose name is a DNS subdomain.
pub(super) fn object_meta(meta: &ObjectMeta, path: &Path<'_>, causes: &mut Causes) {
    named_meta(meta, &NameForm { namespaced: true, name: text::dns_subdomain }, path, causes);
}

/// How objects of a kind are called.
pub(in crate::admission) struct NameForm {
    /// Whether they are in namespaces.
    pub(in crate::admission) namespaced: bool,
    /// What is wrong with a name.
    pub(in crate::admission) name: fn(&str) -> Vec<String>,
}

/// Metadata of an object of any kind.
pub(in crate::admission) fn named_meta(
    meta: &ObjectMeta,
    form: &NameForm,
    path: &Path<'_>,
    causes: &mut Causes,
) {
    let name = meta.name.as_deref().unwrap_or_default();
    if let Some(prefix) = meta.generate_name.as_deref().filter(|prefix| !prefix.is_empty()) {
        let faults = (form.name)(&mask_dash(prefix));
        causes.invalid_each(&path.child("generateName"), prefix, faults);
    }
    if name.is_empty() {
        causes.required(&path.child("name"), "name or generateName is required");
    } else {
        causes.invalid_each(&path.child("name"), name, (form.name)(name));
    }
    match meta.namespace.as_deref().unwrap_or_default() {
        "" if form.namespaced => causes.required(&path.child("namespace"), ""),
        name if form.namespaced => {
            causes.invalid_each(&path.child("namespace"), name, text::dns_label(name));
        }
        "" => {}
        _ => causes.forbidden(&path.child("namespace"), "not allowed on this type"),
    }
    not_negative(meta.generation, &path.child("generation"), causes);
    labels(meta.labels.as_ref(), &path.child("labels"), causes);
    annotations(meta.annotations.as_ref(), &path.child("annotations"), causes);
    owners(meta.owner_references.as_deref(), &path.child("ownerReferences"), causes);
    finalizers(meta.finalizers.as_deref(), &path.child("finalizers"), causes);
}

/// A prefix may end in a dash: something will follow it.
fn mask_dash(prefix: &str) -> String {
    match prefix.strip_suffix('-') {
        Some(rest) if !rest.is_empty() => format!("{rest}a"),
        _ => prefix.to_owned(),
    }
}

/// A number that must not be negative, if it is given.
pub(super) fn not_negative(value: Option<impl Into<i64>>, path: &Path<'_>, causes: &mut Causes) {
    if let Some(value) = value.map(Into::into).filter(|value| *value < 0) {
        causes.invalid(path, value, NOT_NEGATIVE);
    }
}

/// Keys and values of labels; also of a node selector.
pub(super) fn labels(labels: Option<&Texts>, path: &Path<'_>, causes: &mut Causes) {
    for (key, value) in labels.into_iter().flatten() {
        causes.invalid_each(path, key, text::qualified_name(key));
        causes.invalid_each(path, value, text::label_value(value));
    }
}

/// Keys of annotations, and their size.
pub(super) fn annotations(annotations: Option<&Texts>, path: &Path<'_>, causes: &mut Causes) {
    let mut bytes = 0;
    for (key, value) in annotations.into_iter().flatten() {
        causes.invalid_each(path, key, text::qualified_name(&key.to_lowercase()));
        bytes += key.len() + value.len();
    }
    if bytes > ANNOTATION_BYTES {
        causes.too_long(path, ANNOTATION_BYTES);
    }
}

fn owners(owners: Option<&[OwnerReference]>, path: &Path<'_>, causes: &mut Causes) {
    let mut controller: Option<String> = None;
    for owner in owners.unwrap_or_default() {
        let version = owner.api_version.rsplit('/').next().unwrap_or_default();
        if version.is_empty() {
            let detail = "version must not be empty";
            causes.invalid(&path.child("apiVersion"), &owner.api_version, detail);
        }
        for (name, value) in [("kind", &owner.kind), ("name", &owner.name), ("uid", &owner.uid)] {
            if value.is_empty() {
                causes.invalid(&path.child(name), value, "must not be empty");
            }
        }
        if owner.api_version == "v1" && owner.kind == "Event" {
            causes.invalid(path, owner, "/v1, Kind=Event is disallowed from being an owner");
        }
        if owner.controller == Some(true) {
            let current = format!("{}/{}", owner.kind, owner.name);
            match &controller {
                None => controller = Some(current),
                Some(first) => causes.invalid(
                    path,
                    owners,
                    format!(
                        "Only one reference can have Controller set to true. Found \"true\" in \
                         references for {first} and {current}"
                    ),
                ),
            }
        }
    }
}

fn finalizers(finalizers: Option<&[String]>, path: &Path<'_>, causes: &mut Causes) {
    let finalizers = finalizers.unwrap_or_default();
    for name in finalizers {
        causes.invalid_each(path, name, text::qualified_name(name));
    }
    let has = |name: &str| finalizers.iter().any(|finalizer| finalizer == name);
    if has("orphan") && has("foregroundDeletion") {
        let detail = "finalizer orphan and foregroundDeletion cannot be both set";
        causes.invalid(path, finalizers, detail);
    }
}

/// Finalizers without a domain that Kubernetes knows.
const PLAIN_FINALIZERS: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];

/// Finalizers must be said in full, but for those known to all.
pub(super) fn finalizer_names(meta: &ObjectMeta, path: &Path<'_>, causes: &mut Causes) {
    let list = path.child("finalizers");
    for (index, name) in meta.finalizers.iter().flatten().enumerate() {
        if !name.contains('/') && !PLAIN_FINALIZERS.contains(&name.as_str()) {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            causes.invalid(&list.index(index), name, detail);
        }
    }
}

/// What of an object's metadata may not change.
pub(in crate::admission) fn meta_update(
    new: &ObjectMeta,
    old: &ObjectMeta,
    path: &Path<'_>,
    causes: &mut Causes,
) {
    if old.deletion_timestamp.is_some() {
        no_new_finalizers(new, old, &path.child("finalizers"), causes);
    }
    let version = new.resource_version.as_deref().unwrap_or_default();
    if version.is_empty() {
        causes.invalid(&path.child("resourceVersion"), version, "must be specified for an update");
    }
    let generation = new.generation.unwrap_or(0);
    if generation < old.generation.unwrap_or(0) {
        causes.invalid(&path.child("generation"), generation, "must not be decremented");
    }
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    for (name, new, old) in [
        ("name", text(&new.name), text(&old.name)),
        ("namespace", text(&new.namespace), text(&old.namespace)),
        ("uid", text(&new.uid), text(&old.uid)),
    ] {
        immutable(&new, &old, &path.child(name), causes);
    }
    immutable(
        &new.creation_timestamp,
        &old.creation_timestamp,
        &path.child("creationTimestamp"),
        causes,
    );
    immutable(
        &new.deletion_timestamp,
        &old.deletion_timestamp,
        &path.child("deletionTimestamp"),
        causes,
    );
    immutable(
        &new.deletion_grace_period_seconds,
        &old.deletion_grace_period_seconds,
        &path.child("deletionGracePeriodSeconds"),
        causes,
    );
    labels(new.labels.as_ref(), &path.child("labels"), causes);
    annotations(new.annotations.as_ref(), &path.child("annotations"), causes);
    owners(new.owner_references.as_deref(), &path.child("ownerReferences"), causes);
    finalizer_names(new, path, causes);
}

/// A value that must stay as it is.
pub(in crate::admission) fn immutable<T: PartialEq + serde::Serialize>(
    new: &T,
    old: &T,
    path: &Path<'_>,
    causes: &mut Causes,
) {
    if new != old {
        causes.invalid(path, new, IMMUTABLE);
    }
}

fn no_new_finalizers(new: &ObjectMeta, old: &ObjectMeta, path: &Path<'_>, causes: &mut Causes) {
    let names = |meta: &ObjectMeta| -> BTreeSet<String> {
        meta.finalizers.iter().flatten().cloned().collect()
    };
    let old = names(old);
    let extra: Vec<String> = names(new).difference(&old).map(|name| format!("{name:?}")).collect();
    if !extra.is_empty() {
        let detail = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers \
             []string{{{}}}",
            extra.join(", ")
        );
        causes.forbidden(path, detail);
    }
}
