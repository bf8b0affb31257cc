//! Server-side apply of objects: as somebody wants them, created or changed.

use super::kind::Kind;
use super::write::{Changed, Written};
use crate::registry::apply_request::{Apply, TRIES};
use crate::registry::{Answer, Error, Options, Registry};

impl Registry {
    /// Applies an object; whether that created it.
    ///
    /// # Errors
    ///
    /// As [`Registry::create_object`] and [`Registry::update_object`]; 409 for fields that others
    /// have said something else about, 422 without a `fieldManager`.
    pub async fn apply_object(
        &self,
        kind: &Kind,
        (namespace, name): (&str, &str),
        body: &[u8],
        options: &Options,
    ) -> Result<(Answer, bool), Error> {
        let body = kind.decode(body, None)?;
        let apply = Apply::read(body, name, options)?;
        for _ in 0..TRIES {
            match self.apply_to_object(kind, namespace, name, &apply, options).await {
                Err(Error::NotFound { .. }) => {}
                outcome => return outcome.map(|written| (written.answer(), false)),
            }
            if kind.is_namespaced() {
                self.enter_namespace(kind.about, name, namespace, options).await?;
            }
            let (new, managed) = apply.anew(kind.schema)?;
            match self.create_object_once(kind, namespace, new, Some(managed), options).await {
                Err(Error::AlreadyExists { .. }) => {}
                outcome => return outcome.map(|answer| (answer, true)),
            }
        }
        Err(Apply::gives_up(kind.about, name))
    }

    async fn apply_to_object(
        &self,
        kind: &Kind,
        namespace: &str,
        name: &str,
        apply: &Apply<'_>,
        options: &Options,
    ) -> Result<Written, Error> {
        self.change_object(kind, namespace, name, options, |stored| {
            stored.target(kind).same_revision(apply.wanted())?;
            let (new, managed) = apply.to(&stored.view(), kind.schema)?;
            let rejected = |rejection| kind.rejected(rejection);
            let warnings = kind.take(stored, new, Changed::Object, options, rejected)?;
            stored.object["metadata"]["managedFields"] = managed;
            Ok(warnings)
        })
        .await
    }
}
