//! Reading: one object from the stream's leader, many from the replica.

use serde_json::Value;
use stint_common::names::ALL_NAMESPACES;

use super::kind::Kind;
use super::stored::StoredObject;
use crate::registry::collection::list;
use crate::registry::convert::may_be_selected;
use crate::registry::job_list::read_continue;
use crate::registry::{Error, Options, Registry};

/// The namespace token of an object's subject.
pub(super) fn place<'a>(kind: &Kind, namespace: &'a str) -> &'a str {
    if kind.is_namespaced() { namespace } else { ALL_NAMESPACES }
}

impl Registry {
    /// One object. `namespace` counts for nothing where the kind has none.
    ///
    /// # Errors
    ///
    /// 404; 503 when JetStream is away.
    pub async fn get_object(
        &self,
        kind: &Kind,
        namespace: &str,
        name: &str,
    ) -> Result<Value, Error> {
        Ok(self.read_object(kind, namespace, name).await?.into_view())
    }

    /// The object as it stands at the leader.
    pub(in crate::registry) async fn read_object(
        &self,
        kind: &Kind,
        namespace: &str,
        name: &str,
    ) -> Result<StoredObject, Error> {
        let not_found = || Error::NotFound { resource: kind.about, name: name.to_owned() };
        // A name that no object can have may be a pattern to the stream.
        if !(kind.rules.name)(name).is_empty() {
            return Err(not_found());
        }
        let names = &self.jet.names;
        let subject = names.object(kind.about.plural, place(kind, namespace), name);
        let stored = self.jet.read_last(&names.objects_stream(), &subject).await?;
        let stored = stored.filter(|stored| !stored.payload.is_empty()).ok_or_else(not_found)?;
        let object = StoredObject::decode(&stored.payload, stored.sequence)?;
        if object.gone { Err(not_found()) } else { Ok(object) }
    }

    /// Objects of one namespace, or of all, that match the selectors.
    ///
    /// # Errors
    ///
    /// 400 for a bad `continue` or field; 503 when JetStream is away.
    pub async fn list_objects(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        options: &Options,
    ) -> Result<Value, Error> {
        kind.check_fields(options)?;
        let namespace = namespace.filter(|_| kind.is_namespaced());
        let (objects, revision) = self.list_at(kind.about.plural, namespace, options).await?;
        let after = options.continue_after.as_deref().map(read_continue).transpose()?;
        let mut page = self.page(options);
        for object in objects {
            if kind.is_namespaced() && !may_be_selected(&object, &options.fields) {
                continue;
            }
            let Some(found) = StoredObject::one_of_many(&object) else { continue };
            let found = found.into_view();
            let behind = after.as_ref().is_none_or(|after| place_of(&found) > *after);
            if !behind || !is_selected(&found, options) {
                continue;
            }
            if !page.take(found) {
                break;
            }
        }
        let (metadata, items) = page.finish(revision);
        Ok(kind.list_of(metadata, items))
    }
}

impl Kind {
    /// Refuses fields by which objects of the kind cannot be selected.
    pub(super) fn check_fields(&self, options: &Options) -> Result<(), Error> {
        options.fields.check(self.fields).map_err(|error| Error::BadRequest(error.to_string()))
    }

    pub(super) fn list_of(&self, metadata: Value, items: Vec<Value>) -> Value {
        list(self.identity().api_version, &self.list_kind(), metadata, items)
    }
}

/// Whether the selectors mean an object.
pub(super) fn is_selected(object: &Value, options: &Options) -> bool {
    options.labels.matches_object(object) && options.fields.matches_object(object)
}

/// Where an object stands in lists.
fn place_of(object: &Value) -> String {
    let text = |name: &str| object["metadata"][name].as_str().unwrap_or_default();
    format!("{}/{}", text("namespace"), text("name"))
}
