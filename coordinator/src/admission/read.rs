//! A body to an object: is it one of its kind at all, is every member known, and what is done about
//! those that are not.

use std::str::FromStr;

use k8s_openapi::api::batch::v1::Job;
use serde::Deserialize;
use serde_json::Value;

use super::decode::Body;
use super::rejection::Rejection;
use super::typed;

/// What is done about unknown and doubled members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// The request is refused. Kubernetes' API server defaults to Warn, its command line to Strict.
    #[default]
    Strict,
    /// They are dropped, with a warning each.
    Warn,
    /// They are dropped.
    Ignore,
}

/// `fieldValidation` is none of those known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "fieldValidation: Unsupported value: {0:?}: supported values: \"Ignore\", \"Strict\", \"Warn\""
)]
pub struct UnknownFieldValidation(String);

impl FromStr for FieldValidation {
    type Err = UnknownFieldValidation;

    fn from_str(text: &str) -> Result<Self, UnknownFieldValidation> {
        match text {
            "" | "Strict" => Ok(Self::Strict),
            "Warn" => Ok(Self::Warn),
            "Ignore" => Ok(Self::Ignore),
            _ => Err(UnknownFieldValidation(text.to_owned())),
        }
    }
}

/// A Job that was let in.
#[derive(Clone, Debug, PartialEq)]
pub struct Admitted {
    /// What is to be stored; it has no status.
    pub job: Value,
    /// For the `Warning` headers of the reply.
    pub warnings: Vec<String>,
}

/// How many unknown and doubled members are named in one answer.
const MAX_NAMED: usize = 100;
/// How Kubernetes calls a kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `batch/v1`; of the core group `v1`.
    pub api_version: &'static str,
    /// `Job`.
    pub kind: &'static str,
}

/// Jobs.
const JOB: Identity = Identity { api_version: "batch/v1", kind: "Job" };

/// A body read as an object of its kind: without `null`s, without unknown members, with
/// `apiVersion` and `kind`.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) object: Value,
    pub(super) warnings: Vec<String>,
}

/// Reads a body as a Job.
pub(super) fn read(body: Body, validation: FieldValidation) -> Result<Read, Rejection> {
    read_as::<Job>(body, validation, JOB)
}

/// Reads a body as an object of some kind, of which `T` is the type.
pub(super) fn read_as<T: for<'de> Deserialize<'de>>(
    body: Body,
    validation: FieldValidation,
    identity: Identity,
) -> Result<Read, Rejection> {
    let Body { value: mut object, duplicates } = body;
    drop_nulls(&mut object);
    identify(&mut object, identity)?;
    let typed =
        typed::read::<T>(&object).map_err(|error| unhandled(identity, &error.to_string()))?;
    let unknown = typed.unknown;
    let complaints: Vec<String> = unknown
        .iter()
        .map(|member| format!("unknown field {:?}", member.path))
        .chain(duplicates.iter().map(|path| format!("duplicate field {path:?}")))
        .take(MAX_NAMED)
        .collect();
    if validation == FieldValidation::Strict && !complaints.is_empty() {
        let complaint = format!("strict decoding error: {}", complaints.join(", "));
        return Err(unhandled(identity, &complaint));
    }
    typed::remove(&mut object, &unknown);
    let warn = validation == FieldValidation::Warn;
    Ok(Read { object, warnings: if warn { complaints } else { Vec::new() } })
}

/// Reads a Job that this module let in, or is about to.
pub(super) fn typed_job(job: &Value) -> Result<Job, Rejection> {
    typed_as(job, JOB)
}

/// Reads an object of some kind that this module let in, or is about to.
pub(super) fn typed_as<T: for<'de> Deserialize<'de>>(
    object: &Value,
    identity: Identity,
) -> Result<T, Rejection> {
    let typed =
        typed::read::<T>(object).map_err(|error| unhandled(identity, &error.to_string()))?;
    Ok(typed.object)
}

/// 400: the body is not of its kind.
pub(super) fn unhandled(identity: Identity, complaint: &str) -> Rejection {
    let Identity { api_version, kind } = identity;
    let version = api_version.rsplit('/').next().unwrap_or_default();
    Rejection::NoJob(format!(
        "{kind} in version {version:?} cannot be handled as a {kind}: {complaint}"
    ))
}

/// Takes what is `null` for absent, as Go does.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Checks `apiVersion` and `kind`; absent, they follow from where the request went.
fn identify(object: &mut Value, identity: Identity) -> Result<(), Rejection> {
    let Identity { api_version, kind } = identity;
    let Some(members) = object.as_object_mut() else {
        let complaint = format!("json: cannot unmarshal array into Go value of type v1.{kind}");
        return Err(unhandled(identity, &complaint));
    };
    let text = |name: &str| match members.get(name) {
        None => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(Rejection::BadRequest(format!(
            "couldn't get version/kind; json parse error: json: cannot unmarshal {name} into a \
             string"
        ))),
    };
    let (own_version, own_kind) = (text("apiVersion")?, text("kind")?);
    if !own_version.is_empty() && own_version != api_version {
        return Err(Rejection::BadRequest(format!(
            "the API version in the data ({own_version}) does not match the expected API version \
             ({api_version})"
        )));
    }
    if !own_kind.is_empty() && own_kind != kind {
        return Err(Rejection::BadRequest(format!(
            "{own_kind} in version \"v1\" cannot be handled as a {kind}: the kind in the data \
             ({own_kind}) does not match the expected kind ({kind})"
        )));
    }
    for (name, text, known) in
        [("apiVersion", &own_version, api_version), ("kind", &own_kind, kind)]
    {
        if text.is_empty() {
            members.insert(name.to_owned(), Value::from(known));
        }
    }
    Ok(())
}
