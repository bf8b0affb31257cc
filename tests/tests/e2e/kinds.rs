//! Kinds of Jobs: Indexed, NonIndexed, work queue; suspended; with a deadline; with a time to live.

use std::time::{Duration, Instant};

use serde_json::json;
use stint_tests::api::{condition, counters, name};
use stint_tests::{job, proc, until};

use super::shared;

#[tokio::test]
async fn an_indexed_job_runs_each_index_once() {
    let (world, api) = shared("indexed").await;
    let out = world.path().join("indexed");
    std::fs::create_dir(&out).unwrap();
    let script = format!("echo $JOB_COMPLETION_INDEX >> {}/$JOB_COMPLETION_INDEX", out.display());
    let done = api.complete(&job("all").indexed().completions(12).script(&script).build()).await;
    assert_eq!(counters(&done), (0, 12, 0));
    assert_eq!(done["status"]["completedIndexes"], "0-11");
    assert_eq!(done["status"]["uncountedTerminatedPods"], json!({}));
    for index in 0..12 {
        let text = std::fs::read_to_string(out.join(index.to_string())).unwrap();
        assert_eq!(text, format!("{index}\n"));
    }
    let pods = api.pods("all").await;
    assert_eq!(pods.len(), 12);
    assert!(pods.iter().all(|pod| pod["status"]["phase"] == "Succeeded"), "{pods:?}");
}

#[tokio::test]
async fn a_nonindexed_job_runs_no_more_at_once_than_it_may() {
    let (_world, api) = shared("nonindexed").await;
    let manifest = job("few").completions(5).spec(&json!({"parallelism": 2})).script("sleep 0.1");
    let mut watch = api.open("jobs.watch", &[]).await;
    api.create(&manifest.build()).await;
    let mut most = 0;
    let done = loop {
        let (_, job) = watch.event().await;
        most = most.max(counters(&job).0);
        if condition(&job, "Complete").is_some() {
            break job;
        }
    };
    assert_eq!(counters(&done), (0, 5, 0));
    assert_eq!(most, 2);
    assert!(done["status"].get("completedIndexes").is_none(), "{done}");
}

#[tokio::test]
async fn a_work_queue_is_done_when_one_has_succeeded_and_all_have_ended() {
    let (_world, api) = shared("queue").await;
    let done = api.complete(&job("queue").spec(&json!({"parallelism": 3})).build()).await;
    let (active, succeeded, failed) = counters(&done);
    assert_eq!((active, failed), (0, 0));
    assert!((1..=3).contains(&succeeded), "{done}");
}

#[tokio::test]
async fn suspended_pods_end_and_resumed_ones_start() {
    let (world, api) = shared("suspend").await;
    let go = world.path().join("suspend-go");
    let script = format!("until [ -e {} ]; do sleep 0.05; done", go.display());
    let script = format!("trap 'exit 1' TERM; {script}");
    api.create(&job("rest").completions(2).script(&script).build()).await;
    api.until_job("rest", "two active", |job| counters(job).0 == 2).await;
    until("both run", Duration::from_secs(20), || async {
        let pods = api.pods("rest").await;
        pods.iter().all(|pod| pod["status"]["phase"] == "Running").then_some(())
    })
    .await;
    api.patch("rest", &json!({"spec": {"suspend": true}})).await;
    let resting = api.until_job("rest", "none active", |job| counters(job).0 == 0).await;
    assert!(condition(&resting, "Suspended").is_some(), "{resting}");
    assert!(resting["status"].get("startTime").is_none(), "{resting}");
    std::fs::write(&go, "").unwrap();
    api.patch("rest", &json!({"spec": {"suspend": false}})).await;
    let (end, done) = api.ended("rest").await;
    assert_eq!((end.as_str(), counters(&done)), ("Complete", (0, 2, 0)), "{done}");
    assert!(condition(&done, "Suspended").is_none(), "{done}");
}

