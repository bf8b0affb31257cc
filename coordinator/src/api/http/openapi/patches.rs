//! The keys by which lists are merged, written beside the types: the same that the server's own
//! strategic merge patch goes by.

use serde_json::{Map, Value, json};

use super::types::name_of;
use crate::registry::patch::schema::{JOB, NODE, PLAIN, SERVICE_ACCOUNT, Schema, Strategy};

/// Of what type which lists are merged how.
const ROOTS: [(&str, &Schema); 8] = [
    ("io.k8s.api.batch.v1.Job", &JOB),
    ("io.k8s.api.core.v1.ConfigMap", &PLAIN),
    ("io.k8s.api.core.v1.Event", &PLAIN),
    ("io.k8s.api.core.v1.Namespace", &PLAIN),
    ("io.k8s.api.core.v1.Node", &NODE),
    ("io.k8s.api.core.v1.Secret", &PLAIN),
    ("io.k8s.api.core.v1.ServiceAccount", &SERVICE_ACCOUNT),
    ("io.k8s.api.events.v1.Event", &PLAIN),
];
/// Of a volume only the members stay that are sent: another kind of volume takes its place.
const RETAIN_KEYS: &str = "volumes";

/// Writes them.
pub(super) fn annotate(schemas: &mut Map<String, Value>) {
    for (name, schema) in ROOTS {
        walk(schemas, name, schema);
    }
}

fn walk(schemas: &mut Map<String, Value>, name: &str, schema: &Schema) {
    for member in schema.members {
        let Some(property) =
            schemas.get_mut(name).and_then(|it| it["properties"].get_mut(member.name))
        else {
            continue;
        };
        let merge = if member.name == RETAIN_KEYS { "merge,retainKeys" } else { "merge" };
        match member.strategy {
            Strategy::Plain => {}
            Strategy::Replace => property["x-kubernetes-patch-strategy"] = json!("replace"),
            Strategy::MergeValues => property["x-kubernetes-patch-strategy"] = json!(merge),
            Strategy::MergeBy(key) => {
                property["x-kubernetes-patch-strategy"] = json!(merge);
                property["x-kubernetes-patch-merge-key"] = json!(key);
            }
        }
        let inner = match name_of(property) {
            "" => name_of(&property["items"]),
            name => name,
        };
        if let Some(schema) = member.schema {
            let inner = inner.to_owned();
            walk(schemas, &inner, schema);
        }
    }
}
