//! From what is stored to what a client sees.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;
use stint_common::id::{JobUid, PodId, Revision};
use stint_common::index_set::IndexSet;

use super::Error;
use super::error::JOBS;
use super::job_object::{JobCondition, StatusView, Uncounted, job_object, status_value};
use super::selector::FieldSelector;
use super::target::Target;
use super::{deletion, status};
use crate::job::Key;
use crate::store::{JobRecord, Object};

/// `managedBy` of a Job that Stint manages, where it is said.
const OWN_CONTROLLER: &str = "kubernetes.io/job-controller";

/// A Job as stored, decoded.
#[derive(Clone)]
pub(super) struct StoredJob {
    pub(super) uid: JobUid,
    pub(super) record: JobRecord,
    /// The Job's JSON without status.
    pub(super) object: Value,
    pub(super) revision: u64,
}

/// Whether a Job's JSON says that another controller manages it.
pub(super) fn is_managed_elsewhere(object: &Value) -> bool {
    let manager = object["spec"]["managedBy"].as_str().unwrap_or_default();
    !["", OWN_CONTROLLER].contains(&manager)
}

/// A Job's JSON with all that its record says of it.
fn show(record: &JobRecord, object: Value, status: &StatusView, revision: u64) -> Value {
    let mut object = job_object(object, status, Revision(revision));
    status::show_said(record, &mut object);
    deletion::show(record.deletion.as_ref(), &mut object);
    object
}

/// Whether an object may fulfil a field selector, as far as its place tells: asked before the
/// object is decoded, so that a watch for one Job costs next to nothing for all others.
pub(super) fn may_be_selected(object: &Object, fields: &FieldSelector) -> bool {
    let may = |field, is: &str| fields.exact(field).is_none_or(|wanted| wanted == is);
    may("metadata.name", &object.name) && may("metadata.namespace", &object.namespace)
}

impl StoredJob {
    /// It, as a write meets it.
    pub(super) fn target(&self) -> Target<'_> {
        let (uid, revision) = (self.uid.to_string(), self.revision);
        Target { resource: JOBS, name: self.name(), uid, revision }
    }

    /// Reads an object of the replica or of the stream.
    pub(super) fn decode(payload: &[u8], revision: u64) -> Result<Self, Error> {
        let unreadable = |error: &dyn std::fmt::Display| {
            Error::Internal(format!("a stored Job at revision {revision} cannot be read: {error}"))
        };
        let record = JobRecord::decode(payload).map_err(|error| unreadable(&error))?;
        let object: Value =
            serde_json::from_str(record.object.get()).map_err(|error| unreadable(&error))?;
        let uid = object["metadata"]["uid"].as_str().and_then(|uid| uid.parse().ok());
        let uid = uid.ok_or_else(|| unreadable(&"it has no uid"))?;
        Ok(Self { uid, record, object, revision })
    }

    pub(super) fn of(object: &Object) -> Result<Self, Error> {
        Self::decode(&object.payload, object.revision)
    }

    /// One of many: a record that cannot be read is left out, so that it does not take the whole
    /// list away. The owner says in its log which one it is.
    pub(super) fn one_of_many(object: &Object) -> Option<Self> {
        Self::of(object).ok()
    }

    pub(super) fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap_or_default()
    }

    pub(super) fn namespace(&self) -> &str {
        self.object["metadata"]["namespace"].as_str().unwrap_or_default()
    }

    pub(super) fn indexed(&self) -> bool {
        self.object["spec"]["completionMode"].as_str() == Some("Indexed")
    }

    /// Whether another controller manages it: then its status is that one's alone.
    pub(super) fn is_managed_elsewhere(&self) -> bool {
        is_managed_elsewhere(&self.object)
    }

    /// Whether a client would see nothing of the difference.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        let said = |job: &Self| job.record.said.as_ref().map(|said| said.get().to_owned());
        self.object == other.object
            && self.record.status == other.record.status
            && self.record.deletion == other.record.deletion
            && self.record.gone == other.record.gone
            && said(self) == said(other)
    }

    /// Whether each index has a back-off limit of its own.
    pub(super) fn per_index(&self) -> bool {
        self.indexed() && self.object["spec"]["backoffLimitPerIndex"].is_number()
    }

    /// The Job as a client sees it.
    pub(super) fn view(&self) -> Value {
        show(&self.record, self.object.clone(), &self.status_view(), self.revision)
    }

    /// The same of a Job that is not needed any more, which spares a copy.
    pub(super) fn into_view(self) -> Value {
        let status = self.status_view();
        show(&self.record, self.object, &status, self.revision)
    }

    fn status_view(&self) -> StatusView {
        status_view(&self.record, self.uid, self.indexed(), self.per_index())
    }

    pub(super) fn pod(&self, key: Key) -> PodId {
        PodId { job: self.uid, slot: key.0, attempt: key.1 }
    }
}

