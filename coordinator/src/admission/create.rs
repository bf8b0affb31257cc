//! Creating a Job: from what was sent to what is stored.

use jiff::Timestamp;
use serde_json::Value;
use stint_common::id::JobUid;

use super::decode::Body;
use super::generate::System;
use super::read::{Admitted, FieldValidation, read, typed_job};
use super::rejection::Rejection;
use super::{defaults, extension, generate, unsupported, validate, warnings};

/// What a create request says besides its body, and what was decided for it.
#[derive(Clone, Copy, Debug)]
pub struct CreateContext<'a> {
    /// The namespace of the request.
    pub namespace: &'a str,
    /// The new Job's uid.
    pub uid: JobUid,
    /// When the request came.
    pub now: Timestamp,
    /// What is done about unknown members.
    pub field_validation: FieldValidation,
    /// Five letters for `generateName`.
    pub name_suffix: &'a str,
}

/// Admits a new Job.
///
/// # Errors
///
/// When it is no Job (400), or one that Kubernetes or Stint refuses (422, with everything that is
/// wrong).
pub fn create(body: Body, context: &CreateContext<'_>) -> Result<Admitted, Rejection> {
    let mut read = read(body, context.field_validation)?;
    prepare(&mut read.object, context)?;
    let job = typed_job(&read.object)?;
    let options = validate::Options::for_create();
    let mut causes = validate::job(&job, &options);
    unsupported::check(&read.object, &mut causes);
    extension::check(&job, &mut causes);
    if !causes.is_empty() {
        let name = job.metadata.name.unwrap_or_default();
        return Err(Rejection::Invalid { name, causes: causes.into_vec() });
    }
    let mut warnings = read.warnings;
    warnings.extend(warnings::on_create(&job));
    Ok(Admitted { job: read.object, warnings })
}

/// Defaults, system metadata, selector and labels.
fn prepare(job: &mut Value, context: &CreateContext<'_>) -> Result<(), Rejection> {
    let has_labels = job["metadata"]["labels"].as_object().is_some_and(|labels| !labels.is_empty());
    defaults::apply(job);
    let Some(members) = job.as_object_mut() else { return Ok(()) };
    members.shift_remove("status");
    let metadata = defaults::object(members, "metadata");
    let own = |name: &str| metadata.get(name).and_then(Value::as_str).unwrap_or_default();
    if !["", context.namespace].contains(&own("namespace")) {
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
    let CreateContext { namespace, uid, now, name_suffix, .. } = *context;
    generate::system_metadata(metadata, System { namespace, uid, now, name_suffix });
    generate::selector(job);
    if let Some(members) = job.as_object_mut().filter(|_| !has_labels) {
        // A Job without labels has its template's, the generated ones included. Defaulting comes
        // before these are generated, but in Kubernetes both labels are one map by then, and where
        // the template had none, every later read defaults them once more.
        defaults::copy_labels(members);
    }
    Ok(())
}
