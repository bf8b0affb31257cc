//! What decisions cost: they must not grow with the Job.

use std::time::{Duration, Instant};

use super::world::{World, end, slot_attempt};
use crate::job::*;

fn large(parallelism: u32, completions: u32) -> World {
    let mut world = World::new(JobSpec {
        parallelism,
        completions: Some(completions),
        indexed: true,
        backoff_limit: u32::MAX,
        ..JobSpec::default()
    });
    while let Some(change) = plan(&world.job, world.now).change {
        world.job.apply(&change);
    }
    assert_eq!(world.job.status().active, parallelism.min(completions));
    world
}

/// One termination: observe, plan, apply. The best of many, since the machine has other things to
/// do.
fn best_of(world: &mut World, rounds: u32) -> Duration {
    let mut best = Duration::MAX;
    for slot in 0..rounds {
        let (slot, attempt) = slot_attempt(slot, 0);
        let fact = PodFact::Ended(end(slot.0 % 3 > 0, world.now));
        let start = Instant::now();
        assert_eq!(world.job.observe(slot, attempt, fact), Observed::Changed);
        let plan = plan(&world.job, world.now);
        world.job.apply(plan.change.as_ref().unwrap());
        best = best.min(start.elapsed());
    }
    best
}

#[test]
fn a_termination_costs_the_same_in_a_large_job() {
    let small = best_of(&mut large(100, 1000), 90);
    let large = best_of(&mut large(100_000, 1_000_000), 500);
    println!("one termination: {small:?} with 100 active pods, {large:?} with 100,000");
    // Generous: this is an unoptimised build, on a machine that may be busy.
    assert!(large < small * 10 + Duration::from_micros(300), "{small:?} {large:?}");
}

#[test]
fn a_large_record_is_small() {
    let mut world = large(10_000, 1_000_000);
    for slot in 0..5000 {
        let (slot, attempt) = slot_attempt(slot * 2, 0);
        let _ = world.job.observe(slot, attempt, PodFact::Ended(end(true, world.now)));
    }
    world.settle();
    assert_eq!(world.job.status().succeeded, 5000);
    let bytes = serde_json::to_string(world.job.ledger()).unwrap().len();
    assert!(bytes < 20_000, "{bytes} bytes");
    world.set_spec(JobSpec { suspend: true, ..world.spec.clone() });
    world.settle();
    let bytes = serde_json::to_string(world.job.ledger()).unwrap().len();
    assert!(bytes < 40_000, "{bytes} bytes");
    world.check_rebuild();
}
