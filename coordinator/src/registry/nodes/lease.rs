//! Leases: what workers renew, in the form in which Kubernetes' nodes have it. They are read by
//! `kubectl describe node` and by monitoring; nobody but its worker writes one.

use serde_json::{Value, json};
use stint_common::time::format_seconds;
use stint_common::wire::WorkerState;
use uuid::Uuid;

use super::WORKERS;
use super::view::Seen;
use crate::admission::Identity;
use crate::registry::collection::list;
use crate::registry::error::LEASES;
use crate::registry::job_list;
use crate::registry::watch::{Beginning, Selection, WatchStream, bookmark, quiet};
use crate::registry::{Error, Options, Registry};
use crate::store::Object;

/// Where Kubernetes has the leases of its nodes.
pub(super) const NAMESPACE: &str = "kube-node-lease";
const API_VERSION: &str = "coordination.k8s.io/v1";
/// The fields by which one can select.
const FIELDS: [&str; 2] = ["metadata.name", "metadata.namespace"];

impl Registry {
    /// The lease of a worker.
    ///
    /// # Errors
    ///
    /// 404; 503 when JetStream is away.
    pub async fn get_lease(&self, namespace: &str, name: &str) -> Result<Value, Error> {
        let not_found = || Error::NotFound { resource: LEASES, name: name.to_owned() };
        if namespace != NAMESPACE {
            return Err(not_found());
        }
        match self.read_node(name).await {
            Ok(seen) => Ok(lease(&seen)),
            Err(Error::NotFound { .. }) => Err(not_found()),
            Err(error) => Err(error),
        }
    }

    /// Leases that match the selectors.
    ///
    /// # Errors
    ///
    /// 400 for a bad `continue` or field; 503 when JetStream is away.
    pub async fn list_leases(
        &self,
        namespace: Option<&str>,
        options: &Options,
    ) -> Result<Value, Error> {
        check_fields(options)?;
        let (leases, revision) = self.list_at("leases", Some(WORKERS), options).await?;
        let after = options.continue_after.as_deref().map(job_list::read_continue).transpose()?;
        let mut page = self.page(options);
        let here = namespace.is_none_or(|namespace| namespace == NAMESPACE);
        for object in leases.iter().filter(|_| here) {
            let place = format!("{NAMESPACE}/{}", object.name);
            let behind = after.as_ref().is_none_or(|after| place > *after);
            let Some(lease) = selected(object, options).filter(|_| behind) else { continue };
            if !page.take(lease) {
                break;
            }
        }
        let (metadata, items) = page.finish(revision);
        Ok(list(API_VERSION, "LeaseList", metadata, items))
    }

    /// Watches leases: each renewal is told.
    ///
    /// # Errors
    ///
    /// 400 for bad selectors, 503 when JetStream is away.
    pub async fn watch_leases(
        &self,
        namespace: Option<&str>,
        options: Options,
    ) -> Result<WatchStream, Error> {
        check_fields(&options)?;
        if namespace.is_some_and(|namespace| namespace != NAMESPACE) {
            let mark = Beginning::of(&options).with_mark;
            let mark =
                mark.then(|| bookmark(API_VERSION, LEASES.kind, self.replica.applied(), true));
            return Ok(quiet(&options, mark.into_iter().collect()));
        }
        self.watch_replica(SelectedLeases { options }).await
    }
}

/// Which leases a watch is about.
struct SelectedLeases {
    options: Options,
}

impl Selection for SelectedLeases {
    fn resource(&self) -> &'static str {
        "leases"
    }

    fn identity(&self) -> Identity {
        Identity { api_version: API_VERSION, kind: LEASES.kind }
    }

    fn namespace(&self) -> Option<&str> {
        Some(WORKERS)
    }

    fn options(&self) -> &Options {
        &self.options
    }

    fn view(&self, object: &Object) -> Option<Value> {
        selected(object, &self.options)
    }
}

fn check_fields(options: &Options) -> Result<(), Error> {
    options.fields.check(&FIELDS).map_err(|error| Error::BadRequest(error.to_string()))
}

/// The lease in the replica as a client sees it, if it is a node's and the selectors mean it.
fn selected(object: &Object, options: &Options) -> Option<Value> {
    let seen = Seen {
        lease: serde_json::from_slice(&object.payload).ok()?,
        renewed: (object.revision, object.time),
        word: None,
    };
    let lease = lease(&seen);
    let meant = seen.is_node()
        && options.labels.matches_object(&lease)
        && options.fields.matches_object(&lease);
    meant.then_some(lease)
}

fn lease(seen: &Seen) -> Value {
    let Seen { lease, renewed: (revision, renewed_at), .. } = seen;
    let mut spec = json!({
        "holderIdentity": lease.worker,
        "leaseDurationSeconds": lease.lease_ms.div_ceil(1000),
    });
    // That it was lost is the owner's word, and no renewal.
    if lease.state != WorkerState::Lost {
        spec["renewTime"] = json!(format!("{renewed_at:.6}"));
    }
    json!({
        "apiVersion": API_VERSION,
        "kind": LEASES.kind,
        "metadata": {
            "name": lease.worker,
            "namespace": NAMESPACE,
            "uid": Uuid::new_v5(&lease.home.0, b"lease"),
            "resourceVersion": revision.to_string(),
            "creationTimestamp": format_seconds(lease.settled_at()),
            "ownerReferences": [{
                "apiVersion": "v1",
                "kind": "Node",
                "name": lease.worker,
                "uid": lease.home,
            }],
        },
        "spec": spec,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::nodes::view::tests::seen;

    #[test]
    fn a_renewal_is_a_lease() {
        let there = lease(&seen(WorkerState::Ready, None));
        assert_eq!(there["metadata"]["namespace"], "kube-node-lease");
        assert_eq!(there["spec"]["holderIdentity"], "w");
        assert_eq!(there["spec"]["leaseDurationSeconds"], 1);
        assert_eq!(there["spec"]["renewTime"], "2026-01-15T12:01:00.000000Z");
        assert_ne!(there["metadata"]["uid"], there["metadata"]["ownerReferences"][0]["uid"]);
        let lost = lease(&seen(WorkerState::Lost, None));
        assert_eq!(lost["spec"].get("renewTime"), None);
    }
}
