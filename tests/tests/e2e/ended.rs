//! Deleting pods that have ended: they are gone from everything that is shown, and what was counted
//! of them stays.

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::jetstream;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use stint_common::names::Names;
use stint_tests::api::{counters, name};
use stint_tests::{Api, Shape, World, job, until};

use super::{STINT, shared};

const LIMIT: Duration = Duration::from_secs(60);

async fn now(api: &Api) -> String {
    let list = api.send("pods.list", &[], "").await.object();
    list["metadata"]["resourceVersion"].as_str().expect("a list has a revision").to_owned()
}

/// The pods that a watch from a revision tells to be deleted, until a pod of the Job `mark` comes.
async fn deleted_until(api: &Api, from: &str, mark: &str) -> Vec<String> {
    let headers = [("resourceVersion", from)];
    // Either of two coordinators answers, and one that began to look later may not know: then the
    // other one is asked, as clients do when they begin again.
    let mut watch = until("a coordinator knows the revision", LIMIT, || async {
        let mut watch = api.open("pods.watch", &headers).await;
        let too_old = watch.is_too_old().await;
        (!too_old).then_some(watch)
    })
    .await;
    let mut deleted = Vec::new();
    loop {
        let (kind, pod) = watch.event().await;
        if kind == "DELETED" {
            deleted.push(name(&pod).to_owned());
        }
        if kind == "ADDED" && name(&pod).starts_with(mark) {
            return deleted;
        }
    }
}

async fn are_gone(api: &Api, pods: &[String]) {
    let eviction = json!({"kind": "Eviction", "apiVersion": "policy/v1"}).to_string();
    for pod in pods {
        for verb in ["pods.get", "pods.delete", "pods/log.get"] {
            let status = api.send(&format!("{verb}.{pod}"), &[], "").await.refused(404);
            assert_eq!(status["details"]["name"], pod.as_str(), "{status}");
        }
        let label = json!({"metadata": {"labels": {"a": "b"}}}).to_string();
        api.send(&format!("pods.patch.{pod}"), &[], label).await.refused(404);
        api.send(&format!("pods/eviction.create.{pod}"), &[], eviction.clone()).await.refused(404);
    }
}

async fn names_of(api: &Api, headers: &[(&str, &str)]) -> BTreeSet<String> {
    let list = api.send("pods.list", headers, "").await.object();
    list["items"].as_array().unwrap().iter().map(|pod| name(pod).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_had_ended_is_gone_when_it_is_deleted() {
    let shape = Shape { coordinators: 2, ..Shape::default() };
    let world = World::start(STINT, shape).await;
    let api = world.api("default");
    api.complete(&job("done").script("echo hello").indexed().completions(4).build()).await;
    let mut pods: Vec<String> =
        api.pods("done").await.iter().map(|pod| name(pod).to_owned()).collect();
    pods.sort();
    let from = now(&api).await;

    let dry = api.send(&format!("pods.delete.{}", pods[0]), &[("dryRun", "All")], "").await;
    assert_eq!(name(&dry.object()), pods[0]);
    assert_eq!(names_of(&api, &[]).await.len(), 4, "nothing came of the dry run");
    let other = json!({"preconditions": {"uid": "other"}}).to_string();
    api.send(&format!("pods.delete.{}", pods[0]), &[], other).await.refused(409);
    let gone = api.send(&format!("pods.delete.{}", pods[0]), &[], "").await.object();
    assert_eq!((name(&gone), &gone["kind"]), (pods[0].as_str(), &json!("Pod")));
    let evicted = api.send(&format!("pods/eviction.create.{}", pods[1]), &[], "{}").await.object();
    assert_eq!(evicted["status"], "Success");
    let selector = ("labelSelector", "batch.kubernetes.io/job-completion-index=2");
    let list = api.send("pods.deletecollection", &[selector], "").await.object();
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1), "{list}");

    let (gone, left) = pods.split_at(3);
    let check = async || {
        are_gone(&api, gone).await;
        let left: BTreeSet<String> = left.iter().cloned().collect();
        for headers in [
            &[][..],
            &[("labelSelector", "job-name=done")],
            &[("fieldSelector", "status.phase=Succeeded")],
            &[("limit", "1")],
        ] {
            assert_eq!(names_of(&api, headers).await, left, "{headers:?}");
        }
        assert_eq!(names_of(&api.elsewhere("_all"), &[]).await, left);
        let log = api.log(&pods[3], &[]).await;
        assert_eq!(String::from_utf8_lossy(&log), "hello\n", "another pod's log is there");
        let done = api.job("done").await;
        assert_eq!(
            (counters(&done), &done["status"]["completedIndexes"]),
            ((0, 4, 0), &json!("0-3"))
        );
    };
    check().await;
    api.complete(&job("mark").build()).await;
    assert_eq!(deleted_until(&api, &from, "mark").await, gone, "each once, in their order");
    api.send("jobs.delete.mark", &[], "").await.object();
    let again = now(&api).await;

    // Whoever answers now has read it from the streams.
    for coordinator in ["coordinator-0", "coordinator-1"] {
        world.kill(coordinator);
        world.play(coordinator);
    }
    world.await_api().await;
    check().await;
    api.create(&job("more").build()).await;
    assert_eq!(deleted_until(&api, &again, "more").await, [""; 0], "none is deleted twice");
}

