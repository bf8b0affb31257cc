//! Creating and changing an object of any plain kind.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::admission::cause::{Causes, Path};
use crate::admission::create::CreateContext;
use crate::admission::decode::Body;
use crate::admission::read::{FieldValidation, Identity, Read, read_as, typed_as};
use crate::admission::rejection::Rejection;
use crate::admission::update::{UpdateContext, same_object};
use crate::admission::validate::metadata::{NameForm, meta_update, named_meta};
use crate::admission::{defaults, generate};

/// What is particular to a kind of object.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// How the kind is called.
    pub identity: Identity,
    /// Whether its objects are in namespaces.
    pub namespaced: bool,
    /// What is wrong with a name.
    pub name: fn(&str) -> Vec<String>,
    /// Reads a body as this kind.
    pub(super) read: fn(Body, FieldValidation, Identity) -> Result<Read, Rejection>,
    /// Writes what was not said.
    pub(super) complete: fn(&mut Value),
    /// Carries over from the stored object (second) what a client cannot change.
    pub(super) carry: fn(&mut Value, &Value),
    /// What is wrong with an object, besides its metadata.
    pub(super) judge: fn(&Value, &mut Causes),
    /// What is wrong with a change, besides the metadata; the stored object comes second.
    pub(super) judge_change: fn(&Value, &Value, &mut Causes),
}

/// An object that was let in.
#[derive(Clone, PartialEq)]
pub struct AdmittedObject {
    /// What is to be stored.
    pub object: Value,
    /// For the `Warning` headers of the reply.
    pub warnings: Vec<String>,
}

/// Reads a body as a `T`, with nothing particular about it.
pub(super) fn read_plainly<T: for<'de> Deserialize<'de>>(
    body: Body,
    validation: FieldValidation,
    identity: Identity,
) -> Result<Read, Rejection> {
    read_as::<T>(body, validation, identity)
}

/// A kind of which nothing is carried over but its metadata.
pub(super) fn carry_nothing(_: &mut Value, _: &Value) {}

/// A kind without rules of its own.
pub(super) fn judge_nothing(_: &Value, _: &mut Causes) {}

/// A kind without rules of its own for changes.
pub(super) fn judge_no_change(_: &Value, _: &Value, _: &mut Causes) {}

impl Rules {
    fn form(&self) -> NameForm {
        NameForm { namespaced: self.namespaced, name: self.name }
    }
}

/// Admits a new object.
///
/// # Errors
///
/// When it is none of its kind (400), or one that Kubernetes refuses (422).
pub fn create(
    rules: &Rules,
    body: Body,
    context: &CreateContext<'_>,
) -> Result<AdmittedObject, Rejection> {
    let Read { mut object, warnings } =
        (rules.read)(body, context.field_validation, rules.identity)?;
    prepare(rules, &mut object, context)?;
    let meta: ObjectMeta = typed_as(&object["metadata"], rules.identity)?;
    let mut causes = Causes::default();
    named_meta(&meta, &rules.form(), &Path::root("metadata"), &mut causes);
    (rules.judge)(&object, &mut causes);
    admitted(object, warnings, causes)
}

fn prepare(
    rules: &Rules,
    object: &mut Value,
    context: &CreateContext<'_>,
) -> Result<(), Rejection> {
    let Some(members) = object.as_object_mut() else { return Ok(()) };
    let metadata = defaults::object(members, "metadata");
    let own = |name: &str| metadata.get(name).and_then(Value::as_str).unwrap_or_default();
    if rules.namespaced && !["", context.namespace].contains(&own("namespace")) {
        return Err(Rejection::BadRequest(
            "the namespace of the provided object does not match the namespace sent on the request"
                .to_owned(),
        ));
    }
    if !["", "0"].contains(&own("resourceVersion")) {
        return Err(Rejection::BadRequest(
            "resourceVersion should not be set on objects to be created".to_owned(),
        ));
    }
    let elsewhere = (!rules.namespaced).then(|| metadata.get("namespace").cloned()).flatten();
    let CreateContext { namespace, uid, now, name_suffix, .. } = *context;
    generate::system_metadata(metadata, generate::System { namespace, uid, now, name_suffix });
    metadata.shift_remove("generation");
    if !rules.namespaced {
        metadata.shift_remove("namespace");
        // Left in, so that validation says that there is none.
        metadata.extend(elsewhere.map(|namespace| ("namespace".to_owned(), namespace)));
    }
    (rules.complete)(object);
    Ok(())
}

