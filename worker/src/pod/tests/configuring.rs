//! Containers whose variables come from elsewhere: each waits for its own, and by itself.

use std::time::Duration;

use stint_common::wire::{ContainerState, Exit, Initialized, Outcome, Running};

use super::super::{Awaits, Effect, Event, Hook, RestartPolicy, Role, Settings};
use super::world::{World, end, settings, start, term};

/// A pod of `roles`, of which those at `asking` ask for variables.
fn asking(roles: &[Role], asking: &[usize], policy: RestartPolicy) -> Settings {
    let mut all = settings(roles, policy);
    asking.iter().for_each(|index| all.containers[*index].is_configured = true);
    all
}

fn configure(index: usize) -> Effect {
    Effect::Configure { index }
}

fn found(index: usize) -> Event {
    Event::Configured { index }
}

fn missing(index: usize, what: &str) -> Event {
    Event::NotConfigured { index, missing: Some(what.to_owned()) }
}

/// What the record would say that a container waits for.
fn waits_for(world: &World, index: usize) -> Option<(String, String)> {
    world.now_of(index).waits_for.map(|waits| (waits.reason, waits.message))
}

#[test]
fn one_that_has_its_variables_is_started_with_them() {
    let settings = asking(&[Role::Main], &[0], RestartPolicy::OnFailure);
    assert!(settings.asks_first());
    let mut world = World::with(settings);
    assert_eq!(world.tell(Event::Start), [configure(0)]);
    assert_eq!(world.machine.awaits(0), Awaits::Configuration);
    assert_eq!(world.machine.running(), None);
    assert_eq!(world.tell(found(0)), [start(0)]);
    world.started(0);
    assert_eq!(world.machine.running().unwrap().detail, None, "there is no more to say of it");
    // It keeps them: nobody asks again.
    assert_eq!(world.exited(0, Exit::Code(1)), [start(0)]);
}

#[test]
fn those_that_are_started_first_are_known() {
    let first = |roles: &[Role], hook: Option<usize>| -> Vec<usize> {
        let mut all = settings(roles, RestartPolicy::Never);
        let hooked = hook.map(|index| &mut all.containers[index]);
        hooked.into_iter().for_each(|it| it.post_start = Some(Hook::Run));
        let told = all.first_to_start().collect();
        // As the machine has it.
        let started = World::with(all).tell(Event::Start).into_iter().map(|effect| match effect {
            Effect::StartContainer { index } => index,
            other => panic!("{other:?}"),
        });
        assert_eq!(told, started.collect::<Vec<_>>());
        told
    };
    let (main, init, side) = (Role::Main, Role::Init, Role::Sidecar);
    assert_eq!(first(&[main, main], None), [0, 1]);
    assert_eq!(first(&[main, main, main], Some(1)), [0, 1]);
    assert_eq!(first(&[main, main, side, init], None), [2]);
}

#[test]
fn what_is_missing_is_told_and_asked_for_again_and_again() {
    let mut world = World::with(asking(&[Role::Main], &[0], RestartPolicy::Never));
    world.tell(Event::Start);
    let effects = world.tell_all(missing(0, "secret \"s\" not found"));
    let told = matches!(
        &effects[..],
        [Effect::ReportRunning(Running { ready: false, only_tried: true, .. })]
    );
    assert!(told, "{effects:?}");
    assert_eq!(world.state_of(0), ContainerState::Waiting);
    let told = |message: &str| Some(("CreateContainerConfigError".to_owned(), message.to_owned()));
    assert_eq!(waits_for(&world, 0), told("secret \"s\" not found"));
    let mut pauses = Vec::new();
    for _ in 0..6 {
        assert_eq!(world.machine.awaits(0), Awaits::Nothing);
        let (pause, effects) = world.wake();
        assert_eq!(effects, [configure(0)]);
        assert_eq!(world.tell_all(missing(0, "secret \"s\" not found")), [], "it is told once");
        pauses.push(pause);
    }
    assert_eq!(pauses, [1, 2, 4, 8, 15, 15]);
    world.wake();
    world.tell(Event::NotConfigured { index: 0, missing: None });
    assert_eq!(waits_for(&world, 0), told("secret \"s\" not found"), "nothing newer is known");
    world.wake();
    world.tell(missing(0, "couldn't find key k in Secret s"));
    assert_eq!(waits_for(&world, 0), told("couldn't find key k in Secret s"));
    world.wake();
    assert_eq!(world.tell(found(0)), [start(0)]);
    assert_eq!(waits_for(&world, 0), None);
    assert_eq!(world.state_of(0), ContainerState::Waiting, "it does not run yet");
    world.started(0);
    assert!(!world.machine.running().unwrap().only_tried);
    assert_eq!(end(&world.exited(0, Exit::Code(0))).outcome, Outcome::Succeeded);
}

#[test]
fn where_nobody_answers_nothing_is_told() {
    let mut world = World::with(asking(&[Role::Main], &[0], RestartPolicy::Never));
    world.tell(Event::Start);
    assert_eq!(world.tell_all(Event::NotConfigured { index: 0, missing: None }), []);
    assert_eq!(world.wake(), (1, vec![configure(0)]));
}