#[tokio::test]
async fn a_finalizer_holds_a_pod_that_had_ended() {
    let (_world, api) = shared("ended-held").await;
    api.complete(&job("held").build()).await;
    let pod = name(&api.pods("held").await[0]).to_owned();
    let (get, patch) = (format!("pods.get.{pod}"), format!("pods.patch.{pod}"));
    until("it is counted", LIMIT, || async {
        let pod = api.send(&get, &[], "").await.object();
        pod["metadata"].get("finalizers").is_none().then_some(())
    })
    .await;
    let finalizers = |names: Value| json!({"metadata": {"finalizers": names}}).to_string();
    api.send(&patch, &[], finalizers(json!(["example.com/hold"]))).await.object();
    let from = now(&api).await;
    let deleted = api.send(&format!("pods.delete.{pod}"), &[], "").await.object();
    assert!(deleted["metadata"]["deletionTimestamp"].is_string(), "{deleted}");
    assert_eq!(deleted["metadata"]["deletionGracePeriodSeconds"], 0, "{deleted}");
    let more = finalizers(json!(["example.com/hold", "example.com/more"]));
    api.send(&patch, &[], more).await.refused(422);
    let label = json!({"metadata": {"labels": {"still": "there"}}}).to_string();
    let labelled = api.send(&patch, &[], label).await.object();
    assert_eq!(labelled["metadata"]["deletionTimestamp"], deleted["metadata"]["deletionTimestamp"]);
    api.send(&patch, &[], finalizers(json!(null))).await.object();
    api.send(&get, &[], "").await.refused(404);
    let mut watch = api.open("pods.watch", &[("resourceVersion", &from)]).await;
    let mut kinds = Vec::new();
    while kinds.last().is_none_or(|kind| kind != "DELETED") {
        kinds.push(watch.event().await.0);
    }
    assert_eq!(kinds, ["MODIFIED", "MODIFIED", "DELETED"]);
}

#[tokio::test]
async fn a_pod_that_was_deleted_while_it_ran_goes_when_it_has_ended() {
    let (_world, api) = shared("ended-later").await;
    let script = "trap 'exit 0' TERM; echo here; while true; do sleep 0.05; done";
    let manifest = job("later").script(script).spec(&json!({"backoffLimit": 0}));
    api.create(&manifest.build()).await;
    api.until_job("later", "runs", |job| job["status"]["ready"] == 1).await;
    let from = now(&api).await;
    let pod = name(&api.pods("later").await[0]).to_owned();
    let deleted = api.send(&format!("pods.delete.{pod}"), &[], "").await.object();
    assert!(deleted["metadata"]["deletionTimestamp"].is_string(), "{deleted}");
    api.ended("later").await;
    are_gone(&api, std::slice::from_ref(&pod)).await;
    api.create(&job("mark").build()).await;
    assert_eq!(deleted_until(&api, &from, "mark").await, [pod]);
}

