//! Deletions that wait: for pods that are stopped, for pods that run on, for finalizers of others.

use super::world::{World, end, slot_attempt};
use crate::job::*;

/// A Job of two pods at a time, three in all, that is being deleted.
fn deleted(change: impl Fn(Deletion) -> Deletion) -> World {
    let spec = JobSpec { parallelism: 2, completions: Some(3), ..JobSpec::default() };
    let mut world = World::new(spec);
    world.settle();
    for slot in [0, 1] {
        let (slot, attempt) = slot_attempt(slot, 0);
        assert_eq!(world.job.observe(slot, attempt, PodFact::Claimed), Observed::Changed);
    }
    world.deletion = Some(change(Deletion::foreground(world.now)));
    world.job.set_deletion(world.deletion);
    world.settle();
    world
}

fn ends(world: &mut World, slot: u32, succeeded: bool) {
    let (slot, attempt) = slot_attempt(slot, 0);
    let fact = PodFact::Ended(end(succeeded, world.now));
    assert_eq!(world.job.observe(slot, attempt, fact), Observed::Changed);
    world.settle();
}

/// Pods that are told to stop, active ones, and what becomes of the Job.
fn state(world: &World) -> (usize, u32, Option<Dispose>) {
    let dispose = plan(&world.job, world.now).dispose;
    (world.job.stopping().count(), world.job.status().active, dispose)
}

#[test]
fn in_the_foreground_pods_are_stopped_and_the_job_goes_after_them() {
    let mut world = deleted(|deletion| deletion);
    assert_eq!(state(&world), (2, 0, None));
    ends(&mut world, 0, false);
    ends(&mut world, 1, false);
    assert_eq!(state(&world), (0, 0, Some(Dispose::Remove)));
    assert_eq!(world.job.status().failed, 0);
}

#[test]
fn with_finalizers_of_others_only_that_of_the_foreground_comes_off() {
    let mut world = deleted(|deletion| Deletion { held: true, ..deletion });
    ends(&mut world, 0, false);
    ends(&mut world, 1, false);
    assert_eq!(state(&world), (0, 0, Some(Dispose::Release)));
    let released = Deletion { foreground: false, held: true, ..Deletion::foreground(world.now) };
    world.job.set_deletion(Some(released));
    assert_eq!(state(&world), (0, 0, None));
}

#[test]
fn orphans_run_to_their_ends_and_are_counted_and_not_replaced() {
    let orphan = |deletion| Deletion { foreground: false, orphan: true, ..deletion };
    let mut world = deleted(orphan);
    assert_eq!(state(&world), (0, 2, None));
    ends(&mut world, 0, true);
    ends(&mut world, 1, false);
    assert_eq!(state(&world), (0, 0, Some(Dispose::Remove)));
    let status = world.job.status();
    assert_eq!((status.succeeded, status.failed), (1, 1));
}

#[test]
fn a_job_that_is_held_goes_on_without_new_pods() {
    let held = |deletion| Deletion { foreground: false, held: true, ..deletion };
    let mut world = deleted(held);
    ends(&mut world, 0, true);
    assert_eq!(state(&world), (0, 1, None));
    ends(&mut world, 1, true);
    assert_eq!(state(&world), (0, 0, None));
    assert_eq!(world.job.status().succeeded, 2);
    // It may still become complete, as its last pod did before it was deleted.
    let spec = JobSpec { completions: Some(2), ..world.job.spec().clone() };
    world.job.set_spec(spec);
    world.settle();
    assert!(world.job.status().finished().is_some());
    assert_eq!(state(&world), (0, 0, None));
}
