//! Changing a Job's status: PUT and PATCH of `jobs/status`. The spec that is sent counts for
//! nothing; metadata passes through, as it does in Kubernetes.
//!
//! Knows nothing of who keeps the status: that is the registry's part.

use serde_json::{Value, json};

use super::decode::Body;
use super::read::{read, typed_job};
use super::rejection::Rejection;
use super::update::{UpdateContext, prepare};
use super::{extension, validate};

/// A status that was let in.
#[derive(Clone, Debug, PartialEq)]
pub struct AdmittedStatus {
    /// The Job with the metadata that was sent and the spec that was there; without status.
    pub job: Value,
    /// The status that was sent.
    pub status: Value,
    /// For the `Warning` headers of the reply.
    pub warnings: Vec<String>,
}

/// Admits a change of the status of `old`, the stored Job with its status.
///
/// # Errors
///
/// When `new` is no Job or another one (400, 409), or the change is refused (422).
pub fn update_status(
    old: &Value,
    new: Body,
    context: UpdateContext,
) -> Result<AdmittedStatus, Rejection> {
    let mut read = read(new, context.field_validation)?;
    let status = prepare_status(&mut read.object, old)?;
    let mut whole = read.object.clone();
    whole["status"] = status.clone();
    check_status(&whole, old)?;
    Ok(AdmittedStatus { job: read.object, status, warnings: read.warnings })
}

/// Carries over the spec and what a client cannot change; gives the status that was sent.
///
/// # Errors
///
/// When `new` speaks of another object.
pub fn prepare_status(new: &mut Value, old: &Value) -> Result<Value, Rejection> {
    let status = new.get("status").filter(|status| status.is_object()).cloned();
    if let Some(members) = new.as_object_mut() {
        members.insert("spec".to_owned(), old["spec"].clone());
    }
    prepare(new, old)?;
    Ok(status.unwrap_or(json!({})))
}

/// Judges a change of status, of Jobs with their statuses.
///
/// # Errors
///
/// Everything that is wrong with it (422).
pub fn check_status(new: &Value, old: &Value) -> Result<(), Rejection> {
    let (new_job, old_job) = (typed_job(new)?, typed_job(old)?);
    let new_both = validate::Both { job: &new_job, json: new };
    let old_both = validate::Both { job: &old_job, json: old };
    let mut causes = validate::status_update(new_both, old_both);
    // Annotations pass through.
    extension::check(&new_job, &mut causes);
    extension::check_update(&new_job, &old_job, old, &mut causes);
    if causes.is_empty() {
        return Ok(());
    }
    let name = new_job.metadata.name.unwrap_or_default();
    Err(Rejection::Invalid { name, causes: causes.into_vec() })
}
