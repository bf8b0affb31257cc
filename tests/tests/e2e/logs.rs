//! Output: small, large, while it is being written.

use std::time::Duration;

use serde_json::json;
use stint_tests::api::name;
use stint_tests::{job, until};

use super::shared;

#[tokio::test]
async fn small_output_comes_as_it_was_written() {
    let (_world, api) = shared("small").await;
    let manifest = job("small").script("echo out; echo err >&2; printf 'no newline'");
    api.complete(&manifest.build()).await;
    let pods = api.pods("small").await;
    let pod = name(&pods[0]);
    assert_eq!(api.log(pod, &[("stream", "Stdout")]).await, b"out\nno newline");
    assert_eq!(api.log(pod, &[("stream", "Stderr")]).await, b"err\n");
    assert_eq!(api.log(pod, &[("stream", "Stdout"), ("tailLines", "1")]).await, b"no newline");
    assert_eq!(api.log(pod, &[]).await.len(), b"out\nno newlineerr\n".len());
}

#[tokio::test]
async fn five_megabytes_come_back_byte_for_byte() {
    let (world, api) = shared("large").await;
    let file = world.path().join("large");
    let bytes: Vec<u8> =
        (0_u32..1_310_720).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    std::fs::write(&file, &bytes).unwrap();
    let manifest = job("large").container(&json!({"command": ["cat", file.to_str().unwrap()]}));
    api.complete(&manifest.build()).await;
    let pods = api.pods("large").await;
    let log = api.log(name(&pods[0]), &[]).await;
    assert_eq!(log.len(), bytes.len());
    assert!(log == bytes, "the log differs from what was written");
}

#[tokio::test]
async fn a_followed_log_shows_lines_while_the_pod_runs() {
    let (world, api) = shared("follow").await;
    let go = world.path().join("follow-go");
    let script =
        format!("echo first; until [ -e {} ]; do sleep 0.02; done; echo last", go.display());
    api.create(&job("follow").script(&script).build()).await;
    let pod = until("the pod runs", Duration::from_secs(20), || async {
        let pods = api.pods("follow").await;
        let pod = pods.first().filter(|pod| pod["status"]["phase"] == "Running")?;
        Some(name(pod).to_owned())
    })
    .await;
    let mut log = api.open(&format!("pods/log.get.{pod}"), &[("follow", "true")]).await;
    let first = log.next(Duration::from_secs(20)).await.expect("a line comes while it runs");
    assert_eq!(&first[..], b"first\n");
    std::fs::write(&go, "").unwrap();
    let mut rest = Vec::new();
    while let Some(chunk) = log.next(Duration::from_secs(20)).await {
        rest.extend_from_slice(&chunk);
    }
    assert_eq!(rest, b"last\n");
}

#[tokio::test]
async fn a_container_must_be_named_when_there_are_two() {
    let (_world, api) = shared("named").await;
    let container = |name: &str| json!({"name": name, "image": "host", "command": ["sh", "-c", format!("echo {name}")]});
    let containers = json!([container("left"), container("right")]);
    api.complete(&job("named").pod_spec(&json!({"containers": containers})).build()).await;
    let pods = api.pods("named").await;
    let pod = name(&pods[0]);
    let reply = api.send(&format!("pods/log.get.{pod}"), &[], "").await;
    assert!(reply.refused(400)["message"].as_str().unwrap().contains("left right"));
    assert_eq!(api.log(pod, &[("container", "right")]).await, b"right\n");
}

/// Also those that wrote little: only the last run's output can ride in the record of the end.
#[tokio::test]
async fn each_run_of_a_container_has_its_own_log() {
    let (world, api) = shared("runs").await;
    let (mark, go) = (world.path().join("runs-mark"), world.path().join("runs-go"));
    let script = format!(
        "echo x >> {0}; run=$(($(wc -l < {0}))); echo run $run; [ $run = 3 ] || exit 1
         until [ -e {1} ]; do sleep 0.02; done; echo end",
        mark.display(),
        go.display()
    );
    let manifest = job("runs").pod_spec(&json!({"restartPolicy": "OnFailure"})).script(&script);
    api.create(&manifest.build()).await;
    let pod = until("it backs off", Duration::from_secs(20), || async {
        let pods = api.pods("runs").await;
        let state = |pod: &serde_json::Value| {
            pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"].clone()
        };
        let pod = pods.iter().find(|pod| state(pod) == "CrashLoopBackOff")?;
        Some(name(pod).to_owned())
    })
    .await;
    // While it waits, the run that ended is both its state and its last state.
    assert_eq!(api.log(&pod, &[]).await, b"run 2\n");
    assert_eq!(api.log(&pod, &[("previous", "true")]).await, b"run 2\n");
    let mut two = api.open(&format!("pods/log.get.{pod}"), &[("follow", "true")]).await;
    let third = async || (api.log(&pod, &[]).await == b"run 3\n").then_some(());
    until("the third run has written", Duration::from_secs(30), third).await;
    assert_eq!(api.log(&pod, &[("previous", "true")]).await, b"run 2\n");
    let mut one = api.open(&format!("pods/log.get.{pod}"), &[("follow", "true")]).await;
    std::fs::write(&go, "").unwrap();
    let (_, ended) = api.ended("runs").await;
    assert_eq!(ended["status"]["succeeded"], 1);
    assert_eq!(api.log(&pod, &[]).await, b"run 3\nend\n");
    assert_eq!(api.log(&pod, &[("previous", "true")]).await, b"run 2\n");
    let mut texts = [Vec::new(), Vec::new()];
    for (log, text) in [&mut two, &mut one].into_iter().zip(&mut texts) {
        while let Some(chunk) = log.next(Duration::from_secs(20)).await {
            text.extend_from_slice(&chunk);
        }
    }
    let texts = texts.map(|text| String::from_utf8(text).unwrap());
    assert_eq!(texts, ["run 2\nrun 3\nend\n", "run 3\nend\n"]);
}
