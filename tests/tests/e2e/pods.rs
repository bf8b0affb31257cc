//! What a pod's containers get and what they leave: environment, exit codes, signals, several at
//! once.

use std::time::Duration;

use serde_json::{Value, json};
use stint_tests::api::{counters, name};
use stint_tests::{job, until};

use super::shared;

fn terminated(pod: &Value) -> Vec<(String, Value)> {
    let statuses = pod["status"]["containerStatuses"].as_array().cloned().unwrap_or_default();
    let of = |status: &Value| {
        let name = status["name"].as_str().unwrap_or_default().to_owned();
        (name, status["state"]["terminated"].clone())
    };
    statuses.iter().map(of).collect()
}

#[tokio::test]
async fn exit_codes_and_signals_are_told_as_they_were() {
    let (_world, api) = shared("exits").await;
    for (name, script, code, signal) in [
        ("code", "exit 42", 42, None),
        ("killed", "kill -9 $$", 137, Some(9)),
        ("segv", "kill -11 $$", 139, Some(11)),
    ] {
        let manifest = job(name).spec(&json!({"backoffLimit": 0})).script(script);
        api.failed(&manifest.build()).await;
        let pods = api.pods(name).await;
        let (_, ended) = &terminated(&pods[0])[0];
        assert_eq!(ended["exitCode"], code, "{ended}");
        assert_eq!(ended["reason"], "Error", "{ended}");
        assert_eq!(ended["signal"].as_i64(), signal, "{ended}");
    }
}

#[tokio::test]
async fn what_cannot_be_started_is_shown_and_counts_as_restarts() {
    let (_world, api) = shared("nosuch").await;
    let manifest = |name: &str, limit: u32| {
        job(name)
            .spec(&json!({"backoffLimit": limit}))
            .pod_spec(&json!({"restartPolicy": "OnFailure"}))
            .container(&json!({"command": ["no-such-program"]}))
    };
    api.create(&manifest("shown", 6).build()).await;
    let pod = until("it backs off", Duration::from_secs(30), || async {
        let pod = api.pods("shown").await.into_iter().next()?;
        let reason = &pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"];
        (reason == "CrashLoopBackOff").then_some(pod)
    })
    .await;
    assert_eq!(pod["status"]["phase"], "Running");
    let status = &pod["status"]["containerStatuses"][0];
    assert_eq!(status["restartCount"], 1);
    assert_eq!(status["lastState"]["terminated"]["reason"], "StartError");
    assert_eq!(status["lastState"]["terminated"]["exitCode"], 128);
    let (reason, _) = api.failed(&manifest("counted", 1).build()).await;
    assert_eq!(reason, "BackoffLimitExceeded");
}

#[tokio::test]
async fn several_containers_run_side_by_side() {
    let (world, api) = shared("several").await;
    let meet = world.path().join("several");
    std::fs::create_dir(&meet).unwrap();
    // Each waits for the other: one after the other they would never end.
    let wait = |mine: &str, other: &str| {
        let dir = meet.display();
        format!("touch {dir}/{mine}; until [ -e {dir}/{other} ]; do sleep 0.02; done")
    };
    let container = |name: &str, other: &str| json!({"name": name, "image": "host", "command": ["sh", "-c", wait(name, other)]});
    let containers = json!([container("left", "right"), container("right", "left")]);
    let manifest = job("several").pod_spec(&json!({"containers": containers}));
    let done = api.complete(&manifest.build()).await;
    assert_eq!(counters(&done), (0, 1, 0));
    let pods = api.pods("several").await;
    let names: Vec<String> = terminated(&pods[0]).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["left", "right"]);
}

#[tokio::test]
async fn one_failed_container_of_two_fails_the_pod() {
    let (_world, api) = shared("half").await;
    let container = |name: &str, script: &str| json!({"name": name, "image": "host", "command": ["sh", "-c", script]});
    let containers = json!([container("good", "exit 0"), container("bad", "exit 5")]);
    let manifest =
        job("half").spec(&json!({"backoffLimit": 0})).pod_spec(&json!({"containers": containers}));
    api.failed(&manifest.build()).await;
    let pods = api.pods("half").await;
    assert_eq!(pods[0]["status"]["phase"], "Failed");
    let codes: Vec<Value> =
        terminated(&pods[0]).into_iter().map(|(_, ended)| ended["exitCode"].clone()).collect();
    assert_eq!(codes, [json!(0), json!(5)]);
}

#[tokio::test]
async fn a_pod_knows_who_it_is() {
    let (_world, api) = shared("identity").await;
    let field = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    let env = json!([
        {"name": "PLAIN", "value": "p"},
        field("POD", "metadata.name"),
        {"name": "COMPOSED", "value": "$(PLAIN)-$(POD)-$$(PLAIN)"},
        field("NS", "metadata.namespace"),
        field("LABEL", "metadata.labels['color']"),
        field("NOTE", "metadata.annotations['note']"),
        field("INDEX", "metadata.annotations['batch.kubernetes.io/job-completion-index']"),
        field("NODE", "spec.nodeName"),
    ]);
    let script = "echo $PLAIN $COMPOSED $POD $NS $LABEL $NOTE $INDEX $NODE $JOB_COMPLETION_INDEX \
                  $STINT_ATTEMPT";
    let manifest = job("identity")
        .indexed()
        .completions(1)
        .script(script)
        .container(&json!({"env": env}))
        .pod_metadata(&json!({"labels": {"color": "red"}, "annotations": {"note": "hello"}}));
    api.complete(&manifest.build()).await;
    let pods = api.pods("identity").await;
    let pod = &pods[0];
    let said = String::from_utf8(api.log(name(pod), &[]).await).unwrap();
    let expected = format!("p p-{0}-$(PLAIN) {0} identity red hello 0 worker-0 0 0\n", name(pod));
    assert_eq!(said, expected);
    assert_eq!(pod["metadata"]["labels"]["color"], "red");
    assert_eq!(pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"], "0");
    assert_eq!(pod["metadata"]["annotations"]["note"], "hello");
    assert_eq!(pod["spec"]["nodeName"], "worker-0");
    assert!(name(pod).starts_with("identity-0-"), "{}", name(pod));
}
