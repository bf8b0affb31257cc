//! The three kinds of patch.

use serde_json::{Value, json};
use stint_tests::job;

use super::{settled, shared};

const JSON: (&str, &str) = ("Content-Type", "application/json-patch+json");
const STRATEGIC: (&str, &str) = ("Content-Type", "application/strategic-merge-patch+json");

fn suspended(name: &str) -> Value {
    job(name).spec(&json!({"suspend": true})).env("A", "1").build()
}

#[tokio::test]
async fn a_strategic_patch_merges_lists_by_their_keys() {
    let (_world, api) = shared("patch-strategic").await;
    api.create(&suspended("merge")).await;
    let patch = json!({
        "metadata": {"labels": {"team": "a"}, "finalizers": ["example.com/one"]},
        "spec": {"parallelism": 3},
    });
    let send = |patch: Value| api.send("jobs.patch.merge", &[STRATEGIC], patch.to_string());
    let patched = send(patch).await.object();
    assert_eq!(patched["spec"]["parallelism"], 3, "{patched}");
    assert_eq!(patched["metadata"]["generation"], 2, "{patched}");
    let patched = send(json!({"metadata": {"finalizers": ["example.com/two"]}})).await.object();
    let both = json!(["example.com/two", "example.com/one"]);
    assert_eq!(patched["metadata"]["finalizers"], both, "{patched}");
    let none = json!({"metadata": {
        "$deleteFromPrimitiveList/finalizers": ["example.com/one", "example.com/two"],
    }});
    let patched = send(none).await.object();
    assert_eq!(patched["metadata"].get("finalizers"), None, "{patched}");
    // A variable beside the one that is there: the template is not to be changed, and the message
    // says what it would have been.
    let env = json!([{"name": "B", "value": "2"}]);
    let containers = json!([{"name": "main", "env": env}]);
    let patch = json!({"spec": {"template": {"spec": {"containers": containers}}}});
    let status = send(patch).await.refused(422);
    let cause = &status["details"]["causes"][0];
    assert_eq!(cause["field"], "spec.template.spec", "{status}");
    let text = cause["message"].as_str().unwrap();
    assert!(text.contains(r#""name":"A""#) && text.contains(r#""name":"B""#), "{text}");
    let nameless = json!({"spec": {"template": {"spec": {"containers": [{"image": "x"}]}}}});
    let status = send(nameless).await.refused(422);
    let message = "map: map[image:x] does not contain declared merge key: name";
    assert_eq!(status["details"]["causes"][0]["message"], message, "{status}");
}

#[tokio::test]
async fn a_json_patch_is_carried_out_whole_or_not_at_all() {
    let (_world, api) = shared("patch-json").await;
    api.create(&suspended("steps")).await;
    let send = |patch: Value| api.send("jobs.patch.steps", &[JSON], patch.to_string());
    let patched = send(json!([
        {"op": "test", "path": "/spec/suspend", "value": true},
        {"op": "replace", "path": "/spec/parallelism", "value": 4},
        {"op": "add", "path": "/metadata/annotations", "value": {"example.com/a": "b"}},
    ]));
    let patched = patched.await.object();
    assert_eq!(patched["spec"]["parallelism"], 4, "{patched}");
    assert_eq!(patched["metadata"]["annotations"], json!({"example.com/a": "b"}), "{patched}");
    let before = settled(&api, "steps").await;
    let status = send(json!([
        {"op": "replace", "path": "/spec/parallelism", "value": 5},
        {"op": "test", "path": "/spec/suspend", "value": false},
    ]));
    let status = status.await.refused(422);
    assert_eq!(status["reason"], "Invalid", "{status}");
    let text = status["details"]["causes"][0]["message"].as_str().unwrap();
    assert!(text.contains("/spec/suspend"), "{status}");
    send(json!([{"op": "remove", "path": "/spec/nothing"}])).await.refused(422);
    send(json!({"spec": {}})).await.refused(400);
    assert_eq!(api.job("steps").await, before);
}

#[tokio::test]
async fn what_a_patch_leads_to_is_judged() {
    let (_world, api) = shared("patch-judged").await;
    api.create(&suspended("judged")).await;
    let before = settled(&api, "judged").await;
    let unknown = [JSON, ("fieldValidation", "Strict")];
    let body = json!([{"op": "add", "path": "/spec/paralelism", "value": 2}]).to_string();
    let status = api.send("jobs.patch.judged", &unknown, body.clone()).await.refused(422);
    let cause = &status["details"]["causes"][0];
    assert_eq!(cause["field"], "patch", "{status}");
    let text = cause["message"].as_str().unwrap();
    assert!(text.ends_with("strict decoding error: unknown field \"spec.paralelism\""), "{text}");
    let warned = api.send("jobs.patch.judged", &[JSON, ("fieldValidation", "Warn")], body).await;
    let warning = warned.headers.get("Warning").map(|text| text.as_str().to_owned());
    assert_eq!(warning.as_deref(), Some("unknown field \"spec.paralelism\""));
    warned.object();
    for (kind, code) in [("application/apply-patch+cbor", 415), ("text/plain", 415)] {
        let status = api.send("jobs.patch.judged", &[("Content-Type", kind)], "{}").await;
        let message = status.refused(code)["message"].as_str().unwrap().to_owned();
        assert!(message.contains("application/strategic-merge-patch+json"), "{message}");
    }
    let stale = json!({"metadata": {"resourceVersion": "1"}, "spec": {"parallelism": 9}});
    api.send("jobs.patch.judged", &[STRATEGIC], stale.to_string()).await.refused(409);
    let wrong = json!({"spec": {"parallelism": -1}}).to_string();
    api.send("jobs.patch.judged", &[STRATEGIC], wrong).await.refused(422);
    let dry = json!({"spec": {"parallelism": 9}}).to_string();
    let dry = api.send("jobs.patch.judged", &[STRATEGIC, ("dryRun", "All")], dry).await.object();
    assert_eq!(dry["spec"]["parallelism"], 9);
    assert_eq!(api.job("judged").await, before);
}
