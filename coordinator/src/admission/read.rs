//! A body to a Job: is it one at all, is every member known, and what is done about those that are
//! not.

use std::str::FromStr;

use k8s_openapi::api::batch::v1::Job;
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
/// How Kubernetes calls what is decoded here.
const API_VERSION: &str = "batch/v1";
const KIND: &str = "Job";

/// A body read as a Job: without `null`s, without unknown members, with `apiVersion` and `kind`.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) job: Value,
    pub(super) warnings: Vec<String>,
}

/// Reads a body as a Job.
pub(super) fn read(body: Body, validation: FieldValidation) -> Result<Read, Rejection> {
    let Body { value: mut job, duplicates } = body;
    drop_nulls(&mut job);
    identify(&mut job)?;
    let typed = typed::read::<Job>(&job).map_err(|error| unhandled(&error.to_string()))?;
    let unknown = typed.unknown;
    let complaints: Vec<String> = unknown
        .iter()
        .map(|member| format!("unknown field {:?}", member.path))
        .chain(duplicates.iter().map(|path| format!("duplicate field {path:?}")))
        .take(MAX_NAMED)
        .collect();
    if validation == FieldValidation::Strict && !complaints.is_empty() {
        return Err(unhandled(&format!("strict decoding error: {}", complaints.join(", "))));
    }
    typed::remove(&mut job, &unknown);
    let warn = validation == FieldValidation::Warn;
    Ok(Read { job, warnings: if warn { complaints } else { Vec::new() } })
}

/// Reads a Job that this module let in, or is about to.
pub(super) fn typed_job(job: &Value) -> Result<Job, Rejection> {
    let typed = typed::read::<Job>(job).map_err(|error| unhandled(&error.to_string()))?;
    Ok(typed.object)
}

fn unhandled(complaint: &str) -> Rejection {
    Rejection::NoJob(format!("{KIND} in version \"v1\" cannot be handled as a {KIND}: {complaint}"))
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
fn identify(job: &mut Value) -> Result<(), Rejection> {
    let Some(members) = job.as_object_mut() else {
        return Err(unhandled("json: cannot unmarshal array into Go value of type v1.Job"));
    };
    let text = |name: &str| match members.get(name) {
        None => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(Rejection::BadRequest(format!(
            "couldn't get version/kind; json parse error: json: cannot unmarshal {name} into a \
             string"
        ))),
    };
    let (version, kind) = (text("apiVersion")?, text("kind")?);
    if !version.is_empty() && version != API_VERSION {
        return Err(Rejection::BadRequest(format!(
            "the API version in the data ({version}) does not match the expected API version \
             ({API_VERSION})"
        )));
    }
    if !kind.is_empty() && kind != KIND {
        return Err(Rejection::BadRequest(format!(
            "{kind} in version \"v1\" cannot be handled as a {KIND}: the kind in the data ({kind}) \
             does not match the expected kind ({KIND})"
        )));
    }
    for (name, text, known) in [("apiVersion", &version, API_VERSION), ("kind", &kind, KIND)] {
        if text.is_empty() {
            members.insert(name.to_owned(), Value::from(known));
        }
    }
    Ok(())
}
