//! How things stand, as the command line tells it: `explain`, `trace`, `top`, `events`, `doctor`.

use std::process::Output;

use serde_json::{Value, json};
use stint_tests::job;

use super::cli::check;
use super::{settled, shared};

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn a_job_that_does_not_go_on_says_why() {
    let (world, api) = shared("look-explain").await;
    let ns = "look-explain";
    api.create(&job("still").spec(&json!({"suspend": true})).build()).await;
    settled(&api, "still").await;
    let text = said(&check(&world, ns, &["explain", "still"], 0).await);
    assert!(text.contains("• it is suspended\n    try: stint resume still\n"), "{text}");
    let mut picky = job("picky").build();
    picky["spec"]["template"]["spec"]["nodeSelector"] = json!({"color": "none"});
    picky["metadata"]["annotations"] = json!({"stint.internal/depends-on": "still"});
    api.create(&picky).await;
    api.until_job("picky", "it waits", |job| job["status"]["conditions"].is_array()).await;
    let text = said(&check(&world, ns, &["explain", "job/picky"], 0).await);
    assert!(text.contains("• it has not started: ") && text.contains("still: Suspended"), "{text}");
    picky["metadata"] = json!({"name": "nowhere"});
    api.create(&picky).await;
    api.until_job("nowhere", "it has a pod", |job| job["status"]["active"] == 1).await;
    let text = said(&check(&world, ns, &["explain", "nowhere"], 0).await);
    assert!(text.contains("• no worker takes 1 waiting pod\n"), "{text}");
    let mut failing = job("failing").script("exit 3").build();
    let slowly = json!({"stint.internal/backoff-base": "1h", "stint.internal/backoff-cap": "2h"});
    failing["metadata"]["annotations"] = slowly;
    api.create(&failing).await;
    api.until_job("failing", "it has failed", |job| job["status"]["failed"] == 1).await;
    let text = said(&check(&world, ns, &["explain", "failing"], 0).await);
    assert!(text.contains("• it backs off until ") && text.contains("in 59m"), "{text}");
    check(&world, ns, &["explain", "missing"], 3).await;
    for name in ["still", "picky", "nowhere", "failing"] {
        api.send(&format!("jobs.delete.{name}"), &[], "").await.object();
    }
}

#[tokio::test]
async fn a_trace_needs_no_receiver() {
    let (world, api) = shared("look-trace").await;
    let ns = "look-trace";
    let script = "[ $JOB_COMPLETION_INDEX$STINT_ATTEMPT != 10 ] || exit 3; sleep 0.2";
    let mut manifest = job("traced").indexed().completions(3).script(script).build();
    manifest["metadata"]["annotations"] = json!({"stint.internal/backoff-base": "100ms"});
    api.complete(&manifest).await;
    let text = said(&check(&world, ns, &["trace", "traced"], 0).await);
    assert!(text.contains("4 pods: 3 succeeded, 1 failed, 0 open; 1 retry; on "), "{text}");
    assert!(text.contains("✗ exit code 3") && text.contains("    attempt 1"), "{text}");
    let json = said(&check(&world, ns, &["trace", "traced", "-o", "json"], 0).await);
    let trace: Value = serde_json::from_str(&json).unwrap();
    let pods = trace["pods"].as_array().unwrap();
    assert_eq!(pods.len(), 4, "{trace}");
    for pod in pods {
        // Exact times, not whole seconds.
        assert!(pod["queueWaitMs"].as_f64().unwrap() < 60_000.0, "{pod}");
        let slept = pod["outcome"] == "succeeded";
        assert!(!slept || pod["runMs"].as_f64().unwrap() >= 150.0, "{pod}");
    }
    let last = trace["criticalPath"].as_array().unwrap().last().unwrap();
    assert!(last["ranMs"].as_f64().unwrap() > 0.0, "{trace}");
    check(&world, ns, &["trace", "missing"], 3).await;
}

#[tokio::test]
async fn workers_events_and_the_whole_are_looked_at() {
    let (world, api) = shared("look-all").await;
    let ns = "look-all";
    api.complete(&job("done").build()).await;
    let text = said(&check(&world, ns, &["top", "--once"], 0).await);
    assert!(text.contains("ready") && text.contains("worker-0"), "{text}");
    let text = said(&check(&world, ns, &["get", "workers", "-o", "name"], 0).await);
    assert!(text.contains("node/worker-0\n"), "{text}");
    let text = said(&check(&world, ns, &["get", "nodes", "-o", "wide"], 0).await);
    assert!(text.starts_with("NAME") && text.contains("Ready"), "{text}");
    let text = said(&check(&world, ns, &["events", "done"], 0).await);
    assert!(text.contains("Completed") && text.contains("job/done"), "{text}");
    let text = said(&check(&world, ns, &["events", "done", "--type", "warning"], 0).await);
    assert_eq!(text, "");
    let text = said(&check(&world, ns, &["doctor"], 0).await);
    for word in ["nats-server", "STINT_PODS", "coordinator", "owner", "holds    1. "] {
        assert!(text.contains(word), "{text}");
    }
    let json = said(&check(&world, ns, &["doctor", "-o", "json"], 0).await);
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["promises"].as_array().unwrap().len(), 5);
}
