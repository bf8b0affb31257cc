//! Old work items that come once more when the records of their pods have been removed: the pods
//! neither run nor count again.

use std::path::Path;
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream;
use stint_common::names::{DEFAULT_CLASS, Names};
use stint_common::wire::{NOT_STARTED, PodState, VERSION, WorkItem};
use stint_tests::api::counters;
use stint_tests::records::Recorded;
use stint_tests::{Api, Shape, World, job, records, until};

use super::STINT;

/// A seal has to be known everywhere before anything is removed.
const REMOVED: Duration = Duration::from_secs(60);

/// Publishes a pod's work item again, as a queue does that forgot an acknowledgement.
async fn redeliver(client: &Client, pod: &Recorded) {
    let item = WorkItem {
        v: VERSION,
        template: pod.record.template.clone(),
        created_at: pod.record.created_at,
        index_failures: None,
    };
    let subject = Names::default().work(DEFAULT_CLASS, pod.pod);
    let payload = serde_json::to_vec(&item).unwrap();
    let jet = jetstream::new(client.clone());
    jet.publish(subject.clone(), payload.into()).await.unwrap().await.unwrap();
    let stream = jet.get_stream(Names::default().work_stream()).await.unwrap();
    until("the item is dealt with", REMOVED, || async {
        stream.get_last_raw_message_by_subject(&subject).await.is_err().then_some(())
    })
    .await;
}

fn runs(out: &Path, name: &str) -> usize {
    std::fs::read_to_string(out.join(name)).unwrap_or_default().lines().count()
}

async fn until_left(world: &World, uid: &str, left: usize) {
    until("records are removed", REMOVED, || async {
        (records::pods(world.client(), uid).await.len() == left).then_some(())
    })
    .await;
}

/// Nothing of the pod is shown, and it never began.
async fn is_not_started(world: &World, api: &Api, uid: &str, pod: &Recorded) {
    let is_refused = |other: &Recorded| match &other.record.state {
        PodState::Terminated(end) => end.reason == NOT_STARTED,
        PodState::Claimed | PodState::Running(_) => false,
    };
    until("the pod is refused", REMOVED, || async {
        let records = records::pods(world.client(), uid).await;
        records.iter().filter(|other| other.pod == pod.pod).all(is_refused).then_some(())
    })
    .await;
    assert!(api.pods("done").await.is_empty());
}

#[tokio::test]
async fn an_old_work_item_runs_nothing_when_the_record_of_its_pod_was_removed() {
    let world = World::start(STINT, Shape { keep_pods: Some(0), ..Shape::default() }).await;
    let api = world.api("default");
    let (out, go) = (world.path().join("out"), world.path().join("go"));
    std::fs::create_dir(&out).unwrap();
    let mark = |name: &str| format!("echo ran >> {}/{name}-$JOB_COMPLETION_INDEX", out.display());
    let script = format!(
        "{}; [ $JOB_COMPLETION_INDEX != 2 ] || until [ -e {} ]; do sleep 0.05; done",
        mark("going"),
        go.display()
    );
    let going = api.create(&job("going").indexed().completions(3).script(&script).build()).await;
    let manifest = job("done").indexed().completions(2).script(&mark("done")).build();
    let done = api.complete(&manifest).await;
    api.until_job("going", "has two successes", |job| counters(job) == (1, 2, 0)).await;
    let uid = |job: &serde_json::Value| job["metadata"]["uid"].as_str().unwrap().to_owned();
    let (done, going) = (uid(&done), uid(&going));
    let of_done = records::pods(world.client(), &done).await;
    let of_going = records::pods(world.client(), &going).await;
    assert_eq!((of_done.len(), of_going.len()), (2, 3), "nothing is removed so soon");
    let name = api.pods("done").await[0]["metadata"]["name"].as_str().unwrap().to_owned();

    until_left(&world, &done, 0).await;
    until_left(&world, &going, 1).await;
    assert!(api.pods("done").await.is_empty());
    for what in [format!("pods.get.{name}"), format!("pods/log.get.{name}")] {
        let status = api.send(&what, &[], "").await.refused(404);
        let message = status["message"].as_str().unwrap();
        assert!(message.contains("no longer kept"), "{message}");
    }

    let first = |records: &[Recorded]| {
        records.iter().find(|record| record.pod.slot.0 == 0).cloned().expect("index 0 ran")
    };
    let (one, other) = (first(&of_done), first(&of_going));
    for again in 0..2 {
        // The worker remembers both Jobs as they were before anything was removed, and claims.
        redeliver(world.client(), &one).await;
        redeliver(world.client(), &other).await;
        is_not_started(&world, &api, &done, &one).await;
        is_not_started(&world, &api, &going, &other).await;
        assert_eq!((runs(&out, "done-0"), runs(&out, "going-0")), (1, 1), "time {again}");
        if again == 0 {
            world.kill("coordinator-0");
            world.play("coordinator-0");
            world.await_api().await;
            until_left(&world, &done, 0).await;
        }
    }
    std::fs::write(&go, "").unwrap();
    let (end, going) = api.ended("going").await;
    assert_eq!((end.as_str(), counters(&going)), ("Complete", (0, 3, 0)), "{going}");
    assert_eq!(counters(&api.job("done").await), (0, 2, 0));
    assert_eq!((runs(&out, "done-1"), runs(&out, "going-1"), runs(&out, "going-2")), (1, 1, 1));
}
