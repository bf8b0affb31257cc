//! Watches on objects: those there are, then what happens to them.

use serde_json::Value;

use super::kind::Kind;
use super::read::is_selected;
use super::stored::StoredObject;
use crate::admission::Identity;
use crate::registry::watch::{Selection, WatchStream};
use crate::registry::{Error, Options, Registry};
use crate::store::Object;

impl Registry {
    /// Watches objects. Without a `resourceVersion` (or with 0, or with `sendInitialEvents`) the
    /// objects there are come first.
    ///
    /// # Errors
    ///
    /// 400 for bad selectors, 503 when JetStream is away. A revision that is no longer known is
    /// said in the stream (410).
    pub async fn watch_objects(
        &self,
        kind: &'static Kind,
        namespace: Option<&str>,
        options: Options,
    ) -> Result<WatchStream, Error> {
        kind.check_fields(&options)?;
        let namespace = namespace.filter(|_| kind.is_namespaced()).map(str::to_owned);
        self.watch_replica(SelectedObjects { kind, namespace, options }).await
    }
}

/// Which objects a watch is about.
struct SelectedObjects {
    kind: &'static Kind,
    namespace: Option<String>,
    options: Options,
}

impl Selection for SelectedObjects {
    fn resource(&self) -> &'static str {
        self.kind.about.plural
    }

    fn identity(&self) -> Identity {
        self.kind.identity()
    }

    fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    fn options(&self) -> &Options {
        &self.options
    }

    fn view(&self, object: &Object) -> Option<Value> {
        let view = StoredObject::one_of_many(object)?.into_view();
        is_selected(&view, &self.options).then_some(view)
    }
}
