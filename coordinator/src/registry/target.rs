//! The object that a write means: whether it is the one that the client has in mind, and what is
//! said when it is gone.

use std::fmt::Display;

use serde_json::{Value, json};

use super::Error;
use super::error::{MODIFIED, Resource};
use super::options::Options;

/// An object as it stands when a write of it begins.
pub(super) struct Target<'a> {
    pub(super) resource: Resource,
    pub(super) name: &'a str,
    pub(super) uid: String,
    pub(super) revision: u64,
}

impl Target<'_> {
    /// A write that names a revision means that one and no other.
    pub(super) fn same_revision(&self, new: &Value) -> Result<(), Error> {
        let meant = new["metadata"]["resourceVersion"].as_str().unwrap_or_default();
        if meant.is_empty() || meant == self.revision.to_string() {
            return Ok(());
        }
        Err(modified(self.resource, self.name))
    }

    /// A delete may mean one object of the name, or one revision of it, and no other.
    pub(super) fn preconditions(&self, options: &Options) -> Result<(), Error> {
        let refuse = |what: &str, wanted: &dyn Display, there: &dyn Display| {
            let reason = format!(
                "Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {there}"
            );
            let name = self.name.to_owned();
            Err(Error::Conflict { resource: self.resource, name, reason })
        };
        if let Some(wanted) = options.uid.as_ref().filter(|wanted| **wanted != self.uid) {
            return refuse("UID", wanted, &self.uid);
        }
        let wanted = options.resource_version;
        if let Some(wanted) = wanted.filter(|wanted| *wanted != u128::from(self.revision)) {
            return refuse("ResourceVersion", &wanted, &self.revision);
        }
        Ok(())
    }

    /// The answer to a delete after which the object is gone.
    pub(super) fn deleted(&self) -> Value {
        let mut details = json!({"name": self.name});
        if !self.resource.group.is_empty() {
            details["group"] = Value::from(self.resource.group);
        }
        details["kind"] = Value::from(self.resource.plural);
        details["uid"] = Value::from(self.uid.as_str());
        json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": details,
        })
    }
}

/// Others wrote what this write did not expect.
pub(super) fn modified(resource: Resource, name: &str) -> Error {
    Error::Conflict { resource, name: name.to_owned(), reason: MODIFIED.to_owned() }
}
