//! From what is stored to what a client sees.

use serde_json::Value;
use stint_common::id::{JobUid, PodId, Revision};

use super::Error;
use super::error::JOBS;
use super::job_object::{JobCondition, StatusView, Uncounted, job_object};
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
        let status = &self.record.status;
        let uids = |keys: &[Key]| keys.iter().map(|key| self.pod(*key).uid().to_string()).collect();
        StatusView {
            conditions: status
                .conditions
                .iter()
                .map(|condition| JobCondition {
                    kind: condition.kind.clone(),
                    status: condition.status,
                    reason: condition.reason.clone(),
                    message: condition.message.clone(),
                    at: condition.last_transition,
                    probed: condition.last_probe,
                })
                .collect(),
            start_time: status.start_time,
            completion_time: status.completion_time,
            active: status.active,
            succeeded: status.succeeded,
            failed: status.failed,
            terminating: status.observed.then_some(status.terminating),
            ready: status.observed.then_some(status.ready),
            completed_indexes: if self.indexed() {
                self.record.ledger.succeeded.to_string()
            } else {
                String::new()
            },
            failed_indexes: (status.observed && self.per_index())
                .then(|| self.record.ledger.failed.to_string()),
            uncounted: status.observed.then(|| Uncounted {
                succeeded: uids(&status.uncounted_succeeded),
                failed: uids(&status.uncounted_failed),
            }),
        }
    }

    pub(super) fn pod(&self, key: Key) -> PodId {
        PodId { job: self.uid, slot: key.0, attempt: key.1 }
    }
}
