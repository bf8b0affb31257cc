//! Objects as rows: what `kubectl get` prints, with Kubernetes' columns.
//!
//! A kind without columns of its own has the two that every object can fill.

mod cron_job;
mod job;
mod objects;
mod pod;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use stint_common::time::{human_seconds, now, since};

use super::query::Query;
use crate::registry::Error;

/// What is printed of one kind.
pub(super) struct Columns {
    /// Their heads.
    pub(super) heads: &'static [Head],
    /// The cells of one object, in the same order.
    pub(super) cells: fn(&Value, Timestamp) -> Vec<Value>,
    /// Whether an object has come to its end, as a condition of its row.
    pub(super) conditions: fn(&Value) -> Option<Value>,
}

/// The head of a column.
pub(super) struct Head {
    name: &'static str,
    kind: &'static str,
    /// 0 is always printed, 1 with `-o wide`.
    priority: u8,
    description: &'static str,
}

impl Head {
    /// A column that is always printed.
    pub(super) const fn text(name: &'static str, description: &'static str) -> Self {
        Self { name, kind: "string", priority: 0, description }
    }

    /// A column that is printed with `-o wide`.
    pub(super) const fn wide(name: &'static str, description: &'static str) -> Self {
        Self { priority: 1, ..Self::text(name, description) }
    }

    fn definition(&self) -> Value {
        json!({
            "name": self.name,
            "type": self.kind,
            "format": if self.name == "Name" { "name" } else { "" },
            "description": self.description,
            "priority": self.priority,
        })
    }
}

/// The column that every table begins with.
pub(super) const NAME: Head = Head::text("Name", "The object's name, unique in its namespace.");
/// The column that most tables end with.
pub(super) const AGE: Head = Head::text("Age", "The time since the object was created.");

static PLAIN: Columns = Columns {
    heads: &[NAME, AGE],
    cells: |object, now| vec![name(object), age(object, now)],
    conditions: |_| None,
};

fn columns(kind: &str) -> &'static Columns {
    match kind {
        "CronJob" => &cron_job::COLUMNS,
        "Job" => &job::COLUMNS,
        "Pod" => &pod::COLUMNS,
        "ConfigMap" => &objects::CONFIG_MAPS,
        "Event" => &objects::EVENTS,
        "Lease" => &objects::LEASES,
        "Namespace" => &objects::NAMESPACES,
        "Node" => &objects::NODES,
        "Secret" => &objects::SECRETS,
        "Service" => &objects::SERVICES,
        "ServiceAccount" => &objects::SERVICE_ACCOUNTS,
        _ => &PLAIN,
    }
}

/// What a row carries of its object: the parameter `includeObject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Include {
    Nothing,
    Metadata,
    Object,
}

impl Include {
    /// Reads the parameter.
    ///
    /// # Errors
    ///
    /// 400 for another word.
    pub(super) fn read(query: &Query) -> Result<Self, Error> {
        match query.get("includeObject").unwrap_or_default() {
            "None" => Ok(Self::Nothing),
            "" | "Metadata" => Ok(Self::Metadata),
            "Object" => Ok(Self::Object),
            other => Err(Error::BadRequest(format!(
                "includeObject: invalid value {other:?}: must be None, Metadata or Object"
            ))),
        }
    }
}

/// Makes tables of objects of one kind.
#[derive(Clone, Copy)]
pub(super) struct Tables {
    kind: &'static str,
    version: &'static str,
    include: Include,
}

impl Tables {
    /// Of this kind, in this version of `meta.k8s.io`.
    pub(super) const fn new(kind: &'static str, version: &'static str, include: Include) -> Self {
        Self { kind, version, include }
    }

    /// An object or a list as a table; anything else (a `Status`) as it is.
    pub(super) fn of(self, object: Value) -> Value {
        let kind = object["kind"].as_str().unwrap_or_default();
        let metadata = &object["metadata"];
        if kind == self.kind {
            let revision = json!({"resourceVersion": metadata["resourceVersion"]});
            return self.table(revision, std::slice::from_ref(&object), true);
        }
        match object["items"].as_array() {
            Some(items) if kind.strip_suffix("List") == Some(self.kind) => {
                self.table(metadata.clone(), items, true)
            }
            Some(_) | None => object,
        }
    }

    /// An event of a watch, its object made a table; the heads come with the first alone.
    pub(super) fn of_event(self, mut event: Value, first: bool) -> Value {
        let object = event["object"].take();
        let revision = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
        event["object"] = match event["type"].as_str() {
            Some("ERROR") | None => object,
            Some("BOOKMARK") => {
                let mut table = self.table(revision, &[], first);
                table["metadata"] = object["metadata"].clone();
                table
            }
            Some(_) => self.table(revision, std::slice::from_ref(&object), first),
        };
        event
    }

    fn table(self, metadata: Value, objects: &[Value], heads: bool) -> Value {
        let columns = columns(self.kind);
        let now = now();
        let rows: Vec<Value> =
            objects.iter().map(|object| self.row(columns, object, now)).collect();
        let heads: Vec<Value> =
            if heads { columns.heads.iter().map(Head::definition).collect() } else { Vec::new() };
        json!({
            "kind": "Table",
            "apiVersion": format!("meta.k8s.io/{}", self.version),
            "metadata": metadata,
            "columnDefinitions": heads,
            "rows": rows,
        })
    }