/// Admits a change from `old`, the stored object with its revision, to `new`.
///
/// # Errors
///
/// When `new` is none of its kind or another object (400, 409), or the change is refused (422).
pub fn update(
    rules: &Rules,
    old: &Value,
    new: Body,
    context: UpdateContext,
) -> Result<AdmittedObject, Rejection> {
    let Read { mut object, warnings } =
        (rules.read)(new, context.field_validation, rules.identity)?;
    carry_metadata(&mut object, old)?;
    (rules.carry)(&mut object, old);
    (rules.complete)(&mut object);
    let mut causes = judge_metadata(rules, &object, old)?;
    (rules.judge_change)(&object, old, &mut causes);
    (rules.judge)(&object, &mut causes);
    admitted(object, warnings, causes)
}

/// Admits a change of the status of `old`, of which the metadata may change with it.
///
/// # Errors
///
/// As [`update`].
pub fn update_status(
    rules: &Rules,
    old: &Value,
    new: Body,
    context: UpdateContext,
) -> Result<AdmittedObject, Rejection> {
    let Read { mut object, warnings } =
        (rules.read)(new, context.field_validation, rules.identity)?;
    carry_metadata(&mut object, old)?;
    let mut whole = old.clone();
    for (member, value) in [("metadata", &object["metadata"]), ("status", &object["status"])] {
        whole[member] = if value.is_null() { Value::Object(Map::new()) } else { value.clone() };
    }
    if let Some(generation) = old["metadata"].get("generation") {
        whole["metadata"]["generation"] = generation.clone();
    }
    let causes = judge_metadata(rules, &whole, old)?;
    admitted(whole, warnings, causes)
}

/// Admits the stored object with other finalizers in its spec.
///
/// # Errors
///
/// When they are none (400).
pub fn update_finalizers(
    rules: &Rules,
    whole: Body,
    context: UpdateContext,
) -> Result<AdmittedObject, Rejection> {
    let Read { mut object, warnings } =
        (rules.read)(whole, context.field_validation, rules.identity)?;
    if object["spec"]["finalizers"].is_null() {
        object["spec"] = Value::Object(Map::new());
    }
    admitted(object, warnings, Causes::default())
}

/// What is wrong with a change of the metadata.
fn judge_metadata(rules: &Rules, new: &Value, old: &Value) -> Result<Causes, Rejection> {
    let meta: ObjectMeta = typed_as(&new["metadata"], rules.identity)?;
    let old_meta: ObjectMeta = typed_as(&old["metadata"], rules.identity)?;
    let mut causes = Causes::default();
    meta_update(&meta, &old_meta, &Path::root("metadata"), &mut causes);
    Ok(causes)
}

/// Carries over what a client cannot change.
fn carry_metadata(new: &mut Value, old: &Value) -> Result<(), Rejection> {
    let old = old["metadata"].as_object().cloned().unwrap_or_default();
    let Some(members) = new.as_object_mut() else { return Ok(()) };
    let metadata = defaults::object(members, "metadata");
    same_object(metadata, &old)?;
    for name in ["managedFields", "selfLink", "generation"] {
        metadata.shift_remove(name);
    }
    let keep = |metadata: &mut Map<String, Value>, name: &str| match old.get(name) {
        Some(value) => drop(metadata.insert(name.to_owned(), value.clone())),
        None => drop(metadata.shift_remove(name)),
    };
    for name in ["namespace", "uid", "creationTimestamp", "resourceVersion"] {
        keep(metadata, name);
    }
    for name in ["deletionTimestamp", "deletionGracePeriodSeconds"] {
        // One that is set cannot be changed; setting one is an error, which validation finds.
        if old.contains_key(name) {
            keep(metadata, name);
        }
    }
    Ok(())
}

fn admitted(
    object: Value,
    warnings: Vec<String>,
    causes: Causes,
) -> Result<AdmittedObject, Rejection> {
    if causes.is_empty() {
        return Ok(AdmittedObject { object, warnings });
    }
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    Err(Rejection::Invalid { name, causes: causes.into_vec() })
}
