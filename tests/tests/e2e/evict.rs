//! Evicting pods, and deleting many at once.

use std::time::Duration;

use serde_json::json;
use stint_tests::api::name;
use stint_tests::{job, until};

use super::shared;

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn an_evicted_pod_is_a_disruption() {
    let (world, api) = shared("evicted").await;
    let mark = world.path().join("evicted-once");
    let script = format!("[ -e {0} ] || {{ : > {0}; sleep 1000; }}", mark.display());
    let policy = json!({"rules": [{
        "action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}],
    }]});
    let spec = json!({"backoffLimit": 0, "podFailurePolicy": policy});
    api.create(&job("evict").script(&script).spec(&spec).build()).await;
    api.until_job("evict", "runs", |job| job["status"]["ready"] == 1).await;
    until("the script has begun", LIMIT, || async { mark.exists().then_some(()) }).await;
    let pods = api.pods("evict").await;
    let eviction = json!({
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name(&pods[0])},
        "deleteOptions": {"gracePeriodSeconds": 1},
    });
    let what = format!("pods/eviction.create.{}", name(&pods[0]));
    let done = api.send(&what, &[], eviction.to_string()).await.object();
    assert_eq!(done["status"], "Success");
    // The failure is ignored, although none is allowed: the Job goes on to its end.
    let (end, ended) = api.ended("evict").await;
    assert_eq!(end, "Complete", "{ended}");
    let wrong = json!({"kind": "Eviction", "metadata": {"name": "other"}}).to_string();
    api.send("pods/eviction.create.nope", &[], wrong).await.refused(400);
    api.send("pods/eviction.create.nope", &[], "{}").await.refused(404);
}

#[tokio::test]
async fn many_pods_are_deleted_at_once() {
    let (_world, api) = shared("pods-deleted").await;
    let spec = json!({"parallelism": 3, "completions": 3, "backoffLimit": 100});
    api.create(&job("many").script("sleep 1000").spec(&spec).build()).await;
    api.until_job("many", "all run", |job| job["status"]["ready"] == 3).await;
    let before: Vec<String> =
        api.pods("many").await.iter().map(|pod| name(pod).to_owned()).collect();
    let headers = [("labelSelector", "job-name=many"), ("gracePeriodSeconds", "0")];
    let list = api.send("pods.deletecollection", &headers, "").await.object();
    assert_eq!(list["items"].as_array().unwrap().len(), 3, "{list}");
    until("they are replaced", LIMIT, || async {
        let pods = api.pods("many").await;
        (!pods.is_empty() && pods.iter().all(|pod| !before.contains(&name(pod).to_owned())))
            .then_some(())
    })
    .await;
}
