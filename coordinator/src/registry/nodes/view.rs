//! A worker as a Node: its lease, and what clients said of it.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use stint_common::annotations::{DRAINING_CONDITION, PLACES};
use stint_common::placing;
use stint_common::time::format_seconds;
use stint_common::wire::{Allocatable, Machine, Request, WorkerLease, WorkerState};

use crate::admission::plain::UNSCHEDULABLE;
use crate::registry::objects::StoredObject;
use crate::registry::pod_status::RUNTIME;

/// What is known of a worker.
#[derive(Clone)]
pub(super) struct Seen {
    pub(super) lease: WorkerLease,
    /// Revision of its last renewal, and when that was stored.
    pub(super) renewed: (u64, Timestamp),
    /// What clients said of it.
    pub(super) word: Option<StoredObject>,
}

impl Seen {
    /// A worker that ended in order is no node any more.
    pub(super) fn is_node(&self) -> bool {
        self.lease.state != WorkerState::Gone
    }

    /// Revision of what clients said; 0 if they said nothing.
    pub(super) fn word_revision(&self) -> u64 {
        self.word.as_ref().map_or(0, |word| word.revision)
    }

    /// Revision of the last change of any kind.
    pub(super) fn revision(&self) -> u64 {
        self.renewed.0.max(self.word_revision())
    }

    fn is_cordoned(&self) -> bool {
        self.word.as_ref().is_some_and(|word| word.object["spec"]["unschedulable"] == true)
    }

    /// The worker's own labels.
    pub(super) fn own_labels(&self) -> Map<String, Value> {
        let mut labels = Map::new();
        let offered = self.lease.offer.iter().flat_map(|offer| &offer.labels);
        labels.extend(offered.map(|(key, value)| (key.clone(), json!(value))));
        let mut known = |key: &str, value: &str| {
            labels.entry(key).or_insert_with(|| json!(value));
        };
        known("kubernetes.io/hostname", &self.lease.worker);
        known("kubernetes.io/os", "linux");
        if let Some(machine) = &self.lease.machine {
            known("kubernetes.io/arch", &machine.architecture);
        }
        labels
    }

    /// The worker's own taints.
    pub(super) fn own_taints(&self) -> Value {
        json!(self.lease.offer.as_ref().map_or(&[][..], |offer| &offer.taints))
    }

    /// What of a Node is a client's word.
    pub(super) fn word_in(&self, node: &Value) -> Value {
        let own = self.own_labels();
        let mut labels = node["metadata"]["labels"].as_object().cloned().unwrap_or_default();
        labels.retain(|name, value| own.get(name) != Some(value));
        let mut metadata = json!({"name": self.lease.worker, "labels": labels});
        for name in ["annotations", "managedFields"] {
            if let Some(value) = node["metadata"].get(name) {
                metadata[name] = value.clone();
            }
        }
        if let Some(annotations) = metadata["annotations"].as_object_mut() {
            annotations.shift_remove(PLACES);
        }
        let mut spec = json!({"unschedulable": node["spec"]["unschedulable"] == true});
        let taints = node["spec"].get("taints").cloned().unwrap_or_else(|| json!([]));
        if taints != self.own_taints() {
            spec["taints"] = taints;
        }
        json!({"metadata": metadata, "spec": spec})
    }

