//! Changing a Job's main resource: PUT, and the result of a PATCH.
//!
//! Status is not changed here. Which revision may be changed is the registry's part.

use k8s_openapi::api::batch::v1::Job;
use serde_json::{Map, Value};

use super::decode::Body;
use super::read::{Admitted, FieldValidation, read, typed_job};
use super::rejection::Rejection;
use super::{defaults, extension, semantic, unsupported, validate, warnings};

/// What an update request says besides its body.
#[derive(Clone, Copy, Debug, Default)]
pub struct UpdateContext {
    /// What is done about unknown members.
    pub field_validation: FieldValidation,
}

/// Admits a change from `old`, the stored Job with its status, to `new`.
///
/// # Errors
///
/// When `new` is no Job or another one (400, 409), or the change is refused (422).
pub fn update(old: &Value, new: Body, context: UpdateContext) -> Result<Admitted, Rejection> {
    let mut read = read(new, context.field_validation)?;
    defaults::apply(&mut read.object);
    prepare(&mut read.object, old)?;
    let (new_job, old_job) = (typed_job(&read.object)?, typed_job(old)?);
    let new_both = validate::Both { job: &new_job, json: &read.object };
    let old_both = validate::Both { job: &old_job, json: old };
    let mut causes = validate::update(new_both, old_both);
    unsupported::check(&read.object, &mut causes);
    extension::check(&new_job, &mut causes);
    extension::check_update(&new_job, &old_job, old, &mut causes);
    if !causes.is_empty() {
        let name = new_job.metadata.name.unwrap_or_default();
        return Err(Rejection::Invalid { name, causes: causes.into_vec() });
    }
    let mut warnings = read.warnings;
    if generation(&new_job) != generation(&old_job) {
        warnings.extend(warnings::of_spec(&new_job));
    }
    Ok(Admitted { job: read.object, warnings })
}

fn generation(job: &Job) -> i64 {
    job.metadata.generation.unwrap_or(0)
}

/// Carries over what a client cannot change, and counts changes of the spec.
pub fn prepare(new: &mut Value, old: &Value) -> Result<(), Rejection> {
    let changed = !semantic::equal(&new["spec"], &old["spec"]);
    let old_metadata = old["metadata"].as_object().cloned().unwrap_or_default();
    let Some(members) = new.as_object_mut() else { return Ok(()) };
    members.shift_remove("status");
    let metadata = defaults::object(members, "metadata");
    same_object(metadata, &old_metadata)?;
    for name in ["managedFields", "selfLink"] {
        metadata.shift_remove(name);
    }
    let keep = |metadata: &mut Map<String, Value>, name: &str| match old_metadata.get(name) {
        Some(value) => drop(metadata.insert(name.to_owned(), value.clone())),
        None => drop(metadata.shift_remove(name)),
    };
    for name in ["namespace", "uid", "creationTimestamp", "resourceVersion"] {
        keep(metadata, name);
    }
    for name in ["deletionTimestamp", "deletionGracePeriodSeconds"] {
        // One that is set cannot be changed; setting one is an error, which validation finds.
        if old_metadata.contains_key(name) {
            keep(metadata, name);
        }
    }
    let generation = old_metadata.get("generation").and_then(Value::as_i64).unwrap_or(0);
    let generation = if changed { generation + 1 } else { generation };
    metadata.insert("generation".to_owned(), Value::from(generation));
    Ok(())
}

/// Refuses a body that speaks of another object.
pub(super) fn same_object(
    new: &Map<String, Value>,
    old: &Map<String, Value>,
) -> Result<(), Rejection> {
    let text = |object: &Map<String, Value>, name: &str| {
        object.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let name = text(old, "name");
    let (new_name, namespace) = (text(new, "name"), text(new, "namespace"));
    if new_name.is_empty() {
        return Err(Rejection::BadRequest(format!(
            "the name of the object ({name} based on URL) was undeterminable: name must be provided"
        )));
    }
    if new_name != name {
        return Err(Rejection::BadRequest(format!(
            "the name of the object ({new_name}) does not match the name on the URL ({name})"
        )));
    }
    let old_namespace = text(old, "namespace");
    if !namespace.is_empty() && namespace != old_namespace {
        return Err(Rejection::BadRequest(format!(
            "the namespace of the object ({namespace}) does not match the namespace on the request \
             ({old_namespace})"
        )));
    }
    let (uid, old_uid) = (text(new, "uid"), text(old, "uid"));
    if !uid.is_empty() && uid != old_uid {
        let reason = format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {old_uid}"
        );
        return Err(Rejection::Conflict { name, reason });
    }
    Ok(())
}
