//! Deleting: Jobs with running pods, single pods, and whole trees of processes.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stint_tests::api::{counters, name};
use stint_tests::{Api, eventually, job, proc, until};

use super::shared;

/// A Job whose pod writes its process id and sleeps; the id.
async fn sleeper(api: &Api, dir: &Path, name: &str) -> i32 {
    let file: PathBuf = dir.join(format!("sleeper-{name}"));
    let script = format!("echo $$ > {}; exec sleep 600", file.display());
    api.create(&job(name).script(&script).build()).await;
    until("the pod runs", Duration::from_secs(20), || async { proc::pid_in(&file) }).await
}

async fn gone(api: &Api, what: &str) {
    until(&format!("{what} is gone"), Duration::from_secs(20), || async {
        (api.send(what, &[], "").await.code == Some(404)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_job_deleted_in_the_background_goes_at_once_and_its_pods_after_it() {
    let (world, api) = shared("background").await;
    let pid = sleeper(&api, world.path(), "background").await;
    api.send("jobs.delete.background", &[("propagationPolicy", "Background")], "").await.object();
    api.send("jobs.get.background", &[], "").await.refused(404);
    eventually("the process ends", || !proc::lives(pid)).await;
    until("no pod is left", Duration::from_secs(10), || async {
        api.pods("background").await.is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_job_deleted_in_the_foreground_stays_until_its_pods_are_gone() {
    let (world, api) = shared("foreground").await;
    let file = world.path().join("foreground-pid");
    let may = world.path().join("foreground-may");
    // It ends only when it may: until then the Job must be seen.
    let script = format!(
        "trap '' TERM; echo $$ > {}; until [ -e {} ]; do sleep 0.05; done",
        file.display(),
        may.display()
    );
    api.create(&job("foreground").script(&script).build()).await;
    let pid =
        until("the pod runs", Duration::from_secs(20), || async { proc::pid_in(&file) }).await;
    let headers = [("propagationPolicy", "Foreground")];
    api.send("jobs.delete.foreground", &headers, "").await.object();
    let leaving = api.job("foreground").await;
    assert!(leaving["metadata"]["deletionTimestamp"].is_string(), "{leaving}");
    assert_eq!(leaving["metadata"]["finalizers"], json!(["foregroundDeletion"]), "{leaving}");
    assert!(proc::lives(pid));
    std::fs::write(&may, "").unwrap();
    gone(&api, "jobs.get.foreground").await;
    assert!(!proc::lives(pid));
}

#[tokio::test]
async fn a_deleted_pod_is_replaced() {
    let (world, api) = shared("replace").await;
    let pid = sleeper(&api, world.path(), "replace").await;
    let pods = api.pods("replace").await;
    let first = name(&pods[0]).to_owned();
    let delete = format!("pods.delete.{first}");
    api.send(&delete, &[("gracePeriodSeconds", "0")], "").await.object();
    eventually("the process ends", || !proc::lives(pid)).await;
    let next = until("another process runs", Duration::from_secs(40), || async {
        proc::pid_in(&world.path().join("sleeper-replace")).filter(|next| *next != pid)
    })
    .await;
    assert!(proc::lives(next));
    let second = api.job("replace").await;
    assert_eq!(counters(&second).0, 1, "{second}");
    api.send("jobs.delete.replace", &[], "").await.object();
    eventually("the process ends", || !proc::lives(next)).await;
}

#[tokio::test]
async fn what_will_not_end_is_killed_with_all_that_it_started() {
    let (world, api) = shared("tree").await;
    let dir = world.path();
    // A grandchild in a session of its own, whose parent is gone: no process group finds it.
    let grandchild = format!("trap \"\" TERM; echo $$ > {}/tree-far; sleep 600", dir.display());
    let script = format!(
        "trap '' TERM; (setsid sh -c '{grandchild}' &) ; echo $$ > {}/tree-near; \
         while true; do sleep 0.05; done",
        dir.display()
    );
    let manifest = job("tree").pod_spec(&json!({"terminationGracePeriodSeconds": 1}));
    api.create(&manifest.script(&script).build()).await;
    let found = until("both run", Duration::from_secs(20), || async {
        Some((proc::pid_in(&dir.join("tree-near"))?, proc::pid_in(&dir.join("tree-far"))?))
    });
    let (near, far) = found.await;
    let start = Instant::now();
    api.send("jobs.delete.tree", &[], "").await.object();
    eventually("the child ends", || !proc::lives(near)).await;
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(900), "killed after {took:?}, before its grace was over");
    eventually("the grandchild ends", || !proc::lives(far)).await;
}

#[tokio::test]
async fn a_pod_that_is_deleted_again_can_only_be_hurried() {
    let (world, api) = shared("hurry").await;
    let dir = world.path().display().to_string();
    let script = format!(
        "trap 'echo > {dir}/hurry-term' TERM; echo $$ > {dir}/hurry; while :; do sleep 0.05; done"
    );
    let manifest = job("hurry").pod_spec(&json!({"terminationGracePeriodSeconds": 600}));
    api.create(&manifest.script(&script).build()).await;
    let pid = world.path().join("hurry");
    let pid = until("the pod runs", Duration::from_secs(20), || async { proc::pid_in(&pid) }).await;
    let pods = api.pods("hurry").await;
    let delete = format!("pods.delete.{}", name(&pods[0]));
    let grace = |pod: &Value| {
        let pod = &pod["metadata"];
        (pod["deletionGracePeriodSeconds"].clone(), pod["deletionTimestamp"].clone())
    };
    let first = grace(&api.send(&delete, &[], "").await.object());
    assert_eq!(first.0, 600);
    let term = world.path().join("hurry-term");
    eventually("TERM has come", || term.exists()).await;
    for more in [&[][..], &[("gracePeriodSeconds", "601")]] {
        assert_eq!(grace(&api.send(&delete, more, "").await.object()), first);
    }
    let less = grace(&api.send(&delete, &[("gracePeriodSeconds", "300")], "").await.object());
    assert_eq!(less.0, 300);
    assert!(less.1.as_str() < first.1.as_str(), "{less:?} {first:?}");
    assert!(proc::lives(pid));
    api.send(&delete, &[("gracePeriodSeconds", "0")], "").await.object();
    eventually("the process ends", || !proc::lives(pid)).await;
    api.send("jobs.delete.hurry", &[], "").await.object();
}

#[tokio::test]
async fn who_heeds_term_ends_before_its_grace_is_over() {
    let (world, api) = shared("term").await;
    let (pid, said) = (world.path().join("term-pid"), world.path().join("term-said"));
    let script = format!(
        "trap 'echo bye > {}; exit 0' TERM; echo $$ > {}; while true; do sleep 0.02; done",
        said.display(),
        pid.display()
    );
    api.create(&job("term").script(&script).build()).await;
    let id = until("the pod runs", Duration::from_secs(20), || async { proc::pid_in(&pid) }).await;
    let start = Instant::now();
    api.send("jobs.delete.term", &[], "").await.object();
    eventually("the process ends", || !proc::lives(id)).await;
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    assert_eq!(std::fs::read_to_string(said).unwrap(), "bye\n");
}
