//! The one Service that there is: `kubernetes` in `default`, which clients look for to see whether
//! this is a cluster. It is never written and never changes.

use serde_json::{Value, json};
use stint_common::names::ALL_NAMESPACES;

use super::error::SERVICES;
use super::objects::StoredObject;
use super::options::Options;
use super::store::Registry;
use super::watch::{Beginning, WatchStream, bookmark, event, quiet};
use super::{Error, error::NAMESPACES};

const NAME: &str = "kubernetes";
const NAMESPACE: &str = "default";
const FIELDS: [&str; 4] = ["metadata.name", "metadata.namespace", "spec.clusterIP", "spec.type"];

impl Registry {
    /// The Service.
    ///
    /// # Errors
    ///
    /// 404 for any other.
    pub fn get_service(&self, namespace: &str, name: &str) -> Result<Value, Error> {
        if (namespace, name) == (NAMESPACE, NAME) {
            return Ok(self.service());
        }
        Err(Error::NotFound { resource: SERVICES, name: name.to_owned() })
    }

    /// The Service, if it is meant.
    ///
    /// # Errors
    ///
    /// 400 for a bad field.
    pub fn list_services(
        &self,
        namespace: Option<&str>,
        options: &Options,
    ) -> Result<Value, Error> {
        let items = self.services(namespace, options)?;
        let metadata = json!({"resourceVersion": self.replica.applied().to_string()});
        Ok(json!({"apiVersion": "v1", "kind": "ServiceList", "metadata": metadata, "items": items}))
    }

    fn services(&self, namespace: Option<&str>, options: &Options) -> Result<Vec<Value>, Error> {
        let fields = options.fields.check(&FIELDS);
        fields.map_err(|error| Error::BadRequest(error.to_string()))?;
        let service = self.service();
        let meant = namespace.is_none_or(|namespace| namespace == NAMESPACE)
            && options.labels.matches_object(&service)
            && options.fields.matches_object(&service);
        Ok(if meant { vec![service] } else { Vec::new() })
    }

    /// Watches the Service: nothing ever happens to it.
    ///
    /// # Errors
    ///
    /// 400 for a bad field.
    pub fn watch_services(
        &self,
        namespace: Option<&str>,
        options: &Options,
    ) -> Result<WatchStream, Error> {
        let beginning = Beginning::of(options);
        let services = self.services(namespace, options)?;
        let services = services.into_iter().filter(|_| beginning.with_objects);
        let mut events: Vec<Value> = services.map(|service| event("ADDED", service)).collect();
        if beginning.with_mark {
            events.push(bookmark("v1", SERVICES.kind, self.replica.applied(), true));
        }
        Ok(quiet(options, events))
    }

    fn service(&self) -> Value {
        let namespace = self.replica.get(NAMESPACES.plural, ALL_NAMESPACES, NAMESPACE);
        let namespace = namespace.and_then(|object| StoredObject::one_of_many(&object));
        let since =
            namespace.map_or(Value::Null, |it| it.object["metadata"]["creationTimestamp"].clone());
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": NAME,
                "namespace": NAMESPACE,
                "uid": "00000000-0000-5000-8000-000000000001",
                "resourceVersion": "1",
                "creationTimestamp": since,
                "labels": {"component": "apiserver", "provider": "kubernetes"},
            },
            "spec": {
                "type": "ClusterIP",
                "clusterIP": "127.0.0.1",
                "clusterIPs": ["127.0.0.1"],
                "ipFamilies": ["IPv4"],
                "ipFamilyPolicy": "SingleStack",
                "internalTrafficPolicy": "Cluster",
                "sessionAffinity": "None",
                "ports": [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": 443}],
            },
            "status": {"loadBalancer": {}},
        })
    }
}
