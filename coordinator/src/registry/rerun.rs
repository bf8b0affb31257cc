//! Running a finished Job again, or what of it failed, or chosen indexes: as a new Job that says
//! where it came from. Indexes keep their numbers, so that a pod finds its share of the work.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use stint_common::annotations::{DEPENDS_ON, INDEXES, RERUN_OF, RERUN_OF_UID};
use stint_common::index_set::IndexSet;
use stint_common::pod_meta::{CONTROLLER_UID, JOB_NAME, LEGACY_CONTROLLER_UID, LEGACY_JOB_NAME};

use super::Error;
use super::convert::StoredJob;
use super::error::JOBS;
use super::jobs::Answer;
use super::options::Options;
use super::store::Registry;
use crate::job::condition;

/// What the API server or `kubectl` wrote, and what the new Job is told anew.
const NOT_TAKEN: [&str; 5] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    DEPENDS_ON,
    INDEXES,
    RERUN_OF,
    RERUN_OF_UID,
];
/// Labels that were made for the old Job.
const GENERATED: [&str; 4] = [LEGACY_JOB_NAME, JOB_NAME, LEGACY_CONTROLLER_UID, CONTROLLER_UID];

/// The body of a request: what is to be run again; nothing said is everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Wanted {
    /// The new Job's name; one is made from the old one's when absent.
    name: Option<String>,
    /// Only what has not succeeded.
    failed: bool,
    /// Only these indexes.
    indexes: Option<String>,
}

impl Wanted {
    fn read(body: &[u8]) -> Result<Self, Error> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        let wanted: Self = serde_json::from_slice(body).map_err(|error| {
            Error::BadRequest(format!(
                "the body of a rerun must be like {{\"failed\": true}}, {{\"indexes\": \"1,3-5\"}} \
                 or {{\"name\": \"again\"}}: {error}"
            ))
        })?;
        if wanted.failed && wanted.indexes.is_some() {
            let message = "failed and indexes exclude each other: say which indexes, or none";
            return Err(Error::BadRequest(message.to_owned()));
        }
        Ok(wanted)
    }
}

impl Registry {
    /// Creates a Job that runs a finished one again, or a part of it.
    ///
    /// # Errors
    ///
    /// 400 when there is nothing to be run, 404, 409 for a Job that has not finished; else as
    /// [`Registry::create_job`].
    pub async fn rerun_job(
        &self,
        namespace: &str,
        name: &str,
        body: &[u8],
        options: &Options,
    ) -> Result<Answer, Error> {
        let wanted = Wanted::read(body)?;
        let old = self.read_job(namespace, name).await?;
        let (manifest, warnings) = manifest(&old, &wanted)?;
        let body = manifest.to_string();
        let kind = Some("application/json");
        let mut answer = self.create_job(namespace, body.as_bytes(), kind, options).await?;
        answer.warnings.splice(0..0, warnings);
        Ok(answer)
    }
}

/// The new Job, and what is to be said of it.
fn manifest(old: &StoredJob, wanted: &Wanted) -> Result<(Value, Vec<String>), Error> {
    if old.record.status.finished().is_none() {
        let reason = "it has not finished; what runs cannot be run again".to_owned();
        return Err(Error::Conflict { resource: JOBS, name: old.name().to_owned(), reason });
    }
    let mut spec = old.object["spec"].clone();
    let part = part(old, wanted)?;
    let mut warnings = Vec::new();
    let Some(members) = spec.as_object_mut() else {
        return Err(Error::Internal("a stored Job has no spec".to_owned()));
    };
    members.shift_remove("suspend");
    if members.get("manualSelector") != Some(&Value::Bool(true)) {
        members.shift_remove("selector");
        without(&mut spec["template"]["metadata"], "labels", &GENERATED);
    }
    if let Part::Completions(left) = part {
        spec["completions"] = json!(left);
    }
    let mut annotations = json!({RERUN_OF: old.name(), RERUN_OF_UID: old.uid.to_string()});
    if let Part::Indexes(indexes) = &part {
        annotations[INDEXES] = json!(indexes.to_string());
        let policy = spec.as_object_mut().and_then(|spec| spec.shift_remove("successPolicy"));
        if policy.is_some() {
            let message = "spec.successPolicy: left out: all indexes that are run must succeed";
            warnings.push(message.to_owned());
        }
    }
    Ok((
        json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": metadata(old, wanted, annotations),
            "spec": spec,
        }),
        warnings,
    ))
}

fn metadata(old: &StoredJob, wanted: &Wanted, own: Value) -> Value {
    let mut kept = json!({
        "labels": old.object["metadata"]["labels"],
        "annotations": old.object["metadata"]["annotations"],
    });
    without(&mut kept, "labels", &GENERATED);
    without(&mut kept, "annotations", &NOT_TAKEN);
    match (kept["annotations"].as_object_mut(), own) {
        (Some(all), Value::Object(own)) => all.extend(own),
        (_, own) => kept["annotations"] = own,
    }
    match &wanted.name {
        Some(name) => kept["name"] = json!(name),
        None => kept["generateName"] = json!(format!("{}-rerun-", first_name(old))),
    }
    kept
}

/// The name of the Job that this all began with, so that names do not grow.
fn first_name(job: &StoredJob) -> &str {
    let again = job.object["metadata"]["annotations"][RERUN_OF].is_string();
    let name = job.name();
    let first = name.rsplit_once("-rerun-").map(|(first, _)| first);
    first.filter(|first| again && !first.is_empty()).unwrap_or(name)
}

fn without(object: &mut Value, list: &str, names: &[&str]) {
    let all = object.get_mut(list).and_then(Value::as_object_mut);
    let Some(all): Option<&mut Map<String, Value>> = all else { return };
    all.retain(|name, _| !names.contains(&name.as_str()));
}

/// How much of a Job is run again.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    All,
    Completions(u32),
    Indexes(IndexSet),
}

fn part(old: &StoredJob, wanted: &Wanted) -> Result<Part, Error> {
    let (status, ledger) = (&old.record.status, &old.record.ledger);
    let nothing = || Error::BadRequest(format!("all of job {} has succeeded", old.name()));
    if let Some(text) = &wanted.indexes {
        let indexes = text.parse().map_err(|error| {
            Error::BadRequest(format!("indexes: {text:?} is not like 1,3-5: {error}"))
        })?;
        return Ok(Part::Indexes(indexes));
    }
    let completions = old.object["spec"]["completions"].as_u64();
    let completions = completions.and_then(|number| u32::try_from(number).ok());
    let chosen_before = !ledger.skipped.is_empty();
    match completions {
        Some(all) if old.indexed() && (wanted.failed || chosen_before) => {
            let done = if wanted.failed { ledger.succeeded.clone() } else { IndexSet::new() };
            let left = done.union(&ledger.skipped).complement_below(all);
            if left.is_empty() { Err(nothing()) } else { Ok(Part::Indexes(left)) }
        }
        Some(all) if wanted.failed => match all.saturating_sub(status.succeeded) {
            0 => Err(nothing()),
            left => Ok(Part::Completions(left)),
        },
        None if wanted.failed && status.condition(condition::COMPLETE).is_some() => Err(nothing()),
        Some(_) | None => Ok(Part::All),
    }
}
