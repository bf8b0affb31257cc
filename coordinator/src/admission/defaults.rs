//! The API server's defaults for a Job and its template, written into the JSON that is stored.
//!
//! Doing it twice changes nothing. Works on a Job that was read as a typed one before, so types are
//! right; members that are `null` count as absent.

use serde_json::{Map, Value, json};

use super::pod_defaults;

/// `backoffLimit` of a Job that says none.
const BACKOFF_LIMIT: i32 = 6;

/// Fills in what the user left out of a Job.
pub fn apply(job: &mut Value) {
    let Some(job) = job.as_object_mut() else { return };
    let spec = object(job, "spec");
    let neither = !is_set(spec, "completions") && !is_set(spec, "parallelism");
    if neither {
        default(spec, "completions", || json!(1));
    }
    default(spec, "parallelism", || json!(1));
    let per_index = is_set(spec, "backoffLimitPerIndex");
    default(spec, "backoffLimit", || json!(if per_index { i32::MAX } else { BACKOFF_LIMIT }));
    default(spec, "completionMode", || json!("NonIndexed"));
    default(spec, "suspend", || json!(false));
    let has_policy = is_set(spec, "podFailurePolicy");
    default(spec, "podReplacementPolicy", || {
        json!(if has_policy { "Failed" } else { "TerminatingOrFailed" })
    });
    default(spec, "manualSelector", || json!(false));
    failure_policy(spec);
    pod_defaults::apply(object(object(spec, "template"), "spec"));
    let labels = object(job, "metadata").get("labels").and_then(Value::as_object);
    if labels.is_none_or(Map::is_empty) {
        copy_labels(job);
    }
}

/// Gives a Job the labels of its template, if that has any.
pub(super) fn copy_labels(job: &mut Map<String, Value>) {
    let template = job.get("spec").and_then(|spec| spec.get("template"));
    let labels = template.and_then(|template| template.get("metadata")?.get("labels")).cloned();
    if let Some(labels) =
        labels.filter(|labels| labels.as_object().is_some_and(|it| !it.is_empty()))
    {
        object(job, "metadata").insert("labels".to_owned(), labels);
    }
}

/// The status that a condition of a failure policy is compared with: True.
pub(super) fn failure_policy(spec: &mut Map<String, Value>) {
    let rules = spec.get_mut("podFailurePolicy").and_then(|policy| policy.get_mut("rules"));
    for rule in items(rules) {
        for pattern in items(rule.get_mut("onPodConditions")) {
            default_text(pattern, "status", "True");
        }
    }
}

/// Whether a member is there and not `null`.
pub(super) fn is_set(object: &Map<String, Value>, name: &str) -> bool {
    object.get(name).is_some_and(|value| !value.is_null())
}

/// Sets a member that is absent.
pub(super) fn default(object: &mut Map<String, Value>, name: &str, value: impl FnOnce() -> Value) {
    if !is_set(object, name) {
        object.insert(name.to_owned(), value());
    }
}

/// Sets a text that is absent or empty: Go does not tell these two apart.
pub(super) fn default_text(object: &mut Map<String, Value>, name: &str, text: &str) {
    if object.get(name).and_then(Value::as_str).is_none_or(str::is_empty) {
        object.insert(name.to_owned(), Value::from(text));
    }
}

/// Sets a number that is absent or zero.
pub(super) fn default_number(object: &mut Map<String, Value>, name: &str, number: i64) {
    if object.get(name).and_then(Value::as_i64).is_none_or(|value| value == 0) {
        object.insert(name.to_owned(), Value::from(number));
    }
}

/// A member that is an object, made if it is not there.
pub(super) fn object<'a>(
    parent: &'a mut Map<String, Value>,
    name: &str,
) -> &'a mut Map<String, Value> {
    let member = parent.entry(name).or_insert(Value::Null);
    if !member.is_object() {
        *member = Value::Object(Map::new());
    }
    member.as_object_mut().expect("it was made an object just now")
}

/// The objects of a list that may not be there.
pub(super) fn items(list: Option<&mut Value>) -> impl Iterator<Item = &mut Map<String, Value>> {
    list.and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(spec: Value, member: &str, expect: &Value) {
        let mut job = json!({"spec": spec});
        apply(&mut job);
        assert_eq!(job["spec"].get(member).unwrap_or(&Value::Null), expect, "{member}");
        let once = job.clone();
        apply(&mut job);
        assert_eq!(job, once);
    }

    #[test]
    fn a_work_queue_keeps_its_completions_open() {
        check(json!({}), "completions", &json!(1));
        check(json!({}), "parallelism", &json!(1));
        check(json!({"parallelism": 3}), "completions", &Value::Null);
        check(json!({"completions": 3}), "parallelism", &json!(1));
        check(json!({"completions": null, "parallelism": null}), "completions", &json!(1));
    }

    #[test]
    fn limits_depend_on_their_neighbours() {
        check(json!({}), "backoffLimit", &json!(6));
        check(json!({"backoffLimitPerIndex": 0}), "backoffLimit", &json!(i32::MAX));
        check(json!({"backoffLimit": 0}), "backoffLimit", &json!(0));
        check(json!({}), "podReplacementPolicy", &json!("TerminatingOrFailed"));
        check(json!({"podFailurePolicy": {"rules": []}}), "podReplacementPolicy", &json!("Failed"));
        check(json!({"podReplacementPolicy": ""}), "podReplacementPolicy", &json!(""));
    }

    #[test]
    fn labels_come_from_the_template_only_when_there_are_none() {
        let template = json!({"metadata": {"labels": {"a": "b"}}});
        let mut job = json!({"spec": {"template": template}});
        apply(&mut job);
        assert_eq!(job["metadata"]["labels"], json!({"a": "b"}));
        let mut job = json!({"metadata": {"labels": {"c": "d"}}, "spec": {"template": template}});
        apply(&mut job);
        assert_eq!(job["metadata"]["labels"], json!({"c": "d"}));
    }
}
