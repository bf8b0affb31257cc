//! The rules of the verdict, each by itself and in their order.

use std::time::Duration;

use jiff::Timestamp;
use stint_common::time;

use super::world::{World, end, slot_attempt};
use crate::job::*;

fn reasons(world: &World) -> Vec<(String, String)> {
    let conditions = &world.job.status().conditions;
    conditions.iter().map(|found| (found.kind.clone(), found.reason.clone())).collect()
}

fn check(world: &World, expect: &[(&str, &str)]) {
    let found = reasons(world);
    let found: Vec<(&str, &str)> =
        found.iter().map(|(kind, reason)| (kind.as_str(), reason.as_str())).collect();
    assert_eq!(found, expect);
}

fn ended(world: &mut World, slot: u32, attempt: u32, succeeded: bool) {
    let (slot, attempt) = slot_attempt(slot, attempt);
    let fact = PodFact::Ended(end(succeeded, world.now));
    assert_eq!(world.job.observe(slot, attempt, fact), Observed::Changed);
}

fn job(spec: JobSpec) -> World {
    let mut world = World::new(spec);
    world.settle();
    world
}

#[test]
fn more_failures_than_the_limit_fail_the_job() {
    let mut world = job(JobSpec { backoff_limit: 1, ..JobSpec::default() });
    ended(&mut world, 0, 0, false);
    world.settle();
    check(&world, &[]);
    world.advance(10);
    world.settle();
    ended(&mut world, 0, 1, false);
    world.settle();
    let reason = "BackoffLimitExceeded";
    check(&world, &[("FailureTarget", reason), ("Failed", reason)]);
    assert_eq!(world.job.status().failed, 2);
}

#[test]
fn failure_beats_the_deadline_and_completion() {
    let spec = JobSpec {
        parallelism: 2,
        completions: None,
        backoff_limit: 0,
        active_deadline_seconds: Some(1),
        ..JobSpec::default()
    };
    let mut world = job(spec);
    ended(&mut world, 0, 0, true);
    ended(&mut world, 1, 0, false);
    world.advance(5);
    world.settle();
    let reason = "BackoffLimitExceeded";
    check(&world, &[("FailureTarget", reason), ("Failed", reason)]);
}

#[test]
fn interim_and_terminal_condition_are_two_writes() {
    let mut world = job(JobSpec::default());
    ended(&mut world, 0, 0, true);
    assert!(world.plan());
    check(&world, &[("SuccessCriteriaMet", "CompletionsReached")]);
    assert_eq!(world.job.status().uncounted_succeeded, [slot_attempt(0, 0)]);
    assert!(world.plan());
    let reason = "CompletionsReached";
    check(&world, &[("SuccessCriteriaMet", reason), ("Complete", reason)]);
    assert_eq!((world.job.status().succeeded, world.job.status().uncounted()), (1, 0));
    assert!(!world.plan());
}

#[test]
fn a_plan_wakes_when_back_off_or_deadline_is_over() {
    let spec = JobSpec { active_deadline_seconds: Some(100), ..JobSpec::default() };
    let mut world = job(spec);
    let start = world.now;
    let after = |seconds| time::after(start, Duration::from_secs(seconds));
    let wake = |world: &World| -> Option<Timestamp> { plan(&world.job, world.now).wake_at };
    assert_eq!(wake(&world), Some(after(100)));
    world.advance(3);
    ended(&mut world, 0, 0, false);
    world.settle();
    assert_eq!(wake(&world), Some(after(13)));
    let notes = plan(&world.job, world.now).notes;
    assert_eq!(notes[0].to_string(), "backing off until 2026-01-15T12:00:13Z: 1 failure");
}

#[test]
fn a_claim_of_a_closed_attempt_is_stopped() {
    let mut world = job(JobSpec { parallelism: 2, completions: Some(2), ..JobSpec::default() });
    let (slot, attempt) = slot_attempt(1, 0);
    world.set_spec(JobSpec { suspend: true, ..world.spec.clone() });
    world.settle();
    assert_eq!(world.job.observe(slot, attempt, PodFact::Claimed), Observed::Stopping);
    let stopping: Vec<_> = world.job.stopping().map(|pod| (pod.slot.0, pod.claimed)).collect();
    assert_eq!(stopping, [(0, false), (1, true)]);
    let (slot, attempt) = slot_attempt(1, 1);
    assert_eq!(world.job.observe(slot, attempt, PodFact::Claimed), Observed::Unknown);
}

#[test]
fn a_pod_that_is_told_again_can_only_be_hurried() {
    let mut world = job(JobSpec::default());
    let (slot, attempt) = slot_attempt(0, 0);
    let at = world.now;
    let told = |grace_seconds| PodFact::StopOrdered { grace_seconds, at, evicted: false };
    let grace = |world: &World| {
        let mut stopping = world.job.stopping().map(|pod| pod.stop.grace_seconds);
        (stopping.next(), stopping.next())
    };
    assert_eq!(world.job.observe(slot, attempt, PodFact::Claimed), Observed::Changed);
    assert_eq!(world.job.observe(slot, attempt, told(20)), Observed::Changed);
    // By now it is counted, and still runs.
    world.settle();
    assert_eq!(world.job.observe(slot, attempt, told(25)), Observed::Nothing);
    assert_eq!(grace(&world), (Some(20), None));
    assert_eq!(world.job.observe(slot, attempt, told(3)), Observed::Changed);
    world.settle();
    assert_eq!(grace(&world), (Some(3), None));
}

#[test]
fn an_expired_job_is_deleted_and_a_deleted_one_removed() {
    let spec = JobSpec { ttl_seconds_after_finished: Some(60), ..JobSpec::default() };
    let mut world = job(spec);
    ended(&mut world, 0, 0, true);
    world.settle();
    let plan_now = |world: &World| plan(&world.job, world.now);
    assert_eq!(plan_now(&world).wake_at, Some(time::after(world.now, Duration::from_secs(60))));
    world.advance(60);
    assert_eq!(plan_now(&world).dispose, Some(Dispose::Delete));
    world.delete();
    assert_eq!(plan_now(&world).dispose, Some(Dispose::Remove));
}

/// More ends at once than one write takes in: the last of them are listed when the verdict stands
/// already.
#[test]
fn a_flood_is_counted_before_the_job_ends() {
    let size = u32::try_from(MAX_BATCH).unwrap() + 500;
    let spec = JobSpec {
        parallelism: size,
        completions: Some(size),
        indexed: false,
        ..JobSpec::default()
    };
    let mut world = job(spec);
    (0..size).for_each(|slot| ended(&mut world, slot, 0, true));
    world.settle();
    let reason = "CompletionsReached";
    check(&world, &[("SuccessCriteriaMet", reason), ("Complete", reason)]);
    assert_eq!(world.job.status().succeeded, size);
}
