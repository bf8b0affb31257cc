//! Objects that are kept as they are sent: each kind's rules, as a table.

use serde_json::{Value, json};
use stint_coordinator::admission::plain::{
    AdmittedObject, CONFIG_MAP, EVENT, NAMESPACE, Rules, SECRET, SERVICE_ACCOUNT, create, update,
};
use stint_coordinator::admission::{Body, FieldValidation, Rejection, UpdateContext};
use stint_coordinator::registry::merge::merge;

use super::{check, context};

fn rules(kind: &str) -> &'static Rules {
    [&CONFIG_MAP, &EVENT, &NAMESPACE, &SECRET, &SERVICE_ACCOUNT]
        .into_iter()
        .find(|rules| rules.identity.kind == kind)
        .unwrap()
}

/// The object of the name `a`, with a case's part in it.
fn object(case: &Value, part: &str) -> Value {
    let mut object = json!({"kind": case["kind"], "metadata": {"name": "a"}});
    merge(&mut object, &case[part]);
    object
}

fn admit(rules: &Rules, object: Value) -> Result<AdmittedObject, Rejection> {
    create(rules, Body::from(object), &context(FieldValidation::Strict))
}

fn answer(case: &Value) -> Result<AdmittedObject, Rejection> {
    let rules = rules(case["kind"].as_str().unwrap());
    if case.get("old").is_none() {
        return admit(rules, object(case, "set"));
    }
    let mut old = admit(rules, object(case, "old")).unwrap_or_else(|it| panic!("{it:?}")).object;
    old["metadata"]["resourceVersion"] = json!("3");
    let mut new = old.clone();
    merge(&mut new, &case["set"]);
    let admitted = update(rules, &old, Body::from(new), UpdateContext::default())?;
    for name in ["uid", "creationTimestamp", "resourceVersion"] {
        assert_eq!(admitted.object["metadata"][name], old["metadata"][name], "{name}");
    }
    Ok(admitted)
}

/// Whether everything that `part` says is in `whole`.
fn holds(whole: &Value, part: &Value) -> bool {
    match part {
        Value::Object(members) => members.iter().all(|(name, value)| holds(&whole[name], value)),
        other => whole == other,
    }
}

fn one(case: &Value) -> Result<(), String> {
    let texts = |name: &str| -> Vec<String> {
        let list = case[name].as_array().into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut expected = texts("causes");
    expected.extend(case["error"].as_str().map(str::to_owned));
    let (said, stored) = match answer(case) {
        Ok(admitted) => (Vec::new(), admitted.object),
        Err(Rejection::Invalid { causes, .. }) => {
            (causes.iter().map(|it| format!("{} {it}", it.reason)).collect(), Value::Null)
        }
        Err(other) => (vec![other.to_string()], Value::Null),
    };
    if said != expected {
        return Err(format!("{said:#?}"));
    }
    let wanted = case.get("stored").cloned().unwrap_or(json!({}));
    if holds(&stored, &wanted) { Ok(()) } else { Err(format!("{stored:#}")) }
}

#[test]
fn objects_are_judged() {
    assert!(check("objects", one) >= 20);
}
