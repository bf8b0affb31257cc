//! What a Job can ask for by annotations, and running a finished one again.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stint_tests::api::{condition, counters, name};
use stint_tests::{Api, job, until};

use super::shared;

fn annotated(mut manifest: Value, annotations: &Value) -> Value {
    manifest["metadata"]["annotations"] = annotations.clone();
    manifest
}

fn after(name: &str, others: &str) -> Value {
    annotated(job(name).build(), &json!({"stint.internal/depends-on": others}))
}

#[tokio::test]
async fn a_failed_pod_is_replaced_after_the_delay_that_was_asked_for() {
    let (world, api) = shared("ext-backoff").await;
    let mark = world.path().join("ext-backoff-mark");
    let script = format!("[ -e {0} ] || {{ touch {0}; exit 3; }}", mark.display());
    let manifest = job("quick").script(&script).build();
    let start = Instant::now();
    let done =
        api.complete(&annotated(manifest, &json!({"stint.internal/backoff-base": "100ms"}))).await;
    assert_eq!(counters(&done), (0, 1, 1), "{done}");
    // Kubernetes' own delay would be ten seconds.
    assert!(start.elapsed() < Duration::from_secs(9), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_failed_job_is_kept_longer_than_a_complete_one() {
    let (_world, api) = shared("ext-ttl").await;
    let ttl = json!({"backoffLimit": 0, "ttlSecondsAfterFinished": 0});
    let keep = json!({"stint.internal/ttl-seconds-after-failed": "600"});
    let bad = job("bad").spec(&ttl).script("exit 1").build();
    let good = job("good").spec(&ttl).build();
    let (reason, _) = api.failed(&annotated(bad, &keep)).await;
    assert_eq!(reason, "BackoffLimitExceeded");
    api.create(&annotated(good, &keep)).await;
    until("the complete one is gone", Duration::from_secs(30), || async {
        (api.send("jobs.get.good", &[], "").await.code == Some(404)).then_some(())
    })
    .await;
    assert!(condition(&api.job("bad").await, "Failed").is_some());
}

async fn waits(api: &Api, name: &str, reason: &str) -> Value {
    api.until_job(name, "waits", |job| {
        condition(job, "stint.internal/Waiting").is_some_and(|found| found["reason"] == reason)
    })
    .await
}

#[tokio::test]
async fn jobs_start_when_those_that_they_depend_on_are_complete() {
    let (world, api) = shared("ext-depends").await;
    let go = world.path().join("ext-depends-go");
    let script = format!("until [ -e {} ]; do sleep 0.05; done", go.display());
    // In any order: the last comes first.
    api.create(&after("last", "middle,first")).await;
    let waiting = waits(&api, "last", "DependencyAbsent").await;
    assert_eq!(waiting["status"].get("startTime"), None, "{waiting}");
    // Gone as soon as it is complete, and waited for by two all the same.
    let ttl = json!({"ttlSecondsAfterFinished": 0});
    api.create(&job("first").spec(&ttl).script(&script).build()).await;
    api.create(&after("middle", "first")).await;
    waits(&api, "last", "DependenciesNotComplete").await;
    waits(&api, "middle", "DependenciesNotComplete").await;
    assert_eq!(api.pods("middle").await.len(), 0);
    std::fs::write(&go, "").unwrap();
    for name in ["middle", "last"] {
        let (end, done) = api.ended(name).await;
        assert_eq!((end.as_str(), counters(&done)), ("Complete", (0, 1, 0)), "{done}");
        assert!(condition(&done, "stint.internal/Waiting").is_none(), "{done}");
    }
    until("the first one is gone", Duration::from_secs(30), || async {
        (api.send("jobs.get.first", &[], "").await.code == Some(404)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_circle_or_a_failed_dependency_fails_what_waits_for_it() {
    let (_world, api) = shared("ext-circle").await;
    api.create(&after("a", "b")).await;
    api.create(&after("b", "c")).await;
    api.create(&after("c", "a")).await;
    let mut reasons = Vec::new();
    for name in ["a", "b", "c"] {
        let (end, done) = api.ended(name).await;
        assert_eq!((end.as_str(), counters(&done)), ("Failed", (0, 0, 0)), "{done}");
        let reason = &condition(&done, "Failed").unwrap()["reason"];
        reasons.push(reason.as_str().unwrap().to_owned());
    }
    assert!(reasons.iter().any(|reason| reason == "DependencyCycle"), "{reasons:?}");
    let known = ["DependencyCycle", "DependencyFailed"];
    assert!(reasons.iter().all(|reason| known.contains(&reason.as_str())), "{reasons:?}");
    let (reason, failed) = api.failed(&after("d", "a")).await;
    assert_eq!(reason, "DependencyFailed", "{failed}");
    let message = condition(&failed, "Failed").unwrap()["message"].as_str().unwrap();
    assert!(message.contains("Job a"), "{message}");
}

#[tokio::test]
async fn only_what_failed_is_run_again_under_the_same_indexes() {
    let (world, api) = shared("ext-rerun").await;
    let out = world.path().join("ext-rerun-out");
    std::fs::create_dir(&out).unwrap();
    let script = format!(
        "echo x >> {0}/$JOB_COMPLETION_INDEX; case $JOB_COMPLETION_INDEX in 1|3) [ -e {0}/go ];; esac",
        out.display()
    );
    let manifest = job("shares")
        .indexed()
        .completions(5)
        .spec(&json!({"backoffLimitPerIndex": 0}))
        .labels(&json!({"team": "x"}))
        .script(&script);
    let (reason, failed) = api.failed(&manifest.build()).await;
    assert_eq!(
        (reason.as_str(), &failed["status"]["failedIndexes"]),
        ("FailedIndexes", &json!("1,3"))
    );
    std::fs::write(out.join("go"), "").unwrap();
    let body = r#"{"failed": true, "name": "second"}"#;
    let again = api.send("jobs/rerun.create.shares", &[], body).await.object();
    let said = &again["metadata"]["annotations"];
    assert_eq!(said["stint.internal/rerun-of"], "shares", "{again}");
    assert_eq!(said["stint.internal/rerun-of-uid"], failed["metadata"]["uid"], "{again}");
    assert_eq!(said["stint.internal/indexes"], "1,3", "{again}");
    assert_eq!(again["metadata"]["labels"]["team"], "x", "{again}");
    let (end, done) = api.ended("second").await;
    assert_eq!((end.as_str(), counters(&done)), ("Complete", (0, 2, 0)), "{done}");
    assert_eq!(done["status"]["completedIndexes"], "1,3", "{done}");
    let runs = |index: u32| std::fs::read_to_string(out.join(index.to_string())).unwrap().len() / 2;
    assert_eq!((0..5).map(runs).collect::<Vec<_>>(), [1, 2, 1, 2, 1]);
    let hosts: Vec<Value> = api.pods("second").await;
    let mut hosts: Vec<&str> =
        hosts.iter().filter_map(|pod| pod["spec"]["hostname"].as_str()).collect();
    hosts.sort_unstable();
    assert_eq!(hosts, ["second-1", "second-3"]);
    // All of it has succeeded now.
    let status =
        api.send("jobs/rerun.create.second", &[], r#"{"failed": true}"#).await.refused(400);
    assert!(status["message"].as_str().unwrap().contains("has succeeded"), "{status}");
}

#[tokio::test]
async fn chosen_indexes_or_everything_can_be_run_again() {
    let (_world, api) = shared("ext-rerun-some").await;
    api.complete(&job("all").indexed().completions(6).build()).await;
    let again = |body: &str| {
        let body = body.to_owned();
        let api = api.clone();
        async move { api.send("jobs/rerun.create.all", &[], body).await }
    };
    let some = again(r#"{"indexes": "0,4-5"}"#).await.object();
    assert!(name(&some).starts_with("all-rerun-"), "{some}");
    let (_, done) = api.ended(name(&some)).await;
    assert_eq!(done["status"]["completedIndexes"], "0,4,5", "{done}");
    let all = again("").await.object();
    let (_, done) = api.ended(name(&all)).await;
    assert_eq!(done["status"]["completedIndexes"], "0-5", "{done}");
    again(r#"{"indexes": "0-6"}"#).await.refused(422);
    again(r#"{"indexes": "x"}"#).await.refused(400);
    again(r#"{"failed": true, "indexes": "1"}"#).await.refused(400);
    again(r#"{"faild": true}"#).await.refused(400);
    api.send("jobs/rerun.create.nothing", &[], "").await.refused(404);
    api.send("jobs/rerun.get.all", &[], "").await.refused(405);
    api.create(&job("busy").spec(&json!({"suspend": true})).build()).await;
    api.send("jobs/rerun.create.busy", &[], "").await.refused(409);
    let part = job("part").completions(3).spec(&json!({"backoffLimit": 0}));
    let part = part.script("[ $STINT_ATTEMPT = 1 ]").build();
    api.failed(&part).await;
    let rest = api.send("jobs/rerun.create.part", &[], r#"{"failed": true}"#).await.object();
    assert_eq!(rest["spec"]["completions"], 3, "{rest}");
}