    /// The Node as a client sees it.
    pub(super) fn object(&self) -> Value {
        let said = self.word.as_ref().map_or(&Value::Null, |word| &word.object);
        let mut labels = self.own_labels();
        labels.extend(said["metadata"]["labels"].as_object().cloned().unwrap_or_default());
        let mut metadata = json!({
            "name": self.lease.worker,
            "uid": self.lease.home,
            "resourceVersion": self.revision().to_string(),
            "creationTimestamp": format_seconds(self.lease.settled_at()),
            "labels": labels,
        });
        for name in ["annotations", "managedFields"] {
            if let Some(value) = said["metadata"].get(name) {
                metadata[name] = value.clone();
            }
        }
        if let Some(places) = self.places() {
            metadata["annotations"][PLACES] = json!(places.to_string());
        }
        let mut spec = json!({});
        let taints = said["spec"].get("taints").cloned();
        let taints = taints.unwrap_or_else(|| self.own_taints());
        let mut taints = taints.as_array().cloned().unwrap_or_default();
        if self.is_cordoned() {
            spec["unschedulable"] = json!(true);
            taints.push(json!({"key": UNSCHEDULABLE, "effect": "NoSchedule"}));
        }
        if !taints.is_empty() {
            spec["taints"] = json!(taints);
        }
        json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": metadata,
            "spec": spec,
            "status": self.status(),
        })
    }

    /// How many pods that ask for nothing it runs at a time.
    fn places(&self) -> Option<u64> {
        self.lease.offer.as_ref().map(|offer| placing::room(&Request::default(), offer))
    }

    /// What the machine has, and what of it is for pods.
    fn amounts(&self, machine: &Machine) -> (Value, Value) {
        let mut capacity = json!({});
        if machine.cpus > 0 {
            capacity["cpu"] = json!(machine.cpus.to_string());
        }
        if machine.memory_bytes > 0 {
            capacity["memory"] = json!(kibibytes(machine.memory_bytes));
        }
        let Some(offer) = &self.lease.offer else {
            capacity["pods"] = json!(self.lease.slots.to_string());
            return (capacity.clone(), capacity);
        };
        let Allocatable { cpu_milli, memory, pods, others } = &offer.allocatable;
        let mut allocatable = capacity.clone();
        allocatable["cpu"] = match cpu_milli % 1000 {
            0 => json!((cpu_milli / 1000).to_string()),
            _ => json!(format!("{cpu_milli}m")),
        };
        // One that could not tell what it has takes what comes.
        if *memory < u64::MAX {
            allocatable["memory"] = json!(kibibytes(*memory));
        }
        let counted = others.iter().map(|(name, count)| (name.as_str(), count));
        for (name, count) in counted.chain([("pods", pods)]) {
            capacity[name] = json!(count.to_string());
            allocatable[name] = capacity[name].clone();
        }
        (capacity, allocatable)
    }

    fn status(&self) -> Value {
        let unknown = Machine::default();
        let machine = self.lease.machine.as_ref().unwrap_or(&unknown);
        let (capacity, allocatable) = self.amounts(machine);
        let mut addresses = Vec::new();
        if !machine.address.is_empty() {
            addresses.push(json!({"type": "InternalIP", "address": machine.address}));
        }
        addresses.push(json!({"type": "Hostname", "address": self.lease.hostname}));
        json!({
            "capacity": capacity,
            "allocatable": allocatable,
            "conditions": self.conditions(),
            "addresses": addresses,
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 0}},
            "nodeInfo": {
                "machineID": machine.machine_id,
                "systemUUID": machine.machine_id,
                "bootID": machine.boot_id,
                "kernelVersion": machine.kernel,
                "osImage": machine.os_image,
                "containerRuntimeVersion": format!("{RUNTIME}://{}", self.lease.version),
                "kubeletVersion": format!("v{}-stint", self.lease.version),
                "kubeProxyVersion": "",
                "operatingSystem": "linux",
                "architecture": machine.architecture,
            },
        })
    }

    /// In Kubernetes' order: what could be short, then whether it is ready.
    fn conditions(&self) -> Value {
        let heartbeat = format_seconds(self.renewed.1);
        let since = match self.lease.state {
            WorkerState::Lost | WorkerState::Gone => heartbeat.clone(),
            WorkerState::Ready | WorkerState::Draining => format_seconds(self.lease.started_at),
        };
        let lost = self.lease.state == WorkerState::Lost;
        let (status, reason, message) = if lost {
            ("Unknown", "NodeStatusUnknown", "The worker let its lease run out.")
        } else {
            ("True", "KubeletReady", "the worker renews its lease")
        };
        let mut conditions = vec![json!({
            "type": "Ready",
            "status": status,
            "lastHeartbeatTime": heartbeat,
            "lastTransitionTime": since,
            "reason": reason,
            "message": message,
        })];
        if self.lease.state == WorkerState::Draining {
            conditions.push(json!({
                // Being cordoned is a wish, and this is the worker's answer.
                "type": DRAINING_CONDITION,
                "status": "True",
                "lastHeartbeatTime": heartbeat,
                "reason": "Cordoned",
                "message": "the worker has heard that it is to take no more pods",
            }));
        }
        Value::Array(conditions)
    }
}

