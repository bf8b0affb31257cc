//! Strategic merge patch: objects are merged, lists by the keys that their schema names, and
//! directives say what cannot be said by example.
//!
//! | directive | in | means |
//! | --- | --- | --- |
//! | `$patch: replace` | an object, or an item of a list | the patch stands alone |
//! | `$patch: delete` | the same | the object becomes empty, the item goes |
//! | `$retainKeys: […]` | an object | other members go |
//! | `$setElementOrder/NAME: […]` | beside a list | the order of the merged list |
//! | `$deleteFromPrimitiveList/NAME: […]` | beside a list of plain values | these go |

use serde_json::{Map, Value};

use super::PatchError;
use super::lists::{arrange, element_order, merge_lists, without_values};
use super::schema::{Member, Schema, Strategy};

pub(super) const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const ELEMENT_ORDER: &str = "$setElementOrder";
const DELETE_VALUES: &str = "$deleteFromPrimitiveList";

type Object = Map<String, Value>;

/// Applies `patch` to `target`, whose lists are as `schema` says.
///
/// # Errors
///
/// When the patch is malformed, or does not go with the object. The object may then be half
/// patched.
pub fn apply(target: &mut Value, patch: &Value, schema: &Schema) -> Result<(), PatchError> {
    if target.is_null() {
        *target = Value::Object(Object::new());
    }
    let (Some(target), Some(patch)) = (target.as_object_mut(), patch.as_object()) else {
        return Err(PatchError::Malformed("a strategic merge patch must be an object".to_owned()));
    };
    merge_object(target, patch.clone(), Some(schema))
}

/// Merges an object into another.
pub(super) fn merge_object(
    target: &mut Object,
    mut patch: Object,
    schema: Option<&Schema>,
) -> Result<(), PatchError> {
    if let Some(directive) = patch.shift_remove(DIRECTIVE) {
        match directive.as_str() {
            Some("replace") => *target = patch,
            Some("delete") => target.clear(),
            Some(_) | None => return Err(PatchError::UnknownDirective(directive.to_string())),
        }
        return Ok(());
    }
    retain_keys(target, &mut patch)?;
    ordered_lists(target, &mut patch, schema)?;
    for (name, value) in patch {
        match directive_of(&name, DELETE_VALUES, PatchError::BadPrimitiveList)? {
            Some(list) => delete_values(target, list, &value),
            None => merge_member(target, name, value, schema)?,
        }
    }
    Ok(())
}

/// The member that `$directive/member` speaks of.
fn directive_of<'a>(
    name: &'a str,
    directive: &str,
    malformed: PatchError,
) -> Result<Option<&'a str>, PatchError> {
    match name.strip_prefix(directive) {
        None => Ok(None),
        Some(rest) => rest.strip_prefix('/').map(Some).ok_or(malformed),
    }
}

/// `$retainKeys`: what it does not name goes; the patch may not set such.
fn retain_keys(target: &mut Object, patch: &mut Object) -> Result<(), PatchError> {
    let Some(kept) = patch.shift_remove(RETAIN_KEYS) else { return Ok(()) };
    let kept = kept.as_array().ok_or(PatchError::BadRetainKeys)?;
    let is_kept = |name: &str| kept.iter().any(|kept| kept == name);
    let is_directive =
        |name: &str| [DELETE_VALUES, ELEMENT_ORDER].iter().any(|it| name.starts_with(it));
    let sets = |(name, value): (&String, &Value)| {
        !value.is_null() && !is_directive(name) && !is_kept(name)
    };
    if patch.iter().any(sets) {
        return Err(PatchError::BadRetainKeys);
    }
    target.retain(|name, _| is_kept(name));
    Ok(())
}

