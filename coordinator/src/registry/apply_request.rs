//! What a server-side apply asks for, whatever the kind, and the account of who said what.

use serde_json::{Value, json};
use stint_common::time::now;

use super::Error;
use super::apply::{Applied, Conflict, apply, track};
use super::error::Resource;
use super::options::Options;
use super::patch::schema::Schema;
use crate::admission::plain::{self, AdmittedObject, Rules};
use crate::admission::{Body, Causes, Path, UpdateContext};

/// The media type of an apply.
const APPLY: &str = "application/apply-patch+yaml";
/// Who writes without saying who it is.
const UNKNOWN: &str = "unknown";
/// How often an apply begins anew when the object comes or goes meanwhile.
pub(super) const TRIES: u32 = 10;

/// Kubernetes' own name for what a patch is asked with.
const PATCH_OPTIONS: Resource =
    Resource { group: "meta.k8s.io", plural: "patchoptions", kind: "PatchOptions" };

/// Whether a content type is that of an apply.
#[must_use]
pub fn is_apply(content_type: Option<&str>) -> bool {
    let media_type = content_type.and_then(|text| text.split(';').next()).unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case(APPLY)
}

/// An apply, read.
pub(super) struct Apply<'a> {
    wanted: Body,
    manager: &'a str,
    force: bool,
}

impl<'a> Apply<'a> {
    /// What is applied to the object of a name.
    ///
    /// # Errors
    ///
    /// 400 for what is not whole enough to be an object, 422 without a `fieldManager`.
    pub(super) fn read(body: Body, name: &str, options: &'a Options) -> Result<Self, Error> {
        let manager = manager(options)?;
        Ok(Self { wanted: wanted(body, name)?, manager, force: options.force })
    }

    /// What is wanted.
    pub(super) fn wanted(&self) -> &Value {
        &self.wanted.value
    }

    /// What it makes of an object, before admission, and `managedFields` then.
    ///
    /// # Errors
    ///
    /// 409 for fields that others have said something else about.
    pub(super) fn to(&self, live: &Value, schema: &'static Schema) -> Result<(Body, Value), Error> {
        let (manager, force) = (self.manager, self.force);
        let applied = Applied { object: &self.wanted.value, manager, force, now: now() };
        let (value, managed) = apply(live, &applied, schema).map_err(conflict)?;
        Ok((Body { value, duplicates: self.wanted.duplicates.clone() }, managed))
    }

    /// What it makes where there is no object.
    ///
    /// # Errors
    ///
    /// As [`Apply::to`].
    pub(super) fn anew(&self, schema: &'static Schema) -> Result<(Body, Value), Error> {
        self.to(&json!({"metadata": {}}), schema)
    }

    /// The object was there and was not, again and again.
    pub(super) fn gives_up(resource: Resource, name: &str) -> Error {
        Error::Unavailable(format!("{} {name} comes and goes: try again", resource.kind))
    }
}

/// A kind of which objects are changed.
pub(super) struct Changed {
    pub(super) about: Resource,
    pub(super) rules: &'static Rules,
    pub(super) schema: &'static Schema,
}

/// What is wanted of an object; and its `managedFields`, if it is applied.
pub(super) type Wanted = (Body, Option<Value>);

/// Admits what is wanted of an object, with the account of who said what.
///
/// # Errors
///
/// As the API server: 400, 409, 422.
pub(super) fn admit_change(
    kind: &Changed,
    old: &Value,
    (new, managed): Wanted,
    options: &Options,
) -> Result<AdmittedObject, Error> {
    let context = UpdateContext { field_validation: options.field_validation };
    let text = new.value.to_string();
    let admitted = plain::update(kind.rules, old, new, context);
    let mut admitted = admitted.map_err(|error| Error::of_patched(kind.about, error, &text))?;
    match managed {
        Some(managed) => admitted.object["metadata"]["managedFields"] = managed,
        None => keep_account(old, &mut admitted.object, options, kind.schema),
    }
    Ok(admitted)
}

/// Keeps account of a change that is no apply, where accounts are kept.
pub(super) fn keep_account(
    before: &Value,
    object: &mut Value,
    options: &Options,
    schema: &'static Schema,
) {
    if object == before || object["metadata"]["managedFields"].is_array() {
        return;
    }
    let manager = options.field_manager.as_deref().unwrap_or(UNKNOWN);
    if let Some(managed) = track(before, object, manager, now(), schema) {
        object["metadata"]["managedFields"] = managed;
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