fn kibibytes(bytes: u64) -> String {
    format!("{}Ki", bytes / 1024)
}

/// A Node without what every renewal changes.
pub(super) fn without_heartbeat(node: &Value) -> Value {
    let mut node = node.clone();
    if let Some(metadata) = node["metadata"].as_object_mut() {
        metadata.shift_remove("resourceVersion");
    }
    for condition in node["status"]["conditions"].as_array_mut().into_iter().flatten() {
        if let Some(condition) = condition.as_object_mut() {
            condition.shift_remove("lastHeartbeatTime");
        }
    }
    node
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use stint_common::id::Incarnation;
    use uuid::Uuid;

    pub(in crate::registry::nodes) fn seen(state: WorkerState, word: Option<Value>) -> Seen {
        let lease = json!({
            "v": 1, "worker": "w", "incarnation": Incarnation(Uuid::nil()),
            "home": Incarnation(Uuid::from_u128(7)), "renewal": 3, "state": state, "slots": 4,
            "hostname": "host", "startedAt": "2026-01-15T12:00:00Z", "leaseMs": 1, "graceMs": 1,
            "version": "0.1.0",
        });
        let word = word.map(|object| StoredObject { object, gone: false, revision: 9 });
        let renewed = (5, "2026-01-15T12:01:00Z".parse().unwrap());
        Seen { lease: serde_json::from_value(lease).unwrap(), renewed, word }
    }

    #[test]
    fn a_worker_is_a_node() {
        let node = seen(WorkerState::Ready, None).object();
        assert_eq!(node["metadata"]["labels"]["kubernetes.io/hostname"], "w");
        assert_eq!(node["metadata"]["resourceVersion"], "5");
        assert_eq!((&node["spec"], &node["status"]["capacity"]["pods"]), (&json!({}), &json!("4")));
        assert_eq!(node["status"]["conditions"][0]["status"], "True");
        let mut later = seen(WorkerState::Ready, None);
        later.lease.home_since = Some("2026-01-10T00:00:00Z".parse().unwrap());
        assert_eq!(later.object()["metadata"]["creationTimestamp"], "2026-01-10T00:00:00Z");
        let lost = seen(WorkerState::Lost, None).object();
        assert_eq!(lost["status"]["conditions"][0]["status"], "Unknown");
        assert!(!seen(WorkerState::Gone, None).is_node());
    }

    #[test]
    fn what_clients_said_shows() {
        let word = json!({
            "metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}},
            "spec": {"unschedulable": true},
        });
        let node = seen(WorkerState::Draining, Some(word)).object();
        assert_eq!(node["metadata"]["labels"]["a"], "b");
        assert_eq!(node["metadata"]["annotations"]["c"], "d");
        assert_eq!(node["metadata"]["resourceVersion"], "9");
        assert_eq!(node["spec"]["taints"][0]["key"], UNSCHEDULABLE);
        assert_eq!(node["status"]["conditions"][1]["type"], DRAINING_CONDITION);
        let later = Seen { renewed: (11, Timestamp::MAX), ..seen(WorkerState::Ready, None) };
        let (one, other) = (later.object(), seen(WorkerState::Ready, None).object());
        assert_eq!(without_heartbeat(&one), without_heartbeat(&other));
    }
}
