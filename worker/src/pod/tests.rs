//! The machine's rules, each in a few steps of made-up time; and what holds for any order of
//! events.

mod configuring;
mod hooks;
mod init;
mod probes;
mod random;
mod sidecars;
mod world;

use std::time::Duration;

use stint_common::time;
use stint_common::wire::{ContainerState, Exit, Outcome};

use super::{Effect, Event, RestartPolicy, Role, Settings};
use world::{World, end, kill, settings, start, term};

#[test]
fn a_pod_succeeds_when_every_container_did() {
    let mut world = World::new(2, RestartPolicy::Never);
    assert_eq!(world.tell(Event::Start), [start(0), start(1)]);
    let started = |index, at| Event::ContainerStarted { index, at };
    let effects = world.tell_all(started(0, world.now));
    assert!(matches!(&effects[..], [Effect::ReportRunning(running)] if !running.ready));
    let effects = world.tell_all(started(1, world.now));
    assert!(matches!(&effects[..], [Effect::ReportRunning(running)] if running.ready));
    assert_eq!(world.exited(1, Exit::Code(0)), []);
    assert!(matches!(world.state_of(1), ContainerState::Terminated(_)));
    assert!(matches!(world.state_of(0), ContainerState::Running { .. }));
    let effects = world.exited(0, Exit::Code(0));
    assert_eq!(end(&effects).outcome, Outcome::Succeeded);
    assert_eq!(end(&effects).containers[1].reason, "Completed");
    assert!(world.machine.is_ended());
    assert_eq!(world.stop(0), []);
}

#[test]
fn one_failed_container_fails_the_pod_when_all_are_over() {
    let mut world = World::new(2, RestartPolicy::Never);
    world.run(2);
    world.exited(0, Exit::Signal(9));
    let effects = world.exited(1, Exit::Code(0));
    assert_eq!(end(&effects).outcome, Outcome::Failed);
    assert_eq!(end(&effects).containers[0].exit.code(), 137);
    assert_eq!(end(&effects).containers[0].reason, "Error");
}

#[test]
fn what_cannot_be_started_fails_with_128() {
    let mut world = World::new(1, RestartPolicy::Never);
    world.tell(Event::Start);
    let effects = world.tell(Event::StartFailed { index: 0, message: "no file".to_owned() });
    let container = &end(&effects).containers[0];
    assert_eq!((container.exit.code(), &*container.reason), (128, "StartError"));
    assert_eq!(container.message, "no file");
    assert_eq!(end(&effects).started_at, None);
}

#[test]
fn on_failure_restarts_what_failed_and_leaves_what_succeeded() {
    let mut world = World::new(2, RestartPolicy::OnFailure);
    world.run(2);
    assert_eq!(world.exited(1, Exit::Code(0)), []);
    assert_eq!(world.exited(0, Exit::Code(3)), [start(0)]);
    assert_eq!(world.machine.running().unwrap().restarts, 1);
    world.started(0);
    assert_eq!(world.exited(0, Exit::Code(4)), []);
    assert_eq!(world.state_of(0), ContainerState::BackingOff { delay_seconds: 10 });
    assert_eq!(world.wake(), (10, vec![start(0)]));
    assert_eq!(world.now_of(0).last.unwrap().exit, Exit::Code(4));
    world.started(0);
    let effects = world.exited(0, Exit::Code(0));
    assert_eq!(end(&effects).outcome, Outcome::Succeeded);
    assert_eq!(end(&effects).containers[0].restarts, 2);
}

#[test]
fn a_failed_start_is_tried_again_on_failure() {
    let mut world = World::new(1, RestartPolicy::OnFailure);
    world.tell(Event::Start);
    let effects = world.tell(Event::StartFailed { index: 0, message: "no file".to_owned() });
    assert_eq!(effects, [start(0)]);
    world.tell(Event::StartFailed { index: 0, message: "no file".to_owned() });
    // Nothing ever ran; it is told all the same, or nobody would learn why the pod does not go on.
    assert_eq!(world.state_of(0), ContainerState::BackingOff { delay_seconds: 10 });
    assert_eq!(world.now_of(0).last.unwrap().reason, "StartError");
    assert_eq!(world.machine.running().unwrap().restarts, 1);
    assert_eq!(world.wake().0, 10);
}

#[test]
fn want_of_memory_is_told_of_the_run_that_had_it() {
    let mut world = World::new(1, RestartPolicy::OnFailure);
    world.run(1);
    world.killed_for_memory(0);
    assert_eq!(world.now_of(0).last.unwrap().reason, "OOMKilled");
    world.started(0);
    world.exited(0, Exit::Code(1));
    assert_eq!(world.now_of(0).last.unwrap().reason, "Error");
}

#[test]
fn a_stop_is_term_then_kill_then_the_end() {
    let mut world = World::new(2, RestartPolicy::OnFailure);
    world.run(2);
    assert_eq!(world.stop(30), [term(0), term(1)]);
    assert_eq!(world.stop(30), []);
    assert_eq!(world.exited(0, Exit::Code(0)), []);
    assert_eq!(world.wake(), (30, vec![kill(1)]));
    let effects = world.exited(1, Exit::Signal(9));
    assert_eq!((end(&effects).outcome, &*end(&effects).message), (Outcome::Failed, "why"));
}

