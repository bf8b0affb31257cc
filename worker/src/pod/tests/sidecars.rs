//! Sidecars: init containers that stay.

use stint_common::wire::{Exit, Outcome};

use super::super::{ActionKind, ActionOutcome, Event, ProbeKind, RestartPolicy, Role};
use super::world::{PROBE, World, action, end, kill, settings, start, term};

/// A main container, two sidecars and an init container between them.
const MIXED: [Role; 4] = [Role::Main, Role::Sidecar, Role::Init, Role::Sidecar];

fn running() -> World {
    let mut world = World::with(settings(&MIXED, RestartPolicy::Never));
    assert_eq!(world.tell(Event::Start), [start(1)]);
    assert_eq!(world.started(1), [start(2)]);
    world.started(2);
    assert_eq!(world.exited(2, Exit::Code(0)), [start(3)]);
    assert_eq!(world.started(3), [start(0)]);
    world.started(0);
    world
}

#[test]
fn they_end_last_in_reverse_order_and_their_exits_do_not_count() {
    let mut world = running();
    assert!(world.machine.running().unwrap().ready);
    assert_eq!(world.exited(0, Exit::Code(0)), [term(3)]);
    assert_eq!(world.exited(3, Exit::Signal(15)), [term(1)]);
    let effects = world.exited(1, Exit::Code(7));
    assert_eq!(end(&effects).outcome, Outcome::Succeeded);
    assert_eq!(end(&effects).containers[1].exit_code(), 7);
}

#[test]
fn one_that_ends_is_started_again_whatever_the_pods_policy() {
    let mut world = running();
    assert_eq!(world.exited(1, Exit::Code(0)), [start(1)]);
    assert!(!world.machine.running().unwrap().ready);
    world.started(1);
    assert_eq!(world.exited(1, Exit::Code(0)), []);
    assert_eq!(world.wake(), (10, vec![start(1)]));
    world.started(1);
    assert_eq!(world.machine.running().unwrap().restarts, 2);
    assert_eq!(world.exited(0, Exit::Code(0)), [term(3)]);
    world.exited(3, Exit::Code(0));
    assert_eq!(end(&world.exited(1, Exit::Code(0))).outcome, Outcome::Succeeded);
}

#[test]
fn one_that_waits_to_be_started_again_does_not_hold_the_end_up() {
    let mut world = running();
    for _ in 0..2 {
        world.exited(1, Exit::Code(1));
        if world.machine.next_wake().is_none() {
            world.started(1);
        }
    }
    assert_eq!(world.exited(0, Exit::Code(0)), [term(3)]);
    assert_eq!(end(&world.exited(3, Exit::Code(0))).outcome, Outcome::Succeeded);
}

#[test]
fn the_next_one_waits_for_the_startup_probe() {
    let mut all = settings(&[Role::Main, Role::Sidecar], RestartPolicy::Never);
    all.containers[1].startup = Some(PROBE);
    let mut world = World::with(all);
    world.tell(Event::Start);
    let probe = ActionKind::Probe(ProbeKind::Startup);
    let id = action(&world.started(1), 1, probe);
    assert!(!world.now_of(1).started);
    assert_eq!(world.done(id, ActionOutcome::Succeeded), [start(0)]);
    assert!(world.now_of(1).started);
}

#[test]
fn at_the_end_of_the_grace_those_in_line_get_two_seconds() {
    let mut world = running();
    assert_eq!(world.stop(10), [term(0)]);
    let (waited, effects) = world.wake();
    assert_eq!((waited, effects), (10, vec![term(3), term(1), kill(0)]));
    let (waited, effects) = world.wake();
    assert_eq!((waited, effects), (2, vec![kill(1), kill(3)]));
}

#[test]
fn without_grace_they_are_killed_with_the_others() {
    let mut world = running();
    assert_eq!(world.stop(0), [kill(0), kill(1), kill(3)]);
    let mut world = running();
    world.stop(10);
    assert_eq!(world.tell(Event::Kill), [kill(0), kill(1), kill(3)]);
}

#[test]
fn an_init_container_that_fails_ends_them() {
    let mut world = World::with(settings(&MIXED, RestartPolicy::Never));
    world.tell(Event::Start);
    world.started(1);
    world.started(2);
    assert_eq!(world.exited(2, Exit::Code(1)), [term(1)]);
    let effects = world.exited(1, Exit::Code(0));
    assert_eq!(end(&effects).outcome, Outcome::Failed);
    let names: Vec<&str> = end(&effects).containers.iter().map(|it| &*it.name).collect();
    assert_eq!(names, ["c1", "c2"]);
}
