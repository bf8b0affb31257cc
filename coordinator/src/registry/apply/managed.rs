//! `metadata.managedFields`: an entry for each manager, and what an apply or another write makes of
//! them.

use jiff::Timestamp;
use serde_json::{Value, json};
use stint_common::time::format_seconds;

use super::fields::{Fields, Step};
use super::typed::{Place, changed, differing, fields_of, merge, remove};
use crate::registry::patch::schema::Schema;

/// Who has all fields of an object that was never applied before.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";
/// Who has the fields of the managers that have not written for longest.
const ANCIENT: &str = "ancient-changes";
/// Managers that have updated an object, at most; those who did so first are put together.
const MOST_UPDATERS: usize = 10;

/// Members of an object that nobody manages.
const UNMANAGED: [&str; 4] = ["apiVersion", "kind", "status", "metadata"];
/// Members of its metadata that somebody does.
const MANAGED_METADATA: [&str; 4] = ["labels", "annotations", "finalizers", "ownerReferences"];

/// What somebody has said.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    manager: String,
    is_apply: bool,
    api_version: String,
    time: Option<String>,
    fields: Fields,
}

/// What is applied, by whom.
#[derive(Clone, Copy, Debug)]
pub struct Applied<'a> {
    /// What somebody wants the object to be.
    pub object: &'a Value,
    /// Who.
    pub manager: &'a str,
    /// Whether fields are taken over from others.
    pub force: bool,
    /// When.
    pub now: Timestamp,
}

/// A field that somebody else has said something else about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Who, and in which version of the kind.
    pub with: String,
    /// Its path.
    pub field: String,
}

/// What the object becomes, and its `managedFields` then: they are put into what admission has made
/// of it.
///
/// # Errors
///
/// Fields that others have said something else about, unless they are to be taken over.
pub fn apply(
    live: &Value,
    applied: &Applied<'_>,
    schema: &'static Schema,
) -> Result<(Value, Value), Vec<Conflict>> {
    let place = Place::root(schema);
    let wanted = without_nulls(applied.object);
    let fields = managed(&wanted, schema);
    let api_version = wanted["apiVersion"].as_str().unwrap_or_default().to_owned();
    let mut entries = read(live);
    if entries.is_empty() && live["metadata"]["uid"].is_string() {
        entries.push(Entry {
            manager: BEFORE_FIRST_APPLY.to_owned(),
            is_apply: false,
            api_version: api_version.clone(),
            time: Some(format_seconds(applied.now)),
            fields: managed(live, schema),
        });
    }
    let own = entries.iter().position(|it| it.is_apply && it.manager == applied.manager);
    let own = own.map(|at| entries.remove(at));
    let mut conflicts = Vec::new();
    for entry in &mut entries {
        let mut found = Vec::new();
        let values = (Some(&wanted), Some(live));
        let sets = (&fields, &entry.fields);
        let lost = differing(values, sets, place, "", &mut found);
        if applied.force {
            entry.fields.subtract(&lost);
        } else {
            let with = format!("{:?} using {}", entry.manager, entry.api_version);
            conflicts
                .extend(found.into_iter().map(|(field, _)| Conflict { with: with.clone(), field }));
        }
    }
    if !conflicts.is_empty() {
        return Err(conflicts);
    }
    let mut object = live.clone();
    merge(&mut object, &wanted, place);
    if let Some(own) = &own {
        let mut gone = own.fields.clone();
        gone.subtract(&fields);
        entries.iter().for_each(|entry| gone.subtract(&entry.fields));
        remove(&mut object, &gone, place);
    }
    let time = match &own {
        Some(own) if own.fields == fields => own.time.clone(),
        Some(_) | None => Some(format_seconds(applied.now)),
    };
    let manager = applied.manager.to_owned();
    entries.insert(0, Entry { manager, is_apply: true, api_version, time, fields });
    Ok((object, write(entries)))
}

