//! Pods that fail: back-off, limits, restarts in place.

use std::time::{Duration, Instant};

use serde_json::json;
use stint_tests::api::{condition, counters};
use stint_tests::job;

use super::shared;

#[tokio::test]
async fn a_failed_pod_is_replaced_after_ten_seconds() {
    let (world, api) = shared("backoff").await;
    let mark = world.path().join("backoff-mark");
    let script = format!("[ -e {0} ] || {{ touch {0}; exit 3; }}", mark.display());
    let start = Instant::now();
    let done = api.complete(&job("second").script(&script).build()).await;
    let took = start.elapsed();
    assert_eq!(counters(&done), (0, 1, 1), "{done}");
    // The start of the wait is a pod's finishedAt, which has whole seconds in the API but not here.
    assert!(took >= Duration::from_secs(9), "{took:?}");
    assert!(took < Duration::from_secs(25), "{took:?}");
}

#[tokio::test]
async fn without_retries_the_first_failure_is_the_end() {
    let (_world, api) = shared("limit").await;
    let manifest = job("once").spec(&json!({"backoffLimit": 0})).script("exit 7");
    let (reason, failed) = api.failed(&manifest.build()).await;
    assert_eq!((reason.as_str(), counters(&failed)), ("BackoffLimitExceeded", (0, 0, 1)));
    assert!(condition(&failed, "FailureTarget").is_some(), "{failed}");
    assert!(failed["status"].get("completionTime").is_none(), "{failed}");
}

#[tokio::test]
async fn the_others_end_when_one_exceeds_the_limit() {
    let (_world, api) = shared("others").await;
    let script = "[ $JOB_COMPLETION_INDEX = 1 ] && exit 1; sleep 600";
    let manifest =
        job("others").indexed().completions(3).spec(&json!({"backoffLimit": 0})).script(script);
    let (_, failed) = api.failed(&manifest.build()).await;
    assert_eq!(counters(&failed), (0, 0, 3), "{failed}");
}

#[tokio::test]
async fn a_container_is_restarted_in_place() {
    let (world, api) = shared("restart").await;
    let mark = world.path().join("restart-mark");
    let script = format!("echo x >> {0}; [ $(wc -l < {0}) -ge 2 ]", mark.display());
    let manifest = job("again").pod_spec(&json!({"restartPolicy": "OnFailure"})).script(&script);
    let done = api.complete(&manifest.build()).await;
    assert_eq!(counters(&done), (0, 1, 0), "{done}");
    let pods = api.pods("again").await;
    assert_eq!(pods.len(), 1);
    let status = &pods[0]["status"]["containerStatuses"][0];
    assert_eq!(status["restartCount"], 1, "{status}");
    assert_eq!(status["state"]["terminated"]["exitCode"], 0, "{status}");
}

#[tokio::test]
async fn a_program_that_is_not_there_fails_its_pod_and_says_so() {
    let (_world, api) = shared("missing").await;
    let manifest = job("missing")
        .spec(&json!({"backoffLimit": 0}))
        .container(&json!({"command": ["/no/such/program"]}));
    let (_, failed) = api.failed(&manifest.build()).await;
    assert_eq!(counters(&failed), (0, 0, 1));
    let pods = api.pods("missing").await;
    let ended = &pods[0]["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!(ended["exitCode"], 128, "{ended}");
    assert!(ended["message"].as_str().unwrap_or_default().contains("/no/such/program"), "{ended}");
}

#[tokio::test]
async fn a_program_that_is_being_written_fails_its_own_pod_alone() {
    let (world, api) = shared("busy").await;
    let program = world.path().join("busy-program");
    std::fs::copy("/bin/true", &program).unwrap();
    let held = std::fs::OpenOptions::new().append(true).open(&program).unwrap();
    let busy = job("busy").spec(&json!({"backoffLimit": 0}));
    let busy = busy.container(&json!({"command": [program]})).build();
    api.create(&busy).await;
    // The worker goes on taking work.
    api.complete(&job("beside").completions(4).build()).await;
    let (reason, _) = api.ended("busy").await;
    assert_eq!(reason, "Failed");
    let pod = api.pods("busy").await.remove(0);
    let ended = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!((&ended["reason"], &ended["exitCode"]), (&json!("StartError"), &json!(128)));
    assert!(ended["message"].as_str().unwrap().contains("text file busy"), "{ended}");
    drop(held);
    api.send("jobs.delete.busy", &[], "").await.object();
    let mut again = busy;
    again["metadata"]["name"] = json!("written");
    api.complete(&again).await;
}
