//! OpenAPI documents, version 3 (one for each group's version) and version 2 (one for all), made
//! from the types and from the table of what is served.
//!
//! `kubectl` reads them for `explain`, to learn whether the server validates fields itself, and for
//! the keys by which it merges lists.

mod patches;
mod paths;
mod types;
mod v2;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bytes::Bytes;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::api::resources::{groups, of_group};

/// A document, and a name that changes with it.
pub(super) struct Document {
    /// Its bytes.
    pub(super) text: Bytes,
    /// Its name.
    pub(super) hash: String,
}

/// The documents are made when somebody first asks for one.
static DOCUMENTS: LazyLock<Documents> = LazyLock::new(Documents::make);

struct Documents {
    /// By path: `apis/batch/v1`.
    v3: BTreeMap<String, Document>,
    v2: Document,
}

/// `/openapi/v3`: where the documents of version 3 are.
pub(super) fn index() -> Value {
    let paths: serde_json::Map<String, Value> = DOCUMENTS
        .v3
        .iter()
        .map(|(path, document)| {
            let url = format!("/openapi/v3/{path}?hash={}", document.hash);
            (path.clone(), json!({"serverRelativeURL": url}))
        })
        .collect();
    json!({"paths": paths})
}

/// `/openapi/v3/PATH`.
pub(super) fn v3(path: &str) -> Option<&'static Document> {
    DOCUMENTS.v3.get(path)
}

/// `/openapi/v2`.
pub(super) fn v2() -> &'static Document {
    &DOCUMENTS.v2
}

impl Documents {
    fn make() -> Self {
        let mut v3 = BTreeMap::new();
        let mut all: Option<Value> = None;
        for (group, version) in groups() {
            let document = document(group, version);
            match &mut all {
                None => all = Some(document.clone()),
                Some(all) => add(all, &document),
            }
            v3.insert(path(group, version), Document::of(&document));
        }
        let v2 = Document::of(&v2::from_v3(&all.unwrap_or_default()));
        Self { v3, v2 }
    }
}

impl Document {
    fn of(document: &Value) -> Self {
        let text = document.to_string();
        let hash = Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes()).simple().to_string();
        Self { text: text.into(), hash }
    }
}

/// Where a group's version is: `api/v1`, `apis/batch/v1`.
fn path(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

fn document(group: &str, version: &str) -> Value {
    let mut schemas = types::Schemas::default();
    let mut paths = serde_json::Map::new();
    for resource in of_group(group, version) {
        let names = schemas.add(resource);
        paths.extend(paths::of(resource, &path(group, version), &names));
    }
    let mut schemas = schemas.finish();
    patches::annotate(&mut schemas);
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Stint", "version": env!("CARGO_PKG_VERSION")},
        "paths": paths,
        "components": {"schemas": schemas},
    })
}

/// Adds the paths and types of one document to another.
fn add(all: &mut Value, document: &Value) {
    for pointer in ["/paths", "/components/schemas"] {
        let members = document.pointer(pointer).and_then(Value::as_object);
        let target = all.pointer_mut(pointer).and_then(Value::as_object_mut);
        if let (Some(target), Some(members)) = (target, members) {
            target.extend(members.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(document: &Document) -> Value {
        serde_json::from_slice(&document.text).unwrap()
    }

    /// Every `$ref` in a document leads somewhere.
    fn check_references(document: &Value, at: &Value) {
        match at {
            Value::Object(members) => {
                if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                    let pointer = reference.strip_prefix('#').unwrap();
                    assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
                }
                members.values().for_each(|member| check_references(document, member));
            }
            Value::Array(items) => items.iter().for_each(|item| check_references(document, item)),
            _ => {}
        }
    }

    #[test]
    fn references_lead_somewhere() {
        for document in DOCUMENTS.v3.values().chain([&DOCUMENTS.v2]) {
            let document = parsed(document);
            check_references(&document, &document);
        }
    }

    #[test]
    fn kubectl_finds_what_it_looks_for() {
        let batch = parsed(v3("apis/batch/v1").unwrap());
        let job = "/components/schemas/io.k8s.api.batch.v1.Job";
        let kind = batch.pointer(&format!("{job}/x-kubernetes-group-version-kind/0")).unwrap();
        assert_eq!(kind, &json!({"group": "batch", "version": "v1", "kind": "Job"}));
        let patch = &batch["paths"]["/apis/batch/v1/namespaces/{namespace}/jobs/{name}"]["patch"];
        assert_eq!(&patch["x-kubernetes-group-version-kind"], kind);
        let parameters = patch["parameters"].as_array().unwrap();
        assert!(parameters.iter().any(|parameter| parameter["name"] == "fieldValidation"));
        let strategic = "application/strategic-merge-patch+json";
        assert!(patch["requestBody"]["content"][strategic].is_object());
        let containers = "/components/schemas/io.k8s.api.core.v1.PodSpec/properties/containers";
        let containers = batch.pointer(containers).unwrap();
        assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
    }

    #[test]
    fn version_2_says_the_same() {
        let document = parsed(v2());
        assert_eq!(document["swagger"], "2.0");
        let list = &document["paths"]["/api/v1/pods"]["get"];
        assert_eq!(list["operationId"], "listCoreV1PodForAllNamespaces");
        assert_eq!(list["parameters"][0]["type"], "string");
        let job = &document["definitions"]["io.k8s.api.batch.v1.Job"];
        assert_eq!(job["properties"]["spec"]["$ref"], "#/definitions/io.k8s.api.batch.v1.JobSpec");
    }
}
