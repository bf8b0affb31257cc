//! Writes of a Job's status, as other controllers and operators make them.

use serde_json::{Value, json};
use stint_tests::api::{condition, counters};
use stint_tests::job;

use super::{settled, shared};

const MERGE: (&str, &str) = ("Content-Type", "application/merge-patch+json");

fn foreign() -> Value {
    json!({"type": "example.com/Seen", "status": "Unknown", "reason": "Looked"})
}

#[tokio::test]
async fn a_foreign_condition_survives_the_jobs_own_changes() {
    let (world, api) = shared("status-foreign").await;
    let may = world.path().join("status-foreign-may");
    let script = format!("until [ -e {} ]; do sleep 0.05; done", may.display());
    api.create(&job("seen").script(&script).build()).await;
    api.until_job("seen", "its pod", |job| counters(job).0 == 1).await;
    let patch = json!({
        "metadata": {"annotations": {"example.com/by": "me"}},
        "spec": {"parallelism": 7},
        "status": {"conditions": [foreign()], "succeeded": 5},
    });
    let answer = api.send("jobs/status.patch.seen", &[MERGE], patch.to_string()).await;
    let warning = answer.headers.get("Warning").map(|text| text.as_str().to_owned());
    assert!(warning.is_some_and(|text| text.starts_with("status.succeeded: ")));
    let patched = answer.object();
    assert_eq!(patched["status"]["conditions"], json!([foreign()]), "{patched}");
    assert_eq!(patched["spec"]["parallelism"], 1, "{patched}");
    assert_eq!(patched["metadata"]["generation"], 1, "{patched}");
    std::fs::write(&may, "").unwrap();
    let (end, done) = api.ended("seen").await;
    assert_eq!((end.as_str(), counters(&done)), ("Complete", (0, 1, 0)), "{done}");
    let conditions = done["status"]["conditions"].as_array().unwrap();
    assert!(conditions.contains(&foreign()), "{done}");
    assert_eq!(done["metadata"]["annotations"]["example.com/by"], "me", "{done}");
    // What was read can be sent back, and changes nothing.
    let put = api.send("jobs/status.update.seen", &[], done.to_string()).await.object();
    assert_eq!(put["metadata"]["resourceVersion"], done["metadata"]["resourceVersion"]);
    assert_eq!(put, api.job("seen").await);
}

#[tokio::test]
async fn a_failure_target_ends_the_job_and_nothing_ends_it_while_pods_run() {
    let (_world, api) = shared("status-target").await;
    api.create(&job("doomed").script("exec sleep 600").build()).await;
    api.until_job("doomed", "its pod", |job| counters(job).0 == 1).await;
    let target = |kinds: &[&str]| {
        let condition = |kind: &&str| json!({"type": kind, "status": "True", "reason": "Enough", "message": "said so"});
        let conditions: Vec<Value> = kinds.iter().map(condition).collect();
        json!({"status": {"active": 0, "conditions": conditions}}).to_string()
    };
    let failed = target(&["FailureTarget", "Failed"]);
    let status = api.send("jobs/status.patch.doomed", &[MERGE], failed).await.refused(422);
    assert_eq!(status["details"]["causes"][0]["field"], "status.active", "{status}");
    let only_failed = target(&["Failed"]);
    let status = api.send("jobs/status.patch.doomed", &[MERGE], only_failed).await.refused(422);
    let message = status["message"].as_str().unwrap();
    assert!(message.contains("without the FailureTarget=true condition"), "{status}");
    let patch = target(&["FailureTarget"]);
    api.send("jobs/status.patch.doomed", &[MERGE], patch).await.object();
    let (end, job) = api.ended("doomed").await;
    assert_eq!((end.as_str(), counters(&job)), ("Failed", (0, 0, 1)), "{job}");
    assert_eq!(condition(&job, "Failed").unwrap()["reason"], "Enough", "{job}");
}

#[tokio::test]
async fn a_status_is_written_as_meant_or_not_at_all() {
    let (_world, api) = shared("status-refused").await;
    api.create(&job("still").spec(&json!({"suspend": true})).build()).await;
    let before = settled(&api, "still").await;
    let mut stale = before.clone();
    stale["metadata"]["resourceVersion"] = json!("1");
    api.send("jobs/status.update.still", &[], stale.to_string()).await.refused(409);
    api.send("jobs/status.update.missing", &[], stale.to_string()).await.refused(404);
    api.send("jobs/status.patch.missing", &[MERGE], "{}").await.refused(404);
    api.send("jobs/status.delete.still", &[], "").await.refused(405);
    let patch = json!({"status": {"conditions": [foreign()]}}).to_string();
    let dry = [MERGE, ("dryRun", "All")];
    let answer = api.send("jobs/status.patch.still", &dry, patch).await.object();
    assert_eq!(answer["status"]["conditions"], json!([foreign()]), "{answer}");
    assert_eq!(api.job("still").await, before);
    assert_eq!(api.send("jobs/status.get.still", &[], "").await.object(), before);
}
