//! What clients may say of a pod, and how they have it end.

use std::time::Duration;

use serde_json::{Value, json};
use stint_tests::api::name;
use stint_tests::{Api, job, until};

use super::shared;

const LIMIT: Duration = Duration::from_secs(60);

/// A Job whose only pod runs, and the pod.
async fn running(api: &Api, of: &str) -> Value {
    api.create(&job(of).script("exec sleep 600").spec(&json!({"backoffLimit": 9})).build()).await;
    api.until_job(of, "runs", |job| job["status"]["ready"] == 1).await;
    api.pods(of).await.remove(0)
}

async fn patch(api: &Api, pod: &str, patch: Value) -> Value {
    api.send(&format!("pods.patch.{pod}"), &[], patch.to_string()).await.object()
}

fn causes(status: &Value) -> Vec<&str> {
    let causes = status["details"]["causes"].as_array().into_iter().flatten();
    causes.filter_map(|cause| cause["field"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_annotations_and_nothing_else() {
    let (_world, api) = shared("pods-said").await;
    let pod = running(&api, "said").await;
    let (named, get) = (name(&pod), format!("pods.get.{}", name(&pod)));
    let mut watch = api.open("pods.watch", &[("labelSelector", "tier=web")]).await;
    let wanted = json!({"metadata": {"labels": {"tier": "web"}, "annotations": {"a": "b"}}});
    let labelled = patch(&api, named, wanted.clone()).await;
    assert_eq!(labelled["metadata"]["labels"]["job-name"], "said");
    let (kind, shown) = watch.event().await;
    assert_eq!((kind.as_str(), &shown["metadata"]["labels"]["tier"]), ("ADDED", &json!("web")));
    let read = api.send(&get, &[], "").await.object();
    assert_eq!(read["metadata"], labelled["metadata"]);
    // The same again is no change.
    let again = patch(&api, named, wanted).await;
    assert_eq!(again["metadata"]["resourceVersion"], read["metadata"]["resourceVersion"]);
    let update = format!("pods.update.{named}");
    let mut other = read.clone();
    other["metadata"]["annotations"]["a"] = json!("c");
    api.send(&update, &[], other.to_string()).await.object();
    let stale = api.send(&update, &[], other.to_string()).await.refused(409);
    assert_eq!(stale["reason"], "Conflict");
    for (change, field) in [
        (json!({"spec": {"containers": [{"name": "main", "image": "other"}]}}), "spec"),
        (json!({"metadata": {"ownerReferences": null}}), "metadata.ownerReferences"),
        (json!({"metadata": {"labels": {"job-name": "x"}}}), "metadata.labels[job-name]"),
        (json!({"metadata": {"finalizers": []}}), "metadata.finalizers"),
    ] {
        let what = format!("pods.patch.{named}");
        let refused = api.send(&what, &[], change.to_string()).await.refused(422);
        assert!(causes(&refused).contains(&field), "{refused}");
    }
    patch(&api, named, json!({"metadata": {"labels": {"tier": null}}})).await;
    while watch.event().await.0 != "DELETED" {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finalizer_holds_a_pod() {
    let (_world, api) = shared("pods-held").await;
    let pod = running(&api, "held").await;
    let named = name(&pod);
    let held = json!({"metadata": {"finalizers": [
        "batch.kubernetes.io/job-tracking", "example.com/hold",
    ]}});
    patch(&api, named, held).await;
    api.send(&format!("pods.delete.{named}"), &[("gracePeriodSeconds", "0")], "").await.object();
    let get = format!("pods.get.{named}");
    until("it has ended", LIMIT, || async {
        let pod = api.send(&get, &[], "").await.object();
        (pod["metadata"]["finalizers"] == json!(["example.com/hold"])
            && pod["metadata"]["deletionTimestamp"].is_string()
            && pod["status"]["phase"] == "Failed")
            .then_some(())
    })
    .await;
    patch(&api, named, json!({"metadata": {"finalizers": null}})).await;
    api.send(&get, &[], "").await.refused(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_may_mean_one_pod_and_no_other() {
    let (_world, api) = shared("pods-meant").await;
    let pod = running(&api, "meant").await;
    let delete = format!("pods.delete.{}", name(&pod));
    let options = |preconditions: Value| {
        json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": preconditions,
            "gracePeriodSeconds": 1})
        .to_string()
    };
    api.send(&delete, &[], options(json!({"uid": "other"}))).await.refused(409);
    let old = pod["metadata"]["resourceVersion"].clone();
    patch(&api, name(&pod), json!({"metadata": {"labels": {"a": "b"}}})).await;
    api.send(&delete, &[], options(json!({"resourceVersion": old}))).await.refused(409);
    let new = api.send(&format!("pods.get.{}", name(&pod)), &[], "").await.object();
    let same = json!({"uid": new["metadata"]["uid"],
        "resourceVersion": new["metadata"]["resourceVersion"]});
    let gone = api.send(&delete, &[], options(same)).await.object();
    assert!(gone["metadata"]["deletionTimestamp"].is_string(), "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_can_be_applied() {
    let (_world, api) = shared("applied").await;
    let headers = |manager: &'static str| {
        [("Content-Type", "application/apply-patch+yaml"), ("fieldManager", manager)]
    };
    let spec = job("x").script("true").build()["spec"].clone();
    let about = json!({"kind": "Job", "namespace": "applied", "name": "x"});
    for (resource, kind, version, extra) in [
        ("configmaps", "ConfigMap", "v1", json!({"data": {"a": "1"}})),
        ("secrets", "Secret", "v1", json!({"data": {"a": "MQ=="}})),
        ("serviceaccounts", "ServiceAccount", "v1", json!({})),
        (
            "cronjobs",
            "CronJob",
            "batch/v1",
            json!({"spec": {"schedule": "@yearly", "jobTemplate": {"spec": spec}}}),
        ),
        ("events", "Event", "v1", json!({"involvedObject": about, "reason": "Told"})),
    ] {
        let mut object = json!({"apiVersion": version, "kind": kind,
            "metadata": {"name": "x", "labels": {"by": "one"}}});
        object.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let what = format!("{resource}.patch.x");
        let made = api.send(&what, &headers("one"), object.to_string()).await.object();
        let managed = &made["metadata"]["managedFields"][0];
        assert_eq!((&managed["manager"], &managed["operation"]), (&json!("one"), &json!("Apply")));
        let same = api.send(&what, &headers("one"), object.to_string()).await.object();
        assert_eq!(same, made, "the same twice is the same");
        let other = json!({"apiVersion": version, "kind": kind,
            "metadata": {"labels": {"by": "two"}}});
        let conflict = api.send(&what, &headers("two"), other.to_string()).await.refused(409);
        assert_eq!(causes(&conflict), [".metadata.labels.by"], "{conflict}");
        let merge = json!({"metadata": {"labels": {"by": "three"}}}).to_string();
        let changed = api.send(&what, &[("fieldManager", "three")], merge).await.object();
        let managers = changed["metadata"]["managedFields"].as_array().unwrap();
        assert!(managers.iter().any(|entry| entry["manager"] == "three"), "{changed}");
    }
    let pod = running(&api, "applied").await;
    let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"by": "one"}}});
    let what = format!("pods.patch.{}", name(&pod));
    let applied = api.send(&what, &headers("one"), object.to_string()).await.object();
    assert_eq!(applied["metadata"]["labels"]["by"], "one");
    let nobody = api.send("pods.patch.nobody", &headers("one"), object.to_string()).await;
    nobody.refused(404);
}
