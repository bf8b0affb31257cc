//! When two values are the same to Kubernetes: Go's zero values and absent members are not told
//! apart.

use serde_json::{Map, Value};

/// Flags that are plain booleans in Go, so that `false` is the same as absent.
const PLAIN_FLAGS: [&str; 8] =
    ["hostNetwork", "hostPID", "hostIPC", "stdin", "stdinOnce", "tty", "readOnly", "negate"];

/// Whether two values, defaulted both, mean the same.
#[must_use]
pub fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => covers(one, other) && covers(other, one),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| equal(one, other))
        }
        _ => one == other || (is_blank(one) && is_blank(other)),
    }
}

/// Whether every member of `one` is in `other`, or blank and absent there.
fn covers(one: &Map<String, Value>, other: &Map<String, Value>) -> bool {
    one.iter().all(|(name, value)| match other.get(name) {
        Some(there) => equal(value, there),
        None => {
            let flag = PLAIN_FLAGS.contains(&name.as_str());
            is_blank(value) || (flag && *value == Value::Bool(false))
        }
    })
}

/// `null`, an empty text, list or object, or an object of nothing but these. Numbers and flags
/// never are.
#[must_use]
pub fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.values().all(is_blank),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(one: &Value, other: &Value, expect: bool) {
        assert_eq!(equal(one, other), expect, "{one} {other}");
        assert_eq!(equal(other, one), expect, "{other} {one}");
    }

    #[test]
    fn absent_and_empty_are_the_same() {
        check(&json!({"a": [], "b": {}, "c": "", "d": null}), &json!({}), true);
        check(&json!({"resources": {"limits": {}}}), &json!({}), true);
        check(&json!({"hostNetwork": false}), &json!({}), true);
        check(&json!({"automountServiceAccountToken": false}), &json!({}), false);
        check(&json!({"runAsUser": 0}), &json!({}), false);
        check(&json!({"a": ["x"]}), &json!({"a": ["x", ""]}), false);
        check(&json!({"a": 1}), &json!({"a": 2}), false);
    }
}
