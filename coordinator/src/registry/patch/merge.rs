//! JSON merge patch (RFC 7386): forty lines, so no crate.

use serde_json::{Map, Value};

/// Applies `patch` to `target`. Members that are `null` in the patch are removed; lists are
/// replaced whole.
///
/// Works without recursion on depth beyond the patch's own, which decoding has bounded.
pub fn merge(target: &mut Value, patch: &Value) {
    let Some(members) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(object) = target.as_object_mut() else { return };
    for (name, value) in members {
        if value.is_null() {
            object.shift_remove(name);
        } else {
            merge(object.entry(name.as_str()).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(target: &Value, patch: &Value, expect: &Value) {
        let mut merged = target.clone();
        merge(&mut merged, patch);
        assert_eq!(&merged, expect, "{target} + {patch}");
    }

    #[test]
    fn the_table_of_the_rfc() {
        check(&json!({"a": "b"}), &json!({"a": "c"}), &json!({"a": "c"}));
        check(&json!({"a": "b"}), &json!({"b": "c"}), &json!({"a": "b", "b": "c"}));
        check(&json!({"a": "b"}), &json!({"a": null}), &json!({}));
        check(&json!({"a": "b", "b": "c"}), &json!({"a": null}), &json!({"b": "c"}));
        check(&json!({"a": ["b"]}), &json!({"a": "c"}), &json!({"a": "c"}));
        check(&json!({"a": "c"}), &json!({"a": ["b"]}), &json!({"a": ["b"]}));
        check(
            &json!({"a": {"b": "c"}}),
            &json!({"a": {"b": "d", "c": null}}),
            &json!({"a": {"b": "d"}}),
        );
        check(&json!({"a": [{"b": "c"}]}), &json!({"a": [1]}), &json!({"a": [1]}));
        check(&json!(["a", "b"]), &json!(["c", "d"]), &json!(["c", "d"]));
        check(&json!({"a": "b"}), &json!(["c"]), &json!(["c"]));
        check(&json!({"a": "foo"}), &json!(null), &json!(null));
        check(&json!({"a": "foo"}), &json!("bar"), &json!("bar"));
        check(&json!({"e": null}), &json!({"a": 1}), &json!({"e": null, "a": 1}));
        check(&json!([1, 2]), &json!({"a": "b", "c": null}), &json!({"a": "b"}));
        check(&json!({}), &json!({"a": {"bb": {"ccc": null}}}), &json!({"a": {"bb": {}}}));
    }
}
