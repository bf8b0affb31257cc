//! Watching: events in order, counting in three steps, and an end when nobody listens.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use serde_json::{Value, json};
use stint_tests::api::{condition, counters, name};
use stint_tests::{World, job, until};

use super::{STINT, shared};

fn revision(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0)
}

#[tokio::test]
async fn a_job_is_added_modified_deleted_in_this_order() {
    let (_world, api) = shared("events").await;
    let mut watch = api.open("jobs.watch", &[]).await;
    api.create(&job("events").build()).await;
    let (kind, mut last) = watch.event().await;
    assert_eq!((kind.as_str(), name(&last)), ("ADDED", "events"));
    while condition(&last, "Complete").is_none() {
        let (kind, next) = watch.event().await;
        assert_eq!(kind, "MODIFIED");
        assert!(revision(&next) > revision(&last), "{last} {next}");
        last = next;
    }
    api.send("jobs.delete.events", &[], "").await.object();
    let (kind, gone) = loop {
        let (kind, object) = watch.event().await;
        if kind != "MODIFIED" {
            break (kind, object);
        }
    };
    assert_eq!((kind.as_str(), name(&gone)), ("DELETED", "events"));
    assert!(condition(&gone, "Complete").is_some(), "the last state goes with it: {gone}");
}

#[tokio::test]
async fn a_watch_goes_on_from_a_list() {
    let (_world, api) = shared("from-list").await;
    api.create(&job("before").spec(&json!({"suspend": true})).build()).await;
    let list = api.send("jobs.list", &[], "").await.object();
    let from = list["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    api.create(&job("after").spec(&json!({"suspend": true})).build()).await;
    let mut watch = api.open("jobs.watch", &[("resourceVersion", &from)]).await;
    let first_added = loop {
        let (kind, object) = watch.event().await;
        if kind == "ADDED" {
            break name(&object).to_owned();
        }
    };
    assert_eq!(first_added, "after");
}

#[tokio::test]
async fn a_watch_begins_with_all_jobs_however_many() {
    // More than any queue on the way holds.
    const JOBS: usize = 4200;
    let world = World::start(STINT, stint_tests::Shape { workers: 0, ..Default::default() }).await;
    let api = world.api("default");
    let create = |number: usize| {
        let manifest = job(&format!("many-{number}")).spec(&json!({"suspend": true})).build();
        let api = api.clone();
        async move { api.create(&manifest).await }
    };
    let jobs = futures_util::stream::iter(0..JOBS);
    jobs.for_each_concurrent(64, |number| create(number).map(drop)).await;
    let mut watch = api.open("jobs.watch", &[]).await;
    let mut seen = HashSet::new();
    while seen.len() < JOBS {
        let (_, job) = watch.event().await;
        seen.insert(name(&job).to_owned());
    }
}

#[tokio::test]
async fn ends_are_counted_in_three_steps() {
    let (_world, api) = shared("steps").await;
    let mut watch = api.open("jobs.watch", &[]).await;
    api.create(&job("steps").completions(3).build()).await;
    let mut met_criteria = false;
    let mut uncounted_seen = 0;
    let mut counted = 0;
    loop {
        let (_, job) = watch.event().await;
        let uncounted = &job["status"]["uncountedTerminatedPods"]["succeeded"];
        let uncounted = u64::try_from(uncounted.as_array().map_or(0, Vec::len)).unwrap();
        uncounted_seen = uncounted_seen.max(uncounted);
        let (_, succeeded, failed) = counters(&job);
        assert!(succeeded >= counted, "a counter never goes back: {job}");
        assert!(succeeded + uncounted <= 3 && failed == 0, "counted twice: {job}");
        counted = succeeded;
        met_criteria |= condition(&job, "SuccessCriteriaMet").is_some();
        if condition(&job, "Complete").is_some() {
            assert!(met_criteria, "SuccessCriteriaMet comes before or with Complete: {job}");
            assert_eq!((succeeded, uncounted), (3, 0), "{job}");
            break;
        }
    }
    assert!(uncounted_seen > 0, "nobody saw a pod on its way from uncounted to counted");
}

#[tokio::test]
async fn pods_can_be_watched() {
    let (_world, api) = shared("pod-events").await;
    let mut watch = api.open("pods.watch", &[]).await;
    api.create(&job("pods").build()).await;
    let mut phases = Vec::new();
    while phases.last().is_none_or(|phase| phase != "Succeeded") {
        let (kind, pod) = watch.event().await;
        assert_eq!(kind == "ADDED", phases.is_empty(), "{kind} {pod}");
        phases.push(pod["status"]["phase"].as_str().unwrap_or_default().to_owned());
    }
}

#[tokio::test]
async fn a_watch_ends_when_its_client_goes_away() {
    // A world of its own: the stream's readers are counted.
    let world = World::start(STINT, stint_tests::Shape { workers: 0, ..Default::default() }).await;
    let api = world.api("default");
    let before = readers(&world).await;
    let watch = api.open("pods.watch", &[]).await;
    let another = api.open("pods.watch", &[]).await;
    until("the watch stands", Duration::from_secs(10), || async {
        (readers(&world).await > before).then_some(())
    })
    .await;
    assert_eq!(readers(&world).await, before + 1, "one reader serves all watches");
    drop((watch, another));
    // It stays for half a minute, for those that come back.
    until("the coordinator lets go of it", Duration::from_secs(180), || async {
        (readers(&world).await <= before).then_some(())
    })
    .await;
}

/// How many consumers read the stream of pods.
async fn readers(world: &World) -> usize {
    let jet = async_nats::jetstream::new(world.client().clone());
    let mut stream = jet.get_stream("STINT_PODS").await.unwrap();
    stream.info().await.unwrap().state.consumer_count
}
