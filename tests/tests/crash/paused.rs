//! A worker that is paused for longer than its lease: its pods are replaced only after it is
//! recorded as lost; when it wakes up, what it says is refused and what it still runs is killed.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use stint_common::wire::{EndedBy, Outcome, PodState, WorkerState};
use stint_tests::api::counters;
use stint_tests::{Api, Shape, World, eventually, job, proc, records, until};

use super::STINT;

const LEASE: f64 = 2.0;

/// Each attempt says which it is and as which process, and ends when a file of its own appears.
fn script(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "echo $$ > {dir}/pid-$JOB_COMPLETION_INDEX-$STINT_ATTEMPT; \
         until [ -e {dir}/go-$JOB_COMPLETION_INDEX-$STINT_ATTEMPT ]; do sleep 0.05; done"
    )
}

fn go(dir: &Path, index: &str, attempt: u32) {
    std::fs::write(dir.join(format!("go-{index}-{attempt}")), "").expect("a file to go by");
}

async fn pid(dir: &Path, index: &str, attempt: u32) -> i32 {
    let file = dir.join(format!("pid-{index}-{attempt}"));
    let what = format!("attempt {attempt} of index {index} runs");
    until(&what, Duration::from_secs(60), || async { proc::pid_in(&file) }).await
}

/// The indexes that each worker runs.
async fn placed(api: &Api) -> HashMap<String, Vec<String>> {
    let mut placed: HashMap<String, Vec<String>> = HashMap::new();
    for pod in api.pods("paused").await {
        let node = pod["spec"]["nodeName"].as_str().unwrap_or_default().to_owned();
        let labels = &pod["metadata"]["labels"];
        let index = labels["batch.kubernetes.io/job-completion-index"].as_str().unwrap_or_default();
        placed.entry(node).or_default().push(index.to_owned());
    }
    placed
}

#[tokio::test]
async fn a_worker_that_slept_too_long_has_no_say() {
    let shape = Shape { workers: 2, slots: 2, lease: (LEASE, 0.5, 1.5), ..Shape::default() };
    let world = World::start(STINT, shape).await;
    let (api, dir) = (world.api("default"), world.path());
    let created =
        api.create(&job("paused").indexed().completions(4).script(&script(dir)).build()).await;
    for index in 0..4 {
        pid(dir, &index.to_string(), 0).await;
    }
    let placed = placed(&api).await;
    let (sleeping, awake) = (&placed["worker-0"], &placed["worker-1"]);
    assert_eq!((sleeping.len(), awake.len()), (2, 2), "{placed:?}");
    let (ends, stays) = (&sleeping[0], &sleeping[1]);

    let start = Instant::now();
    world.signal("worker-0", Signal::SIGSTOP);
    // One of its pods ends well meanwhile; that will be told too late.
    go(dir, ends, 0);
    let stale = pid(dir, stays, 0).await;
    until("worker-0 is lost", Duration::from_secs(30), || async {
        let lease = records::lease(world.client(), "worker-0").await?;
        assert!(proc::pid_in(&dir.join(format!("pid-{stays}-1"))).is_none(), "replaced too early");
        (lease.state == WorkerState::Lost).then_some(())
    })
    .await;
    assert!(start.elapsed().as_secs_f64() >= LEASE, "lost after {:?}", start.elapsed());
    // A later success spares the replacements the back-off.
    for index in awake {
        go(dir, index, 0);
    }
    for index in sleeping {
        pid(dir, index, 1).await;
    }
    world.signal("worker-0", Signal::SIGCONT);
    eventually("what it still ran is killed", || !proc::lives(stale)).await;
    for index in sleeping {
        go(dir, index, 1);
    }
    let (end, done) = api.ended_at_last("paused", Duration::from_secs(60)).await;
    assert_eq!((end.as_str(), counters(&done)), ("Complete", (0, 4, 2)), "{done}");
    let uid = created["metadata"]["uid"].as_str().unwrap();
    let late = records::pods(world.client(), uid).await.into_iter().filter(|recorded| {
        recorded.pod.attempt.0 == 0 && sleeping.contains(&recorded.pod.slot.to_string())
    });
    for recorded in late {
        let PodState::Terminated(end) = &recorded.record.state else { panic!("{recorded:?}") };
        assert_eq!((end.outcome, end.by), (Outcome::Failed, EndedBy::Coordinator), "{end:?}");
    }
    // The worker lives on, in a new life.
    until("worker-0 is ready again", Duration::from_secs(20), || async {
        let lease = records::lease(world.client(), "worker-0").await?;
        (lease.state == WorkerState::Ready).then_some(())
    })
    .await;
}
