//! A storm: while two thousand pods run, coordinator, workers and nats-server are killed in turn,
//! at moments that a seed gives.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use stint_common::wire::{Outcome, PodState};
use stint_tests::api::counters;
use stint_tests::world::NATS;
use stint_tests::{Api, Shape, World, eventually, job, proc, records, until};

use super::STINT;

const PODS: u32 = 2000;
const SLOTS: u32 = 8;
/// Who is killed in one storm. Few workers: each leaves failures, and failures make others wait.
const VICTIMS: [&str; 8] =
    ["coordinator-0", NATS, "worker-0", "coordinator-0", NATS, "worker-1", "coordinator-0", NATS];
/// Before each kill so many more pods have begun (at least, and at most so many more): everything
/// is in full flow when it is cut. All kills come before the last pods do, so that a success
/// follows every failure and spares its replacement the back-off.
const PROGRESS: (u64, u64) = (40, 140);
/// And then so many milliseconds pass, at most.
const PAUSE_MS: u64 = 100;

/// Splitmix64: a seed gives a storm.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % sides
    }

    fn shuffle<T>(&mut self, things: &mut [T]) {
        for at in (1..things.len()).rev() {
            let other = self.throw(u64::try_from(at).unwrap_or(0) + 1);
            things.swap(at, usize::try_from(other).unwrap_or(0));
        }
    }
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[tokio::test]
async fn a_storm_of_kills_loses_nothing_and_runs_nothing_twice() {
    let fresh = || u64::try_from(uuid::Uuid::new_v4().as_u128() >> 64).unwrap_or(0);
    let seed = variable("STINT_CRASH_SEED").unwrap_or_else(fresh);
    for round in 0..variable("STINT_CRASH_ROUNDS").unwrap_or(1) {
        let seed = seed.wrapping_add(round);
        eprintln!("STINT_CRASH_SEED={seed}");
        storm(seed).await;
    }
}

async fn storm(seed: u64) {
    let shape = Shape { workers: 2, slots: SLOTS, lease: (4.0, 1.0, 2.0), ..Shape::default() };
    let world = World::start(STINT, shape).await;
    let api = world.api("default");
    let out = world.path().join("out");
    std::fs::create_dir(&out).expect("a folder for the marks");
    let whose = format!("storm-{seed}");
    let script =
        format!("echo $STINT_ATTEMPT >> {}/$JOB_COMPLETION_INDEX; sleep 0.03", out.display());
    let manifest = job("storm")
        .indexed()
        .completions(PODS)
        .spec(&serde_json::json!({"backoffLimit": 1_000_000}))
        .env("WHOSE", &whose)
        .script(&script);
    let created = api.create(&manifest.build()).await;
    let mut dice = Dice(seed);
    let mut victims = VICTIMS;
    dice.shuffle(&mut victims);
    for victim in victims {
        let wanted = begun(&out)
            + usize::try_from(PROGRESS.0 + dice.throw(PROGRESS.1)).expect("a small number");
        until("pods begin", Duration::from_secs(60), || async {
            (begun(&out) >= wanted).then_some(())
        })
        .await;
        tokio::time::sleep(Duration::from_millis(dice.throw(PAUSE_MS))).await;
        println!("{} pods have begun: killing {victim}", begun(&out));
        world.kill(victim);
        world.play(victim);
    }
    let (end, done) = api.ended_at_last("storm", Duration::from_secs(90)).await;
    assert_eq!(end, "Complete", "{done}");
    assert_eq!(world.ended_by_themselves(), Vec::<String>::new());
    let uid = created["metadata"]["uid"].as_str().expect("a uid");
    check_records(&world, &api, uid, &done).await;
    check_runs(&out);
    eventually("no process is left", || proc::with_variable("WHOSE", &whose).is_empty()).await;
}

/// How many indexes have begun.
fn begun(out: &Path) -> usize {
    std::fs::read_dir(out).map_or(0, Iterator::count)
}

/// The counters are what the records say: one success an index, and every failure.
async fn check_records(world: &World, api: &Api, uid: &str, done: &Value) {
    let mut succeeded = BTreeMap::new();
    let mut failed = 0;
    for recorded in records::pods(world.client(), uid).await {
        match recorded.record.state {
            PodState::Terminated(end) if end.outcome == Outcome::Succeeded => {
                let before = succeeded.insert(recorded.pod.slot, recorded.pod.attempt);
                assert_eq!(before, None, "{} succeeded twice", recorded.pod);
            }
            PodState::Terminated(_) => failed += 1,
            state => panic!("{} is not over: {state:?}", recorded.pod),
        }
    }
    assert_eq!(counters(done), (0, u64::from(PODS), failed), "{done}");
    assert_eq!(u32::try_from(succeeded.len()), Ok(PODS));
    assert_eq!(done["status"]["completedIndexes"], format!("0-{}", PODS - 1));
    assert_eq!(api.job("storm").await["status"], done["status"], "an end is final");
    println!("{failed} pods failed");
}

/// Each index ran, and no attempt of it twice.
fn check_runs(out: &Path) {
    for index in 0..PODS {
        let text = std::fs::read_to_string(out.join(index.to_string())).unwrap_or_default();
        let attempts: Vec<&str> = text.lines().collect();
        let distinct: HashSet<&str> = attempts.iter().copied().collect();
        assert!(!attempts.is_empty(), "index {index} never ran");
        assert_eq!(
            distinct.len(),
            attempts.len(),
            "index {index} ran an attempt twice: {attempts:?}"
        );
    }
}
