//! Init containers and sidecars: order, failures, what the API shows of them; a pod's own deadline.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use stint_tests::api::{condition, counters, name};
use stint_tests::{job, until};

use super::shared;

fn container(name: &str, script: &str) -> Value {
    // In a command, Kubernetes makes one dollar of two.
    let script = script.replace("$$", "$$$$");
    json!({"name": name, "image": "host", "command": ["sh", "-c", script]})
}

fn sidecar(name: &str, script: &str) -> Value {
    let mut sidecar = container(name, script);
    sidecar["restartPolicy"] = json!("Always");
    sidecar
}

fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn of<'a>(pod: &'a Value, list: &str, name: &str) -> &'a Value {
    let all = pod["status"][list].as_array();
    let found = all.into_iter().flatten().find(|status| status["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {}", pod["status"]))
}

#[tokio::test]
async fn init_containers_run_one_after_the_other_before_the_main_one() {
    let (world, api) = shared("init").await;
    let (log, go) = (world.path().join("init-log"), world.path().join("init-go"));
    let note = |what: &str| format!("echo {what} $JOB_COMPLETION_INDEX >> {}", log.display());
    let wait = format!("until [ -e {} ]; do sleep 0.02; done", go.display());
    let init = json!([
        container("first", &format!("sleep 0.3; {}; echo said by first", note("first"))),
        container("second", &format!("{wait}; {}", note("second"))),
    ]);
    let manifest = job("init").indexed().completions(1).script(&note("main"));
    let manifest = manifest.pod_spec(&json!({"initContainers": init}));
    api.create(&manifest.build()).await;
    let pod = until("the second one runs", Duration::from_secs(30), || async {
        let pod = api.pods("init").await.into_iter().next()?;
        let all = pod["status"]["initContainerStatuses"].as_array()?;
        all.get(1)?["state"].get("running")?;
        Some(pod)
    })
    .await;
    assert_eq!(pod["status"]["phase"], "Pending");
    assert_eq!(of(&pod, "initContainerStatuses", "first")["state"]["terminated"]["exitCode"], 0);
    assert_eq!(of(&pod, "initContainerStatuses", "first")["ready"], true);
    let waiting = &of(&pod, "containerStatuses", "main")["state"]["waiting"];
    assert_eq!(waiting["reason"], "PodInitializing");
    assert!(condition(&pod, "Initialized").is_none(), "{}", pod["status"]);
    assert!(condition(&pod, "PodReadyToStartContainers").is_some(), "{}", pod["status"]);
    // What ended init containers wrote can be read while the pod goes on.
    let said = api.log(name(&pod), &[("container", "first")]).await;
    assert_eq!(String::from_utf8_lossy(&said), "said by first\n");
    std::fs::write(&go, "").unwrap();
    let (end, done) = api.ended("init").await;
    assert_eq!((end.as_str(), counters(&done)), ("Complete", (0, 1, 0)));
    assert_eq!(lines(&log), ["first 0", "second 0", "main 0"]);
    let pod = &api.pods("init").await[0];
    let initialized = condition(pod, "Initialized").unwrap();
    assert_eq!(initialized["reason"], "PodCompleted");
}

#[tokio::test]
async fn a_failed_init_container_fails_the_pod_and_the_main_one_never_runs() {
    let (world, api) = shared("init-fails").await;
    let never = world.path().join("init-never");
    let policy = json!({"rules": [{
        "action": "FailJob",
        "onExitCodes": {"containerName": "bad", "operator": "In", "values": [7]},
    }]});
    let init = json!([container("bad", "exit 7"), container("after", "true")]);
    let manifest = job("bad")
        .spec(&json!({"podFailurePolicy": policy}))
        .script(&format!("touch {}", never.display()))
        .pod_spec(&json!({"initContainers": init}));
    let (reason, failed) = api.failed(&manifest.build()).await;
    assert_eq!((reason.as_str(), counters(&failed)), ("PodFailurePolicy", (0, 0, 1)), "{failed}");
    assert!(!never.exists());
    let pod = &api.pods("bad").await[0];
    assert_eq!(pod["status"]["phase"], "Failed");
    assert_eq!(of(pod, "initContainerStatuses", "bad")["state"]["terminated"]["exitCode"], 7);
    for (list, name) in [("initContainerStatuses", "after"), ("containerStatuses", "main")] {
        let waiting = &of(pod, list, name)["state"]["waiting"];
        assert_eq!(waiting["reason"], "PodInitializing", "{}", pod["status"]);
    }
}

