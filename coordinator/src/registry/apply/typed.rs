//! Values and their fields: which a value has, and how two values become one.
//!
//! Lists go by the same keys as in a strategic merge patch, but for those of [`keys`]; a list
//! without keys, and the objects of [`ATOMIC`], are one field each.

use serde_json::{Map, Value};

use super::fields::{Fields, Step};
use crate::registry::patch::schema::{Member, Schema, Strategy};

/// Objects that are said as a whole.
const ATOMIC: [&str; 11] = [
    "selector",
    "nodeSelector",
    "labelSelector",
    "namespaceSelector",
    "configMapKeyRef",
    "secretKeyRef",
    "fieldRef",
    "resourceFieldRef",
    "fileKeyRef",
    "requiredDuringSchedulingIgnoredDuringExecution",
    "involvedObject",
];

/// A place in an object: what is known of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    name: &'a str,
    strategy: Strategy,
    schema: Option<&'static Schema>,
}

/// How a list is merged.
enum List {
    Atomic,
    Set,
    Keyed(&'static [&'static str]),
}

impl<'a> Place<'a> {
    /// The whole of an object.
    pub(super) fn root(schema: &'static Schema) -> Self {
        Self { name: "", strategy: Strategy::Plain, schema: Some(schema) }
    }

    fn member(self, name: &'a str) -> Self {
        let known = self.schema.map(|schema| schema.member(name));
        let Member { strategy, schema, .. } =
            known.unwrap_or(Member { name: "", strategy: Strategy::Plain, schema: None });
        Self { name, strategy, schema }
    }

    /// Below a step: the items of a list are described by the list's line.
    fn below(self, step: &'a Step) -> Self {
        match step {
            Step::Member(name) => self.member(name),
            Step::Keys(_) | Step::Item(_) => {
                Self { name: "", strategy: Strategy::Plain, schema: self.schema }
            }
        }
    }

    fn is_atomic(self) -> bool {
        ATOMIC.contains(&self.name)
    }

    fn list(self) -> List {
        match (self.strategy, self.name) {
            // A Job's, where Kubernetes has no keys for an apply.
            (Strategy::MergeBy("type"), "conditions") => List::Atomic,
            (Strategy::MergeBy(key), _) => List::Keyed(keys(key)),
            (Strategy::MergeValues, _) => List::Set,
            (Strategy::Plain | Strategy::Replace, _) => List::Atomic,
        }
    }
}

