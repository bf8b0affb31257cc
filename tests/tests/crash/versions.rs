//! Another version of Stint together with this one. `STINT_OTHER_VERSION` names its program;
//! without it nothing here can be tried, and that is said.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;
use stint_tests::api::{counters, name};
use stint_tests::parts::Dress;
use stint_tests::{Api, Shape, World, job, records, until};

use super::STINT;
use super::lasting::{LASTING, PATIENCE, began, completed_untouched, lasting, times};
use super::standstill::Counted;

const COORDINATORS: [&str; 2] = ["coordinator-0", "coordinator-1"];
const WORKERS: [&str; 2] = ["worker-0", "worker-1"];

fn other() -> Option<PathBuf> {
    let found = std::env::var_os("STINT_OTHER_VERSION").map(PathBuf::from);
    if found.is_none() {
        println!("not tried: STINT_OTHER_VERSION names no program of another version");
    }
    found
}

fn dress(program: &Path) -> Dress {
    Dress { program: Some(program.to_owned()), ..Dress::default() }
}

/// Everything that both sides have to agree on, once.
async fn all_kinds(world: &World, api: &Api) {
    let done = api.complete(&job("many").indexed().completions(50).script("echo hi").build()).await;
    assert_eq!(counters(&done), (0, 50, 0), "{done}");
    let pods = api.pods("many").await;
    assert_eq!(api.log(name(&pods[0]), &[]).await, b"hi\n");
    let never = json!({"backoffLimit": 0});
    let (reason, _) = api.failed(&job("bad").spec(&never).script("exit 3").build()).await;
    assert_eq!(reason, "BackoffLimitExceeded");

    let dir = world.path().join(&api.namespace);
    std::fs::create_dir_all(&dir).unwrap();
    let beat = |name: &str| {
        let mark = dir.join(name);
        job(name).script(&format!("echo > {}; exec sleep 1000", mark.display())).build()
    };
    for name in ["suspended", "deleted"] {
        api.create(&beat(name)).await;
        until(name, PATIENCE, || async { dir.join(name).exists().then_some(()) }).await;
    }
    api.patch("suspended", &json!({"spec": {"suspend": true}})).await;
    api.until_job("suspended", "its pod is gone", |job| {
        let left = [&job["status"]["active"], &job["status"]["terminating"]];
        left.iter().all(|count| count.as_u64().unwrap_or(0) == 0)
    })
    .await;
    api.send("jobs.delete.deleted", &[], "").await.object();
    until("its pods are gone", PATIENCE, || async {
        api.pods("deleted").await.is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn coordinators_and_workers_of_two_versions_work_together() {
    let Some(other) = other() else { return };
    for (coordinator, worker) in [(true, false), (false, true)] {
        let shape = Shape { coordinators: 0, workers: 0, ..Shape::default() };
        let world = World::start(STINT, shape).await;
        for (part, is_other) in [("coordinator-0", coordinator), ("worker-0", worker)] {
            if is_other {
                println!("the other version is {part}");
                world.dress(part, dress(&other));
            }
            world.play(part);
            world.await_api().await;
        }
        world.await_workers().await;
        all_kinds(&world, &world.api("together")).await;
        assert_eq!(world.ended_by_themselves(), Vec::<String>::new());
    }
}

/// Stops a coordinator in order, and starts it as another version.
async fn replace_coordinator(world: &World, part: &str, version: &Path) {
    world.signal(part, Signal::SIGTERM);
    let status = world.take(part).wait(Duration::from_secs(30)).await;
    assert!(status.is_some_and(|status| status.success()), "{part}: {status:?}");
    world.dress(part, dress(version));
    world.play(part);
}

/// As `systemctl reload` has it: the next agent takes the pods over.
async fn replace_worker(world: &World, part: &str, version: &Path) {
    let before = records::lease(world.client(), part).await.unwrap();
    let mut old = world.take(part);
    world.dress(part, dress(version));
    world.play_with(part, &["--take-over"]);
    let status = old.wait(Duration::from_secs(30)).await;
    assert!(status.is_some_and(|status| status.success()), "{part}: {status:?}");
    until("the new agent renews the lease", PATIENCE, || async {
        let lease = records::lease(world.client(), part).await?;
        (lease.renewal > before.renewal || lease.incarnation != before.incarnation).then_some(())
    })
    .await;
}

/// From the other version to this one, and back, and so on, one part at a time.
#[tokio::test]
async fn a_rolling_upgrade_and_its_way_back_lose_nothing() {
    let Some(other) = other() else { return };
    let lease = (30.0, 1.0, 5.0);
    let shape = Shape { coordinators: 0, workers: 0, slots: 4, lease, ..Shape::default() };
    let world = World::start(STINT, shape).await;
    for part in COORDINATORS.iter().chain(&WORKERS) {
        world.dress(part, dress(&other));
        world.play(part);
        world.await_api().await;
    }
    world.await_workers().await;
    let (api, dir) = (world.api("default"), world.path().join("out"));
    std::fs::create_dir_all(&dir).unwrap();
    let slow = job("slow").indexed().completions(LASTING).spec(&json!({"backoffLimit": 0}));
    api.create(&slow.script(&lasting(&dir)).build()).await;
    began(&dir, LASTING, 1).await;
    let counted = Counted::start(&world, "counted").await;
    let mut slowest = Duration::ZERO;
    for time in 0..times(2) {
        let version = if time % 2 == 0 { Path::new(STINT) } else { &other };
        for part in COORDINATORS.iter().chain(&WORKERS) {
            counted.goes_on(20).await;
            println!("{part} becomes {}", version.display());
            let start = Instant::now();
            if COORDINATORS.contains(part) {
                replace_coordinator(&world, part, version).await;
            } else {
                replace_worker(&world, part, version).await;
            }
            counted.goes_on(20).await;
            slowest = slowest.max(start.elapsed());
        }
    }
    println!("the slowest step took {slowest:?}");
    std::fs::write(dir.join("go"), "").unwrap();
    completed_untouched(&api, "slow", &dir).await;
    counted.ends(&world).await;
}
