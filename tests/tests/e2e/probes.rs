//! Hooks and probes, with real processes and a real server.

use std::time::Duration;

use serde_json::{Value, json};
use stint_tests::api::{counters, name};
use stint_tests::{job, proc, until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::shared;

const LIMIT: Duration = Duration::from_secs(60);

fn container_status(pod: &Value) -> &Value {
    &pod["status"]["containerStatuses"][0]
}

/// A server of this process that answers 503 until it is told to be well.
async fn server() -> (u16, watch::Sender<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (well, is_well) = watch::channel(false);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let status = if *is_well.borrow() { "200 OK" } else { "503 Service Unavailable" };
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
            drop(stream.read(&mut [0; 4096]).await);
            drop(stream.write_all(answer.as_bytes()).await);
        }
    });
    (port, well)
}

#[tokio::test]
async fn readiness_moves_the_jobs_ready_count() {
    let (world, api) = shared("readiness").await;
    let (ready, go) = (world.path().join("ready"), world.path().join("ready-go"));
    let probe = json!({
        "exec": {"command": ["test", "-e", ready.to_str().unwrap()]},
        "periodSeconds": 1, "timeoutSeconds": 20, "failureThreshold": 1,
    });
    let script = format!("until [ -e {} ]; do sleep 0.05; done", go.display());
    let manifest = job("readiness").script(&script).container(&json!({"readinessProbe": probe}));
    api.create(&manifest.build()).await;
    until("the pod runs", LIMIT, || async {
        let pod = api.pods("readiness").await.into_iter().next()?;
        (pod["status"]["phase"] == "Running").then_some(())
    })
    .await;
    assert_eq!(api.job("readiness").await["status"]["ready"], 0);
    let is = |count: u64| move |job: &Value| job["status"]["ready"] == count;
    std::fs::write(&ready, "").unwrap();
    api.until_job("readiness", "ready", is(1)).await;
    let pod = &api.pods("readiness").await[0];
    assert_eq!(container_status(pod)["ready"], true);
    std::fs::remove_file(&ready).unwrap();
    api.until_job("readiness", "not ready any more", is(0)).await;
    std::fs::write(&go, "").unwrap();
    assert_eq!(api.ended("readiness").await.0, "Complete");
}

#[tokio::test]
async fn a_container_that_is_not_alive_is_started_again() {
    let (world, api) = shared("liveness").await;
    let (log, alive) = (world.path().join("liveness-log"), world.path().join("alive"));
    std::fs::write(&alive, "").unwrap();
    // The first run hangs, and is not alive; the second one succeeds.
    let script = format!(
        "echo run >> {0}; [ $(wc -l < {0}) -ge 2 ] || {{ rm -f {1}; exec sleep 600; }}",
        log.display(),
        alive.display()
    );
    let probe = json!({
        "exec": {"command": ["test", "-e", alive.to_str().unwrap()]},
        "periodSeconds": 1, "timeoutSeconds": 20, "failureThreshold": 2,
        "terminationGracePeriodSeconds": 1,
    });
    let manifest = job("liveness")
        .pod_spec(&json!({"restartPolicy": "OnFailure"}))
        .script(&script)
        .container(&json!({"livenessProbe": probe}));
    let done = api.complete(&manifest.build()).await;
    assert_eq!(counters(&done), (0, 1, 0));
    let pods = api.pods("liveness").await;
    let status = container_status(&pods[0]);
    assert_eq!(status["restartCount"], 1, "{status}");
    assert_eq!(status["lastState"]["terminated"]["signal"], 15, "{status}");
}