#[tokio::test]
async fn a_pod_that_is_deleted_as_it_ends_is_counted_once() {
    const PODS: usize = 40;
    let (_world, api) = shared("ended-counted").await;
    let from = now(&api).await;
    let mut watch = api.open("pods.watch", &[("resourceVersion", &from)]).await;
    let spec = json!({"parallelism": 8, "backoffLimitPerIndex": 0});
    let script = "exit $((JOB_COMPLETION_INDEX % 2))";
    let manifest = job("counted").script(script).indexed().completions(40).spec(&spec);
    api.create(&manifest.build()).await;
    let mut deleted = 0;
    let mut gone = 0;
    while gone < PODS {
        let event = tokio::time::timeout(LIMIT, watch.event()).await;
        let (kind, pod) = event.expect("every pod is told to be gone");
        gone += usize::from(kind == "DELETED");
        let phase = pod["status"]["phase"].as_str().unwrap_or_default();
        // Most of them bear the finalizer still: their ends are not counted yet.
        if kind != "DELETED" && ["Succeeded", "Failed"].contains(&phase) {
            let delete = format!("pods.delete.{}", name(&pod));
            deleted += usize::from(api.send(&delete, &[], "").await.code.is_none());
        }
    }
    assert_eq!(deleted, PODS, "each is there until it is deleted");
    let (end, ended) = api.ended("counted").await;
    assert_eq!((end.as_str(), counters(&ended)), ("Failed", (0, 20, 20)), "{ended}");
    assert!(api.pods("counted").await.is_empty());
}

/// How many subjects of orders and words the stream holds of a Job.
async fn said(world: &World, job: &Value) -> usize {
    let names = Names::default();
    let uid = job["metadata"]["uid"].as_str().unwrap().parse().unwrap();
    let jet = jetstream::new(world.client().clone());
    let stream = jet.get_stream(names.pods_stream()).await.unwrap();
    let mut subjects = stream.info_with_subjects(names.orders(Some(uid))).await.unwrap();
    let mut count = 0;
    while let Some(subject) = subjects.next().await {
        subject.unwrap();
        count += 1;
    }
    count
}

#[tokio::test]
async fn nothing_is_left_of_a_deleted_pod_when_its_record_goes() {
    let world = World::start(STINT, Shape { keep_pods: Some(0), ..Shape::default() }).await;
    let api = world.api("default");
    let go = world.path().join("go");
    let script = format!(
        "[ $JOB_COMPLETION_INDEX != 2 ] || until [ -e {} ]; do sleep 0.05; done",
        go.display()
    );
    // Of one Job all records go, of the other some.
    let done = api.complete(&job("done").indexed().completions(2).build()).await;
    let going = api.create(&job("going").indexed().completions(3).script(&script).build()).await;
    api.until_job("going", "has two successes", |job| counters(job) == (1, 2, 0)).await;
    for job in ["done", "going"] {
        for pod in api.pods(job).await {
            if pod["status"]["phase"] == "Succeeded" {
                api.send(&format!("pods.delete.{}", name(&pod)), &[], "").await.object();
            }
        }
    }
    assert_eq!((said(&world, &done).await, said(&world, &going).await), (2, 2));
    until("what was said goes", LIMIT, || async {
        ((said(&world, &done).await, said(&world, &going).await) == (0, 0)).then_some(())
    })
    .await;
    assert_eq!(api.pods("going").await.len(), 1, "the one that runs");
    std::fs::write(&go, "").unwrap();
    assert_eq!(counters(&api.ended("going").await.1), (0, 3, 0));
}

#[tokio::test]
async fn a_held_pod_outlives_records_that_are_removed() {
    let world = World::start(STINT, Shape { keep_pods: Some(0), ..Shape::default() }).await;
    let api = world.api("default");
    let done = api.complete(&job("done").indexed().completions(3).build()).await;
    let pods = api.pods("done").await;
    let held = name(&pods[0]);
    let (get, patch) = (format!("pods.get.{held}"), format!("pods.patch.{held}"));
    let finalizers = |names: Value| json!({"metadata": {"finalizers": names}}).to_string();
    api.send(&patch, &[], finalizers(json!(["example.com/hold"]))).await.object();
    until("the others go", LIMIT, || async { (api.pods("done").await.len() == 1).then_some(()) })
        .await;
    let pod = api.send(&get, &[], "").await.object();
    assert_eq!(pod["status"]["phase"], "Succeeded", "its record is there: {pod}");
    api.send(&patch, &[], finalizers(json!(null))).await.object();
    until("it goes, too", LIMIT, || async { api.pods("done").await.is_empty().then_some(()) })
        .await;
    api.send(&get, &[], "").await.refused(404);
    assert_eq!(said(&world, &done).await, 0);
    assert_eq!(counters(&api.job("done").await), (0, 3, 0));
}