#[test]
fn init_containers_run_before_what_a_main_one_lacks_is_asked_for() {
    let mut world = World::with(asking(&[Role::Main, Role::Init], &[0], RestartPolicy::Never));
    assert_eq!(world.tell(Event::Start), [start(1)]);
    world.started(1);
    assert_eq!(world.exited(1, Exit::Code(0)), [configure(0)]);
    world.tell(missing(0, "no"));
    let detail = *world.machine.running().unwrap().detail.unwrap();
    assert_eq!(detail.initialized, Some(Initialized::At(world.now)));
    assert!(matches!(detail.containers[1].state, ContainerState::Terminated(_)));
    assert_eq!(world.wake(), (1, vec![configure(0)]));
    assert_eq!(world.tell(found(0)), [start(0)]);
}

#[test]
fn an_init_container_that_lacks_something_holds_up_those_behind_it() {
    let roles = [Role::Main, Role::Sidecar, Role::Init];
    let mut world = World::with(asking(&roles, &[1], RestartPolicy::OnFailure));
    assert_eq!(world.tell(Event::Start), [configure(1)]);
    world.tell(missing(1, "no"));
    assert_eq!(waits_for(&world, 2), None);
    assert_eq!(world.wake(), (1, vec![configure(1)]));
    assert_eq!(world.tell(found(1)), [start(1)]);
    assert_eq!(world.started(1), [start(2)]);
}

#[test]
fn main_containers_wait_each_for_itself() {
    let mut all = asking(&[Role::Main, Role::Main], &[0], RestartPolicy::OnFailure);
    // Its hook holds up those behind it only while it runs.
    all.containers[0].post_start = Some(Hook::Sleep(Duration::from_secs(3)));
    let mut world = World::with(all);
    assert_eq!(world.tell(Event::Start), [configure(0)]);
    assert_eq!(world.tell(missing(0, "no")), [start(1)]);
    world.started(1);
    assert_eq!(world.exited(1, Exit::Code(1)), [start(1)], "the other is started again meanwhile");
    world.started(1);
    assert_eq!(world.exited(1, Exit::Code(0)), []);
    assert!(!world.machine.is_ended(), "the pod is not over before it has run");
    world.wake();
    assert_eq!(world.tell(found(0)), [start(0)]);
    world.started(0);
    assert_eq!(end(&world.exited(0, Exit::Code(0))).outcome, Outcome::Succeeded);
}

#[test]
fn who_has_its_variables_holds_up_others_by_its_hook() {
    let mut all = asking(&[Role::Main, Role::Main], &[0], RestartPolicy::Never);
    all.containers[0].post_start = Some(Hook::Sleep(Duration::from_secs(3)));
    let mut world = World::with(all);
    assert_eq!(world.tell(Event::Start), [configure(0)]);
    assert_eq!(world.tell(found(0)), [start(0)]);
    assert_eq!(world.started(0), [], "its hook runs");
    assert_eq!(world.wake(), (3, vec![start(1)]));
}

#[test]
fn a_stop_or_a_deadline_ends_the_wait() {
    let two = || asking(&[Role::Main, Role::Main], &[1], RestartPolicy::Never);
    let mut world = World::with(two());
    world.tell(Event::Start);
    world.started(0);
    world.tell(missing(1, "no"));
    assert_eq!(world.stop(30), [term(0)]);
    let effects = world.exited(0, Exit::Signal(15));
    let ends = &end(&effects).containers;
    assert_eq!((&*ends[1].reason, ends[1].exit_code()), ("ContainerStatusUnknown", 137));

    // Nothing ran: there is nothing to wait for.
    let mut world = World::with(asking(&[Role::Main], &[0], RestartPolicy::Never));
    world.tell(Event::Start);
    assert_eq!(end(&world.stop(30)).outcome, Outcome::Failed);
    let mut late = Vec::new();
    assert!(world.machine.step(found(0), world.now, &mut late).is_err(), "it is not asked for");

    let deadline = Some(Duration::from_secs(5));
    let mut world = World::with(Settings { active_deadline: deadline, ..two() });
    world.tell(Event::Start);
    world.started(0);
    world.tell(missing(1, "no"));
    for pause in [1, 2] {
        assert_eq!(world.wake(), (pause, vec![configure(1)]));
        world.tell(missing(1, "no"));
    }
    assert_eq!(world.wake(), (2, vec![term(0)]));
    let effects = world.exited(0, Exit::Signal(15));
    assert_eq!(&*end(&effects).reason, "DeadlineExceeded");
}

#[test]
fn an_answer_that_nobody_waits_for_is_refused() {
    let mut world = World::with(asking(&[Role::Main], &[0], RestartPolicy::Never));
    let mut effects = Vec::new();
    assert!(world.machine.step(found(0), world.now, &mut effects).is_err());
    world.tell(Event::Start);
    world.tell(missing(0, "no"));
    assert!(world.machine.step(found(0), world.now, &mut effects).is_err(), "not asked yet");
    world.wake();
    world.tell(found(0));
    assert!(world.machine.step(missing(0, "no"), world.now, &mut effects).is_err());
    assert_eq!(effects, []);
}

#[test]
fn what_an_agent_noted_that_knew_of_no_variables_is_asked_for_at_the_next_start() {
    let mut world = World::with(settings(&[Role::Main, Role::Main], RestartPolicy::OnFailure));
    world.run(2);
    let known = asking(&[Role::Main, Role::Main], &[0], RestartPolicy::OnFailure);
    world.machine.goes_by(&known.into());
    assert_eq!(world.exited(0, Exit::Code(1)), [configure(0)]);
    assert_eq!(world.exited(1, Exit::Code(1)), [start(1)]);
    assert_eq!(world.tell(found(0)), [start(0)]);
}
