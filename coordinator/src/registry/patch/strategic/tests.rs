//! Patches of Jobs, as `kubectl` makes them.

use serde_json::json;

use super::super::schema::JOB;
use super::*;

fn patched(target: &Value, patch: &Value) -> Result<Value, String> {
    let mut target = target.clone();
    apply(&mut target, patch, &JOB).map_err(|error| error.to_string())?;
    Ok(target)
}

fn check(target: &Value, patch: &Value, expect: &Value) {
    assert_eq!(patched(target, patch).as_ref(), Ok(expect), "{patch}");
}

fn job(containers: &Value) -> Value {
    json!({"spec": {"template": {"spec": {"containers": containers}}}})
}

#[test]
fn containers_and_their_lists_are_merged_by_their_keys() {
    let there = json!([
        {"name": "a", "args": ["x"], "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
         "ports": [{"containerPort": 1}]},
        {"name": "b"},
    ]);
    let patch = json!([
        {"name": "a", "args": ["y"], "env": [{"name": "B", "value": "3"}, {"name": "C"}],
         "ports": [{"containerPort": 1, "name": "p"}]},
    ]);
    let expect = json!([
        {"name": "a", "args": ["y"],
         "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "3"}, {"name": "C"}],
         "ports": [{"containerPort": 1, "name": "p"}]},
        {"name": "b"},
    ]);
    check(&job(&there), &job(&patch), &job(&expect));
    let delete = json!([{"$patch": "delete", "name": "b"}]);
    check(
        &job(&json!([{"name": "a"}, {"name": "b"}])),
        &job(&delete),
        &job(&json!([{"name": "a"}])),
    );
    let replace = json!([{"$patch": "replace"}, {"name": "c"}]);
    check(&job(&there), &job(&replace), &job(&json!([{"name": "c"}])));
    let ordered = json!({"spec": {"template": {"spec": {
        "$setElementOrder/containers": [{"name": "b"}, {"name": "a"}],
    }}}});
    check(
        &job(&json!([{"name": "a"}, {"name": "b"}])),
        &ordered,
        &job(&json!([{"name": "b"}, {"name": "a"}])),
    );
}

#[test]
fn metadata_status_and_volumes_have_their_own_rules() {
    // What the patch brings comes first, where the list that was there has no say.
    let finalizers = |names: Value| json!({"metadata": {"finalizers": names}});
    check(
        &finalizers(json!(["a/b"])),
        &finalizers(json!(["c/d"])),
        &finalizers(json!(["c/d", "a/b"])),
    );
    let less = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a/b"]}});
    check(&finalizers(json!(["a/b", "c/d"])), &less, &finalizers(json!(["c/d"])));
    let conditions = |list: Value| json!({"status": {"conditions": list}});
    check(
        &conditions(json!([{"type": "X", "status": "True", "reason": "r"}])),
        &conditions(json!([{"type": "X", "status": "False"}, {"type": "Y"}])),
        &conditions(json!([{"type": "X", "status": "False", "reason": "r"}, {"type": "Y"}])),
    );
    let pod = |volumes: Value| json!({"spec": {"template": {"spec": {"volumes": volumes}}}});
    check(
        &pod(json!([{"name": "v", "emptyDir": {}}])),
        &pod(
            json!([{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/"}}]),
        ),
        &pod(json!([{"name": "v", "hostPath": {"path": "/"}}])),
    );
    let tolerations = |list: Value| json!({"spec": {"template": {"spec": {"tolerations": list}}}});
    let (one, other) = (tolerations(json!([{"key": "a"}])), tolerations(json!([{"key": "b"}])));
    check(&one, &other, &other);
}

#[test]
fn what_cannot_be_applied_says_why() {
    for (patch, words) in [
        (json!({"$patch": "mend"}), "unknown patch type: \"mend\""),
        (
            job(&json!([{"image": "x"}])),
            "map: map[image:x] does not contain declared merge key: name",
        ),
        (job(&json!([["x"]])), "list element types are not identical"),
        (json!({"spec": {"$retainKeys": 1}}), "invalid patch format of retainKeys"),
        (json!({"spec": {"$retainKeys": ["a"], "b": 1}}), "invalid patch format of retainKeys"),
        (json!({"spec": {"$setElementOrder": []}}), "invalid patch format of setElementOrder"),
        (json!({"spec": {"$deleteFromPrimitiveList": []}}), "invalid patch format of primitive"),
        (json!({"metadata": {"finalizers": [["x"]]}}), "lists of lists"),
    ] {
        let there = json!({
            "metadata": {"finalizers": []},
            "spec": {"template": {"spec": {"containers": [{"name": "a"}]}}},
        });
        let error = patched(&there, &patch).expect_err("it is refused");
        assert!(error.contains(words), "{patch}: {error}");
    }
    assert!(apply(&mut json!([]), &json!({}), &JOB).is_err());
}

#[test]
fn long_lists_take_no_long_time() {
    let env = |range: std::ops::Range<u32>| -> Value {
        range.map(|number| json!({"name": format!("V{number}")})).collect()
    };
    let there = job(&json!([{"name": "a", "env": env(0..20_000)}]));
    let patch = job(&json!([{"name": "a", "env": env(10_000..30_000)}]));
    let begin = std::time::Instant::now();
    let found = patched(&there, &patch).expect("it applies");
    assert_eq!(found, job(&json!([{"name": "a", "env": env(0..30_000)}])));
    assert!(begin.elapsed() < std::time::Duration::from_secs(20), "{:?}", begin.elapsed());
}
