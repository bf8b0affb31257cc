//! Events: what the coordinator tells of Jobs, and what clients tell.

use std::time::Duration;

use serde_json::{Value, json};
use stint_tests::api::name;
use stint_tests::{job, until};

use super::shared;

const LIMIT: Duration = Duration::from_secs(60);

fn reasons(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().cloned().unwrap_or_default();
    items.iter().map(|item| item["reason"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn a_jobs_events_are_found_as_kubectl_looks_for_them() {
    let (_world, api) = shared("events-of-jobs").await;
    let headers = [
        ("sendInitialEvents", "true"),
        ("resourceVersionMatch", "NotOlderThan"),
        ("allowWatchBookmarks", "true"),
    ];
    let mut watch = api.open("events.watch", &headers).await;
    assert_eq!(watch.event().await.0, "BOOKMARK");
    let done = api.complete(&job("done").build()).await;
    api.complete(&job("other").build()).await;
    let uid = done["metadata"]["uid"].as_str().unwrap();
    let selector = format!(
        "involvedObject.uid={uid},involvedObject.name=done,involvedObject.kind=Job,\
         involvedObject.namespace=events-of-jobs"
    );
    let list = until("an Event says that it is complete", LIMIT, || async {
        let headers = [("fieldSelector", selector.as_str())];
        let list = api.send("events.list", &headers, "").await.object();
        reasons(&list).contains(&"Completed".to_owned()).then_some(list)
    })
    .await;
    let items = list["items"].as_array().unwrap();
    assert!(items.iter().all(|item| item["involvedObject"]["uid"] == uid), "{list}");
    assert_eq!(list["kind"], "EventList");
    let (kind, event) = watch.event().await;
    assert_eq!((kind.as_str(), &event["involvedObject"]["kind"]), ("ADDED", &json!("Job")));
    let one = api.send(&format!("events.get.{}", name(&items[0])), &[], "").await.object();
    assert_eq!(one, items[0]);
    let headers = [("fieldSelector", "type=Warning")];
    assert!(reasons(&api.send("events.list", &headers, "").await.object()).is_empty());
    let headers = [("fieldSelector", "message=x")];
    api.send("events.list", &headers, "").await.refused(400);
    api.send("events.get.nope", &[], "").await.refused(404);
}

#[tokio::test]
async fn clients_tell_and_count_again() {
    let (_world, api) = shared("events-of-clients").await;
    let event = json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"generateName": "seen-"},
        "involvedObject": {"kind": "Pod", "namespace": "events-of-clients", "name": "p"},
        "reason": "Seen", "message": "it was seen", "type": "Normal", "count": 1,
    });
    let mut watch = api.open("events.watch", &[]).await;
    let made = api.send("events.create", &[], event.to_string()).await.object();
    let (kind, seen) = watch.event().await;
    assert_eq!((kind.as_str(), &seen), ("ADDED", &made));
    let headers = [("Content-Type", "application/strategic-merge-patch+json")];
    let what = format!("events.patch.{}", name(&made));
    let again = api.send(&what, &headers, r#"{"count": 2}"#).await.object();
    assert_eq!((&again["count"], &again["metadata"]["uid"]), (&json!(2), &made["metadata"]["uid"]));
    assert_eq!(watch.event().await, ("MODIFIED".to_owned(), again));
    let list = api.send("events.list", &[], "").await.object();
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list}");
    api.send(&format!("events.delete.{}", name(&made)), &[], "").await.object();
    assert_eq!(watch.event().await.0, "DELETED");
    api.send(&format!("events.get.{}", name(&made)), &[], "").await.refused(404);
    let mut elsewhere = event;
    elsewhere["involvedObject"]["namespace"] = json!("other");
    let status = api.send("events.create", &[], elsewhere.to_string()).await.refused(422);
    assert_eq!(status["details"]["causes"][0]["field"], "involvedObject.namespace");
}
