//! Where a pod may run: node affinity and tolerations.

use k8s_openapi::api::core::v1::{NodeSelectorRequirement, NodeSelectorTerm, PodSpec, Toleration};

use super::pod::given;
use crate::admission::cause::{Causes, Path};
use crate::admission::text;

/// Effects of taints.
pub(crate) const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
const OPERATORS: [&str; 2] = ["Equal", "Exists"];

/// `tolerations` and `affinity.nodeAffinity`.
pub(super) fn placing(pod: &PodSpec, path: &Path<'_>, causes: &mut Causes) {
    let list = path.child("tolerations");
    for (index, it) in pod.tolerations.iter().flatten().enumerate() {
        toleration(it, &list.index(index), causes);
    }
    let Some(affinity) = pod.affinity.as_ref().and_then(|it| it.node_affinity.as_ref()) else {
        return;
    };
    let path = path.child("affinity");
    let path = path.child("nodeAffinity");
    if let Some(required) = &affinity.required_during_scheduling_ignored_during_execution {
        let path = path.child("requiredDuringSchedulingIgnoredDuringExecution");
        let path = path.child("nodeSelectorTerms");
        if required.node_selector_terms.is_empty() {
            causes.required(&path, "must have at least one node selector term");
        }
        for (index, it) in required.node_selector_terms.iter().enumerate() {
            term(it, &path.index(index), causes);
        }
    }
    let preferred = affinity.preferred_during_scheduling_ignored_during_execution.iter().flatten();
    let list = path.child("preferredDuringSchedulingIgnoredDuringExecution");
    for (index, it) in preferred.enumerate() {
        let path = list.index(index);
        if !(1..=100).contains(&it.weight) {
            causes.invalid(&path.child("weight"), it.weight, "must be in the range 1-100");
        }
        term(&it.preference, &path.child("preference"), causes);
    }
}

fn term(term: &NodeSelectorTerm, path: &Path<'_>, causes: &mut Causes) {
    let list = path.child("matchExpressions");
    for (index, it) in term.match_expressions.iter().flatten().enumerate() {
        let path = list.index(index);
        requirement(it, &path, causes);
        causes.invalid_each(&path.child("key"), &it.key, text::qualified_name(&it.key));
    }
    let list = path.child("matchFields");
    for (index, it) in term.match_fields.iter().flatten().enumerate() {
        let path = list.index(index);
        match it.operator.as_str() {
            "In" | "NotIn" => {
                if it.values.as_ref().map_or(0, Vec::len) != 1 {
                    let detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field \
                         selector";
                    causes.required(&path.child("values"), detail);
                }
            }
            operator => {
                let detail = "not a valid selector operator";
                causes.invalid(&path.child("operator"), operator, detail);
            }
        }
        if it.key != "metadata.name" {
            let detail = "not a valid field selector key";
            causes.invalid(&path.child("key"), &it.key, detail);
        }
    }
}

fn requirement(it: &NodeSelectorRequirement, path: &Path<'_>, causes: &mut Causes) {
    let count = it.values.as_ref().map_or(0, Vec::len);
    let values = path.child("values");
    match it.operator.as_str() {
        "In" | "NotIn" if count == 0 => {
            causes.required(&values, "must be specified when `operator` is 'In' or 'NotIn'");
        }
        "Exists" | "DoesNotExist" if count > 0 => {
            let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            causes.forbidden(&values, detail);
        }
        "Gt" | "Lt" if count != 1 => {
            let detail = "must be specified single value when `operator` is 'Lt' or 'Gt'";
            causes.required(&values, detail);
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        operator => {
            causes.invalid(&path.child("operator"), operator, "not a valid selector operator");
        }
    }
}

fn toleration(it: &Toleration, path: &Path<'_>, causes: &mut Causes) {
    let key = it.key.as_deref().unwrap_or_default();
    let operator = it.operator.as_deref().unwrap_or_default();
    let effect = it.effect.as_deref().unwrap_or_default();
    let operator_path = path.child("operator");
    if key.is_empty() {
        if operator != "Exists" {
            let detail = "operator must be Exists when `key` is empty, which means \"match all \
                          values and all keys\"";
            causes.invalid(&operator_path, operator, detail);
        }
    } else {
        causes.invalid_each(&path.child("key"), key, text::qualified_name(key));
    }
    if it.toleration_seconds.is_some() && effect != "NoExecute" {
        let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
        causes.invalid(&path.child("effect"), effect, detail);
    }
    let value = it.value.as_deref().unwrap_or_default();
    match operator {
        "" | "Equal" => {
            causes.invalid_each(&operator_path, value, text::label_value(value));
        }
        "Exists" => {
            if let Some(value) = given(Some(value)) {
                let detail = "value must be empty when `operator` is 'Exists'";
                causes.invalid(&operator_path, value, detail);
            }
        }
        other => causes.not_supported(&operator_path, other, &OPERATORS),
    }
    if !effect.is_empty() && !EFFECTS.contains(&effect) {
        causes.not_supported(&path.child("effect"), effect, &EFFECTS);
    }
}
