//! What decisions cost: they must not grow with the Job.

use std::time::{Duration, Instant};

use stint_common::id::Slot;

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

/// A ledger in which `slots` were issued.
fn issued(slots: u32) -> Ledger {
    let mut ledger = Ledger::default();
    (0..slots).for_each(|slot| ledger.issue(Slot(slot)));
    ledger
}

fn fail(ledger: &mut Ledger, slot: u32) {
    ledger.close(Slot(slot), None);
    ledger.end(Slot(slot), ledger.slot(Slot(slot)).closed);
}

fn stored(ledger: &Ledger) -> usize {
    let bytes = serde_json::to_vec(ledger).unwrap();
    assert_eq!(serde_json::from_slice::<Ledger>(&bytes).unwrap(), *ledger);
    bytes.len()
}

#[test]
fn how_often_a_finished_index_was_tried_takes_no_room() {
    let mut ledger = issued(100_000);
    for slot in 0..100_000 {
        for _ in 0..slot % 7 {
            fail(&mut ledger, slot);
            ledger.issue(Slot(slot));
        }
        fail(&mut ledger, slot);
        if slot % 2 == 0 { ledger.succeed(Slot(slot)) } else { ledger.fail(Slot(slot)) }
    }
    assert!(ledger.slots.is_empty());
    assert!(ledger.slot(Slot(0)).closed >= 1 && ledger.slot(Slot(6)).closed >= 7);
    let bytes = stored(&ledger);
    println!("100,000 indexes, every second one given up, each tried 1 to 7 times: {bytes} bytes");
    assert!(bytes < 50_000, "{bytes} bytes");
}

/// Everything that runs at a time is apart from its neighbours, and has failed before.
#[test]
fn no_record_outgrows_what_was_reckoned() {
    let (completions, parallelism) = (1_000_000, 100_000);
    let mut ledger = Ledger { cursor: completions, tries: 1, ..Ledger::default() };
    ledger.succeeded = (0..completions).filter(|slot| slot % 10 != 3).collect();
    for slot in (3..completions).step_by(10) {
        fail(&mut ledger, slot);
        if slot % 20 == 3 {
            ledger.issue(Slot(slot));
        }
    }
    let extent = Extent {
        completions: Some(completions as usize),
        parallelism: parallelism as usize,
        ..Extent::default()
    };
    within(&ledger, extent, "a million indexes, a hundred thousand holes");

    let mut ledger = issued(100_000);
    let mut dice = 7_u64;
    for slot in 0..100_000 {
        let mut throw = |sides: u64| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (dice >> 33) % sides
        };
        for _ in 0..throw(6) {
            fail(&mut ledger, slot);
            ledger.add_failure(Slot(slot), false, None);
            ledger.issue(Slot(slot));
        }
        fail(&mut ledger, slot);
        let second = i64::try_from(throw(600)).unwrap();
        let at = ledger.grained(jiff::Timestamp::from_second(second).unwrap());
        ledger.add_failure(Slot(slot), throw(2) == 0, Some(at));
    }
    let extent = Extent {
        completions: Some(100_000),
        parallelism: 100_000,
        per_index: true,
        max_failed_indexes: None,
    };
    within(&ledger, extent, "a hundred thousand indexes, all of them backing off");
}

fn within(ledger: &Ledger, extent: Extent, what: &str) {
    let (bytes, reckoned) = (stored(ledger), extent.largest_state());
    println!("{what}: {bytes} bytes, reckoned {reckoned}");
    assert!(bytes <= reckoned, "{what}: {bytes} bytes, reckoned {reckoned}");
    assert!(reckoned < 900_000, "{what}: with an ordinary manifest it fits a message");
}

#[test]
fn the_largest_jobs_of_kubernetes_fit_a_message_and_small_ones_a_small_one() {
    let extent = |completions, parallelism, per_index, max_failed_indexes| Extent {
        completions: Some(completions),
        parallelism,
        per_index,
        max_failed_indexes,
    };
    for (extent, limit) in [
        (extent(1, 1, false, None), 10_000),
        (extent(100, 100, true, None), 48_000),
        (extent(1000, 1000, true, None), 250_000),
        (extent(1_000_000, 1000, false, None), 100_000),
        (extent(1_000_000, 100_000, false, None), 900_000),
        (extent(1_000_000, 10_000, true, Some(10_000)), 650_000),
        (extent(100_000_000, 10_000, true, Some(10_000)), 700_000),
    ] {
        let largest = extent.largest_state();
        println!("{extent:?}: {largest} bytes");
        assert!(largest < limit, "{extent:?}: {largest} bytes");
    }
}
