//! Server-side apply of Jobs: the object as somebody wants it, created or changed.

use serde_json::{Value, json};
use stint_common::time::now;

use super::apply::{Applied, Conflict, apply, track};
use super::convert::StoredJob;
use super::error::Resource;
use super::jobs::Answer;
use super::options::Options;
use super::patch::schema::JOB;
use super::store::Registry;
use super::{Error, change::Written};
use crate::admission::{self, Admitted, Body, Causes, Path, UpdateContext};

/// The media type of an apply.
const APPLY: &str = "application/apply-patch+yaml";
/// Who writes without saying who it is.
const UNKNOWN: &str = "unknown";
/// How often an apply begins anew when the Job comes or goes meanwhile.
const TRIES: u32 = 10;

/// Kubernetes' own name for what a patch is asked with.
const PATCH_OPTIONS: Resource =
    Resource { group: "meta.k8s.io", plural: "patchoptions", kind: "PatchOptions" };

/// Whether a content type is that of an apply.
#[must_use]
pub fn is_apply(content_type: Option<&str>) -> bool {
    let media_type = content_type.and_then(|text| text.split(';').next()).unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case(APPLY)
}

impl Registry {
    /// Applies a Job; whether that created it.
    ///
    /// # Errors
    ///
    /// As [`Registry::create_job`] and [`Registry::update_job`]; 409 for fields that others have
    /// said something else about, 422 without a `fieldManager`.
    pub async fn apply_job(
        &self,
        namespace: &str,
        name: &str,
        body: &[u8],
        options: &Options,
    ) -> Result<(Answer, bool), Error> {
        let body = admission::decode(body, None).map_err(Error::from_rejection)?;
        let wanted = wanted(body, name)?;
        let manager = manager(options)?;
        for _ in 0..TRIES {
            match self.apply_to(namespace, name, &wanted, manager, options).await {
                Err(Error::NotFound { .. }) => {}
                outcome => return outcome.map(|written| (written.answer(), false)),
            }
            match self.create_applied(namespace, &wanted, manager, options).await {
                Err(Error::AlreadyExists { .. }) => {}
                outcome => return outcome.map(|answer| (answer, true)),
            }
        }
        Err(Error::Unavailable(format!("Job {name} comes and goes: try again")))
    }

    async fn apply_to(
        &self,
        namespace: &str,
        name: &str,
        wanted: &Body,
        manager: &str,
        options: &Options,
    ) -> Result<Written, Error> {
        self.change_job(namespace, name, options, |job| {
            job.target().same_revision(&wanted.value)?;
            let old = job.view();
            let applied =
                Applied { object: &wanted.value, manager, force: options.force, now: now() };
            let (value, managed) = apply(&old, &applied, &JOB).map_err(conflict)?;
            let new = Body { value, duplicates: wanted.duplicates.clone() };
            let context = UpdateContext { field_validation: options.field_validation };
            let admitted = admission::update(&old, new, context);
            let Admitted { job: mut object, warnings } = admitted.map_err(Error::from_rejection)?;
            object["metadata"]["managedFields"] = managed;
            job.set_object(object);
            Ok(warnings)
        })
        .await
    }

    async fn create_applied(
        &self,
        namespace: &str,
        wanted: &Body,
        manager: &str,
        options: &Options,
    ) -> Result<Answer, Error> {
        let applied = Applied { object: &wanted.value, manager, force: false, now: now() };
        let nothing = json!({"metadata": {}});
        let (value, managed) = apply(&nothing, &applied, &JOB).map_err(conflict)?;
        let new = Body { value, duplicates: wanted.duplicates.clone() };
        self.create_once(namespace, new, Some(managed), options).await
    }
}

/// Keeps account of a change that is no apply, where accounts are kept.
pub(super) fn keep_account(before: &StoredJob, job: &mut StoredJob, options: &Options) {
    if job.object == before.object || job.object["metadata"]["managedFields"].is_array() {
        return;
    }
    let manager = options.field_manager.as_deref().unwrap_or(UNKNOWN);
    if let Some(managed) = track(&before.object, &job.object, manager, now(), &JOB) {
        job.object["metadata"]["managedFields"] = managed;
    }
}

/// What is applied must be whole enough to be an object.
fn wanted(mut body: Body, name: &str) -> Result<Body, Error> {
    let bad = |message: String| Err(Error::BadRequest(message));
    for member in ["apiVersion", "kind"] {
        if body.value[member].as_str().is_none_or(str::is_empty) {
            return bad(format!("Object '{}' is missing in what is applied", title(member)));
        }
    }
    if body.value["metadata"]["managedFields"].as_array().is_some_and(|it| !it.is_empty()) {
        return bad("metadata.managedFields must be nil".to_owned());
    }
    match body.value["metadata"]["name"].as_str() {
        Some(own) if own != name => bad(format!(
            "the name of the object ({own}) does not match the name on the URL ({name})"
        )),
        Some(_) => Ok(body),
        None => {
            body.value["metadata"]["name"] = Value::from(name);
            Ok(body)
        }
    }
}

fn title(member: &str) -> &'static str {
    if member == "kind" { "Kind" } else { "apiVersion" }
}

fn manager(options: &Options) -> Result<&str, Error> {
    options.field_manager.as_deref().ok_or_else(|| {
        let mut causes = Causes::default();
        causes.required(&Path::root("fieldManager"), "is required for apply patch");
        Error::Invalid { resource: PATCH_OPTIONS, name: String::new(), causes: causes.into_vec() }
    })
}

fn conflict(conflicts: Vec<Conflict>) -> Error {
    Error::ApplyConflict { conflicts }
}
