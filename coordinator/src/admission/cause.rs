//! What is wrong with a field, in the words of Kubernetes' `field.Error`: reason, path and message.
//!
//! Validation never stops at the first fault: it goes on and adds to [`Causes`].

use std::collections::HashSet;
use std::fmt;

use serde::Serialize;

/// Why a field was refused; its text is a `StatusCause`'s `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CauseReason {
    /// What the field names does not exist.
    NotFound,
    /// The field must be given.
    Required,
    /// The value must be unique, and is not.
    Duplicate,
    /// The value is malformed or out of range.
    Invalid,
    /// The value is not one of those known.
    NotSupported,
    /// The value could be right, but not here.
    Forbidden,
    /// The value has too many bytes.
    TooLong,
    /// The list has too many items.
    TooMany,
}

impl CauseReason {
    /// What a message begins with.
    fn words(self) -> &'static str {
        match self {
            Self::NotFound => "Not found",
            Self::Required => "Required value",
            Self::Duplicate => "Duplicate value",
            Self::Invalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
        }
    }
}

impl fmt::Display for CauseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "FieldValueNotFound",
            Self::Required => "FieldValueRequired",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
        })
    }
}

/// One fault of an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cause {
    /// What kind of fault.
    pub reason: CauseReason,
    /// The path of the field, as Kubernetes writes it (`spec.template.spec.containers[0].name`).
    pub field: String,
    /// `Invalid value: "x": must be …`.
    pub message: String,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// Where a field is; a chain on the stack, made text only when there is a fault.
#[derive(Clone, Copy, Debug)]
pub struct Path<'a> {
    parent: Option<&'a Self>,
    step: Step<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Name(&'a str),
    Index(usize),
    Key(&'a str),
}

impl<'a> Path<'a> {
    /// The path of a top level field.
    #[must_use]
    pub const fn root(name: &'a str) -> Self {
        Self { parent: None, step: Step::Name(name) }
    }

    /// The path of a member of `parent`, which may be the whole body.
    #[must_use]
    pub const fn member(parent: Option<&'a Self>, name: &'a str) -> Self {
        Self { parent, step: Step::Name(name) }
    }

    /// The path of a member.
    #[must_use]
    pub const fn child(&'a self, name: &'a str) -> Self {
        Self { parent: Some(self), step: Step::Name(name) }
    }

    /// The path of a list's item.
    #[must_use]
    pub const fn index(&'a self, index: usize) -> Self {
        Self { parent: Some(self), step: Step::Index(index) }
    }

    /// The path of a map's entry.
    #[must_use]
    pub const fn key(&'a self, key: &'a str) -> Self {
        Self { parent: Some(self), step: Step::Key(key) }
    }
}

impl Path<'_> {
    /// The members that lead to the field, without indexes and keys: how Go names a struct's field.
    #[must_use]
    pub fn members(&self) -> String {
        let before = self.parent.map(Path::members);
        match (before, self.step) {
            (None, Step::Name(name)) => name.to_owned(),
            (Some(before), Step::Name(name)) => format!("{before}.{name}"),
            (before, Step::Index(_) | Step::Key(_)) => before.unwrap_or_default(),
        }
    }
}

impl Path<'_> {
    /// The field's JSON pointer (RFC 6901).
    #[must_use]
    pub fn pointer(&self) -> String {
        let before = self.parent.map_or_else(String::new, Path::pointer);
        match self.step {
            Step::Name(name) | Step::Key(name) => {
                format!("{before}/{}", name.replace('~', "~0").replace('/', "~1"))
            }
            Step::Index(index) => format!("{before}/{index}"),
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Name(name) if self.parent.is_some() => write!(f, ".{name}"),
            Step::Name(name) => f.write_str(name),
            Step::Index(index) => write!(f, "[{index}]"),
            Step::Key(key) => write!(f, "[{key}]"),
        }
    }
}

/// The faults found so far, in the order in which Kubernetes finds them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Causes(Vec<Cause>);

impl Causes {
    /// The value is malformed; `detail` says how it should be.
    pub fn invalid(&mut self, path: &Path<'_>, value: impl Serialize, detail: impl fmt::Display) {
        self.add(CauseReason::Invalid, path, &shown(value), &detail.to_string());
    }

