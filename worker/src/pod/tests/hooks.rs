//! `postStart` and `preStop`.

use std::time::Duration;

use stint_common::wire::{ContainerState, Exit, Outcome};

use super::super::{ActionKind, ActionOutcome, Effect, Event, Hook, RestartPolicy, Role, Settings};
use super::world::{World, action, end, kill, settings, start, term};

fn with_hooks(post_start: Option<Hook>, pre_stop: Option<Hook>) -> Settings {
    let mut all = settings(&[Role::Main, Role::Main], RestartPolicy::Never);
    all.containers[0].post_start = post_start;
    all.containers[0].pre_stop = pre_stop;
    all
}

#[test]
fn the_next_container_waits_for_a_post_start_hook() {
    let mut world = World::with(with_hooks(Some(Hook::Run), None));
    assert_eq!(world.tell(Event::Start), [start(0)]);
    let hook = action(&world.started(0), 0, ActionKind::PostStart);
    assert_eq!(world.state_of(0), ContainerState::Waiting);
    assert_eq!(world.done(hook, ActionOutcome::Succeeded), [start(1)]);
    assert!(matches!(world.state_of(0), ContainerState::Running { .. }));
    assert!(world.now_of(0).ready);
}

#[test]
fn a_post_start_hook_that_fails_ends_its_container() {
    let mut world = World::with(with_hooks(Some(Hook::Run), None));
    world.tell(Event::Start);
    let hook = action(&world.started(0), 0, ActionKind::PostStart);
    assert_eq!(world.done(hook, ActionOutcome::Failed), [term(0), start(1)]);
    world.started(1);
    world.exited(0, Exit::Signal(15));
    assert_eq!(end(&world.exited(1, Exit::Code(0))).outcome, Outcome::Failed);
}

#[test]
fn a_container_that_ends_takes_its_hook_with_it() {
    let mut world = World::with(with_hooks(Some(Hook::Run), None));
    world.tell(Event::Start);
    let hook = action(&world.started(0), 0, ActionKind::PostStart);
    let cancel = Effect::CancelAction { action: hook };
    assert_eq!(world.exited(0, Exit::Code(0)), [cancel, start(1)]);
    world.started(1);
    assert_eq!(world.exited(1, Exit::Code(0)), [], "something of the hook may be left");
    let effects = world.done(hook, ActionOutcome::Failed);
    assert_eq!(end(&effects).outcome, Outcome::Succeeded);
}

#[test]
fn term_comes_after_a_pre_stop_hook() {
    let mut world = World::with(with_hooks(None, Some(Hook::Run)));
    world.run(2);
    let effects = world.stop(30);
    assert_eq!(effects[1], term(1));
    let hook = action(&effects[..1], 0, ActionKind::PreStop);
    world.pass(10);
    assert_eq!(world.done(hook, ActionOutcome::Failed), [term(0)]);
    assert_eq!(world.wake(), (20, vec![kill(0), kill(1)]));
}

#[test]
fn a_pre_stop_hook_has_no_longer_than_the_grace() {
    let mut world = World::with(with_hooks(None, Some(Hook::Run)));
    world.run(2);
    let hook = action(&world.stop(30)[..1], 0, ActionKind::PreStop);
    let cancel = Effect::CancelAction { action: hook };
    let (waited, effects) = world.wake();
    assert_eq!((waited, effects), (30, vec![cancel, term(0), kill(1)]));
    world.exited(1, Exit::Signal(9));
    assert_eq!(world.wake(), (2, vec![kill(0)]));
    assert_eq!(world.exited(0, Exit::Signal(9)), []);
    end(&world.done(hook, ActionOutcome::Failed));
}

#[test]
fn hooks_that_sleep_need_nobody() {
    let five = Hook::Sleep(Duration::from_secs(5));
    let mut world = World::with(with_hooks(Some(five), Some(five)));
    world.tell(Event::Start);
    assert_eq!(world.started(0), []);
    assert_eq!(world.wake(), (5, vec![start(1)]));
    world.started(1);
    assert_eq!(world.stop(30), [term(1)]);
    assert_eq!(world.wake(), (5, vec![term(0)]));
    let none = Hook::Sleep(Duration::ZERO);
    let mut world = World::with(with_hooks(Some(none), Some(none)));
    world.tell(Event::Start);
    assert_eq!(world.started(0), [start(1)]);
    world.started(1);
    assert_eq!(world.stop(30), [term(1), term(0)]);
}

#[test]
fn a_container_that_ended_by_itself_has_no_pre_stop() {
    let mut world = World::with(with_hooks(None, Some(Hook::Run)));
    world.run(2);
    assert_eq!(world.exited(0, Exit::Code(0)), []);
    assert_eq!(end(&world.exited(1, Exit::Code(0))).outcome, Outcome::Succeeded);
}

#[test]
fn a_kill_waits_for_no_hook() {
    let mut world = World::with(with_hooks(None, Some(Hook::Run)));
    world.run(2);
    let hook = action(&world.stop(30)[..1], 0, ActionKind::PreStop);
    let cancel = Effect::CancelAction { action: hook };
    assert_eq!(world.tell(Event::Kill), [cancel, kill(0), kill(1)]);
    let mut world = World::with(with_hooks(None, Some(Hook::Run)));
    world.run(2);
    assert_eq!(world.tell(Event::Kill), [kill(0), kill(1)]);
}

#[test]
fn a_stop_ends_a_post_start_hook() {
    let mut world = World::with(with_hooks(Some(Hook::Run), None));
    world.tell(Event::Start);
    let hook = action(&world.started(0), 0, ActionKind::PostStart);
    assert_eq!(world.stop(30), [Effect::CancelAction { action: hook }, term(0)]);
}