/// `managedFields` after a write that is no apply; nothing for an object that was never applied.
#[must_use]
pub fn track(
    old: &Value,
    new: &Value,
    manager: &str,
    now: Timestamp,
    schema: &'static Schema,
) -> Option<Value> {
    let mut entries = read(old);
    if entries.is_empty() {
        return None;
    }
    let place = Place::root(schema);
    let fields = managed(new, schema);
    let changes = changed(Some(old), new, &fields, place);
    let mut touched = managed(old, schema);
    touched.subtract(&fields);
    touched.add(&changes);
    for entry in &mut entries {
        entry.fields.subtract(&touched);
    }
    if !changes.is_empty() {
        let own = entries.iter_mut().find(|entry| !entry.is_apply && entry.manager == manager);
        match own {
            Some(own) => {
                own.fields.add(&changes);
                own.time = Some(format_seconds(now));
            }
            None => entries.push(Entry {
                manager: manager.to_owned(),
                is_apply: false,
                api_version: new["apiVersion"].as_str().unwrap_or_default().to_owned(),
                time: Some(format_seconds(now)),
                fields: changes,
            }),
        }
    }
    entries.retain(|entry| !entry.fields.is_empty());
    put_together(&mut entries);
    Some(write(entries))
}

/// There are only so many entries of managers that update.
fn put_together(entries: &mut Vec<Entry>) {
    let is_update = |entry: &Entry| !entry.is_apply;
    while entries.iter().filter(|entry| is_update(entry)).count() > MOST_UPDATERS {
        let Some(first) = entries.iter().position(is_update) else { return };
        let oldest = entries.remove(first);
        match entries.iter_mut().find(|entry| is_update(entry)) {
            Some(next) => {
                next.fields.add(&oldest.fields);
                ANCIENT.clone_into(&mut next.manager);
            }
            None => return,
        }
    }
}

/// The fields of an object that somebody can manage.
fn managed(object: &Value, schema: &'static Schema) -> Fields {
    let mut fields = fields_of(object, Place::root(schema));
    let member = |name: &str| Step::Member(name.to_owned());
    let metadata = fields.below.remove(&member("metadata"));
    UNMANAGED.iter().for_each(|name| drop(fields.below.remove(&member(name))));
    let mut metadata = metadata.unwrap_or_default();
    metadata.itself = false;
    metadata.below.retain(
        |step, _| matches!(step, Step::Member(name) if MANAGED_METADATA.contains(&name.as_str())),
    );
    if !metadata.is_empty() {
        fields.below.insert(member("metadata"), metadata);
    }
    fields
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.clone(), without_nulls(value)))
            .collect(),
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn read(object: &Value) -> Vec<Entry> {
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let entries = entries.map(|entry| {
        let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        Entry {
            manager: text("manager"),
            is_apply: entry["operation"] == "Apply",
            api_version: text("apiVersion"),
            time: entry["time"].as_str().map(str::to_owned),
            fields: Fields::read(&entry["fieldsV1"]),
        }
    });
    entries.filter(|entry| !entry.fields.is_empty()).collect()
}

