//! Random histories: any order, any repetition, a crash between any two steps.

use proptest::prelude::*;
use stint_common::index_set::IndexSet;

use super::world::{Ending, Record, World};
use crate::job::*;

/// One step: what, and a number to pick with.
type Step = (u8, u16);

/// Exit code that fails the Job, where there is a failure policy.
const FAILS_THE_JOB: i32 = 42;
/// Exit code that fails the index, where that can be.
const FAILS_THE_INDEX: i32 = 43;

fn ending(number: u16) -> Ending {
    match number % 16 {
        0..=5 => Ending::SUCCESS,
        6..=10 => Ending::FAILURE,
        11 | 12 => Ending { code: FAILS_THE_INDEX, disrupted: false },
        13 if number.is_multiple_of(3) => Ending { code: FAILS_THE_JOB, disrupted: false },
        _ => Ending { disrupted: true, ..Ending::FAILURE },
    }
}

fn failure_policy() -> FailurePolicy {
    let exits = |action, code| FailureRule {
        action: Some(action),
        on: FailureMatch::ExitCodes {
            container: None,
            operator: ExitOperator::In,
            values: vec![code],
        },
    };
    let disruption = ("DisruptionTarget".to_owned(), ConditionStatus::True);
    let ignore = FailureRule {
        action: Some(FailureAction::Ignore),
        on: FailureMatch::PodConditions(vec![disruption]),
    };
    FailurePolicy {
        rules: vec![
            exits(FailureAction::FailJob, FAILS_THE_JOB),
            exits(FailureAction::FailIndex, FAILS_THE_INDEX),
            ignore,
        ],
    }
}

/// One of a few success policies, for a Job of so many completions.
fn success_policy(which: u8, completions: u32) -> Option<SuccessPolicy> {
    let set = |indexes: &[u32]| -> Option<IndexSet> {
        Some(indexes.iter().copied().filter(|index| *index < completions).collect())
    };
    let rules = match which {
        0 => vec![SuccessRule { indexes: None, count: Some(3) }],
        1 => vec![SuccessRule { indexes: set(&[0, 2, 4]), count: None }],
        2 => vec![
            SuccessRule { indexes: set(&[6]), count: None },
            SuccessRule { indexes: set(&[1, 2, 3, 5]), count: Some(2) },
        ],
        _ => return None,
    };
    Some(SuccessPolicy { rules })
}

/// A Job, and which success policy it has.
#[derive(Clone, Debug)]
struct Shape {
    spec: JobSpec,
    success: u8,
}

impl Shape {
    fn take(&self, world: &mut World, (what, number): Step) {
        let pick = usize::from(number);
        let odd = number % 2 == 1;
        match what {
            0..=3 => _ = world.plan(),
            4 => world.plan_in_vain(),
            5 => world.publish(pick % 7),
            6 => world.take_and_put_back(pick % 5),
            7 | 8 => world.claim(pick),
            9 => world.run(pick, odd),
            10 | 11 => world.end(pick, ending(number / 7)),
            12..=15 => world.deliver(pick, false),
            16 => world.deliver(pick, true),
            17 => world.bury(),
            18 => world.obey(pick, odd),
            19 => world.crash(),
            20 => world.delete_pod(pick),
            21 => world.advance(u64::from(number) % 40),
            22..=25 => self.change_spec(world, what, number),
            _ => world.check_rebuild(),
        }
    }

    fn change_spec(&self, world: &mut World, what: u8, number: u16) {
        let mut spec = world.spec.clone();
        let odd = number % 2 == 1;
        match what {
            22 => spec.parallelism = u32::from(number) % 6,
            23 => spec.suspend = odd,
            24 if spec.indexed && spec.indexes.is_none() => {
                let size = 1 + u32::from(number) % 7;
                (spec.completions, spec.parallelism) = (Some(size), size);
                spec.success_policy = success_policy(self.success, size);
            }
            _ => spec.replace_only_failed = odd || spec.failure_policy.is_some(),
        }
        world.set_spec(spec);
    }
}