#[test]
fn a_stopped_pod_whose_containers_all_exited_0_has_succeeded() {
    let mut world = World::new(1, RestartPolicy::Never);
    world.run(1);
    world.stop(30);
    let effects = world.exited(0, Exit::Code(0));
    assert_eq!((end(&effects).outcome, &*end(&effects).message), (Outcome::Succeeded, ""));
}

#[test]
fn a_shorter_grace_wins_and_none_kills_at_once() {
    let mut world = World::new(1, RestartPolicy::Never);
    world.run(1);
    world.stop(30);
    world.stop(5);
    assert_eq!(time::since(world.machine.next_wake().unwrap(), world.now), Duration::from_secs(5));
    world.stop(60);
    assert_eq!(time::since(world.machine.next_wake().unwrap(), world.now), Duration::from_secs(5));
    assert_eq!(world.tell(Event::Kill), [kill(0)]);
    let mut world = World::new(1, RestartPolicy::Never);
    world.run(1);
    assert_eq!(world.stop(0), [kill(0)]);
}

#[test]
fn a_stop_ends_a_wait_for_a_restart() {
    let mut world = World::new(1, RestartPolicy::OnFailure);
    world.run(1);
    world.exited(0, Exit::Code(1));
    world.started(0);
    world.exited(0, Exit::Code(2));
    let effects = world.stop(30);
    assert_eq!(end(&effects).containers[0].exit, Exit::Code(2));
}

#[test]
fn a_pod_stopped_before_its_start_never_starts() {
    let mut world = World::new(1, RestartPolicy::Never);
    let effects = world.stop(30);
    assert_eq!(end(&effects).outcome, Outcome::Failed);
    assert!(end(&effects).containers.is_empty());
    assert_eq!(world.tell(Event::Start), []);
}

#[test]
fn a_start_withdrawn_in_time_is_no_failure_of_the_container() {
    let mut world = World::new(2, RestartPolicy::OnFailure);
    world.tell(Event::Start);
    world.started(0);
    assert_eq!(world.tell(Event::Kill), [kill(0), kill(1)]);
    world.tell(Event::StartCancelled { index: 1 });
    let effects = world.exited(0, Exit::Signal(9));
    assert_eq!(end(&effects).containers[1].exit_code(), 137);
    assert_eq!(end(&effects).containers[1].reason, "ContainerStatusUnknown");
}

#[test]
fn a_pods_own_deadline_fails_it() {
    let mut world = World::with(Settings {
        grace_seconds: 7,
        active_deadline: Some(Duration::from_secs(60)),
        ..settings(&[Role::Main], RestartPolicy::Never)
    });
    world.run(1);
    assert_eq!(world.wake(), (60, vec![term(0)]));
    assert_eq!(world.wake(), (7, vec![kill(0)]));
    let effects = world.exited(0, Exit::Code(0));
    assert_eq!(
        (end(&effects).outcome, &*end(&effects).reason),
        (Outcome::Failed, "DeadlineExceeded")
    );
}

#[test]
fn what_cannot_happen_is_refused_and_changes_nothing() {
    let mut world = World::new(1, RestartPolicy::Never);
    let mut effects = Vec::new();
    let event = Event::ContainerStarted { index: 0, at: world.now };
    assert!(world.machine.step(event, world.now, &mut effects).is_err());
    let event = Event::StartFailed { index: 7, message: String::new() };
    assert!(world.machine.step(event, world.now, &mut effects).is_err());
    assert_eq!(effects, []);
    world.run(1);
}

#[test]
fn a_deadline_counts_from_the_claim_and_by_when_things_happened() {
    let deadline = || Settings {
        active_deadline: Some(Duration::from_secs(60)),
        ..settings(&[Role::Main], RestartPolicy::Never)
    };
    let mut world = World::with(deadline());
    world.pass(50);
    world.run(1);
    assert_eq!(world.wake(), (10, vec![term(0)]));

    // Heard of late: the container had ended before.
    let mut world = World::with(deadline());
    world.run(1);
    let early = time::after(world.now, Duration::from_secs(59));
    world.pass(70);
    let effects = world.exited_at(0, Exit::Code(0), early);
    assert_eq!((end(&effects).outcome, &*end(&effects).reason), (Outcome::Succeeded, ""));

    // Nobody looked in time, and it ended after.
    let mut world = World::with(deadline());
    world.run(1);
    world.pass(70);
    let effects = world.exited(0, Exit::Code(0));
    assert_eq!(&*end(&effects).reason, "DeadlineExceeded");

    // It never got a place.
    let mut world = World::with(deadline());
    let (waited, effects) = world.wake();
    assert_eq!((waited, &*end(&effects).reason), (60, "DeadlineExceeded"));
    assert_eq!(end(&effects).outcome, Outcome::Failed);
    assert_eq!(world.tell(Event::Start), []);
}

#[test]
fn a_plain_pod_has_nothing_more_to_say_than_that_it_runs() {
    let mut world = World::new(1, RestartPolicy::OnFailure);
    world.run(1);
    assert_eq!(world.machine.running().unwrap().detail, None);
    world.exited(0, Exit::Code(1));
    assert_eq!(world.now_of(0).restarts, 1);
}
