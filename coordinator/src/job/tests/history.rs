//! Random histories: any order, any repetition, a crash between any two steps.

use proptest::prelude::*;

use super::world::{Record, World};
use crate::job::*;

/// One step: what, and a number to pick with.
type Step = (u8, u16);

fn take(world: &mut World, (what, number): Step) {
    let pick = usize::from(number);
    let odd = number % 2 == 1;
    match what {
        0..=3 => _ = world.plan(),
        4 => world.plan_in_vain(),
        5 => world.publish(pick % 7),
        6 => world.take_and_put_back(pick % 5),
        7 | 8 => world.claim(pick),
        9 => world.run(pick, odd),
        10 | 11 => world.end(pick, odd),
        12..=15 => world.deliver(pick, false),
        16 => world.deliver(pick, true),
        17 => world.bury(),
        18 => world.obey(pick, odd),
        19 => world.crash(),
        20 => world.delete_pod(pick),
        21 => world.advance(u64::from(number) % 40),
        22 => {
            let parallelism = u32::from(number) % 6;
            world.set_spec(JobSpec { parallelism, ..world.spec.clone() });
        }
        23 => world.set_spec(JobSpec { suspend: odd, ..world.spec.clone() }),
        24 if world.spec.indexed => {
            let size = 1 + u32::from(number) % 7;
            let spec = world.spec.clone();
            world.set_spec(JobSpec { completions: Some(size), parallelism: size, ..spec });
        }
        24 | 25 => {
            let replace_only_failed = odd;
            world.set_spec(JobSpec { replace_only_failed, ..world.spec.clone() });
        }
        _ => world.check_rebuild(),
    }
}

fn any_spec() -> impl Strategy<Value = JobSpec> {
    let shape = prop_oneof![
        (0_u32..8).prop_map(|completions| (true, Some(completions))),
        (0_u32..8).prop_map(|completions| (false, Some(completions))),
        Just((false, None)),
    ];
    let limits = (prop_oneof![0_u32..4, Just(1000)], proptest::option::of(10_u64..4000));
    (shape, 1_u32..5, limits, any::<bool>(), any::<bool>()).prop_map(
        |((indexed, completions), parallelism, (backoff_limit, deadline), failed, suspend)| {
            JobSpec {
                parallelism,
                completions,
                indexed,
                backoff_limit,
                active_deadline_seconds: deadline,
                replace_only_failed: failed,
                suspend,
                ..JobSpec::default()
            }
        },
    )
}

/// Every termination was taken in at most once (checked as it happened), and what was taken in is
/// what the counters say.
fn check_counts(world: &World) {
    let count = |outcome| world.closed.values().filter(|closed| **closed == outcome).count();
    let status = world.job.status();
    assert_eq!(status.uncounted(), 0);
    assert_eq!(status.failed as usize, count(CloseOutcome::Failed));
    if world.spec.indexed {
        assert_eq!(status.succeeded, world.job.ledger().succeeded.len());
    } else {
        assert_eq!(status.succeeded as usize, count(CloseOutcome::Succeeded));
    }
    assert_eq!((status.active, status.terminating), (0, 0));
    assert!(world.living().is_empty(), "a process outlives its Job");
}

/// Whether each pod succeeds, and in which order that is heard.
fn outcomes_and_order() -> impl Strategy<Value = (Vec<bool>, Vec<usize>)> {
    proptest::collection::vec(any::<bool>(), 1..12).prop_flat_map(|outcomes| {
        let order: Vec<usize> = (0..outcomes.len()).collect();
        (Just(outcomes), Just(order).prop_shuffle())
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1500,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_job_ends_once_with_every_pod_counted_once(
        spec in any_spec(),
        steps in proptest::collection::vec((0_u8..28, any::<u16>()), 0..160),
        succeed: bool,
    ) {
        let mut world = World::new(spec);
        for step in steps {
            take(&mut world, step);
        }
        let spec = JobSpec { suspend: false, parallelism: 3, ..world.spec.clone() };
        world.set_spec(spec);
        // A work queue and a generous limit go on for as long as pods fail.
        let succeed = succeed || world.spec.backoff_limit > 100;
        world.run_to_the_end(succeed);
        check_counts(&world);
    }

    #[test]
    fn a_deleted_job_goes_when_its_pods_have_gone(
        spec in any_spec(),
        steps in proptest::collection::vec((0_u8..28, any::<u16>()), 0..80),
    ) {
        let mut world = World::new(spec);
        for step in steps {
            take(&mut world, step);
        }
        world.delete();
        world.run_to_the_end(false);
        world.settle();
        prop_assert!(world.living().is_empty());
        while world.dispose.is_none() {
            // It was about to finish; a finished Job is removed at once.
            prop_assert!(world.plan() || world.dispose == Some(Dispose::Remove));
        }
        prop_assert_eq!(world.dispose, Some(Dispose::Remove));
    }

    #[test]
    fn the_order_of_arrival_changes_no_count(
        (outcomes, order) in outcomes_and_order(),
        indexed: bool,
        batch in 1_usize..5,
    ) {
        let size = u32::try_from(outcomes.len()).unwrap();
        let mut world = World::new(JobSpec {
            parallelism: size,
            completions: Some(size),
            indexed,
            backoff_limit: 1000,
            ..JobSpec::default()
        });
        world.settle();
        world.publish(usize::MAX);
        for _ in 0..size {
            world.claim(0);
        }
        world.deliver_all();
        for (number, place) in order.iter().enumerate() {
            let slot = u32::try_from(*place).unwrap();
            let end = super::world::end(outcomes[*place], world.now);
            let _ = world.job.observe(
                stint_common::id::Slot(slot),
                stint_common::id::Attempt(0),
                PodFact::Ended(end.clone()),
            );
            world.records.insert(super::world::slot_attempt(slot, 0), Record::Ended(end));
            if number % batch == 0 {
                world.settle();
            }
        }
        world.settle();
        let failed = outcomes.iter().filter(|succeeded| !**succeeded).count();
        let status = world.job.status();
        prop_assert_eq!(status.failed as usize, failed);
        prop_assert_eq!(status.succeeded as usize, outcomes.len() - failed);
        prop_assert_eq!(status.finished().is_some(), failed == 0);
    }
}
