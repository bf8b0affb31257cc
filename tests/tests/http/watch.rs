//! Watches: where they begin, what they show, how they end.

use std::time::Duration;

use serde_json::json;
use stint_tests::job;

use super::{jobs, name, revision, shared};

/// How the bookmark behind the objects that were there is marked.
const END: &str = "k8s.io/initial-events-end";

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_goes_on_from_a_revision() {
    let (_world, http, api) = shared("http-watch").await;
    let suspended = |name: &str| job(name).spec(&json!({"suspend": true})).build();
    api.create(&suspended("before")).await;
    let all = jobs("http-watch", "");
    let list = http.get(&all).await.object(200);
    let at = revision(&list);
    api.create(&suspended("after")).await;
    let _ = http.json("DELETE", &jobs("http-watch", "after"), &json!({})).await.object(200);
    let path = format!("{all}?watch=true&resourceVersion={at}&timeoutSeconds=30");
    let mut watch = http.open(&path, &[]).await;
    let mut last = at;
    let mut seen = Vec::new();
    while seen.last().is_none_or(|(kind, _)| kind != "DELETED") {
        let (kind, object) = watch.event().await;
        assert!(revision(&object) > last, "{object}");
        last = revision(&object);
        // The suspended one from before is said to be so some time.
        if name(&object) == "after" {
            seen.push((kind, object));
        }
    }
    assert_eq!(seen[0].0, "ADDED");
    // From any revision on the same follows.
    let path = format!("{all}?watch=true&resourceVersion={}", revision(&seen[0].1));
    let mut later = http.open(&path, &[]).await;
    loop {
        let (kind, object) = later.event().await;
        assert!(kind != "ADDED", "{object}");
        if kind == "DELETED" {
            assert_eq!((name(&object), revision(&object)), ("after", last));
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_can_be_streamed() {
    let (_world, http, api) = shared("http-streamed").await;
    for name in ["a", "b"] {
        api.create(&job(name).spec(&json!({"suspend": true})).build()).await;
    }
    let query = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&\
        allowWatchBookmarks=true&timeoutSeconds=60";
    let mut watch = http.open(&format!("{}?{query}", jobs("http-streamed", "")), &[]).await;
    let mut names = Vec::new();
    let mark = loop {
        let (kind, object) = watch.event().await;
        if kind == "BOOKMARK" {
            break object;
        }
        names.push(name(&object).to_owned());
    };
    names.dedup();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(mark["metadata"]["annotations"][END], "true");
    assert!(revision(&mark) > 0);

    // Pods, too, as informers want them.
    let path = format!("/api/v1/namespaces/http-streamed/pods?{query}");
    let mut watch = http.open(&path, &[]).await;
    let (kind, mark) = watch.event().await;
    assert_eq!(
        (kind.as_str(), &mark["metadata"]["annotations"][END]),
        ("BOOKMARK", &json!("true"))
    );

    let all = jobs("http-streamed", "");
    for query in [
        "sendInitialEvents=true",
        "resourceVersionMatch=NotOlderThan",
        "sendInitialEvents=true&resourceVersionMatch=Exact",
    ] {
        let _ = http.get(&format!("{all}?watch=true&{query}")).await.refused(422);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_can_come_as_rows() {
    let (_world, http, api) = shared("http-rows").await;
    api.create(&job("a").spec(&json!({"suspend": true})).build()).await;
    let table = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let path = format!("{}?watch=true", jobs("http-rows", ""));
    let mut watch = http.open(&path, &table).await;
    let (kind, rows) = watch.event().await;
    assert_eq!((kind.as_str(), &rows["kind"]), ("ADDED", &json!("Table")));
    assert_eq!(rows["rows"][0]["cells"][0], "a");
    assert!(rows["columnDefinitions"].as_array().is_some_and(|heads| heads.len() > 4));
    api.patch("a", &json!({"metadata": {"labels": {"x": "y"}}})).await;
    let (_, rows) = watch.event().await;
    assert_eq!(rows["columnDefinitions"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_ends_at_its_time() {
    let (_world, http, _) = shared("http-timeout").await;
    let path = format!("{}?watch=true&timeoutSeconds=1", jobs("http-timeout", ""));
    let mut watch = http.open(&path, &[]).await;
    assert_eq!(watch.line(Duration::from_secs(30)).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_begins_too_far_back_lists_again() {
    let (_world, http, api) = shared("http-expired").await;
    api.create(&job("a").spec(&json!({"suspend": true})).build()).await;
    // The coordinator knows nothing of before its own start but what there was then.
    let path = format!("{}?watch=true&resourceVersion=1", jobs("http-expired", ""));
    let mut watch = http.open(&path, &[]).await;
    let (kind, status) = watch.event().await;
    if kind == "ERROR" {
        assert_eq!((&status["code"], &status["reason"]), (&json!(410), &json!("Expired")));
    } else {
        // It was started on an empty stream.
        assert_eq!(kind, "ADDED");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_are_watched_to_their_end() {
    let (_world, http, api) = shared("http-watch-pods").await;
    let path = "/api/v1/namespaces/http-watch-pods/pods?watch=true";
    let mut watch = http.open(path, &[]).await;
    api.complete(&job("p").build()).await;
    let pod = loop {
        let (_, pod) = watch.event().await;
        if pod["status"]["phase"] == "Succeeded" {
            break pod;
        }
    };
    // Who has seen it does not see it again.
    let list = http.get("/api/v1/namespaces/http-watch-pods/pods").await.object(200);
    let path = format!("{path}&resourceVersion={}&timeoutSeconds=1", revision(&list));
    let mut later = http.open(&path, &[]).await;
    while let Some(line) = later.line(Duration::from_secs(30)).await {
        assert!(!line.starts_with("{\"type\":\"ADDED\""), "{} again: {line}", name(&pod));
    }
}