/// The keys of an apply, by that of a patch.
fn keys(key: &'static str) -> &'static [&'static str] {
    match key {
        "containerPort" => &["containerPort", "protocol"],
        "topologyKey" => &["topologyKey", "whenUnsatisfiable"],
        "name" => &["name"],
        "uid" => &["uid"],
        "ip" => &["ip"],
        "mountPath" => &["mountPath"],
        "devicePath" => &["devicePath"],
        _ => &["type"],
    }
}

/// A key that is not said.
fn default_of(key: &str) -> Value {
    if key == "protocol" { Value::from("TCP") } else { Value::Null }
}

fn step_to(item: &Value, keys: &[&str]) -> Step {
    let mut chosen = Map::new();
    for key in keys {
        let value = item.get(key).cloned().unwrap_or_else(|| default_of(key));
        chosen.insert((*key).to_owned(), value);
    }
    Step::Keys(Value::Object(chosen).to_string())
}

/// All fields of a value.
pub(super) fn fields_of(value: &Value, place: Place<'_>) -> Fields {
    match value {
        Value::Object(members) if !members.is_empty() && !place.is_atomic() => {
            let below = members.iter().map(|(name, value)| {
                (Step::Member(name.clone()), fields_of(value, place.member(name)))
            });
            Fields { itself: false, below: below.collect() }
        }
        Value::Array(items) if !items.is_empty() => match place.list() {
            List::Atomic => Fields::leaf(),
            List::Set => {
                let below = items.iter().map(|it| (Step::Item(it.to_string()), Fields::leaf()));
                Fields { itself: false, below: below.collect() }
            }
            List::Keyed(keys) => {
                let below = items.iter().map(|item| {
                    let step = step_to(item, keys);
                    let mut fields = fields_of(item, place.below(&step));
                    fields.itself = true;
                    (step, fields)
                });
                Fields { itself: false, below: below.collect() }
            }
        },
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => Fields::leaf(),
    }
}

/// What is at a step.
fn at<'v>(value: &'v Value, step: &Step, place: Place<'_>) -> Option<&'v Value> {
    match step {
        Step::Member(name) => value.get(name),
        Step::Keys(_) | Step::Item(_) => value.get(position(value, step, place)?),
    }
}

fn position(value: &Value, step: &Step, place: Place<'_>) -> Option<usize> {
    let items = value.as_array()?;
    match (step, place.list()) {
        (Step::Keys(_), List::Keyed(keys)) => {
            items.iter().position(|item| step_to(item, keys) == *step)
        }
        (Step::Item(_), _) => items.iter().position(|item| Step::Item(item.to_string()) == *step),
        (Step::Keys(_) | Step::Member(_), _) => None,
    }
}

/// Puts what is applied into what there is.
pub(super) fn merge(live: &mut Value, applied: &Value, place: Place<'_>) {
    match (&mut *live, applied) {
        (Value::Object(own), Value::Object(members)) if !place.is_atomic() => {
            for (name, value) in members {
                match own.get_mut(name) {
                    Some(own) => merge(own, value, place.member(name)),
                    None => drop(own.insert(name.clone(), value.clone())),
                }
            }
        }
        (Value::Array(_), Value::Array(items)) => match place.list() {
            List::Atomic => live.clone_from(applied),
            List::Set => add_items(live, items, place, |item| Step::Item(item.to_string())),
            List::Keyed(keys) => add_items(live, items, place, |item| step_to(item, keys)),
        },
        _ => live.clone_from(applied),
    }
}

fn add_items(live: &mut Value, items: &[Value], place: Place<'_>, step: impl Fn(&Value) -> Step) {
    for item in items {
        let step = step(item);
        let found = position(live, &step, place);
        let Some(own) = live.as_array_mut() else { return };
        match found {
            Some(at) => merge(&mut own[at], item, place.below(&step)),
            None => own.push(item.clone()),
        }
    }
}

/// Takes fields away; whether nothing is left of the value.
pub(super) fn remove(value: &mut Value, gone: &Fields, place: Place<'_>) -> bool {
    if gone.itself {
        return true;
    }
    for (step, below) in &gone.below {
        match step {
            Step::Member(name) => {
                let Some(members) = value.as_object_mut() else { continue };
                let Some(inner) = members.get_mut(name) else { continue };
                if remove(inner, below, place.below(step)) {
                    members.shift_remove(name);
                }
            }
            Step::Keys(_) | Step::Item(_) => {
                let Some(at) = position(value, step, place) else { continue };
                let Some(items) = value.as_array_mut() else { continue };
                if remove(&mut items[at], below, place.below(step)) {
                    items.remove(at);
                }
            }
        }
    }
    match value {
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// Fields of both sets whose values differ, as paths.
pub(super) fn differing(
    values: (Option<&Value>, Option<&Value>),
    sets: (&Fields, &Fields),
    place: Place<'_>,
    path: &str,
    found: &mut Vec<(String, Fields)>,
) -> Fields {
    let mut differ = Fields::default();
    let whole = |fields: &Fields| fields.itself && fields.below.is_empty();
    if sets.0.itself && sets.1.itself && (whole(sets.0) || whole(sets.1)) && values.0 != values.1 {
        found.push((path.to_owned(), Fields::leaf()));
        return Fields::leaf();
    }
    for (step, below) in &sets.0.below {
        let Some(other) = sets.1.below.get(step) else { continue };
        let inner = |value: Option<&Value>| value.and_then(|value| at(value, step, place)).cloned();
        let (left, right) = (inner(values.0), inner(values.1));
        let path = format!("{path}{step}");
        let below = differing(
            (left.as_ref(), right.as_ref()),
            (below, other),
            place.below(step),
            &path,
            found,
        );
        if !below.is_empty() {
            differ.below.insert(step.clone(), below);
        }
    }
    differ
}

/// Fields of a new value that the old one does not have, or has otherwise.
pub(super) fn changed(
    old: Option<&Value>,
    new: &Value,
    fields: &Fields,
    place: Place<'_>,
) -> Fields {
    let Some(old) = old else { return fields.clone() };
    if old == new {
        return Fields::default();
    }
    if fields.below.is_empty() {
        return fields.clone();
    }
    let mut changes = Fields::default();
    for (step, below) in &fields.below {
        let Some(new) = at(new, step, place) else { continue };
        let below = changed(at(old, step, place), new, below, place.below(step));
        if !below.is_empty() {
            changes.below.insert(step.clone(), below);
        }
    }
    changes
}