/// `$setElementOrder`: lists that are merged and then put in the order that is given.
fn ordered_lists(
    target: &mut Object,
    patch: &mut Object,
    schema: Option<&Schema>,
) -> Result<(), PatchError> {
    let directives: Vec<String> =
        patch.keys().filter(|name| name.starts_with(ELEMENT_ORDER)).cloned().collect();
    for directive in directives {
        let Some(order) = patch.shift_remove(&directive) else { continue };
        let Some(name) = directive_of(&directive, ELEMENT_ORDER, PatchError::BadElementOrder)?
        else {
            continue;
        };
        let Value::Array(order) = order else { return Err(PatchError::BadElementOrder) };
        let member = member_of(schema, name);
        let there = list_at(target, name)?;
        let given = match patch.shift_remove(name) {
            None => None,
            Some(Value::Array(items)) => Some(items),
            Some(_) => return Err(PatchError::BadElementOrder),
        };
        if there.is_none() && given.is_none() {
            continue;
        }
        let key = merge_key(member);
        element_order(given.as_deref().unwrap_or_default(), &order, key)?;
        let arranged = match (there, given) {
            (Some(there), Some(given)) if member.merges_lists() => {
                let length = there.len();
                merge_lists(there, given, key, member.schema)?.ordered(&order, length, key)?
            }
            (Some(there), Some(given)) => arrange(given, &order, &there, key)?,
            (Some(there), None) => arrange(there.clone(), &order, &there, key)?,
            (None, given) => {
                let mut given = given.unwrap_or_default();
                given.retain_mut(drop_directives);
                arrange(given, &order, &[], key)?
            }
        };
        target.insert(name.to_owned(), Value::Array(arranged));
    }
    Ok(())
}

/// The list under a name, if there is something.
fn list_at(target: &Object, name: &str) -> Result<Option<Vec<Value>>, PatchError> {
    match target.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(items)) => Ok(Some(items.clone())),
        Some(_) => Err(PatchError::BadElementOrder),
    }
}

fn member_of(schema: Option<&Schema>, name: &str) -> Member {
    let plain = Member { name: "", strategy: Strategy::Plain, schema: None };
    schema.map_or(plain, |schema| schema.member(name))
}

fn merge_key(member: Member) -> Option<&'static str> {
    match member.strategy {
        Strategy::MergeBy(key) => Some(key),
        Strategy::Plain | Strategy::Replace | Strategy::MergeValues => None,
    }
}

fn delete_values(target: &mut Object, name: &str, values: &Value) {
    if let (Some(Value::Array(there)), Some(values)) = (target.get_mut(name), values.as_array()) {
        *there = without_values(std::mem::take(there), values);
    }
}

fn merge_member(
    target: &mut Object,
    name: String,
    mut value: Value,
    schema: Option<&Schema>,
) -> Result<(), PatchError> {
    if value.is_null() {
        target.shift_remove(&name);
        return Ok(());
    }
    let member = member_of(schema, &name);
    match (target.get_mut(&name), value) {
        (Some(Value::Object(there)), Value::Object(given))
            if member.strategy != Strategy::Replace =>
        {
            return merge_object(there, given, member.schema);
        }
        (Some(Value::Array(there)), Value::Array(given)) => {
            *there = if member.merges_lists() {
                let key = merge_key(member);
                merge_lists(std::mem::take(there), given, key, member.schema)?.arranged(key)?
            } else {
                given
            };
            return Ok(());
        }
        (there, given) => {
            // An object that replaces another one is taken as it is; a new member is cleaned.
            let replaces = matches!((&there, &given), (Some(Value::Object(_)), Value::Object(_)));
            value = given;
            if !replaces {
                drop_nulls(&mut value);
                if !drop_directives(&mut value) {
                    target.shift_remove(&name);
                    return Ok(());
                }
            }
        }
    }
    target.insert(name, value);
    Ok(())
}

/// Takes out members that are `null`: there is nothing that they could delete.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Takes out objects that carry a directive; says whether the value itself is to be kept.
pub(super) fn drop_directives(value: &mut Value) -> bool {
    match value {
        Value::Object(members) => {
            if members.contains_key(DIRECTIVE) {
                return false;
            }
            members.retain(|_, member| drop_directives(member));
        }
        Value::Array(items) => items.retain_mut(drop_directives),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    true
}

#[cfg(test)]
mod tests;
