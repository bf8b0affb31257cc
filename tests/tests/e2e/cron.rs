//! CronJobs.

use std::time::Duration;

use serde_json::{Value, json};
use stint_tests::api::name;
use stint_tests::{Api, job, until};

use super::shared;

const LIMIT: Duration = Duration::from_secs(60);

fn cron_job(name: &str, schedule: &str, command: &str) -> Value {
    let spec = job("x").script(command).build()["spec"].clone();
    json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name},
        "spec": {"schedule": schedule, "jobTemplate": {
            "metadata": {"labels": {"made-by": name}}, "spec": spec,
        }},
    })
}

async fn create(api: &Api, object: &Value) -> Value {
    api.send("cronjobs.create", &[], object.to_string()).await.object()
}

async fn jobs(api: &Api, cron: &str) -> Vec<Value> {
    let headers = [("labelSelector", format!("made-by={cron}"))];
    let headers = [(headers[0].0, headers[0].1.as_str())];
    let list = api.send("jobs.list", &headers, "").await.object();
    list["items"].as_array().cloned().unwrap_or_default()
}

#[tokio::test]
async fn jobs_are_made_counted_and_cleared_away() {
    let (_world, api) = shared("cron-life").await;
    let mut tick = cron_job("tick", "@every 1s", "true");
    tick["spec"]["successfulJobsHistoryLimit"] = json!(2);
    let made = create(&api, &tick).await;
    assert_eq!(
        (&made["spec"]["concurrencyPolicy"], &made["metadata"]["generation"]),
        (&json!("Allow"), &json!(1))
    );
    // Several at a time have one name when they are due within one minute: the next is made in the
    // next minute. Here only the first matters.
    let first = until("a Job is made and complete", LIMIT, || async {
        let jobs = jobs(&api, "tick").await;
        jobs.into_iter().find(|job| stint_tests::api::terminal(job) == Some("Complete"))
    })
    .await;
    let owner = &first["metadata"]["ownerReferences"][0];
    assert_eq!((&owner["kind"], &owner["controller"]), (&json!("CronJob"), &json!(true)));
    let stamp = "batch.kubernetes.io/cronjob-scheduled-timestamp";
    assert!(first["metadata"]["annotations"][stamp].is_string(), "{first}");
    until("the status tells of it", LIMIT, || async {
        let cron = api.send("cronjobs.get.tick", &[], "").await.object();
        let status = &cron["status"];
        (status["lastScheduleTime"].is_string() && status["lastSuccessfulTime"].is_string())
            .then_some(())
    })
    .await;
    let headers = [("fieldSelector", "involvedObject.kind=CronJob,reason=SuccessfulCreate")];
    until("an Event tells of it", LIMIT, || async {
        let events = api.send("events.list", &headers, "").await.object();
        (!events["items"].as_array()?.is_empty()).then_some(())
    })
    .await;
    api.send("cronjobs.delete.tick", &[], "").await.object();
    until("its Jobs go with it", LIMIT, || async {
        jobs(&api, "tick").await.is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_suspended_one_makes_nothing_and_a_person_can() {
    let (_world, api) = shared("cron-suspended").await;
    let mut cron = cron_job("rest", "@every 1s", "true");
    cron["spec"]["suspend"] = json!(true);
    let made = create(&api, &cron).await;
    // As `kubectl create job --from=cronjob/rest` does it.
    let by_hand = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {
            "name": "by-hand", "labels": {"made-by": "rest"},
            "annotations": {"cronjob.kubernetes.io/instantiate": "manual"},
            "ownerReferences": [{
                "apiVersion": "batch/v1", "kind": "CronJob", "name": "rest",
                "uid": made["metadata"]["uid"],
            }],
        },
        "spec": made["spec"]["jobTemplate"]["spec"],
    });
    api.complete(&by_hand).await;
    let made_so_far = jobs(&api, "rest").await;
    assert_eq!(made_so_far.iter().map(name).collect::<Vec<_>>(), ["by-hand"]);
    let patch = r#"{"spec": {"suspend": false}}"#;
    let woken = api.send("cronjobs.patch.rest", &[], patch).await.object();
    assert_eq!(woken["metadata"]["generation"], 2);
    until("it makes Jobs", LIMIT, || async { (jobs(&api, "rest").await.len() > 1).then_some(()) })
        .await;
}

#[tokio::test]
async fn what_cannot_be_scheduled_is_refused() {
    let (_world, api) = shared("cron-refused").await;
    let refused = |object: Value| {
        let api = api.clone();
        async move {
            let status = api.send("cronjobs.create", &[], object.to_string()).await.refused(422);
            status["details"]["causes"]
                .as_array()
                .unwrap()
                .iter()
                .map(|cause| cause["field"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        }
    };
    let mut bad = cron_job("bad", "61 * * * *", "true");
    bad["spec"]["timeZone"] = json!("Europe/Nowhere");
    bad["spec"]["jobTemplate"]["spec"]["template"]["spec"]["subdomain"] = json!("here");
    let template = "spec.jobTemplate.spec.template.spec.subdomain";
    assert_eq!(refused(bad).await, ["spec.schedule", "spec.timeZone", template]);
}
