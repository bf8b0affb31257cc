//! Deletes that wait: finalizers, orphaned pods, whole collections.

use std::time::Duration;

use serde_json::{Value, json};
use stint_tests::api::{condition, counters, name};
use stint_tests::{Api, eventually, job, proc, until};

use super::shared;

async fn gone(api: &Api, job: &str) {
    until(&format!("{job} is gone"), Duration::from_secs(20), || async {
        (api.send(&format!("jobs.get.{job}"), &[], "").await.code == Some(404)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_finalizer_holds_a_deleted_job_until_it_comes_off() {
    let (world, api) = shared("finalizer").await;
    let file = world.path().join("finalizer-pid");
    let script = format!("echo $$ > {}; exec sleep 600", file.display());
    let mut manifest = job("held").script(&script).build();
    manifest["metadata"]["finalizers"] = json!(["example.com/mine"]);
    api.create(&manifest).await;
    let pid =
        until("the pod runs", Duration::from_secs(20), || async { proc::pid_in(&file) }).await;
    let deleted = api.send("jobs.delete.held", &[], "").await.object();
    assert!(deleted["metadata"]["deletionTimestamp"].is_string(), "{deleted}");
    assert_eq!(deleted["metadata"]["finalizers"], json!(["example.com/mine"]), "{deleted}");
    assert_eq!(deleted["metadata"]["generation"], 2, "{deleted}");
    // Its pods go with it, and it has not gone.
    assert!(proc::lives(pid));
    let more = json!({"metadata": {"finalizers": ["example.com/mine", "example.com/more"]}});
    let status = api.send("jobs.patch.held", &[], more.to_string()).await.refused(422);
    assert_eq!(status["details"]["causes"][0]["field"], "metadata.finalizers", "{status}");
    // In the foreground its pods go first; the finalizer still holds it.
    api.send("jobs.delete.held", &[("propagationPolicy", "Foreground")], "").await.object();
    eventually("the process ends", || !proc::lives(pid)).await;
    let waits = |job: &Value| job["metadata"]["finalizers"] == json!(["example.com/mine"]);
    api.until_job("held", "only its own finalizer", waits).await;
    let last = api.patch("held", &json!({"metadata": {"finalizers": null}})).await;
    assert_eq!(name(&last), "held");
    gone(&api, "held").await;
    let again = api.create(&job("held").spec(&json!({"suspend": true})).build()).await;
    assert_eq!(again["metadata"].get("deletionTimestamp"), None, "{again}");
}

#[tokio::test]
async fn orphaned_pods_run_to_their_ends_and_are_not_replaced() {
    let (world, api) = shared("orphan").await;
    let (file, may) = (world.path().join("orphan-pid"), world.path().join("orphan-may"));
    let script = format!(
        "echo $$ > {}; until [ -e {} ]; do sleep 0.05; done; exit 1",
        file.display(),
        may.display()
    );
    api.create(&job("left").script(&script).build()).await;
    let pid =
        until("the pod runs", Duration::from_secs(20), || async { proc::pid_in(&file) }).await;
    let orphan = r#"{"propagationPolicy": "Orphan"}"#;
    let deleted = api.send("jobs.delete.left", &[], orphan).await.object();
    assert_eq!(deleted["metadata"]["finalizers"], json!(["orphan"]), "{deleted}");
    assert!(proc::lives(pid));
    std::fs::write(&may, "").unwrap();
    gone(&api, "left").await;
    assert!(!proc::lives(pid));
}

#[tokio::test]
async fn a_delete_means_one_object_and_no_other() {
    let (_world, api) = shared("preconditions").await;
    let created = api.create(&job("one").spec(&json!({"suspend": true})).build()).await;
    let job = api.until_job("one", "Suspended", |job| condition(job, "Suspended").is_some()).await;
    let delete = |options: Value| api.send("jobs.delete.one", &[], options.to_string());
    let status = delete(json!({"preconditions": {"uid": "other"}})).await.refused(409);
    let message = status["message"].as_str().unwrap();
    assert!(message.contains("UID in precondition: other"), "{status}");
    let old = &created["metadata"]["resourceVersion"];
    let status = delete(json!({"preconditions": {"resourceVersion": old}})).await.refused(409);
    assert!(status["message"].as_str().unwrap().contains("ResourceVersion in precond"), "{status}");
    let both = json!({"preconditions": {
        "uid": job["metadata"]["uid"],
        "resourceVersion": job["metadata"]["resourceVersion"],
    }});
    let mut dry = both.clone();
    dry["dryRun"] = json!(["All"]);
    delete(dry).await.object();
    assert_eq!(api.job("one").await, job);
    let status = delete(both).await.object();
    assert_eq!((&status["kind"], &status["status"]), (&json!("Status"), &json!("Success")));
    assert_eq!(status["details"]["uid"], job["metadata"]["uid"], "{status}");
    delete(json!({})).await.refused(404);
}

#[tokio::test]
async fn a_collection_is_deleted_as_far_as_it_matches() {
    let (_world, api) = shared("collection").await;
    let idle = |name: &str, team: &str| {
        let manifest = job(name).spec(&json!({"suspend": true}));
        manifest.labels(&json!({"team": team})).build()
    };
    for (name, team) in [("a", "x"), ("b", "x"), ("c", "y"), ("d", "x")] {
        api.create(&idle(name, team)).await;
    }
    let names = |list: &Value| -> Vec<String> {
        list["items"].as_array().unwrap().iter().map(|job| name(job).to_owned()).collect()
    };
    let selector = ("labelSelector", "team=x");
    let dry = api.send("jobs.deletecollection", &[selector, ("dryRun", "All")], "").await.object();
    assert_eq!(
        (&dry["kind"], names(&dry)),
        (&json!("JobList"), vec!["a".into(), "b".into(), "d".into()])
    );
    let field = [selector, ("fieldSelector", "metadata.name!=d")];
    let deleted = api.send("jobs.deletecollection", &field, "").await.object();
    assert_eq!(names(&deleted), ["a", "b"]);
    let left = api.send("jobs.list", &[], "").await.object();
    assert_eq!(names(&left), ["c", "d"]);
    api.send("jobs.deletecollection", &[("labelSelector", "team in (")], "").await.refused(400);
    let nowhere = api.elsewhere("_all");
    nowhere.send("jobs.deletecollection", &[], "").await.refused(400);
    let held = json!({"metadata": {"finalizers": ["example.com/mine"]}});
    api.patch("c", &held).await;
    api.send("jobs.deletecollection", &[], "").await.object();
    let left = api.send("jobs.list", &[], "").await.object();
    assert_eq!(names(&left), ["c"]);
    assert!(left["items"][0]["metadata"]["deletionTimestamp"].is_string(), "{left}");
    api.patch("c", &json!({"metadata": {"finalizers": null}})).await;
    gone(&api, "c").await;
}

#[tokio::test]
async fn pods_of_a_selector_made_by_hand_are_found_by_it() {
    let (_world, api) = shared("manual").await;
    let manifest = job("hand")
        .spec(&json!({"manualSelector": true, "selector": {"matchLabels": {"app": "hand"}}}))
        .pod_metadata(&json!({"labels": {"app": "hand", "job-name": "other"}}))
        .build();
    let done = api.complete(&manifest).await;
    assert_eq!(done["spec"]["selector"], json!({"matchLabels": {"app": "hand"}}), "{done}");
    assert_eq!(counters(&done), (0, 1, 0));
    let found = api.send("pods.list", &[("labelSelector", "app=hand")], "").await.object();
    assert_eq!(found["items"].as_array().unwrap().len(), 1, "{found}");
    assert_eq!(api.pods("hand").await.len(), 1);
    let found = api.send("pods.list", &[("labelSelector", "job-name=other")], "").await.object();
    assert_eq!(found["items"].as_array().unwrap().len(), 1, "{found}");
    let mismatch = job("other")
        .spec(&json!({"manualSelector": true, "selector": {"matchLabels": {"app": "hand"}}}))
        .build();
    let status = api.send("jobs.create", &[], mismatch.to_string()).await.refused(422);
    assert_eq!(status["details"]["causes"][0]["field"], "spec.template.metadata.labels");
}