#[tokio::test]
async fn a_failed_init_container_is_tried_again_on_failure() {
    let (world, api) = shared("init-again").await;
    let mark = world.path().join("init-again");
    let script = format!("[ -e {0} ] || {{ touch {0}; exit 1; }}", mark.display());
    let init = json!([container("flaky", &script)]);
    let manifest = job("again")
        .pod_spec(&json!({"initContainers": init, "restartPolicy": "OnFailure"}))
        .script("true");
    let done = api.complete(&manifest.build()).await;
    assert_eq!(counters(&done), (0, 1, 0));
    let pods = api.pods("again").await;
    let flaky = of(&pods[0], "initContainerStatuses", "flaky");
    assert_eq!((&flaky["restartCount"], &flaky["ready"]), (&json!(1), &json!(true)), "{flaky}");
    assert_eq!(flaky["lastState"]["terminated"]["exitCode"], 1, "{flaky}");
}

#[tokio::test]
async fn a_pod_completes_although_its_sidecars_run_on_and_they_end_last_in_reverse() {
    let (world, api) = shared("sidecars").await;
    let log = world.path().join("sidecars-log");
    let note = |what: &str| format!("echo {what} >> {}", log.display());
    let stays = |name: &str| {
        let script = format!("trap '{}; exit 3' TERM; {}", note(&format!("-{name}")), note(name));
        sidecar(name, &format!("{script}; while :; do sleep 0.02; done"))
    };
    // The main container waits until both have spoken, so that their traps are set.
    let both = format!("until [ $(wc -l < {}) -ge 2 ]; do sleep 0.02; done", log.display());
    let manifest = job("sidecars")
        .script(&format!("{both}; {}", note("main")))
        .pod_spec(&json!({"initContainers": [stays("one"), stays("two")]}));
    let done = api.complete(&manifest.build()).await;
    assert_eq!(counters(&done), (0, 1, 0));
    let mut said = lines(&log);
    said[..2].sort();
    assert_eq!(said, ["one", "two", "main", "-two", "-one"]);
    let pods = api.pods("sidecars").await;
    assert_eq!(pods[0]["status"]["phase"], "Succeeded");
    let one = of(&pods[0], "initContainerStatuses", "one");
    assert_eq!(one["state"]["terminated"]["exitCode"], 3, "{one}");
}

#[tokio::test]
async fn a_sidecar_that_ends_is_started_again() {
    let (world, api) = shared("sidecar-again").await;
    let log = world.path().join("sidecar-again");
    let twice = format!(
        "echo run >> {0}; [ $(wc -l < {0}) -ge 2 ] || exit 0; while :; do sleep 0.02; done",
        log.display()
    );
    let main = format!("until [ $(wc -l < {}) -ge 2 ]; do sleep 0.02; done", log.display());
    let spec = json!({
        "initContainers": [sidecar("side", &twice)],
        "terminationGracePeriodSeconds": 1,
    });
    let manifest = job("again").script(&format!("touch {}; {main}", log.display()));
    let done = api.complete(&manifest.pod_spec(&spec).build()).await;
    assert_eq!(counters(&done), (0, 1, 0));
    let pods = api.pods("again").await;
    assert_eq!(of(&pods[0], "initContainerStatuses", "side")["restartCount"], 1);
}

#[tokio::test]
async fn a_pod_that_outlives_its_own_deadline_has_failed() {
    let (_world, api) = shared("pod-deadline").await;
    let manifest = job("late")
        .spec(&json!({"backoffLimit": 0}))
        .pod_spec(&json!({"activeDeadlineSeconds": 1}))
        .script("sleep 600");
    let (reason, failed) = api.failed(&manifest.build()).await;
    assert_eq!((reason.as_str(), counters(&failed)), ("BackoffLimitExceeded", (0, 0, 1)));
    let pod = &api.pods("late").await[0];
    assert_eq!(pod["status"]["phase"], "Failed");
    assert_eq!(pod["status"]["reason"], "DeadlineExceeded");
    let message = "Pod was active on the node longer than the specified deadline";
    assert_eq!(pod["status"]["message"], message);
}

#[tokio::test]
async fn each_container_has_a_status_of_its_own() {
    let (world, api) = shared("each").await;
    let go = world.path().join("each-go");
    let wait = format!("until [ -e {} ]; do sleep 0.02; done", go.display());
    let containers = json!([container("quick", "echo done"), container("slow", &wait)]);
    api.create(&job("each").pod_spec(&json!({"containers": containers})).build()).await;
    let pod = until("one is over and one runs", Duration::from_secs(30), || async {
        let pod = api.pods("each").await.into_iter().next()?;
        let all = pod["status"]["containerStatuses"].as_array()?;
        let over = all.first()?["state"].get("terminated").is_some();
        let runs = all.get(1)?["state"].get("running").is_some();
        (over && runs).then_some(pod)
    })
    .await;
    assert_eq!(pod["status"]["phase"], "Running");
    assert!(condition(&pod, "Ready").is_none(), "one that is over is not ready");
    assert_eq!(of(&pod, "containerStatuses", "slow")["ready"], true);
    std::fs::write(&go, "").unwrap();
    assert_eq!(api.ended("each").await.0, "Complete");
}
