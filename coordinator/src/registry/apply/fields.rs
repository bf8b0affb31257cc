//! Sets of fields, in the form in which `managedFields` keeps them: `f:` a member, `k:` an item of
//! a list by its keys, `v:` an item of a set, `.` the thing itself.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

/// A set of fields: a tree of steps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields {
    /// Whether the place itself is in the set.
    pub(super) itself: bool,
    /// What is below it.
    pub(super) below: BTreeMap<Step, Self>,
}

/// One step down.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// To the member of this name.
    Member(String),
    /// To the item with these keys, an object as JSON.
    Keys(String),
    /// To this item of a set, as JSON.
    Item(String),
}

impl Step {
    fn text(&self) -> String {
        match self {
            Self::Member(name) => format!("f:{name}"),
            Self::Keys(keys) => format!("k:{keys}"),
            Self::Item(value) => format!("v:{value}"),
        }
    }

    fn read(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        let rest = rest.to_owned();
        match kind {
            "f" => Some(Self::Member(rest)),
            "k" => Some(Self::Keys(rest)),
            "v" => Some(Self::Item(rest)),
            _ => None,
        }
    }
}

/// As Kubernetes writes a path: `.spec.containers[name="main"].image`.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member(name) => write!(f, ".{name}"),
            Self::Item(value) => write!(f, "[={value}]"),
            Self::Keys(keys) => {
                let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
                let keys: Vec<String> =
                    keys.iter().map(|(name, value)| format!("{name}={value}")).collect();
                write!(f, "[{}]", keys.join(","))
            }
        }
    }
}

impl Fields {
    /// The place itself, and nothing below it.
    pub(super) fn leaf() -> Self {
        Self { itself: true, below: BTreeMap::new() }
    }

    /// Whether there is nothing.
    pub(super) fn is_empty(&self) -> bool {
        !self.itself && self.below.is_empty()
    }

    /// Reads `fieldsV1`; steps of other kinds are passed over.
    pub(super) fn read(value: &Value) -> Self {
        let mut fields = Self::default();
        for (text, value) in value.as_object().into_iter().flatten() {
            if text == "." {
                fields.itself = true;
            } else if let Some(step) = Step::read(text) {
                let mut below = Self::read(value);
                below.itself |= below.below.is_empty();
                fields.below.insert(step, below);
            }
        }
        fields
    }

    /// `fieldsV1`.
    pub(super) fn write(&self) -> Value {
        let mut members = Map::new();
        if self.itself && !self.below.is_empty() {
            members.insert(".".to_owned(), Value::Object(Map::new()));
        }
        for (step, below) in &self.below {
            members.insert(step.text(), below.write());
        }
        Value::Object(members)
    }

    /// Adds another set.
    pub(super) fn add(&mut self, other: &Self) {
        self.itself |= other.itself;
        for (step, below) in &other.below {
            self.below.entry(step.clone()).or_default().add(below);
        }
    }

    /// Takes another set away.
    pub(super) fn subtract(&mut self, other: &Self) {
        self.itself &= !other.itself;
        for (step, below) in &other.below {
            if let Some(own) = self.below.get_mut(step) {
                own.subtract(below);
                if own.is_empty() {
                    self.below.remove(step);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sets_are_read_and_written() {
        let written = json!({
            "f:metadata": {"f:labels": {".": {}, "f:app": {}}, "f:finalizers": {"v:\"a/b\"": {}}},
            "f:spec": {"f:containers": {"k:{\"name\":\"main\"}": {".": {}, "f:image": {}}}},
        });
        assert_eq!(Fields::read(&written).write(), written);
    }

    #[test]
    fn sets_are_added_and_subtracted() {
        let set = |value: Value| Fields::read(&value);
        let mut fields = set(json!({"f:a": {}, "f:b": {"f:c": {}, "f:d": {}}}));
        fields.subtract(&set(json!({"f:a": {}, "f:b": {"f:c": {}}})));
        assert_eq!(fields, set(json!({"f:b": {"f:d": {}}})));
        fields.add(&set(json!({"f:b": {"f:e": {}}})));
        fields.subtract(&set(json!({"f:b": {"f:e": {}, "f:d": {}}})));
        assert!(fields.is_empty());
    }
}
