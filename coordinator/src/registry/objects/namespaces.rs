//! Namespaces come into being when something is first made in them, and go with all that is in
//! them.
//!
//! Differs from Kubernetes, where they must be made before: who hands in a Job over NATS names a
//! namespace, and would gain nothing from having to make it. One that is being deleted takes
//! nothing new, as there.

use std::sync::Arc;

use serde_json::{Value, json};
use stint_common::id::JobUid;
use stint_common::names::ALL_NAMESPACES;
use stint_common::time::now;

use super::kind::{CONFIG_MAP, CRON_JOB, Kind, LEASE, NAMESPACE, SECRET, SERVICE_ACCOUNT};
use super::stored::StoredObject;
use crate::admission::{Body, CreateContext, FieldValidation, plain};
use crate::registry::error::Resource;
use crate::registry::{Error, Options, Registry};
use crate::store::{Replica, WatchError, Watcher};

/// The namespace that is always there.
pub(super) const DEFAULT: &str = "default";
/// What is emptied with a namespace, besides its Jobs.
static CONTENTS: [&Kind; 5] = [&CRON_JOB, &CONFIG_MAP, &LEASE, &SECRET, &SERVICE_ACCOUNT];

/// News of namespaces; which, those who wait look up.
#[derive(Debug)]
pub struct NamespaceChanges {
    replica: Arc<Replica>,
    watcher: Watcher,
}

impl NamespaceChanges {
    /// Waits for news. Safe to cancel.
    pub async fn next(&mut self) {
        match self.watcher.next().await {
            Ok(_) => {}
            // Too much news: there is some.
            Err(WatchError::Expired(_)) => {
                let now = self.replica.applied();
                self.watcher = self.replica.watch_of(NAMESPACE.about.plural, now);
            }
            Err(WatchError::Closed) => std::future::pending().await,
        }
    }
}

impl Registry {
    /// Sees to it that a namespace is there before something called `name` is made in it.
    pub(in crate::registry) async fn enter_namespace(
        &self,
        resource: Resource,
        name: &str,
        namespace: &str,
        options: &Options,
    ) -> Result<(), Error> {
        let known = self.replica.get(NAMESPACE.about.plural, ALL_NAMESPACES, namespace);
        let known = known.and_then(|object| StoredObject::one_of_many(&object));
        let stored = match known {
            Some(stored) => stored,
            None if options.dry_run => return Ok(()),
            None => match self.open_namespace(namespace).await? {
                None => return Ok(()),
                Some(stored) => stored,
            },
        };
        if !stored.is_being_deleted() {
            return Ok(());
        }
        let reason = format!(
            "unable to create new content in namespace {namespace} because it is being terminated"
        );
        Err(Error::Forbidden { resource, name: name.to_owned(), reason })
    }