fn status_view(record: &JobRecord, uid: JobUid, indexed: bool, per_index: bool) -> StatusView {
    let status = &record.status;
    let pod = |key: &Key| PodId { job: uid, slot: key.0, attempt: key.1 };
    let uids = |keys: &[Key]| keys.iter().map(|key| pod(key).uid().to_string()).collect();
    let conditions = status.conditions.iter().map(|condition| JobCondition {
        kind: condition.kind.clone(),
        status: condition.status,
        reason: condition.reason.clone(),
        message: condition.message.clone(),
        at: condition.last_transition,
        probed: condition.last_probe,
    });
    let of_indexes = |wanted: bool, indexes: &IndexSet| wanted.then(|| indexes.to_string());
    StatusView {
        conditions: conditions.collect(),
        start_time: status.start_time,
        completion_time: status.completion_time,
        active: status.active,
        succeeded: status.succeeded,
        failed: status.failed,
        terminating: status.observed.then_some(status.terminating),
        ready: status.observed.then_some(status.ready),
        completed_indexes: of_indexes(indexed, &record.ledger.succeeded).unwrap_or_default(),
        failed_indexes: of_indexes(status.observed && per_index, &record.ledger.failed),
        uncounted: status.observed.then(|| Uncounted {
            succeeded: uids(&status.uncounted_succeeded),
            failed: uids(&status.uncounted_failed),
        }),
    }
}

/// What has to be known of a Job's JSON to show it.
#[derive(Deserialize)]
struct Outline<'a> {
    #[serde(borrow)]
    metadata: &'a RawValue,
    #[serde(borrow)]
    spec: OutlineOfSpec<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OutlineOfSpec<'a> {
    #[serde(borrow, default)]
    completion_mode: Option<Cow<'a, str>>,
    #[serde(default)]
    backoff_limit_per_index: Option<IgnoredAny>,
    #[serde(default)]
    managed_by: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct OutlineOfMetadata {
    uid: JobUid,
}

/// The text of a Job as a client sees it, made without taking its JSON apart, which is most of the
/// time that a long list takes. `None` where more of it has to be changed than a revision and a
/// status, or where the record cannot be read.
pub(super) fn text_of(object: &Object) -> Option<String> {
    let record = JobRecord::decode(&object.payload).ok()?;
    let text = record.object.get();
    let Outline { metadata, spec } = serde_json::from_str(text).ok()?;
    if record.said.is_some() || record.deletion.is_some() || spec.managed_by.is_some() {
        return None;
    }
    let OutlineOfMetadata { uid } = serde_json::from_str(metadata.get()).ok()?;
    let indexed = spec.completion_mode.as_deref() == Some("Indexed");
    let per_index = indexed && spec.backoff_limit_per_index.is_some();
    let status = status_value(&status_view(&record, uid, indexed, per_index));
    // The metadata is a piece of the text; both end with a brace, before which there is a member.
    let begin = metadata.get().as_ptr().addr().checked_sub(text.as_ptr().addr())?;
    let (front, rest) = text.split_at_checked(begin + metadata.get().len() - 1)?;
    let rest = rest.strip_suffix('}')?;
    let revision = object.revision;
    Some(format!("{front},\"resourceVersion\":\"{revision}\"{rest},\"status\":{status}}}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::job::JobStatus;

    fn stored(object: &Value, status: JobStatus) -> Object {
        let record = JobRecord { status, ..JobRecord::of(object) };
        Object {
            resource: "jobs".to_owned(),
            namespace: "a".to_owned(),
            name: "b".to_owned(),
            revision: 42,
            payload: record.encode(),
            time: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn the_text_is_that_of_the_view() {
        let uid = JobUid::random();
        let metadata = json!({"name": "b", "namespace": "a", "uid": uid, "labels": {"x": "}\"{é"}});
        let status = JobStatus { active: 1, observed: true, ..JobStatus::default() };
        for spec in [
            json!({"parallelism": 1}),
            json!({"completionMode": "Indexed", "completions": 3}),
            json!({"completionMode": "Indexed", "backoffLimitPerIndex": 1, "template": {}}),
        ] {
            let meta = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata,
                "spec": spec});
            let first = json!({"spec": spec, "metadata": metadata});
            for object in [meta, first] {
                let object = stored(&object, status.clone());
                let view = StoredJob::of(&object).unwrap().into_view();
                assert_eq!(text_of(&object), Some(view.to_string()));
            }
        }
        let elsewhere = json!({"metadata": metadata, "spec": {"managedBy": "example.com/x"}});
        assert_eq!(text_of(&stored(&elsewhere, JobStatus::default())), None);
    }
}
