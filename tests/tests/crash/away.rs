//! nats-server is away for longer than the leases: pods are frozen, thawed when it is back, and
//! none has failed.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use stint_tests::api::counters;
use stint_tests::world::NATS;
use stint_tests::{Shape, World, job, until};

use super::STINT;
use super::lasting::{LASTING, began, file, replaced_at_once};

/// Pods that run are seen to; their file grows every 50 ms.
const STILL: Duration = Duration::from_millis(700);

fn size(file: &Path) -> u64 {
    std::fs::metadata(file).map_or(0, |found| found.len())
}

#[tokio::test]
async fn pods_are_frozen_while_there_is_no_proof_and_go_on_after_it() {
    let shape = Shape { slots: 2, lease: (2.0, 0.5, 1.5), ..Shape::default() };
    let world = World::start(STINT, shape).await;
    let api = world.api("default");
    let (beat, go) = (world.path().join("beat"), world.path().join("go"));
    let script = format!(
        "until [ -e {} ]; do echo $STINT_ATTEMPT >> {}; sleep 0.05; done",
        go.display(),
        beat.display()
    );
    api.create(&job("frozen").script(&script).build()).await;
    until("the pod beats", Duration::from_secs(20), || async { (size(&beat) > 8).then_some(()) })
        .await;
    let start = Instant::now();
    world.kill(NATS);
    let mut seen = (size(&beat), Instant::now());
    until("the pod is frozen", Duration::from_secs(20), || {
        if size(&beat) != seen.0 {
            seen = (size(&beat), Instant::now());
        }
        let still = seen.1.elapsed() >= STILL;
        async move { still.then_some(()) }
    })
    .await;
    assert!(seen.1.duration_since(start) > Duration::from_secs(1), "it was frozen at once");
    // Longer than lease and grace: whoever forgets to start its clocks anew condemns the worker.
    until("the server is away for long", Duration::from_secs(20), || {
        let long = start.elapsed() > Duration::from_secs(5);
        async move { long.then_some(()) }
    })
    .await;
    assert_eq!(size(&beat), seen.0, "a frozen pod does nothing");
    world.play(NATS);
    until("the pod goes on", Duration::from_secs(30), || async {
        (size(&beat) > seen.0 + 4).then_some(())
    })
    .await;
    std::fs::write(&go, "").unwrap();
    let (end, done) = api.ended_at_last("frozen", Duration::from_secs(30)).await;
    assert_eq!((end.as_str(), counters(&done)), ("Complete", (0, 1, 0)), "{done}");
    let beats = std::fs::read_to_string(&beat).unwrap();
    assert!(beats.lines().all(|attempt| attempt == "0"), "{beats}");
}

/// Nobody stops a machine for want of a server: the ends of its pods are told by others.
#[tokio::test]
async fn what_is_stopped_while_its_server_is_away_ends() {
    let shape = Shape { workers: 0, lease: (2.0, 0.5, 1.0), ..Shape::default() };
    let world = World::start(STINT, shape).await;
    world.play_with("worker-0", &["--shutdown-seconds", "1"]);
    world.await_workers().await;
    let (api, dir) = (world.api("default"), world.path().join("out"));
    std::fs::create_dir_all(&dir).unwrap();
    api.create(&replaced_at_once("stopped", &dir)).await;
    began(&dir, LASTING, 1).await;
    world.kill(NATS);
    for part in ["worker-0", "coordinator-0"] {
        world.signal(part, Signal::SIGTERM);
        let status = world.take(part).wait(Duration::from_secs(30)).await;
        assert!(status.is_some_and(|status| status.success()), "{part}: {status:?}");
    }
    world.play(NATS);
    world.play("coordinator-0");
    world.play("worker-0");
    began(&dir, LASTING, 2).await;
    std::fs::write(dir.join("go"), "").unwrap();
    let (end, done) = api.ended_at_last("stopped", Duration::from_secs(60)).await;
    assert_eq!((end.as_str(), counters(&done).1), ("Complete", u64::from(LASTING)), "{done}");
    assert_eq!(file(&dir, "twice"), "", "two attempts of an index ran at once");
}
