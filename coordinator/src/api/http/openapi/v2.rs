//! Version 2 of a document, from version 3: the same, with other words in other places.

use serde_json::{Map, Value, json};

use super::types::name_of;

/// Methods that a path can have.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// The document in version 2.
pub(super) fn from_v3(document: &Value) -> Value {
    let mut paths = document["paths"].clone();
    for path in paths.as_object_mut().into_iter().flat_map(Map::values_mut) {
        for method in METHODS {
            if let Some(operation) = path.get_mut(method) {
                convert(operation);
            }
        }
        if let Some(parameters) = path.get_mut("parameters") {
            convert_parameters(parameters);
        }
    }
    let mut definitions = document["components"]["schemas"].clone();
    rename(&mut paths);
    rename(&mut definitions);
    json!({
        "swagger": "2.0",
        "info": document["info"],
        "paths": paths,
        "definitions": definitions,
    })
}

fn convert(operation: &mut Value) {
    convert_parameters(&mut operation["parameters"]);
    let body = operation.as_object_mut().and_then(|members| members.shift_remove("requestBody"));
    if let Some(body) = body {
        let content = body["content"].as_object();
        let types: Vec<&String> = content.into_iter().flat_map(Map::keys).collect();
        let schema = content.and_then(|content| content.values().next());
        let schema = schema.map(|of_type| of_type["schema"].clone());
        let required = body["required"].clone();
        let parameter =
            json!({"name": "body", "in": "body", "required": required, "schema": schema});
        if let Some(parameters) = operation["parameters"].as_array_mut() {
            parameters.push(parameter);
        }
        operation["consumes"] = json!(types);
    }
    let mut produced = Vec::new();
    for response in operation["responses"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        let Some(members) = response.as_object_mut() else { continue };
        let Some(Value::Object(content)) = members.shift_remove("content") else { continue };
        for (media_type, of_type) in content {
            members.insert("schema".to_owned(), of_type["schema"].clone());
            if !produced.contains(&media_type) {
                produced.push(media_type);
            }
        }
    }
    operation["produces"] = json!(produced);
}

/// What a parameter is stands beside its name, not below it.
fn convert_parameters(parameters: &mut Value) {
    for parameter in parameters.as_array_mut().into_iter().flatten() {
        let Some(members) = parameter.as_object_mut() else { continue };
        if let Some(Value::Object(schema)) = members.shift_remove("schema") {
            members.extend(schema);
        }
    }
}

/// References lead elsewhere, and may have a text beside them.
fn rename(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.values_mut().for_each(rename);
            let name = name_of_reference(members);
            if let Some(name) = name {
                members.shift_remove("allOf");
                members.insert("$ref".to_owned(), json!(format!("#/definitions/{name}")));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(rename),
        _ => {}
    }
}

fn name_of_reference(members: &Map<String, Value>) -> Option<String> {
    let reference = match members.get("$ref") {
        Some(Value::String(_)) => json!({"$ref": members["$ref"]}),
        _ => members.get("allOf")?.get(0)?.clone(),
    };
    Some(name_of(&reference)).filter(|name| !name.is_empty()).map(str::to_owned)
}
