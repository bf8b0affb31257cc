//! An object as stored, decoded.

use serde_json::value::RawValue;
use serde_json::{Map, Value};
use stint_common::id::Revision;

use super::kind::Kind;
use crate::registry::Error;
use crate::registry::job_object::set_revision;
use crate::registry::options::Propagation;
use crate::registry::target::Target;
use crate::store::{OF_DELETION, Object, ObjectRecord};

/// An object as stored, decoded. Has no `Debug`: it may be a Secret.
#[derive(Clone)]
pub(in crate::registry) struct StoredObject {
    /// The object's JSON without its resourceVersion.
    pub(in crate::registry) object: Value,
    /// It is gone, or is to be with the next write.
    pub(in crate::registry) gone: bool,
    pub(in crate::registry) revision: u64,
}

impl StoredObject {
    /// It, as a write meets it.
    pub(super) fn target(&self, kind: &Kind) -> Target<'_> {
        let (uid, revision) = (self.uid().to_owned(), self.revision);
        Target { resource: kind.about, name: self.name(), uid, revision }
    }

    /// Reads a record.
    pub(in crate::registry) fn decode(payload: &[u8], revision: u64) -> Result<Self, Error> {
        let unreadable = |error: &dyn std::fmt::Display| {
            Error::Internal(format!(
                "a stored object at revision {revision} is unreadable: {error}"
            ))
        };
        let record = ObjectRecord::decode(payload).map_err(|error| unreadable(&error))?;
        let object =
            serde_json::from_str(record.object.get()).map_err(|error| unreadable(&error))?;
        Ok(Self { object, gone: record.gone, revision })
    }

    /// One of many: what cannot be read is left out, and does not take the list away.
    pub(in crate::registry) fn one_of_many(object: &Object) -> Option<Self> {
        Self::decode(&object.payload, object.revision).ok()
    }

    pub(in crate::registry) fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap_or_default()
    }

    pub(in crate::registry) fn uid(&self) -> &str {
        self.object["metadata"]["uid"].as_str().unwrap_or_default()
    }

    /// The object as a client sees it.
    pub(in crate::registry) fn view(&self) -> Value {
        self.clone().into_view()
    }

    /// The same of one that is not needed any more, which spares a copy.
    pub(in crate::registry) fn into_view(self) -> Value {
        let mut object = self.object;
        set_revision(&mut object, Revision(self.revision));
        object
    }

    pub(in crate::registry) fn is_being_deleted(&self) -> bool {
        self.object["metadata"]["deletionTimestamp"].is_string()
    }

    /// Takes an admitted object. One that is being deleted and waits for nothing more is gone.
    pub(in crate::registry) fn set_object(&mut self, mut object: Value, kind: &Kind) {
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.shift_remove("resourceVersion");
            if !has_finalizers(metadata) {
                metadata.shift_remove("finalizers");
            }
        }
        self.object = object;
        self.gone = self.is_being_deleted() && !self.waits(kind);
    }

    /// A delete says what becomes of the Jobs that belong to the object: it waits until that is
    /// done. Without a word, a finalizer that stands for one counts.
    pub(super) fn hold_for_jobs(&mut self, policy: Option<Propagation>) {
        let Some(policy) = policy else { return };
        let own = self.object["metadata"]["finalizers"].as_array().into_iter().flatten();
        let others = own.filter(|name| !OF_DELETION.iter().any(|own| **name == *own));
        let mut names: Vec<Value> = others.cloned().collect();
        match policy {
            Propagation::Background => {}
            Propagation::Orphan => names.push(Value::from(OF_DELETION[0])),
            Propagation::Foreground => names.push(Value::from(OF_DELETION[1])),
        }
        if let Some(metadata) = self.object["metadata"].as_object_mut() {
            metadata.insert("finalizers".to_owned(), Value::Array(names));
            if !has_finalizers(metadata) {
                metadata.shift_remove("finalizers");
            }
        }
    }

    /// Whether something must happen before the object may go.
    pub(super) fn waits(&self, kind: &Kind) -> bool {
        let held = self.object["metadata"].as_object().is_some_and(has_finalizers);
        // What is in a namespace goes before it.
        let filled = kind.is_namespace() && !is_empty(&self.object["spec"]["finalizers"]);
        held || filled
    }
}

fn has_finalizers(metadata: &Map<String, Value>) -> bool {
    metadata.get("finalizers").is_some_and(|list| !is_empty(list))
}

fn is_empty(list: &Value) -> bool {
    list.as_array().is_none_or(Vec::is_empty)
}

/// An object's bytes, if they are not more than a record may have.
pub(super) fn raw(object: &Value, limit: usize) -> Result<Box<RawValue>, Error> {
    let raw = serde_json::value::to_raw_value(object)
        .map_err(|error| Error::Internal(format!("encoding an object: {error}")))?;
    if raw.get().len() > limit {
        return Err(Error::RequestEntityTooLarge { limit });
    }
    Ok(raw)
}