fn any_shape() -> impl Strategy<Value = Shape> {
    let shape = prop_oneof![
        3 => (0_u32..8).prop_map(|completions| (true, Some(completions))),
        1 => (0_u32..8).prop_map(|completions| (false, Some(completions))),
        1 => Just((false, None)),
    ];
    let limits =
        (prop_oneof![0_u32..4, Just(1000), Just(1000)], proptest::option::of(10_u64..4000));
    let per_index = (proptest::option::of(0_u32..3), proptest::option::of(0_u32..4));
    let policies = (any::<bool>(), 0_u8..6);
    let chosen = proptest::option::weighted(0.2, any::<u8>());
    (shape, 1_u32..5, limits, per_index, policies, chosen, any::<bool>(), any::<bool>()).prop_map(
        |(
            shape,
            parallelism,
            limits,
            per_index,
            (has_policy, success),
            chosen,
            failed,
            suspend,
        )| {
            let (indexed, completions) = shape;
            let (backoff_limit, active_deadline_seconds) = limits;
            let indexed_only = |limit: Option<u32>| limit.filter(|_| indexed);
            let success = if indexed { success } else { u8::MAX };
            let is_chosen = |index: &u32| chosen.is_none_or(|bits| bits >> index & 1 == 1);
            let some: IndexSet = (0..completions.unwrap_or(0)).filter(is_chosen).collect();
            let indexes = Some(some).filter(|some| indexed && chosen.is_some() && !some.is_empty());
            let spec = JobSpec {
                parallelism,
                completions,
                indexed,
                backoff_limit,
                active_deadline_seconds,
                backoff_limit_per_index: indexed_only(per_index.0),
                max_failed_indexes: indexed_only(per_index.1),
                failure_policy: has_policy.then(failure_policy),
                success_policy: success_policy(success, completions.unwrap_or(0)),
                replace_only_failed: failed || has_policy,
                indexes,
                suspend,
                ..JobSpec::default()
            };
            Shape { spec, success }
        },
    )
}

/// Every termination was taken in at most once (checked as it happened), and what was taken in is
/// what the counters say.
fn check_counts(world: &World) {
    let count = |outcome| world.closed.values().filter(|closed| **closed == outcome).count();
    let status = world.job.status();
    assert_eq!(status.uncounted(), 0);
    let failed = count(CloseOutcome::Failed) + count(CloseOutcome::FailedForGood);
    assert_eq!(status.failed as usize, failed);
    if world.spec.indexed {
        assert_eq!(status.succeeded, world.job.ledger().succeeded.len());
    } else {
        assert_eq!(status.succeeded as usize, count(CloseOutcome::Succeeded));
    }
    assert_eq!((status.active, status.terminating), (0, 0));
    assert!(world.living().is_empty(), "a process outlives its Job");
}

/// The end that a Job came to is one that its counts and its pods call for.
fn check_reason(world: &World) {
    let (spec, status, ledger) = (&world.spec, world.job.status(), world.job.ledger());
    let end = status.finished().unwrap();
    let failed_indexes = ledger.failed.len();
    let completions = spec.completions.unwrap_or(u32::MAX);
    let completions = if spec.indexed { ledger.chosen_below(completions) } else { completions };
    match end.reason.as_str() {
        "PodFailurePolicy" => assert!(world.exited_with(FAILS_THE_JOB)),
        // Pods that are stopped for it count as well, so that much says little; but it needs one.
        "BackoffLimitExceeded" => assert!(status.failed > 0),
        "DeadlineExceeded" => assert!(spec.active_deadline_seconds.is_some()),
        "MaxFailedIndexesExceeded" => {
            assert!(Some(failed_indexes) > spec.max_failed_indexes, "{failed_indexes}");
        }
        "FailedIndexes" => {
            assert!(failed_indexes > 0 && failed_indexes + status.succeeded >= completions);
        }
        "SuccessPolicy" => {
            assert!(spec.success_policy.is_some() && status.succeeded > 0);
        }
        "CompletionsReached" => {
            assert!(status.succeeded >= completions || spec.completions.is_none());
        }
        reason => panic!("{reason}"),
    }
}