#[tokio::test]
async fn a_sidecar_is_waited_for_by_its_startup_probe() {
    let (_world, api) = shared("startup").await;
    let (port, well) = server().await;
    let startup = json!({
        "httpGet": {"host": "127.0.0.1", "port": port, "path": "/healthz"},
        "periodSeconds": 1, "timeoutSeconds": 20, "failureThreshold": 1000,
    });
    let tcp = json!({
        "tcpSocket": {"host": "127.0.0.1", "port": port},
        "periodSeconds": 1, "timeoutSeconds": 20,
    });
    let sidecar = json!({
        "name": "side", "image": "host", "restartPolicy": "Always",
        "command": ["sleep", "600"], "startupProbe": startup, "readinessProbe": tcp,
    });
    let spec = json!({"initContainers": [sidecar], "terminationGracePeriodSeconds": 5});
    api.create(&job("startup").script("exit 0").pod_spec(&spec).build()).await;
    let pod = until("the sidecar runs", LIMIT, || async {
        let pod = api.pods("startup").await.into_iter().next()?;
        pod["status"]["initContainerStatuses"][0]["state"].get("running")?;
        Some(pod)
    })
    .await;
    assert_eq!(pod["status"]["phase"], "Pending");
    assert_eq!(pod["status"]["initContainerStatuses"][0]["started"], false);
    well.send(true).unwrap();
    let (end, done) = api.ended("startup").await;
    assert_eq!((end.as_str(), counters(&done)), ("Complete", (0, 1, 0)));
}

#[tokio::test]
async fn hooks_run_after_the_start_and_before_the_stop() {
    let (world, api) = shared("hooks").await;
    let log = world.path().join("hooks-log");
    let note = |what: &str| format!("echo {what} $MINE >> {}", log.display());
    let hook = |what: &str| json!({"exec": {"command": ["sh", "-c", note(what)]}});
    let lifecycle = json!({"postStart": hook("began"), "preStop": hook("ends")});
    let script = format!(
        "trap '{}; exit 0' TERM; {}; while :; do sleep 0.02; done",
        note("term"),
        note("main")
    );
    let manifest = job("hooks")
        .env("MINE", "mine")
        .script(&script)
        .container(&json!({"lifecycle": lifecycle}));
    api.create(&manifest.build()).await;
    let lines = || std::fs::read_to_string(&log).unwrap_or_default().lines().count();
    until("both have spoken", LIMIT, || async { (lines() == 2).then_some(()) }).await;
    let pod = until("the pod is ready", LIMIT, || async {
        let pod = api.pods("hooks").await.into_iter().next()?;
        (container_status(&pod)["ready"] == true).then_some(pod)
    })
    .await;
    api.patch("hooks", &json!({"spec": {"suspend": true}})).await;
    until("all have spoken", LIMIT, || async { (lines() == 4).then_some(()) }).await;
    let text = std::fs::read_to_string(&log).unwrap();
    let mut said: Vec<&str> = text.lines().collect();
    said[..2].sort_unstable();
    assert_eq!(said, ["began mine", "main mine", "ends mine", "term mine"], "{}", name(&pod));
}

#[tokio::test]
async fn a_post_start_hook_that_fails_ends_its_container() {
    let (_world, api) = shared("bad-hook").await;
    let lifecycle = json!({"postStart": {"exec": {"command": ["false"]}}});
    let manifest = job("bad-hook")
        .spec(&json!({"backoffLimit": 0}))
        .script("exec sleep 600")
        .container(&json!({"lifecycle": lifecycle}));
    let (_, failed) = api.failed(&manifest.build()).await;
    assert_eq!(counters(&failed), (0, 0, 1));
    let pods = api.pods("bad-hook").await;
    assert_eq!(container_status(&pods[0])["state"]["terminated"]["signal"], 15);
}

#[tokio::test]
async fn nothing_of_a_hook_or_probe_outlives_its_pod() {
    let (world, api) = shared("left-over").await;
    let begun = world.path().join("left-over");
    let hangs = format!("touch {}; exec sleep 600", begun.display());
    let probe = json!({"exec": {"command": ["sh", "-c", hangs]}, "timeoutSeconds": 600});
    let manifest = job("left-over")
        .env("WHOSE", "left-over")
        .script(&format!("until [ -e {} ]; do sleep 0.02; done", begun.display()))
        .container(&json!({"readinessProbe": probe}));
    let done = api.complete(&manifest.build()).await;
    assert_eq!(counters(&done), (0, 1, 0));
    assert_eq!(proc::with_variable("WHOSE", "left-over"), Vec::<i32>::new());
}