fn write(entries: Vec<Entry>) -> Value {
    let entries = entries.into_iter().map(|entry| {
        let mut value = json!({
            "manager": entry.manager,
            "operation": if entry.is_apply { "Apply" } else { "Update" },
            "apiVersion": entry.api_version,
        });
        if let Some(time) = entry.time {
            value["time"] = json!(time);
        }
        value["fieldsType"] = json!("FieldsV1");
        value["fieldsV1"] = entry.fields.write();
        value
    });
    entries.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::patch::schema::JOB;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn job(spec: Value) -> Value {
        json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "a", "labels": {"app": "x"}},
            "spec": spec,
        })
    }

    fn put((mut object, managed): (Value, Value)) -> Value {
        object["metadata"]["managedFields"] = managed;
        object
    }

    /// What the server has made of what was applied first.
    fn created(object: &Value, manager: &str) -> Value {
        let applied = Applied { object, manager, force: false, now: at(0) };
        let mut live = put(apply(&json!({"metadata": {}}), &applied, &JOB).unwrap());
        live["metadata"]["uid"] = json!("u");
        live
    }

    fn applied(live: &Value, object: &Value, manager: &str) -> Result<Value, Vec<Conflict>> {
        let applied = Applied { object, manager, force: false, now: at(9) };
        apply(live, &applied, &JOB).map(put)
    }

    fn updated(live: &Value, mut new: Value, manager: &str, second: i64) -> Value {
        if let Some(managed) = track(live, &new, manager, at(second), &JOB) {
            new["metadata"]["managedFields"] = managed;
        }
        new
    }

    #[test]
    fn the_same_twice_is_the_same() {
        let wanted = job(json!({"parallelism": 2, "template": {"spec": {
            "containers": [{"name": "main", "image": "i", "ports": [{"containerPort": 80}]}],
        }}}));
        let live = created(&wanted, "kubectl");
        let entry = &live["metadata"]["managedFields"][0];
        assert_eq!(entry["operation"], "Apply");
        assert_eq!(
            entry["fieldsV1"],
            json!({
                "f:metadata": {"f:labels": {"f:app": {}}},
                "f:spec": {
                    "f:parallelism": {},
                    "f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"main\"}": {
                        ".": {},
                        "f:image": {},
                        "f:name": {},
                        "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {
                            ".": {},
                            "f:containerPort": {},
                        }},
                    }}}},
                },
            })
        );
        assert_eq!(applied(&live, &wanted, "kubectl"), Ok(live));
    }

    #[test]
    fn what_is_no_longer_said_goes_and_others_stay() {
        let mut live = created(&job(json!({"parallelism": 2, "backoffLimit": 1})), "kubectl");
        live["spec"]["completions"] = json!(1);
        let mut wanted = job(json!({"parallelism": 3}));
        wanted["metadata"]["labels"] = json!({"tier": "web"});
        let next = applied(&live, &wanted, "kubectl").unwrap();
        assert_eq!(next["spec"], json!({"parallelism": 3, "completions": 1}));
        assert_eq!(next["metadata"]["labels"], json!({"tier": "web"}));
    }

    #[test]
    fn another_manager_conflicts_unless_it_agrees_or_forces() {
        let live = created(&job(json!({"parallelism": 2})), "kubectl");
        let agreed = applied(&live, &job(json!({"parallelism": 2})), "other").unwrap();
        assert_eq!(agreed["metadata"]["managedFields"].as_array().map(Vec::len), Some(2));
        let object = job(json!({"parallelism": 5}));
        let conflicts = applied(&live, &object, "other").unwrap_err();
        let with = "\"kubectl\" using batch/v1".to_owned();
        assert_eq!(conflicts, [Conflict { with, field: ".spec.parallelism".to_owned() }]);
        let forced = Applied { object: &object, manager: "other", force: true, now: at(9) };
        let forced = put(apply(&live, &forced, &JOB).unwrap());
        assert_eq!(forced["spec"]["parallelism"], 5);
        let of_kubectl = &forced["metadata"]["managedFields"][1];
        assert_eq!(of_kubectl["manager"], "kubectl");
        assert!(of_kubectl["fieldsV1"].get("f:spec").is_none(), "{of_kubectl}");
        // What nobody says any more goes, what another says stays.
        let none = job(json!({}));
        let left = applied(&forced, &none, "kubectl").unwrap();
        assert_eq!(left["spec"]["parallelism"], 5);
    }

    #[test]
    fn an_object_that_was_never_applied_is_somebodys() {
        let mut live = job(json!({"parallelism": 2}));
        live["metadata"]["uid"] = json!("u");
        let conflicts = applied(&live, &job(json!({"parallelism": 3})), "kubectl").unwrap_err();
        assert!(conflicts[0].with.starts_with("\"before-first-apply\""), "{conflicts:?}");
        assert!(applied(&live, &job(json!({"parallelism": 2})), "kubectl").is_ok());
    }

    #[test]
    fn updates_take_fields_over() {
        let live = created(&job(json!({"parallelism": 2, "suspend": true})), "kubectl");
        let mut new = live.clone();
        new["spec"]["parallelism"] = json!(7);
        let new = updated(&live, new, "edit", 9);
        let entries = new["metadata"]["managedFields"].as_array().unwrap();
        assert_eq!(entries[1]["manager"], "edit");
        assert_eq!(entries[1]["fieldsV1"], json!({"f:spec": {"f:parallelism": {}}}));
        assert_eq!(entries[0]["fieldsV1"]["f:spec"], json!({"f:suspend": {}}));
        assert_eq!(updated(&new, new.clone(), "third", 10), new);
    }

    #[test]
    fn there_are_only_so_many_updaters() {
        let mut live = created(&job(json!({"parallelism": 1})), "kubectl");
        for n in 0..20 {
            let mut new = live.clone();
            new["metadata"]["labels"][format!("l{n}")] = json!("x");
            live = updated(&live, new, &format!("m{n}"), n);
        }
        let entries = live["metadata"]["managedFields"].as_array().unwrap();
        assert_eq!(entries.len(), MOST_UPDATERS + 1);
        assert_eq!(entries[1]["manager"], ANCIENT);
    }

    #[test]
    fn an_object_without_accounts_stays_so() {
        let live = job(json!({"parallelism": 1}));
        let new = job(json!({"parallelism": 2}));
        assert_eq!(track(&live, &new, "edit", at(1), &JOB), None);
    }
}
