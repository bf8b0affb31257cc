//! What Stint does with each field of a Job: it works, it has no effect here, or it is refused by
//! its path.
//!
//! One table, in which every field of the API has its line (a test compares it with the API's
//! types), so that none is ever ignored silently. Runs on top of Kubernetes' own validation, on the
//! defaulted JSON.

mod files;
mod security;
mod table;

use serde_json::Value;
use stint_common::capability::Capabilities;

use super::cause::{Causes, Path};
use super::semantic::is_blank;
pub use files::{
    CONFIG_MAP, DOWNWARD_FILE, DOWNWARD_FILES, EMPTY_DIR, KEY_TO_PATH, MOUNT, PROJECTED,
    PROJECTED_OBJECT, PROJECTION, SECRET, VOLUME,
};
pub use security::{CAPABILITIES, CONTAINER_SECURITY, POD_SECURITY, SECCOMP};
pub use table::{
    AFFINITY, CONTAINER, ENV_VAR, ENV_VAR_SOURCE, FIELD_REF, HOOK, HTTP_GET, JOB, JOB_METADATA,
    JOB_SPEC, LIFECYCLE, POD_SPEC, PROBE, RESOURCE_FIELD_REF, RESOURCES, TEMPLATE,
    TEMPLATE_METADATA,
};

/// A field and what becomes of it.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name in JSON.
    pub name: &'static str,
    /// What becomes of it.
    pub rule: Rule,
}

/// What becomes of a field.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// It does what it does in Kubernetes, with all that is in it.
    Works,
    /// It is recorded and shown, and has no effect on processes of a host.
    Harmless,
    /// Its members have lines of their own.
    Inside(&'static [Field]),
    /// The members of each of its items have lines of their own.
    Each(&'static [Field]),
    /// As [`Each`](Self::Each), but the member of this name works.
    EachBut(&'static [Field], &'static str),
    /// It is refused when it asks for anything; the text says what to do instead.
    Refused(&'static str),
    /// Only these texts are let in; the text says why.
    Only(&'static [&'static str], &'static str),
    /// Only `true` is let in, which is what absent means.
    OnlyTrue(&'static str),
    /// Kubernetes would take a negative number for 1; Stint refuses it.
    NotNegative,
    /// It must be there; the text says why.
    Needed(&'static str),
    /// Only limits that can be kept.
    Limits,
    /// Only names of capabilities of Linux.
    Capabilities,
}

/// Adds what of a defaulted Job is not supported.
pub fn check(job: &Value, causes: &mut Causes) {
    members(job, JOB, None, causes);
}

/// Adds what of an object with these fields, which stands at `path`, is not supported.
pub fn check_in(object: &Value, fields: &[Field], path: &Path<'_>, causes: &mut Causes) {
    members(object, fields, Some(path), causes);
}

fn members(object: &Value, fields: &[Field], path: Option<&Path<'_>>, causes: &mut Causes) {
    members_but(object, fields, "", path, causes);
}

fn members_but(
    object: &Value,
    fields: &[Field],
    but: &str,
    path: Option<&Path<'_>>,
    causes: &mut Causes,
) {
    for field in fields.iter().filter(|field| field.name != but) {
        let path = Path::member(path, field.name);
        apply(field.rule, &object[field.name], &path, causes);
    }
}

fn apply(rule: Rule, value: &Value, path: &Path<'_>, causes: &mut Causes) {
    match rule {
        Rule::Works | Rule::Harmless => {}
        Rule::Inside(fields) => {
            if value.is_object() {
                members(value, fields, Some(path), causes);
            }
        }
        Rule::Each(fields) => {
            for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                members(item, fields, Some(&path.index(index)), causes);
            }
        }
        Rule::EachBut(fields, but) => {
            for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                members_but(item, fields, but, Some(&path.index(index)), causes);
            }
        }
        Rule::Refused(instead) => {
            if !is_blank(value) && *value != Value::Bool(false) {
                refuse(path, "", instead, causes);
            }
        }
        Rule::Only(known, why) => {
            if value.as_str().is_some_and(|text| !text.is_empty() && !known.contains(&text)) {
                refuse(path, &value.to_string(), why, causes);
            }
        }
        Rule::OnlyTrue(why) => {
            if *value == Value::Bool(false) {
                refuse(path, "false", why, causes);
            }
        }
        Rule::NotNegative => {
            if value.as_i64().is_some_and(|number| number < 0) {
                causes.invalid(path, value, "must be greater than or equal to 0");
            }
        }
        Rule::Needed(why) => {
            if is_blank(value) {
                causes.required(path, why);
            }
        }
        Rule::Limits => {
            for name in value.as_object().into_iter().flat_map(|limits| limits.keys()) {
                if name.starts_with("hugepages-") {
                    refuse(&path.key(name), "", "leave it out: it is not limited", causes);
                }
            }
        }
        Rule::Capabilities => {
            for (index, name) in value.as_array().into_iter().flatten().enumerate() {
                let name = name.as_str().unwrap_or_default();
                if Capabilities::named(name).is_none() {
                    causes.invalid(&path.index(index), name, "not a capability of Linux");
                }
            }
        }
    }
}

fn refuse(path: &Path<'_>, value: &str, instead: &str, causes: &mut Causes) {
    let subject = if value.is_empty() { String::new() } else { format!("{value} is ") };
    let detail = format!("{subject}not supported yet by this version of Stint: {instead}");
    causes.forbidden(path, detail);
}

#[cfg(test)]
mod tests;