#[tokio::test]
async fn a_job_created_suspended_starts_nothing() {
    let (_world, api) = shared("asleep").await;
    api.create(&job("asleep").spec(&json!({"suspend": true})).build()).await;
    let asleep =
        api.until_job("asleep", "Suspended", |job| condition(job, "Suspended").is_some()).await;
    assert_eq!(counters(&asleep), (0, 0, 0));
    assert!(api.pods("asleep").await.is_empty());
    api.patch("asleep", &json!({"spec": {"suspend": false}})).await;
    assert_eq!(api.ended("asleep").await.0, "Complete");
}

#[tokio::test]
async fn a_deadline_ends_a_job_with_its_pods() {
    let (_world, api) = shared("deadline").await;
    let manifest = job("late")
        .spec(&json!({"activeDeadlineSeconds": 2}))
        .env("WHOSE", "deadline-late")
        .script("sleep 600");
    let start = Instant::now();
    let (reason, failed) = api.failed(&manifest.build()).await;
    assert_eq!((reason.as_str(), counters(&failed)), ("DeadlineExceeded", (0, 0, 1)), "{failed}");
    // As in Kubernetes, the Job's start is cut to whole seconds.
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
    assert!(condition(&failed, "FailureTarget").is_some(), "{failed}");
    assert_eq!(proc::with_variable("WHOSE", "deadline-late"), Vec::<i32>::new());
}

#[tokio::test]
async fn a_finished_job_vanishes_after_its_time() {
    let (_world, api) = shared("ttl").await;
    api.create(&job("gone").spec(&json!({"ttlSecondsAfterFinished": 1})).build()).await;
    until("the Job is gone", Duration::from_secs(20), || async {
        let reply = api.send("jobs.get.gone", &[], "").await;
        (reply.code == Some(404)).then_some(())
    })
    .await;
    until("its pods are gone", Duration::from_secs(10), || async {
        api.pods("gone").await.is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn yaml_is_as_good_as_json() {
    let (_world, api) = shared("yaml").await;
    let manifest = "\
apiVersion: batch/v1
kind: Job
metadata:
  name: from-yaml
spec:
  completions: 2
  parallelism: 2
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: main
        image: host
        command: [sh, -c, 'exit 0']
";
    let created = api.send("jobs.create", &[], manifest).await.object();
    assert_eq!(created["metadata"]["namespace"], "yaml");
    let (end, done) = api.ended("from-yaml").await;
    assert_eq!((end.as_str(), counters(&done)), ("Complete", (0, 2, 0)));
}

#[tokio::test]
async fn images_whose_program_is_known_need_no_command() {
    let (_world, api) = shared("images").await;
    let of = |name: &str, image: &str, args: &[&str]| {
        let container = json!({"image": image, "command": null, "args": args});
        // A pod that is deleted counts as what it ends as.
        job(name).container(&container).spec(&json!({"podReplacementPolicy": "Failed"})).build()
    };
    api.complete(&of("shell", "registry.k8s.io/e2e-test-images/busybox:1.37.0-1", &[])).await;
    api.complete(&of("words", "busybox", &["sh", "-c", "echo said"])).await;
    let log = api.log(name(&api.pods("words").await[0]), &[]).await;
    assert_eq!(String::from_utf8_lossy(&log), "said\n");

    api.create(&of("idle", "registry.k8s.io/pause:3.10.1", &[])).await;
    api.until_job("idle", "its pod runs", |job| job["status"]["ready"] == 1).await;
    let pod = name(&api.pods("idle").await[0]).to_owned();
    api.send(&format!("pods.delete.{pod}"), &[], "").await.object();
    // As `pause` does, it ends with 0 when it is told to: so its Job has what it wanted.
    let (kind, done) = api.ended("idle").await;
    assert_eq!((kind.as_str(), counters(&done)), ("Complete", (0, 1, 0)));
}