    /// Each text of `details` says why the value is malformed.
    pub fn invalid_each(&mut self, path: &Path<'_>, value: &str, details: Vec<String>) {
        for detail in details {
            self.invalid(path, value, detail);
        }
    }

    /// Something is wrong that is no single value.
    pub fn invalid_whole(&mut self, path: &Path<'_>, detail: &str) {
        self.add(CauseReason::Invalid, path, "", detail);
    }

    /// The field must be given; `detail` may be empty.
    pub fn required(&mut self, path: &Path<'_>, detail: impl fmt::Display) {
        self.add(CauseReason::Required, path, "", &detail.to_string());
    }

    /// The value was already there.
    pub fn duplicate(&mut self, path: &Path<'_>, value: impl Serialize) {
        self.add(CauseReason::Duplicate, path, &shown(value), "");
    }

    /// What the value names does not exist.
    pub fn not_found(&mut self, path: &Path<'_>, value: impl Serialize) {
        self.add(CauseReason::NotFound, path, &shown(value), "");
    }

    /// The value is not one of `known`.
    pub fn not_supported(&mut self, path: &Path<'_>, value: impl Serialize, known: &[&str]) {
        let known: Vec<String> = known.iter().map(shown).collect();
        let detail = format!("supported values: {}", known.join(", "));
        self.add(CauseReason::NotSupported, path, &shown(value), &detail);
    }

    /// The field must not be given here.
    pub fn forbidden(&mut self, path: &Path<'_>, detail: impl fmt::Display) {
        self.add(CauseReason::Forbidden, path, "", &detail.to_string());
    }

    /// The text is longer than `most` bytes; it is not repeated.
    pub fn too_long(&mut self, path: &Path<'_>, most: usize) {
        let detail = format!("may not be more than {most} bytes");
        self.add(CauseReason::TooLong, path, "", &detail);
    }

    /// The list has more than `most` items.
    pub fn too_many(&mut self, path: &Path<'_>, actual: usize, most: usize) {
        let detail = format!("must have at most {most} items");
        self.add(CauseReason::TooMany, path, &actual.to_string(), &detail);
    }

    /// Adds what else was found.
    pub fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    /// Each fault once: where Kubernetes looks at an object twice, it says everything twice.
    #[must_use]
    pub fn unique(self) -> Self {
        let mut seen = HashSet::new();
        Self(self.0.into_iter().filter(|cause| seen.insert(cause.clone())).collect())
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The faults.
    #[must_use]
    pub fn into_vec(self) -> Vec<Cause> {
        self.0
    }

    fn add(&mut self, reason: CauseReason, path: &Path<'_>, value: &str, detail: &str) {
        let parts = [reason.words(), value, detail];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        self.0.push(Cause { reason, field: path.to_string(), message: parts.join(": ") });
    }
}

/// A bad value in a message: JSON, which for texts and numbers is what Go prints.
fn shown(value: impl Serialize) -> String {
    serde_json::to_string(&value).unwrap_or_else(|_| "<unprintable>".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_read_as_kubernetes_writes_them() {
        let spec = Path::root("spec");
        let mut causes = Causes::default();
        causes.invalid(&spec.child("parallelism"), -1, "must be greater than or equal to 0");
        causes.required(&spec.child("containers").index(0).child("name"), "");
        causes.duplicate(&spec.child("labels").key("a/b"), "x");
        causes.not_supported(&spec, "Y", &["A", "B"]);
        causes.too_many(&spec, 21, 20);
        causes.too_long(&spec, 63);
        let texts: Vec<String> = causes.into_vec().iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "spec.parallelism: Invalid value: -1: must be greater than or equal to 0",
                "spec.containers[0].name: Required value",
                "spec.labels[a/b]: Duplicate value: \"x\"",
                "spec: Unsupported value: \"Y\": supported values: \"A\", \"B\"",
                "spec: Too many: 21: must have at most 20 items",
                "spec: Too long: may not be more than 63 bytes",
            ]
        );
    }
}