    /// Makes a namespace that is not known here; gives the one that is there, if it is.
    async fn open_namespace(&self, name: &str) -> Result<Option<StoredObject>, Error> {
        let stored = made(&NAMESPACE, name, json!({"metadata": {"name": name}}))?;
        match self.put_new(&NAMESPACE, name, &stored).await? {
            Some(_) => self.furnish_namespace(name).await.map(|()| None),
            None => match self.read_object(&NAMESPACE, name, name).await {
                Ok(stored) => Ok(Some(stored)),
                // Gone again meanwhile: whoever comes next makes it.
                Err(Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            },
        }
    }

    /// What every namespace has: clients wait for it.
    pub(super) async fn furnish_namespace(&self, namespace: &str) -> Result<(), Error> {
        let account = json!({"metadata": {"name": "default"}});
        let note = "This server has no certificate of its own that clients would have to know";
        let root = json!({
            "metadata": {
                "name": "kube-root-ca.crt",
                "annotations": {"kubernetes.io/description": note},
            },
            "data": {"ca.crt": ""},
        });
        for (kind, object) in [(&SERVICE_ACCOUNT, account), (&CONFIG_MAP, root)] {
            let stored = made(kind, namespace, object)?;
            let name = stored.name();
            if self.replica.get(kind.about.plural, namespace, name).is_none() {
                self.put_new(kind, namespace, &stored).await?;
            }
        }
        Ok(())
    }

    /// Brings every namespace one step on: one that is used has what every namespace has; one that
    /// is being deleted is emptied, and goes when it is empty. May be done again and again. Gives
    /// how many are being emptied.
    ///
    /// # Errors
    ///
    /// 503 when JetStream is away; the other namespaces have been seen to.
    pub async fn tend_namespaces(&self) -> Result<usize, Error> {
        self.replica.fresh_of(NAMESPACE.about.plural).await?;
        let options = Options::default();
        self.enter_namespace(NAMESPACE.about, DEFAULT, DEFAULT, &options).await?;
        for resource in ["jobs", "configmaps", "secrets"] {
            for namespace in self.namespaces_with(resource) {
                let entered =
                    self.enter_namespace(NAMESPACE.about, &namespace, &namespace, &options).await;
                match entered {
                    Ok(()) | Err(Error::Forbidden { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        let (mut outcome, mut emptying) = (Ok(()), 0);
        for object in self.replica.list(NAMESPACE.about.plural, None).0 {
            let Some(stored) = StoredObject::one_of_many(&object) else { continue };
            let done = if stored.is_being_deleted() {
                emptying += 1;
                self.empty_namespace(stored.name()).await
            } else {
                self.furnish_namespace(stored.name()).await
            };
            outcome = outcome.and(done);
        }
        outcome.map(|()| emptying)
    }

    /// News of namespaces.
    #[must_use]
    pub fn namespace_changes(&self) -> NamespaceChanges {
        let replica = Arc::clone(&self.replica);
        let watcher = replica.watch_of(NAMESPACE.about.plural, replica.applied());
        NamespaceChanges { replica, watcher }
    }

    /// Namespaces in which there are objects of a resource.
    fn namespaces_with(&self, resource: &str) -> Vec<String> {
        let (objects, _) = self.replica.list(resource, None);
        let mut namespaces: Vec<String> =
            objects.iter().map(|object| object.namespace.clone()).collect();
        namespaces.dedup();
        namespaces
    }

    /// Deletes what is in a namespace, and the namespace if nothing was.
    async fn empty_namespace(&self, namespace: &str) -> Result<(), Error> {
        let options = Options::default();
        self.replica.fresh().await?;
        let mut empty = self.replica.list("jobs", Some(namespace)).0.is_empty();
        if !empty {
            self.delete_jobs(namespace, &options).await?;
        }
        for kind in CONTENTS {
            self.replica.fresh_of(kind.about.plural).await?;
            if !self.replica.list(kind.about.plural, Some(namespace)).0.is_empty() {
                empty = false;
                self.delete_objects(kind, namespace, &options).await?;
            }
        }
        if !empty {
            return Ok(());
        }
        self.purge_namespace(namespace).await?;
        let done = self.change_object(&NAMESPACE, namespace, namespace, &options, |stored| {
            if stored.is_being_deleted() {
                stored.object["spec"] = json!({});
                stored.gone = !stored.waits(&NAMESPACE);
            }
            Ok(Vec::new())
        });
        match done.await {
            Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Events and output of a namespace are no objects: they go as messages.
    async fn purge_namespace(&self, namespace: &str) -> Result<(), Error> {
        let names = &self.jet.names;
        for (stream, subject) in [
            (names.events_stream(), names.events_of(namespace)),
            (names.logs_stream(), names.logs_of(namespace)),
        ] {
            let purged = self.jet.purge(&stream, &subject).await;
            purged.map_err(|error| Error::Unavailable(format!("purging {subject}: {error}")))?;
        }
        Ok(())
    }
}

/// An object of our own making.
fn made(kind: &Kind, namespace: &str, object: Value) -> Result<StoredObject, Error> {
    let context = CreateContext {
        namespace,
        uid: JobUid::random(),
        now: now(),
        field_validation: FieldValidation::default(),
        name_suffix: "",
    };
    let admitted = plain::create(kind.rules, Body::from(object), &context);
    let admitted = admitted.map_err(|rejection| Error::of_rejected(kind.about, rejection))?;
    Ok(StoredObject { object: admitted.object, gone: false, revision: 0 })
}
