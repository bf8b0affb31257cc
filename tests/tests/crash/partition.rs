//! The network between a process and nats-server is cut, in one direction or both, for less and
//! for more than a lease. What was said comes late, not never: the worst that a network can do.

use std::time::Duration;

use stint_common::wire::WorkerState;
use stint_tests::api::counters;
use stint_tests::{Cut, Relay, Shape, World, records, until};

use super::STINT;
use super::lasting::{
    LASTING, PATIENCE, began, completed_untouched, file, lasting, replaced_at_once, times,
};
use super::standstill::{Counted, OWNER};

const CUTS: [Cut; 3] = [Cut::BOTH, Cut::UNHEARD, Cut::DEAF];

/// A worker behind a network of its own.
async fn behind_a_network(lease: (f64, f64, f64)) -> (World, Relay) {
    let world = World::start(STINT, Shape { workers: 0, lease, ..Shape::default() }).await;
    let network = world.network().await;
    world.play_with("worker-0", &["--nats", &network.url()]);
    world.await_workers().await;
    (world, network)
}

/// The number of a worker's last renewal that was stored.
async fn renewal(world: &World) -> Option<u64> {
    Some(records::lease(world.client(), "worker-0").await?.renewal)
}

#[tokio::test]
async fn no_pod_fails_while_its_worker_is_cut_off_for_less_than_the_lease() {
    let (world, network) = behind_a_network((4.0, 0.5, 2.0)).await;
    let (api, dir) = (world.api("default"), world.path().join("out"));
    std::fs::create_dir_all(&dir).unwrap();
    let job = stint_tests::job("short").indexed().completions(LASTING);
    let never = serde_json::json!({"backoffLimit": 0});
    api.create(&job.spec(&never).script(&lasting(&dir)).build()).await;
    began(&dir, LASTING, 1).await;
    for cut in CUTS.into_iter().cycle().take(usize::try_from(times(3)).unwrap()) {
        println!("{cut:?}");
        network.set(cut);
        // Nothing tells how long a network was cut but the time.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        network.set(Cut::NONE);
        let before = renewal(&world).await;
        until("the lease is renewed", PATIENCE, || async {
            (renewal(&world).await > before).then_some(())
        })
        .await;
    }
    std::fs::write(dir.join("go"), "").unwrap();
    completed_untouched(&api, "short", &dir).await;
}

#[tokio::test]
async fn a_worker_that_was_cut_off_for_too_long_lets_its_pods_go() {
    let (world, network) = behind_a_network((2.0, 0.5, 1.0)).await;
    let (api, dir) = (world.api("default"), world.path().join("out"));
    std::fs::create_dir_all(&dir).unwrap();
    api.create(&replaced_at_once("long", &dir)).await;
    let cuts = usize::try_from(times(3)).unwrap();
    for (number, cut) in CUTS.into_iter().cycle().take(cuts).enumerate() {
        began(&dir, LASTING, number + 1).await;
        println!("{cut:?}");
        network.set(cut);
        until("the worker is lost", PATIENCE, || async {
            let lease = records::lease(world.client(), "worker-0").await?;
            (lease.state == WorkerState::Lost).then_some(())
        })
        .await;
        network.set(Cut::NONE);
    }
    began(&dir, LASTING, cuts + 1).await;
    std::fs::write(dir.join("go"), "").unwrap();
    let (end, done) = api.ended_at_last("long", PATIENCE).await;
    assert_eq!((end.as_str(), counters(&done).1), ("Complete", u64::from(LASTING)), "{done}");
    assert_eq!(file(&dir, "twice"), "", "two attempts of an index ran at once");
    for index in 0..LASTING {
        let attempts = file(&dir, &format!("began-{index}"));
        let expect: String = (0..=cuts).map(|attempt| format!("{attempt}\n")).collect();
        assert_eq!(attempts, expect, "index {index}");
    }
}

/// The owner is cut off, another takes over, and then everything that the first one said arrives.
#[tokio::test]
async fn an_owner_that_was_cut_off_has_no_say() {
    let shape = Shape { coordinators: 0, workers: 0, slots: 4, ..Shape::default() };
    let world = World::start(STINT, shape).await;
    let networks = [world.network().await, world.network().await];
    let parts = ["coordinator-0", "coordinator-1"];
    world.play_with(parts[0], &["--nats", &networks[0].url()]);
    world.await_api().await;
    world.play_with(parts[1], &["--nats", &networks[1].url()]);
    world.play("worker-0");
    world.await_workers().await;
    let counted = Counted::start(&world, "cut").await;
    let reigns = |part: &str| world.log(part).matches(OWNER).count();
    let mut owner = 0;
    for (number, cut) in
        CUTS.into_iter().cycle().take(usize::try_from(times(3)).unwrap()).enumerate()
    {
        counted.goes_on(20).await;
        let other = 1 - owner;
        let before = reigns(parts[other]);
        println!("{number}: {} is cut off, {cut:?}", parts[owner]);
        networks[owner].set(cut);
        until("the other one owns", PATIENCE, || async {
            (reigns(parts[other]) > before).then_some(())
        })
        .await;
        counted.goes_on(20).await;
        networks[owner].set(Cut::NONE);
        owner = other;
    }
    counted.ends(&world).await;
}
