//! Kubernetes' tables of strategic merge patches, on the type that its tests use.

use serde_json::{Value, json};
use stint_coordinator::registry::patch::schema::{Member, Schema, Strategy};
use stint_coordinator::registry::patch::strategic;

use super::harness::{Outcome, cases_of, oracle, same};

const fn member(name: &'static str, strategy: Strategy, schema: &'static Schema) -> Member {
    Member { name, strategy, schema: Some(schema) }
}

/// The tests' own type: what is not here is patched by the plain rule.
static MERGE_ITEM: Schema = Schema {
    members: &[
        member("mergingList", Strategy::MergeBy("name"), &MERGE_ITEM),
        member("nonMergingList", Strategy::Plain, &MERGE_ITEM),
        Member { name: "mergingIntList", strategy: Strategy::MergeValues, schema: None },
        member("mergeItemPtr", Strategy::MergeBy("name"), &MERGE_ITEM),
        Member { name: "replacingItem", strategy: Strategy::Replace, schema: None },
        member("retainKeysMap", Strategy::Plain, &RETAIN_KEYS),
        member("retainKeysMergingList", Strategy::MergeBy("name"), &MERGE_ITEM),
    ],
};

static RETAIN_KEYS: Schema = Schema {
    members: &[
        Member { name: "mergingIntList", strategy: Strategy::MergeValues, schema: None },
        member("mergingList", Strategy::MergeBy("name"), &MERGE_ITEM),
        member("nonMergingList", Strategy::Plain, &MERGE_ITEM),
    ],
};

/// Applies a case's patch; the order of lists matters, that of members does not.
pub(crate) fn apply(case: &Value) -> Outcome {
    let input = &case["input"];
    let mut found = input["original"].clone();
    let patched = strategic::apply(&mut found, &input["patch"], &MERGE_ITEM);
    let error = patched.err().map_or(Value::Null, |error| json!(error.to_string()));
    let expected = oracle(case);
    same("error", &error, &expected["error"])?;
    if error.is_null() { same("result", &found, &expected["result"]) } else { Ok(()) }
}

/// The type above says what the type of the tables says.
pub(crate) fn schema_holds() {
    let types = cases_of("strategicpatch/MergeItem.schema.json");
    for (name, schema) in [("MergeItem", &MERGE_ITEM), ("RetainKeysMergeItem", &RETAIN_KEYS)] {
        for field in types[name].as_array().into_iter().flatten() {
            let own = schema.member(field["name"].as_str().unwrap_or_default());
            let has = |strategy: &str| {
                field["patchStrategy"].as_array().is_some_and(|all| all.contains(&json!(strategy)))
            };
            let kind = field["type"].as_str().unwrap_or_default();
            let expected = match field["patchMergeKey"].as_str() {
                Some("name") if has("merge") => Strategy::MergeBy("name"),
                None if has("merge") => Strategy::MergeValues,
                _ if has("replace") => Strategy::Replace,
                _ => Strategy::Plain,
            };
            assert_eq!(own.strategy, expected, "{name}: {field}");
            assert_eq!(own.schema.is_some(), kind.ends_with("MergeItem"), "{name}: {field}");
        }
    }
}
