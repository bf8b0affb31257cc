//! What ConfigMaps and Secrets have in common: entries under keys, bytes as base64, and that they
//! can be declared unchangeable. No message names a value.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::admission::cause::{Causes, Path};
use crate::admission::text;

/// Kubernetes' limit for all values of an object together, in bytes.
pub(super) const MOST_BYTES: usize = 1024 * 1024;
const UNCHANGEABLE: &str = "field is immutable when `immutable` is set";

/// The entries under a member, which may not be there.
pub(super) fn entries<'a>(
    object: &'a Value,
    member: &str,
) -> impl Iterator<Item = (&'a String, &'a str)> + use<'a> {
    let entries = object.get(member).and_then(Value::as_object).into_iter().flatten();
    entries.map(|(key, value)| (key, value.as_str().unwrap_or_default()))
}

/// The bytes of an entry that was let in.
pub(super) fn bytes(value: &str) -> Vec<u8> {
    STANDARD.decode(value).unwrap_or_default()
}

/// What bytes look like in JSON.
pub(super) fn encoded(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Checks that the entries under a member are base64, and takes line breaks out of them, as Go
/// does. Gives Go's complaint.
pub(super) fn check_base64(object: &mut Value, member: &str) -> Result<(), String> {
    let entries = object.get_mut(member).and_then(Value::as_object_mut).into_iter().flatten();
    for (_, value) in entries {
        let Some(text) = value.as_str() else { continue };
        let plain = text.replace(['\r', '\n'], "");
        match STANDARD.decode(&plain) {
            Ok(_) if plain.len() == text.len() => {}
            Ok(_) => *value = Value::from(plain),
            Err(error) => {
                let at = match error {
                    base64::DecodeError::InvalidByte(at, _)
                    | base64::DecodeError::InvalidLastSymbol(at, _) => at,
                    base64::DecodeError::InvalidLength(_) | base64::DecodeError::InvalidPadding => {
                        plain.len() / 4 * 4
                    }
                };
                return Err(format!("illegal base64 data at input byte {at}"));
            }
        }
    }
    Ok(())
}

/// Keys of the entries under a member.
pub(super) fn judge_keys(object: &Value, member: &str, causes: &mut Causes) {
    let path = Path::root(member);
    for (key, _) in entries(object, member) {
        causes.invalid_each(&path.key(key), key, text::config_key(key));
    }
}

/// An object that was declared unchangeable stays so, with all of its `members`.
pub(super) fn judge_unchangeable(new: &Value, old: &Value, members: &[&str], causes: &mut Causes) {
    if old["immutable"] != Value::Bool(true) {
        return;
    }
    if new["immutable"] != Value::Bool(true) {
        causes.forbidden(&Path::root("immutable"), UNCHANGEABLE);
    }
    let all = |object: &Value, member: &str| -> Map<String, Value> {
        object.get(member).and_then(Value::as_object).cloned().unwrap_or_default()
    };
    for member in members {
        if all(new, member) != all(old, member) {
            causes.forbidden(&Path::root(member), UNCHANGEABLE);
        }
    }
}
