//! A watch goes on from every revision that another has told: nothing is missing, nothing comes
//! twice.

use serde_json::{Value, json};
use stint_tests::api::name;
use stint_tests::{Api, job};

use super::shared;

/// Type, name, and revision of an event.
type Seen = (String, String, String);

fn seen((kind, object): (String, Value)) -> Seen {
    let revision = object["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
    (kind, name(&object).to_owned(), revision)
}

async fn now(api: &Api, resource: &str) -> String {
    let list = api.send(&format!("{resource}.list"), &[], "").await.object();
    list["metadata"]["resourceVersion"].as_str().expect("a list has a revision").to_owned()
}

/// What a watch from a revision tells until `count` objects are gone.
async fn until_gone(api: &Api, resource: &str, from: &str, count: usize) -> Vec<Seen> {
    let what = format!("{resource}.watch");
    let mut watch = api.open(&what, &[("resourceVersion", from)]).await;
    let mut events: Vec<Seen> = Vec::new();
    while events.iter().filter(|(kind, ..)| kind == "DELETED").count() < count {
        events.push(seen(watch.event().await));
    }
    events
}

/// From each event on, a new watch tells what the first told after it.
async fn check_every_beginning(api: &Api, resource: &str, all: &[Seen]) {
    let numbers: Vec<u128> =
        all.iter().map(|(.., revision)| revision.parse().expect("a number")).collect();
    assert!(numbers.is_sorted_by(|one, next| one < next), "revisions grow: {all:?}");
    for (at, (.., revision)) in all.iter().enumerate() {
        let rest = &all[at + 1..];
        let gone = rest.iter().filter(|(kind, ..)| kind == "DELETED").count();
        let again = until_gone(api, resource, revision, gone).await;
        assert_eq!(again, rest, "from event {at} on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_of_pods_goes_on_from_every_event() {
    let (_world, api) = shared("resume-pods").await;
    let from = now(&api, "pods").await;
    let spec = json!({"completions": 6, "parallelism": 3, "completionMode": "Indexed"});
    api.complete(&job("many").script("true").spec(&spec).build()).await;
    // One that nobody can run: only its Job's record tells of its pods.
    let nowhere = json!({"nodeSelector": {"kubernetes.io/hostname": "nowhere"}});
    let spec = json!({"completions": 2, "parallelism": 2});
    api.create(&job("unclaimed").pod_spec(&nowhere).spec(&spec).build()).await;
    api.until_job("unclaimed", "has pods", |job| job["status"]["active"] == 2).await;
    for name in ["many", "unclaimed"] {
        api.send(&format!("jobs.delete.{name}"), &[], "").await.object();
    }
    let all = until_gone(&api, "pods", &from, 8).await;
    let of = |kind: &str| all.iter().filter(|(own, ..)| own == kind).count();
    assert_eq!((of("ADDED"), of("DELETED")), (8, 8), "{all:?}");
    assert!(of("MODIFIED") >= 6, "each is seen to end: {all:?}");
    check_every_beginning(&api, "pods", &all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_of_jobs_goes_on_from_every_event() {
    let (_world, api) = shared("resume-jobs").await;
    let from = now(&api, "jobs").await;
    for name in ["one", "two"] {
        api.complete(&job(name).script("true").build()).await;
        api.send(&format!("jobs.delete.{name}"), &[], "").await.object();
    }
    let all = until_gone(&api, "jobs", &from, 2).await;
    check_every_beginning(&api, "jobs", &all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_no_longer_matches_is_deleted_from_a_watch_that_went_on() {
    let (_world, api) = shared("resume-labels").await;
    let held = job("held").labels(&json!({"team": "film"})).spec(&json!({"suspend": true}));
    let made = api.create(&held.build()).await;
    api.until_job("held", "is suspended", |job| {
        job["status"]["conditions"][0]["type"] == "Suspended"
    })
    .await;
    let from = now(&api, "jobs").await;
    api.patch("held", &json!({"metadata": {"labels": {"team": "print"}}})).await;
    let headers = [("resourceVersion", from.as_str()), ("labelSelector", "team=film")];
    let mut watch = api.open("jobs.watch", &headers).await;
    let (kind, object) = watch.event().await;
    assert_eq!((kind.as_str(), &object["metadata"]["uid"]), ("DELETED", &made["metadata"]["uid"]));
}
