//! Policies and limits per index with real processes, and a Job that another controller manages.

use serde_json::{Value, json};
use stint_tests::api::{condition, counters};
use stint_tests::job;

use super::shared;

#[tokio::test]
async fn an_exit_code_fails_the_job_at_once() {
    let (_world, api) = shared("policy-fail").await;
    let policy = json!({"rules": [
        {"action": "FailJob", "onExitCodes": {"containerName": "main", "operator": "In", "values": [42]}},
    ]});
    let script = "[ $JOB_COMPLETION_INDEX = 1 ] && exit 42; sleep 600";
    let manifest = job("fatal").indexed().completions(3).spec(&json!({"podFailurePolicy": policy}));
    let (reason, failed) = api.failed(&manifest.script(script).build()).await;
    assert_eq!(reason, "PodFailurePolicy", "{failed}");
    let message = condition(&failed, "Failed").unwrap()["message"].as_str().unwrap();
    let end = "failed with exit code 42 matching FailJob rule at index 0";
    assert!(message.starts_with("Container main for pod policy-fail/fatal-1-"), "{message}");
    assert!(message.ends_with(end), "{message}");
    assert_eq!(counters(&failed), (0, 0, 3), "{failed}");
}

#[tokio::test]
async fn an_ignored_exit_code_costs_nothing() {
    let (world, api) = shared("policy-ignore").await;
    let mark = world.path().join("policy-ignore-mark");
    let policy = json!({"rules": [
        {"action": "Ignore", "onExitCodes": {"operator": "In", "values": [75]}},
    ]});
    let script = format!("[ -e {0} ] || {{ touch {0}; exit 75; }}", mark.display());
    let mut manifest = job("spared")
        .spec(&json!({"backoffLimit": 0, "podFailurePolicy": policy}))
        .script(&script)
        .build();
    manifest["metadata"]["annotations"] = json!({"stint.internal/backoff-base": "100ms"});
    let done = api.complete(&manifest).await;
    assert_eq!(counters(&done), (0, 1, 0), "{done}");
    assert_eq!(api.pods("spared").await.len(), 2);
}

#[tokio::test]
async fn a_signal_is_an_exit_code() {
    let (_world, api) = shared("policy-signal").await;
    let policy = json!({"rules": [
        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [137]}},
    ]});
    let manifest = job("killed").spec(&json!({"podFailurePolicy": policy})).script("kill -9 $$");
    let (reason, failed) = api.failed(&manifest.build()).await;
    assert_eq!(reason, "PodFailurePolicy", "{failed}");
}

#[tokio::test]
async fn limits_per_index_spare_the_other_indexes() {
    let (_world, api) = shared("per-index").await;
    let mut manifest = job("each")
        .indexed()
        .completions(4)
        .spec(&json!({"backoffLimitPerIndex": 1}))
        .script("[ $JOB_COMPLETION_INDEX != 2 ]")
        .build();
    manifest["metadata"]["annotations"] = json!({"stint.internal/backoff-base": "100ms"});
    let (reason, failed) = api.failed(&manifest).await;
    assert_eq!(reason, "FailedIndexes", "{failed}");
    assert_eq!(counters(&failed), (0, 3, 2), "{failed}");
    assert_eq!(failed["status"]["completedIndexes"], "0,1,3", "{failed}");
    assert_eq!(failed["status"]["failedIndexes"], "2", "{failed}");
    let key = "batch.kubernetes.io/job-index-failure-count";
    let pods = api.pods("each").await;
    let of_index =
        |pod: &&Value| pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"] == "2";
    let mut counts: Vec<String> = pods
        .iter()
        .filter(of_index)
        .map(|pod| pod["metadata"]["annotations"][key].as_str().unwrap_or_default().to_owned())
        .collect();
    counts.sort_unstable();
    assert_eq!(counts, ["0", "1"]);
}

#[tokio::test]
async fn a_rule_fails_an_index_at_once() {
    let (_world, api) = shared("fail-index").await;
    let policy = json!({"rules": [
        {"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [3]}},
    ]});
    let manifest = job("one")
        .indexed()
        .completions(2)
        .spec(&json!({"backoffLimitPerIndex": 5, "podFailurePolicy": policy}))
        .script("[ $JOB_COMPLETION_INDEX = 0 ] || exit 3");
    let (reason, failed) = api.failed(&manifest.build()).await;
    assert_eq!((reason.as_str(), counters(&failed)), ("FailedIndexes", (0, 1, 1)), "{failed}");
}

#[tokio::test]
async fn a_success_policy_ends_the_job_and_its_other_pods() {
    let (_world, api) = shared("success").await;
    let policy = json!({"rules": [{"succeededIndexes": "0", "succeededCount": 1}]});
    let manifest = job("leader")
        .indexed()
        .completions(3)
        .spec(&json!({"successPolicy": policy}))
        .script("[ $JOB_COMPLETION_INDEX = 0 ] || exec sleep 600");
    let done = api.complete(&manifest.build()).await;
    assert_eq!(counters(&done), (0, 1, 0), "{done}");
    for kind in ["SuccessCriteriaMet", "Complete"] {
        assert_eq!(condition(&done, kind).unwrap()["reason"], "SuccessPolicy", "{done}");
    }
}

#[tokio::test]
async fn a_job_of_another_controller_is_the_other_controllers() {
    let (_world, api) = shared("managed").await;
    let manager = json!({"managedBy": "example.com/mine", "ttlSecondsAfterFinished": 2});
    let created = api.create(&job("theirs").spec(&manager).build()).await;
    assert_eq!(created["status"], json!({}), "{created}");
    // One of ours beside it runs to its end, so that there was time to touch the other.
    api.complete(&job("ours").build()).await;
    let seen = api.job("theirs").await;
    assert_eq!((&seen["status"], api.pods("theirs").await.len()), (&json!({}), 0), "{seen}");
    // The other controller does all there is to do.
    let at = "2026-01-15T12:00:00Z";
    let write = |status: Value| {
        let body = json!({"status": status}).to_string();
        let api = api.clone();
        async move { api.send("jobs/status.patch.theirs", &[], body).await.object() }
    };
    let running = json!({"startTime": at, "active": 2, "ready": 1, "terminating": 0,
        "uncountedTerminatedPods": {}});
    let job = write(running).await;
    assert_eq!((counters(&job), &job["status"]["ready"]), ((2, 0, 0), &json!(1)), "{job}");
    let met = json!({"type": "SuccessCriteriaMet", "status": "True", "reason": "Mine",
        "lastTransitionTime": at, "lastProbeTime": at});
    let mut complete = met.clone();
    complete["type"] = json!("Complete");
    let early = json!({"status": {"conditions": [complete.clone()]}}).to_string();
    api.send("jobs/status.patch.theirs", &[], early).await.refused(422);
    let done = write(json!({"active": 0, "ready": 0, "succeeded": 2, "completionTime": at,
        "conditions": [met, complete]}))
    .await;
    assert_eq!((counters(&done), condition(&done, "Complete").is_some()), ((0, 2, 0), true));
    // Its time to live is over long since: what is finished is deleted whoever manages it.
    let gone = std::time::Duration::from_secs(30);
    stint_tests::until("it is gone", gone, || async {
        (api.send("jobs.get.theirs", &[], "").await.code == Some(404)).then_some(())
    })
    .await;
}
