//! What a label selector asks for, and whether an object's labels fulfil it.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};

use crate::admission::text;
use crate::admission::{Cause, Causes, Path};

/// How a key's value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// One of the values.
    In,
    /// None of the values, or absent.
    NotIn,
    /// The value (`=`).
    Equals,
    /// The value (`==`).
    DoubleEquals,
    /// Another value, or absent.
    NotEquals,
    /// A greater whole number.
    GreaterThan,
    /// A smaller whole number.
    LessThan,
    /// Any value.
    Exists,
    /// Absent.
    DoesNotExist,
}

/// The operators in Kubernetes' order, with their texts.
const OPERATORS: [(Operator, &str); 9] = [
    (Operator::In, "in"),
    (Operator::NotIn, "notin"),
    (Operator::Equals, "="),
    (Operator::DoubleEquals, "=="),
    (Operator::NotEquals, "!="),
    (Operator::GreaterThan, "gt"),
    (Operator::LessThan, "lt"),
    (Operator::Exists, "exists"),
    (Operator::DoesNotExist, "!"),
];

/// `operator` is none of those known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a selector's operator")]
pub struct UnknownOperator(String);

impl FromStr for Operator {
    type Err = UnknownOperator;

    fn from_str(text: &str) -> Result<Self, UnknownOperator> {
        let known = OPERATORS.iter().find(|(_, name)| *name == text);
        known.map(|(operator, _)| *operator).ok_or_else(|| UnknownOperator(text.to_owned()))
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = OPERATORS.iter().find(|(operator, _)| operator == self).map_or("", |it| it.1);
        f.write_str(name)
    }
}

/// One thing asked of the labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// How its value is compared.
    pub operator: Operator,
    /// With what; sorted, each once.
    pub values: Vec<String>,
}

impl Requirement {
    /// Checks key and values.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, as faults of the fields `key` and `values`.
    pub fn new(key: &str, operator: Operator, values: Vec<String>) -> Result<Self, Vec<Cause>> {
        let mut causes = Causes::default();
        let faults = text::qualified_name(key);
        if !faults.is_empty() {
            causes.invalid(&Path::root("key"), key, faults.join("; "));
        }
        let path = Path::root("values");
        if let Some(detail) = wrong_count(operator, values.len()) {
            causes.invalid(&path, &values, detail);
        }
        let numeric = matches!(operator, Operator::GreaterThan | Operator::LessThan);
        for (index, value) in values.iter().enumerate() {
            if numeric && value.parse::<i64>().is_err() {
                let detail = "for 'Gt', 'Lt' operators, the value must be an integer";
                causes.invalid(&path.index(index), value, detail);
            }
        }
        for (index, value) in values.iter().enumerate() {
            let faults = text::label_value(value);
            if !faults.is_empty() {
                causes.invalid(&path.index(index).key(key), value, faults.join("; "));
            }
        }
        if causes.is_empty() {
            Ok(Self { key: key.to_owned(), operator, values })
        } else {
            Err(causes.into_vec())
        }
    }

    /// Whether labels fulfil it; `lookup` gives a key's value.
    fn matches<'a>(&self, lookup: impl Fn(&str) -> Option<&'a str>) -> bool {
        let value = lookup(&self.key);
        let listed = |value: &str| self.values.iter().any(|it| it == value);
        match self.operator {
            Operator::In | Operator::Equals | Operator::DoubleEquals => value.is_some_and(listed),
            Operator::NotIn | Operator::NotEquals => !value.is_some_and(listed),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan => self.compare(value).is_some_and(|(own, asked)| own > asked),
            Operator::LessThan => self.compare(value).is_some_and(|(own, asked)| own < asked),
        }
    }

    fn compare(&self, value: Option<&str>) -> Option<(i64, i64)> {
        Some((value?.parse().ok()?, self.values.first()?.parse().ok()?))
    }
}

fn wrong_count(operator: Operator, count: usize) -> Option<&'static str> {
    let (right, detail) = match operator {
        Operator::In | Operator::NotIn => {
            (count > 0, "for 'in', 'notin' operators, values set can't be empty")
        }
        Operator::Equals | Operator::DoubleEquals | Operator::NotEquals => {
            (count == 1, "exact-match compatibility requires one single value")
        }
        Operator::Exists | Operator::DoesNotExist => {
            (count == 0, "values set must be empty for exists and does not exist")
        }
        Operator::GreaterThan | Operator::LessThan => {
            (count == 1, "for 'Gt', 'Lt' operators, exactly one value is required")
        }
    };
    (!right).then_some(detail)
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, values) = (&self.key, self.values.join(","));
        match self.operator {
            Operator::Exists => f.write_str(key),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
            Operator::Equals | Operator::DoubleEquals | Operator::NotEquals => {
                write!(f, "{key}{}{values}", self.operator)
            }
        }
    }
}

/// Requirements that must all be fulfilled; none means every object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector(pub(super) Vec<Requirement>);

impl LabelSelector {
    /// A selector of these requirements.
    #[must_use]
    pub fn of(requirements: Vec<Requirement>) -> Self {
        Self(requirements)
    }

    /// The requirements, by key.
    #[must_use]
    pub fn requirements(&self) -> &[Requirement] {
        &self.0
    }

    /// Whether it means every object.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `labels`, an object of texts, fulfil it.
    #[must_use]
    pub fn matches(&self, labels: Option<&Map<String, Value>>) -> bool {
        self.matches_with(|key| labels?.get(key)?.as_str())
    }

    /// Whether labels fulfil it, given what finds a key's value.
    pub fn matches_with<'a>(&self, lookup: impl Fn(&str) -> Option<&'a str> + Copy) -> bool {
        self.0.iter().all(|requirement| requirement.matches(lookup))
    }

    /// Whether an object's `metadata.labels` fulfil it.
    #[must_use]
    pub fn matches_object(&self, object: &Value) -> bool {
        self.matches(object["metadata"]["labels"].as_object())
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.0.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{requirement}")?;
        }
        Ok(())
    }
}
