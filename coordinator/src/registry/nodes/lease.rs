//! Leases: what workers renew, in the form in which Kubernetes' nodes have it, and what clients
//! hold. Those of workers are read by `kubectl describe node` and by monitoring, and nobody but its
//! worker writes one; those of clients are objects like others, and in other namespaces.

use std::sync::Arc;

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
use crate::registry::objects::{StoredObject, kind};
use crate::registry::watch::{Selection, WatchStream};
use crate::registry::{Error, Options, Registry};
use crate::store::Object;

/// Where Kubernetes has the leases of its nodes.
pub(super) const NAMESPACE: &str = "kube-node-lease";
const API_VERSION: &str = "coordination.k8s.io/v1";
/// The fields by which one can select.
const FIELDS: [&str; 2] = ["metadata.name", "metadata.namespace"];
/// Why clients hold none in that namespace.
const WORKERS_OWN: &str = "in kube-node-lease they are the workers' own, and show what these \
                           renew; hold one in another namespace";

impl Registry {
    /// Whether clients may change leases in a namespace.
    ///
    /// # Errors
    ///
    /// 405 where they are workers'.
    pub fn may_change_leases(namespace: &str, verb: &str) -> Result<(), Error> {
        if namespace != NAMESPACE {
            return Ok(());
        }
        Err(Error::NotOffered { resource: LEASES, what: verb.to_owned(), instead: WORKERS_OWN })
    }

    /// One lease.
    ///
    /// # Errors
    ///
    /// 404; 503 when JetStream is away.
    pub async fn get_lease(&self, namespace: &str, name: &str) -> Result<Value, Error> {
        if namespace != NAMESPACE {
            return self.get_object(&kind::LEASE, namespace, name).await;
        }
        let not_found = || Error::NotFound { resource: LEASES, name: name.to_owned() };
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
        let (leases, revision) = self.list_at("leases", namespace.map(place), options).await?;
        let after = options.continue_after.as_deref().map(job_list::read_continue).transpose()?;
        let mut found: Vec<(String, &Arc<Object>)> = leases
            .iter()
            .map(|lease| (format!("{}/{}", shown_in(&lease.namespace), lease.name), lease))
            .filter(|(place, _)| after.as_ref().is_none_or(|after| place > after))
            .collect();
        // Workers' do not stand where they show.
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut page = self.page(options);
        for lease in found.iter().filter_map(|(_, lease)| selected(lease, options)) {
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
        let place = namespace.map(|namespace| place(namespace).to_owned());
        self.watch_replica(SelectedLeases { place, options }).await
    }
}

/// Which leases a watch is about.
struct SelectedLeases {
    /// Where they stand; anywhere if this is `None`.
    place: Option<String>,
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
        self.place.as_deref()
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

/// Where leases of a namespace stand among the objects.
fn place(namespace: &str) -> &str {
    if namespace == NAMESPACE { WORKERS } else { namespace }
}

/// The namespace of what stands there.
fn shown_in(place: &str) -> &str {
    if place == WORKERS { NAMESPACE } else { place }
}

/// The lease in the replica as a client sees it, if it is a node's or a client's and the selectors
/// mean it.
fn selected(object: &Object, options: &Options) -> Option<Value> {
    let lease = if object.namespace == WORKERS {
        let seen = Seen {
            lease: serde_json::from_slice(&object.payload).ok()?,
            renewed: (object.revision, object.time),
            word: None,
        };
        seen.is_node().then(|| lease(&seen))?
    } else {
        // The coordinators' own is none: it cannot be read as one.
        StoredObject::one_of_many(object)?.into_view()
    };
    let meant = options.labels.matches_object(&lease) && options.fields.matches_object(&lease);
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
