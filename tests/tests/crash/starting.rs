//! A process that is told to stop while it starts, and its server does not answer.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use stint_tests::api::counters;
use stint_tests::world::NATS;
use stint_tests::{Cut, Relay, Shape, World, eventually, proc};

use super::STINT;
use super::lasting::{LASTING, PATIENCE, began, completed_untouched, file, replaced_at_once};

/// A worker that is starting waits so long for its server, and then for its pods.
const PROMPT: Duration = Duration::from_secs(20);

/// How far a worker gets: it never connects, or says this and hears nothing any more.
const STAGES: [Option<&str>; 4] = [
    None,
    // Its lease is read.
    Some("stint.obj.leases._workers"),
    // Its inbox for work is made.
    Some("SUB stint.nudge"),
    // The templates of the pods that it finds are read.
    Some("stint.obj.templates"),
];

fn hold(network: &Relay, stage: Option<&str>) {
    match stage {
        None => network.set(Cut::BOTH),
        Some(text) => network.cut_at(text),
    }
}

/// Starts `part`, and tells it to stop once nothing gets through any more; it ends at once.
async fn stops_at(world: &World, part: &str, network: &Relay, stage: Option<&str>) {
    println!("{part} is told to stop at {stage:?}");
    hold(network, stage);
    world.play_with(part, &["--nats", &network.url()]);
    network.is_cut().await;
    if stage.is_none() {
        // It listens for signals before it connects.
        eventually("it connects", || network.connections() > 0).await;
    }
    let start = Instant::now();
    world.signal(part, Signal::SIGTERM);
    let status = world.take(part).wait(PROMPT).await;
    assert!(status.is_some_and(|status| status.success()), "{status:?} at {stage:?}");
    println!("it ended after {:?}", start.elapsed());
}

/// The pods that an agent before has left are stopped, and replaced; nothing of the worker is left.
#[tokio::test]
async fn a_worker_that_starts_ends_when_told_to_while_its_server_is_away() {
    let shape = Shape { workers: 0, lease: (60.0, 0.5, 1.0), ..Shape::default() };
    let world = World::start(STINT, shape).await;
    world.play("worker-0");
    world.await_workers().await;
    let (api, dir) = (world.api("default"), world.path().join("out"));
    std::fs::create_dir_all(&dir).unwrap();
    api.create(&replaced_at_once("starting", &dir)).await;
    for (number, stage) in STAGES.into_iter().enumerate() {
        began(&dir, LASTING, number + 1).await;
        let network = world.network().await;
        let supervisor = world.supervisor("worker-0").expect("there is a supervisor");
        world.kill("worker-0");
        stops_at(&world, "worker-0", &network, stage).await;
        eventually("the supervisor ends with it", || !proc::lives(supervisor)).await;
        world.play("worker-0");
    }
    began(&dir, LASTING, STAGES.len() + 1).await;
    std::fs::write(dir.join("go"), "").unwrap();
    let (end, done) = api.ended_at_last("starting", PATIENCE).await;
    assert_eq!((end.as_str(), counters(&done).1), ("Complete", u64::from(LASTING)), "{done}");
    assert_eq!(file(&dir, "twice"), "", "two attempts of an index ran at once");
}

/// Told to hand over, it leaves the pods as they are.
#[tokio::test]
async fn a_worker_that_starts_leaves_its_pods_to_the_next_while_its_server_is_away() {
    let world = World::start(STINT, Shape::default()).await;
    let (api, dir) = (world.api("default"), world.path().join("out"));
    std::fs::create_dir_all(&dir).unwrap();
    api.create(&replaced_at_once("left", &dir)).await;
    began(&dir, LASTING, 1).await;
    for stage in STAGES {
        let network = world.network().await;
        hold(&network, stage);
        world.kill("worker-0");
        world.play_with("worker-0", &["--nats", &network.url()]);
        network.is_cut().await;
        eventually("it connects", || network.connections() > 0).await;
        world.signal("worker-0", Signal::SIGUSR1);
        let status = world.take("worker-0").wait(PROMPT).await;
        assert!(status.is_some_and(|status| status.success()), "{status:?} at {stage:?}");
        world.play("worker-0");
    }
    std::fs::write(dir.join("go"), "").unwrap();
    completed_untouched(&api, "left", &dir).await;
}

#[tokio::test]
async fn a_coordinator_that_starts_ends_when_told_to_while_its_server_is_away() {
    let world = World::start(STINT, Shape { workers: 0, ..Shape::default() }).await;
    for stage in [None, Some("$JS.API.STREAM.INFO"), Some("$JS.API.CONSUMER.CREATE")] {
        let network = world.network().await;
        stops_at(&world, "coordinator-1", &network, stage).await;
    }
}

/// A machine that starts has everything start at once.
#[tokio::test]
async fn who_starts_before_its_server_waits_for_it() {
    let world = World::start(STINT, Shape { workers: 0, ..Shape::default() }).await;
    world.kill(NATS);
    world.kill("coordinator-0");
    for part in ["coordinator-0", "worker-0"] {
        world.play(part);
        eventually("it waits", || world.log(part).contains("NATS is waited for")).await;
    }
    world.play(NATS);
    world.await_workers().await;
    world.api("default").complete(&stint_tests::job("early").build()).await;
    assert_eq!(world.ended_by_themselves(), Vec::<String>::new());
}