/// How each pod ends, and in which order that is heard.
fn endings_and_order() -> impl Strategy<Value = (Vec<Ending>, Vec<usize>)> {
    let ending = any::<u16>().prop_map(ending);
    // What fails the whole Job is left out: which pods had ended by then decides what counts as
    // failed, in Kubernetes as well.
    let ending = ending.prop_filter("fails the Job", |ending| ending.code != FAILS_THE_JOB);
    proptest::collection::vec(ending, 1..12).prop_flat_map(|endings| {
        let order: Vec<usize> = (0..endings.len()).collect();
        (Just(endings), Just(order).prop_shuffle())
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
        shape in any_shape(),
        steps in proptest::collection::vec((0_u8..28, any::<u16>()), 0..160),
        succeed: bool,
        finale: u16,
    ) {
        let mut world = World::new(shape.spec.clone());
        for step in steps {
            shape.take(&mut world, step);
        }
        let spec = JobSpec { suspend: false, parallelism: 3, ..world.spec.clone() };
        world.set_spec(spec);
        // A work queue and a generous limit go on for as long as pods fail.
        let succeed = succeed || world.spec.backoff_limit > 100;
        world.run_to_the_end(|round, slot| match round {
            0..6 => {
                let own = u16::try_from(slot.0 * 7).unwrap_or(0);
                ending(finale.wrapping_add(round * 13 + own))
            }
            _ => Ending::of(succeed),
        });
        check_counts(&world);
        // What was decided before the manifest changed need not hold for it.
        if world.decided_since_spec() {
            check_reason(&world);
        }
    }

    #[test]
    fn a_deleted_job_goes_when_its_pods_have_gone(
        shape in any_shape(),
        steps in proptest::collection::vec((0_u8..28, any::<u16>()), 0..80),
    ) {
        let mut world = World::new(shape.spec.clone());
        for step in steps {
            shape.take(&mut world, step);
        }
        world.delete();
        world.run_to_the_end(|_, _| Ending::FAILURE);
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
        (endings, order) in endings_and_order(),
        indexed: bool,
        policy: bool,
        batch in 1_usize..5,
    ) {
        let size = u32::try_from(endings.len()).unwrap();
        let mut world = World::new(JobSpec {
            parallelism: size,
            completions: Some(size),
            indexed,
            backoff_limit: 1000,
            backoff_limit_per_index: indexed.then_some(0),
            failure_policy: policy.then(failure_policy),
            replace_only_failed: policy,
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
            let end = endings[*place].at(world.now);
            let (slot, attempt) = super::world::slot_attempt(slot, 0);
            let _ = world.job.observe(slot, attempt, PodFact::Ended(end.clone()));
            world.records.insert((slot, attempt), Record::Ended(end));
            if number % batch == 0 {
                world.settle();
            }
        }
        world.settle();
        let status = world.job.status();
        let count = |which: &dyn Fn(&Ending) -> bool| endings.iter().filter(|it| which(it)).count();
        let ignored = count(&|it| it.code != 0 && it.disrupted && policy);
        let failed = count(&|it| it.code != 0) - ignored;
        let succeeded = count(&|it| it.code == 0);
        prop_assert_eq!(status.failed as usize, failed);
        prop_assert_eq!(status.succeeded as usize, succeeded);
        let failed_indexes = if indexed { failed } else { 0 };
        prop_assert_eq!(world.job.ledger().failed.len() as usize, failed_indexes);
        let over = succeeded + failed_indexes == endings.len();
        prop_assert_eq!(status.finished().is_some(), over);
    }
}
