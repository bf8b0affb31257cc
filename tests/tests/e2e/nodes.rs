//! Nodes: workers as Kubernetes shows them, and cordoning one.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Value, json};
use stint_tests::api::{condition, name};
use stint_tests::{Api, Shape, World, job, until};

use super::STINT;

const LIMIT: Duration = Duration::from_secs(60);

async fn nodes(api: &Api, headers: &[(&str, &str)]) -> Vec<Value> {
    let list = api.send("nodes.list", headers, "").await.object();
    list["items"].as_array().cloned().unwrap_or_default()
}

fn revision(node: &Value) -> u64 {
    node["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

/// Where the pods of a new Job ran.
async fn ran_on(api: &Api, name: &str) -> HashSet<String> {
    let spec = json!({"completions": 6, "parallelism": 6});
    api.complete(&job(name).spec(&spec).build()).await;
    let pods = api.pods(name).await;
    pods.iter().filter_map(|pod| pod["spec"]["nodeName"].as_str()).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_cordoned_worker_takes_nothing_new() {
    let world = World::start(STINT, Shape { workers: 2, ..Shape::default() }).await;
    let client = world.connect().await;
    let all = Api { client: client.clone(), namespace: "_all".to_owned() };
    let api = Api { client, namespace: "default".to_owned() };
    let both = until("both workers show as nodes", LIMIT, || async {
        let both = nodes(&all, &[]).await;
        (both.len() == 2).then_some(both)
    })
    .await;
    let node = &both[0];
    assert!(condition(node, "Ready").is_some(), "{node}");
    let labels = &node["metadata"]["labels"];
    assert!(labels["kubernetes.io/hostname"].is_string());
    assert_eq!(labels["kubernetes.io/os"], "linux");
    let capacity = &node["status"]["capacity"];
    assert!(capacity["cpu"].is_string() && capacity["memory"].is_string(), "{capacity}");
    assert_eq!(node["status"]["addresses"][0]["type"], "InternalIP");
    let usable = [("fieldSelector", "spec.unschedulable=false"), ("resourceVersion", "0")];
    assert_eq!(nodes(&all, &usable).await.len(), 2);
    let mut watch = all.open("nodes.watch", &[]).await;
    assert_eq!(watch.event().await.0, "ADDED");
    assert_eq!(watch.event().await.0, "ADDED");

    let what = format!("nodes.patch.{}", name(node));
    let headers = [("Content-Type", "application/strategic-merge-patch+json")];
    let patch = r#"{"spec": {"unschedulable": true}}"#;
    let cordoned = all.send(&what, &headers, patch).await.object();
    assert_eq!(cordoned["spec"]["taints"][0]["key"], "node.kubernetes.io/unschedulable");
    let (kind, seen) = watch.event().await;
    assert_eq!((kind.as_str(), name(&seen)), ("MODIFIED", name(node)));
    assert_eq!(seen["spec"]["unschedulable"], true);
    assert_eq!(nodes(&all, &usable).await.len(), 1);
    let other = HashSet::from([name(&both[1]).to_owned()]);
    assert_eq!(ran_on(&api, "without-it").await, other);
    // The word outlives the worker.
    world.kill(name(node));
    world.play(name(node));
    until("the worker began again", LIMIT, || async {
        let begun = nodes(&all, &[]).await;
        let again = begun.iter().find(|it| name(it) == name(node))?;
        (revision(again) > revision(&cordoned)).then_some(())
    })
    .await;
    assert_eq!(ran_on(&api, "still-without-it").await, other);

    let patch = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"unschedulable": null}});
    let headers = [("Content-Type", "application/merge-patch+json")];
    let free = all.send(&what, &headers, patch.to_string()).await.object();
    assert_eq!((&free["metadata"]["labels"]["a"], &free["spec"]), (&json!("b"), &json!({})));
    let patch = r#"{"spec": {"unschedulable": true}}"#;
    all.send(&format!("nodes.patch.{}", name(&both[1])), &headers, patch).await.object();
    let first = HashSet::from([name(node).to_owned()]);
    assert_eq!(ran_on(&api, "with-it").await, first);
    let patch = json!({"spec": {"podCIDR": "10.0.0.0/8"}}).to_string();
    let status = all.send(&what, &headers, patch).await.refused(422);
    assert_eq!(status["details"]["causes"][0]["field"], "spec.podCIDR");
}
