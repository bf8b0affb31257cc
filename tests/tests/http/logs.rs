//! Logs: what can be asked for, and what cannot.

use std::time::Duration;

use serde_json::json;
use stint_tests::job;

use super::{name, shared};

#[tokio::test(flavor = "multi_thread")]
async fn a_log_comes_as_it_is_asked_for() {
    let (_world, http, api) = shared("http-logs").await;
    api.complete(&job("l").script("echo one; echo two; echo three").build()).await;
    let pod = name(&api.pods("l").await[0]).to_owned();
    let log = format!("/api/v1/namespaces/http-logs/pods/{pod}/log");
    let whole = http.get(&log).await;
    assert_eq!(whole.headers["content-type"], "text/plain");
    assert_eq!(&whole.bytes[..], b"one\ntwo\nthree\n");
    let cases = [
        ("tailLines=1", "three\n"),
        ("limitBytes=5", "one\nt"),
        ("tailLines=2&limitBytes=3", "two"),
        ("container=main&follow=true", "one\ntwo\nthree\n"),
        // As clients in Python write it.
        ("follow=True&previous=False", "one\ntwo\nthree\n"),
        ("sinceSeconds=3600", "one\ntwo\nthree\n"),
        ("sinceTime=2100-01-01T00:00:00Z", ""),
        ("stream=Stderr", ""),
    ];
    for (query, wanted) in cases {
        let reply = http.get(&format!("{log}?{query}")).await;
        assert_eq!(String::from_utf8_lossy(&reply.bytes), wanted, "{query}");
    }
    let stamped = http.get(&format!("{log}?timestamps=true")).await;
    let text = String::from_utf8_lossy(&stamped.bytes).into_owned();
    let lines: Vec<&str> =
        text.lines().filter_map(|line| line.split_once("Z ")).map(|it| it.1).collect();
    assert_eq!(lines, ["one", "two", "three"], "{text}");

    let previous = http.get(&format!("{log}?previous=true")).await.refused(400);
    let wanted = format!("previous terminated container \"main\" in pod \"{pod}\" not found");
    assert_eq!(previous["message"], wanted);
    for query in [
        "container=cat",
        "tailLines=-1",
        "sinceSeconds=1&sinceTime=2100-01-01T00:00:00Z",
        "sinceTime=yesterday",
    ] {
        let _ = http.get(&format!("{log}?{query}")).await.refused(400);
    }
    let _ = http.get("/api/v1/namespaces/http-logs/pods/nope/log").await.refused(404);
    let _ = http.json("POST", &log, &json!({})).await.refused(405);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_can_be_followed() {
    let (world, http, api) = shared("http-follow").await;
    let gate = world.path().join("http-follow-gate");
    // More than rides in a record of a pod's end.
    let script = format!(
        "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; \
         until [ -e {} ]; do sleep 0.05; done; echo last",
        gate.display()
    );
    api.create(&job("f").script(&script).build()).await;
    let pod = api.until_job("f", "runs", |job| job["status"]["ready"] == 1).await;
    drop(pod);
    let pod = name(&api.pods("f").await[0]).to_owned();
    let path = format!("/api/v1/namespaces/http-follow/pods/{pod}/log?follow=true");
    let mut follow = http.open(&path, &[]).await;
    let limit = Duration::from_secs(60);
    for n in 0..2000 {
        assert_eq!(follow.line(limit).await, Some(format!("line {n}")));
    }
    let mut tail = http.open(&format!("{path}&tailLines=1"), &[]).await;
    assert_eq!(tail.line(limit).await.as_deref(), Some("line 1999"));
    std::fs::write(&gate, "").expect("the directory can be written to");
    assert_eq!(follow.line(limit).await.as_deref(), Some("last"));
    assert_eq!(follow.line(limit).await, None);
    assert_eq!(tail.line(limit).await.as_deref(), Some("last"));
    assert_eq!(tail.line(limit).await, None);
}
