//! Init containers: one after the other, before everything else.

use stint_common::wire::{ContainerState, Exit, Initialized, Outcome};

use super::super::{Effect, Event, RestartPolicy, Role};
use super::world::{World, end, settings, start, term};

/// One main container, then two init containers.
const TWO: [Role; 3] = [Role::Main, Role::Init, Role::Init];

#[test]
fn each_waits_for_the_one_before_and_the_main_ones_for_all() {
    let mut world = World::with(settings(&TWO, RestartPolicy::Never));
    assert_eq!(world.tell(Event::Start), [start(1)]);
    world.started(1);
    assert_eq!(
        world.machine.running().unwrap().detail.unwrap().initialized,
        Some(Initialized::Not)
    );
    assert_eq!(world.state_of(0), ContainerState::Waiting);
    assert_eq!(world.exited(1, Exit::Code(0)), [start(2)]);
    assert!(world.now_of(1).ready, "one that has succeeded is ready");
    world.started(2);
    world.pass(5);
    assert_eq!(world.exited(2, Exit::Code(0)), [start(0)]);
    let initialized = Some(Initialized::At(world.now));
    assert_eq!(world.machine.running().unwrap().detail.unwrap().initialized, initialized);
    assert!(!world.machine.running().unwrap().ready);
    world.started(0);
    assert!(world.machine.running().unwrap().ready);
    let effects = world.exited(0, Exit::Code(0));
    assert_eq!(
        (end(&effects).outcome, end(&effects).initialized),
        (Outcome::Succeeded, initialized)
    );
    let names: Vec<&str> = end(&effects).containers.iter().map(|it| &*it.name).collect();
    assert_eq!(names, ["c0", "c1", "c2"]);
}

#[test]
fn one_that_fails_fails_the_pod_that_never_restarts() {
    let mut world = World::with(settings(&TWO, RestartPolicy::Never));
    world.tell(Event::Start);
    world.started(1);
    let effects = world.exited(1, Exit::Code(3));
    assert_eq!(end(&effects).outcome, Outcome::Failed);
    assert_eq!(end(&effects).initialized, Some(Initialized::Not));
    let told: Vec<(&str, i32)> =
        end(&effects).containers.iter().map(|it| (&*it.name, it.exit_code())).collect();
    assert_eq!(told, [("c1", 3)], "nobody's turn came after it");
}

#[test]
fn one_that_cannot_be_started_has_failed() {
    let mut world = World::with(settings(&TWO, RestartPolicy::Never));
    world.tell(Event::Start);
    let effects = world.tell(Event::StartFailed { index: 1, message: "no file".to_owned() });
    assert_eq!(end(&effects).outcome, Outcome::Failed);
    assert_eq!(end(&effects).containers[0].reason, "StartError");
}

#[test]
fn one_that_fails_is_tried_again_on_failure_with_back_off() {
    let mut world = World::with(settings(&TWO, RestartPolicy::OnFailure));
    world.tell(Event::Start);
    world.started(1);
    assert_eq!(world.exited(1, Exit::Code(3)), [start(1)]);
    world.started(1);
    assert_eq!(world.exited(1, Exit::Code(3)), []);
    assert_eq!(world.state_of(1), ContainerState::BackingOff { delay_seconds: 10 });
    assert_eq!(world.wake(), (10, vec![start(1)]));
    world.started(1);
    assert_eq!(world.machine.running().unwrap().restarts, 2);
    assert_eq!(world.exited(1, Exit::Code(0)), [start(2)]);
}

#[test]
fn a_stop_while_they_run_starts_nothing_more() {
    let mut world = World::with(settings(&TWO, RestartPolicy::OnFailure));
    world.tell(Event::Start);
    world.started(1);
    assert_eq!(world.stop(30), [term(1)]);
    let effects = world.exited(1, Exit::Code(0));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::StartContainer { .. })));
    assert_eq!((end(&effects).outcome, &*end(&effects).message), (Outcome::Failed, "why"));
}