    fn row(self, columns: &Columns, object: &Value, now: Timestamp) -> Value {
        let mut row = json!({"cells": (columns.cells)(object, now)});
        if let Some(condition) = (columns.conditions)(object) {
            row["conditions"] = json!([condition]);
        }
        row["object"] = match self.include {
            Include::Nothing => Value::Null,
            Include::Metadata => metadata_of(object, self.version),
            Include::Object => object.clone(),
        };
        row
    }
}

/// An object's metadata, as an object of its own.
pub(super) fn metadata_of(object: &Value, version: &str) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": object["metadata"],
    })
}

/// An object or a list, metadata alone; anything else (a `Status`) as it is.
pub(super) fn metadata_alone(object: Value, version: &str) -> Value {
    if object["kind"] == "Status" {
        return object;
    }
    let Some(items) = object["items"].as_array() else { return metadata_of(&object, version) };
    json!({
        "kind": "PartialObjectMetadataList",
        "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": object["metadata"],
        "items": items.iter().map(|item| metadata_of(item, version)).collect::<Vec<_>>(),
    })
}

/// The cell of [`NAME`].
pub(super) fn name(object: &Value) -> Value {
    object["metadata"]["name"].clone()
}

/// The cell of [`AGE`].
pub(super) fn age(object: &Value, now: Timestamp) -> Value {
    json!(since_time(&object["metadata"]["creationTimestamp"], now))
}

/// The time since another, as `kubectl` prints it.
pub(super) fn since_time(time: &Value, now: Timestamp) -> String {
    parse_time(time).map_or_else(|| "<unknown>".to_owned(), |then| between(then, now))
}

fn between(earlier: Timestamp, later: Timestamp) -> String {
    human_seconds(since(later, earlier).as_secs())
}

fn parse_time(time: &Value) -> Option<Timestamp> {
    time.as_str()?.parse().ok()
}

/// A member's text, or `<none>`.
pub(super) fn or_none(value: &Value) -> Value {
    match value.as_str() {
        None | Some("") => json!("<none>"),
        Some(text) => json!(text),
    }
}

/// Names and images of containers, each in one cell.
pub(super) fn containers(pod_spec: &Value) -> [Value; 2] {
    let list = |member: &str| {
        let containers = pod_spec["containers"].as_array().into_iter().flatten();
        let texts = containers.filter_map(|container| container[member].as_str());
        json!(texts.collect::<Vec<_>>().join(","))
    };
    [list("name"), list("image")]
}

/// A label selector as `kubectl` prints it.
pub(super) fn selector(selector: &Value) -> Value {
    let empty = Map::new();
    let labels = selector["matchLabels"].as_object().unwrap_or(&empty);
    let mut terms: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    terms.sort();
    for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = expression["key"].as_str().unwrap_or_default();
        let values = expression["values"].as_array().into_iter().flatten();
        let values = values.filter_map(Value::as_str).collect::<Vec<_>>().join(",");
        terms.push(match expression["operator"].as_str().unwrap_or_default() {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    if terms.is_empty() { json!("<none>") } else { json!(terms.join(",")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_become_rows_and_statuses_stay() {
        let tables = Tables::new("Cat", "v1", Include::Metadata);
        let cat =
            |name: &str| json!({"kind": "Cat", "metadata": {"name": name}, "spec": {"tail": 1}});
        let list = json!({
            "kind": "CatList",
            "metadata": {"resourceVersion": "7", "continue": "x"},
            "items": [cat("tom"), cat("ada")],
        });
        let table = tables.of(list.clone());
        assert_eq!(table["metadata"], list["metadata"]);
        assert_eq!(table["rows"][1]["cells"], json!(["ada", "<unknown>"]));
        assert_eq!(table["rows"][0]["object"]["metadata"]["name"], "tom");
        assert!(table["rows"][0]["object"].get("spec").is_none());
        let status = json!({"kind": "Status", "metadata": {}, "code": 404});
        assert_eq!(tables.of(status.clone()), status);
        let partial = metadata_alone(list, "v1");
        assert_eq!(partial["items"][0]["kind"], "PartialObjectMetadata");
    }

    #[test]
    fn heads_come_once_in_a_watch() {
        let tables = Tables::new("Cat", "v1", Include::Nothing);
        let event =
            || json!({"type": "ADDED", "object": {"kind": "Cat", "metadata": {"name": "a"}}});
        let heads = |event: &Value| event["object"]["columnDefinitions"].as_array().map(Vec::len);
        assert_eq!(heads(&tables.of_event(event(), true)), Some(2));
        assert_eq!(heads(&tables.of_event(event(), false)), Some(0));
        let error = json!({"type": "ERROR", "object": {"kind": "Status", "code": 410}});
        assert_eq!(tables.of_event(error.clone(), false), error);
    }

    #[test]
    fn selectors_read_as_kubectl_prints_them() {
        let given = json!({
            "matchLabels": {"b": "2", "a": "1"},
            "matchExpressions": [
                {"key": "c", "operator": "In", "values": ["x", "y"]},
                {"key": "d", "operator": "DoesNotExist"},
            ],
        });
        assert_eq!(selector(&given), json!("a=1,b=2,c in (x,y),!d"));
        assert_eq!(selector(&Value::Null), json!("<none>"));
    }
}
