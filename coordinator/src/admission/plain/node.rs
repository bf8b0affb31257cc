//! Nodes: what clients may say of a worker. Everything else of a node is the worker's own word.

use std::collections::HashSet;

use k8s_openapi::api::core::v1::Node;
use serde_json::{Map, Value, json};

use super::rules::{Rules, read_plainly};
use crate::admission::cause::{Causes, Path};
use crate::admission::read::Identity;
use crate::admission::validate::placing::EFFECTS;
use crate::admission::{semantic, text};

/// The taint of a node that takes no more pods.
pub const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// Nodes.
pub static NODE: Rules = Rules {
    identity: Identity { api_version: "v1", kind: "Node" },
    namespaced: false,
    name: text::dns_subdomain,
    read: read_plainly::<Node>,
    complete: |_| {},
    carry,
    judge,
    judge_change,
};

/// Of the spec only `unschedulable` and `taints` are a client's, and the status is the worker's.
fn carry(new: &mut Value, old: &Value) {
    new["status"] = old["status"].clone();
    let mut spec = new["spec"].as_object().cloned().unwrap_or_default();
    if spec.get("unschedulable") == Some(&json!(false)) {
        spec.shift_remove("unschedulable");
    }
    // It comes and goes with what it says.
    if let Some(taints) = spec.get_mut("taints").and_then(Value::as_array_mut) {
        taints.retain(|taint| taint["key"] != UNSCHEDULABLE);
    }
    new["spec"] = Value::Object(spec);
}

fn judge(node: &Value, causes: &mut Causes) {
    let path = Path::root("spec");
    let path = path.child("taints");
    let taints = node["spec"]["taints"].as_array().into_iter().flatten();
    let mut seen = HashSet::new();
    for (index, taint) in taints.enumerate() {
        let path = path.index(index);
        let part = |name: &str| taint[name].as_str().unwrap_or_default();
        let (key, value, effect) = (part("key"), part("value"), part("effect"));
        causes.invalid_each(&path.child("key"), key, text::qualified_name(key));
        causes.invalid_each(&path.child("value"), value, text::label_value(value));
        if effect.is_empty() {
            causes.required(&path.child("effect"), "");
        } else if !EFFECTS.contains(&effect) {
            causes.not_supported(&path.child("effect"), effect, &EFFECTS);
        }
        if !seen.insert((key, effect)) {
            causes.duplicate(&path, taint);
        }
    }
}

fn judge_change(new: &Value, old: &Value, causes: &mut Causes) {
    let others = |object: &Value| -> Map<String, Value> {
        let mut spec = object["spec"].as_object().cloned().unwrap_or_default();
        spec.shift_remove("unschedulable");
        spec.shift_remove("taints");
        spec
    };
    let (new, old) = (others(new), others(old));
    let names = new.keys().chain(old.keys().filter(|name| !new.contains_key(*name)));
    let blank = Value::Null;
    for name in names {
        let value = |spec: &Map<String, Value>| spec.get(name).unwrap_or(&blank).clone();
        if !semantic::equal(&value(&new), &value(&old)) {
            let detail = "not supported yet by this version of Stint: of a node's spec only \
                          unschedulable and taints can be changed";
            causes.forbidden(&Path::root("spec").child(name), detail);
        }
    }
}
