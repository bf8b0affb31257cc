//! Probes: what they do to their container and to the pod's readiness.

use std::time::Duration;

use stint_common::wire::{Exit, Outcome};

use super::super::{
    ActionId, ActionKind, ActionOutcome, Effect, Event, ProbeKind, ProbeSettings, RestartPolicy,
    Role, Settings,
};
use super::world::{PROBE, World, action, end, kill, settings, start, term};

const STARTUP: ActionKind = ActionKind::Probe(ProbeKind::Startup);
const LIVENESS: ActionKind = ActionKind::Probe(ProbeKind::Liveness);
const READINESS: ActionKind = ActionKind::Probe(ProbeKind::Readiness);

fn with_probe(kind: ProbeKind, probe: ProbeSettings, policy: RestartPolicy) -> Settings {
    let mut all = settings(&[Role::Main], policy);
    let container = &mut all.containers[0];
    match kind {
        ProbeKind::Startup => container.startup = Some(probe),
        ProbeKind::Liveness => container.liveness = Some(probe),
        ProbeKind::Readiness => container.readiness = Some(probe),
    }
    all
}

fn tried(world: &mut World, kind: ActionKind, outcome: ActionOutcome) -> (u64, Vec<Effect>) {
    let (waited, effects) = world.wake();
    let id = action(&effects, 0, kind);
    (waited, world.done(id, outcome))
}

#[test]
fn a_readiness_probe_moves_ready_and_nothing_else() {
    let probe = ProbeSettings { failure_threshold: 2, ..PROBE };
    let all = with_probe(ProbeKind::Readiness, probe, RestartPolicy::Never);
    let mut world = World::with(all);
    world.tell(Event::Start);
    let id = action(&world.started(0), 0, READINESS);
    assert!(!world.machine.running().unwrap().ready);
    world.pass(1);
    world.now = world.machine.next_wake().unwrap();
    world.done(id, ActionOutcome::Succeeded);
    let running = world.machine.running().unwrap();
    assert!(running.ready);
    assert_eq!(running.detail.unwrap().ready_changed_at, Some(world.now));
    assert_eq!(tried(&mut world, READINESS, ActionOutcome::Failed), (9, vec![]));
    assert!(world.machine.running().unwrap().ready);
    assert_eq!(tried(&mut world, READINESS, ActionOutcome::Failed), (10, vec![]));
    assert!(!world.machine.running().unwrap().ready);
}

#[test]
fn a_liveness_probe_that_fails_ends_its_container_and_policy_says_if_it_comes_back() {
    for (policy, again) in [(RestartPolicy::Never, false), (RestartPolicy::OnFailure, true)] {
        let probe = ProbeSettings { grace_seconds: Some(5), ..PROBE };
        let mut world = World::with(with_probe(ProbeKind::Liveness, probe, policy));
        world.tell(Event::Start);
        let id = action(&world.started(0), 0, LIVENESS);
        assert_eq!(world.done(id, ActionOutcome::Failed), [term(0)]);
        assert_eq!(world.wake(), (5, vec![kill(0)]));
        // Even an exit with 0 is followed by a restart.
        let effects = world.exited(0, Exit::Code(0));
        if again {
            assert_eq!(effects, [start(0)]);
            action(&world.started(0), 0, LIVENESS);
        } else {
            assert_eq!(end(&effects).outcome, Outcome::Succeeded);
        }
    }
}

#[test]
fn others_wait_for_the_startup_probe() {
    let mut all = with_probe(ProbeKind::Startup, PROBE, RestartPolicy::Never);
    all.containers[0].liveness = Some(PROBE);
    let mut world = World::with(all);
    world.tell(Event::Start);
    let id = action(&world.started(0), 0, STARTUP);
    assert!(!world.machine.running().unwrap().ready);
    let effects = world.done(id, ActionOutcome::Succeeded);
    action(&effects, 0, LIVENESS);
    assert!(world.machine.running().unwrap().ready);
}

#[test]
fn a_startup_probe_that_fails_ends_its_container() {
    let probe = ProbeSettings {
        initial_delay: Duration::from_secs(2),
        failure_threshold: 3,
        period: Duration::from_secs(1),
        ..PROBE
    };
    let mut world = World::with(with_probe(ProbeKind::Startup, probe, RestartPolicy::OnFailure));
    world.tell(Event::Start);
    assert_eq!(world.started(0), []);
    assert_eq!(tried(&mut world, STARTUP, ActionOutcome::Failed), (2, vec![]));
    assert_eq!(tried(&mut world, STARTUP, ActionOutcome::Failed), (1, vec![]));
    assert_eq!(tried(&mut world, STARTUP, ActionOutcome::Failed), (1, vec![term(0)]));
    assert_eq!(world.exited(0, Exit::Signal(15)), [start(0)]);
}

#[test]
fn a_try_that_takes_too_long_has_failed_and_gets_no_company() {
    let probe = ProbeSettings { failure_threshold: 2, ..PROBE };
    let mut world = World::with(with_probe(ProbeKind::Liveness, probe, RestartPolicy::Never));
    world.tell(Event::Start);
    let id = action(&world.started(0), 0, LIVENESS);
    assert_eq!(world.wake(), (1, vec![Effect::CancelAction { action: id }]));
    assert_eq!(world.wake(), (9, vec![]), "something of the first one may be left");
    world.done(id, ActionOutcome::Failed);
    let (waited, effects) = world.wake();
    assert_eq!(waited, 10);
    let id = action(&effects, 0, LIVENESS);
    assert_eq!(world.wake(), (1, vec![Effect::CancelAction { action: id }, term(0)]));
}

#[test]
fn while_processes_stand_still_nothing_is_held_against_them() {
    let mut world = World::with(with_probe(ProbeKind::Liveness, PROBE, RestartPolicy::Never));
    world.tell(Event::Start);
    let id = action(&world.started(0), 0, LIVENESS);
    world.tell(Event::Paused);
    assert_eq!(world.wake(), (1, vec![Effect::CancelAction { action: id }]));
    world.done(id, ActionOutcome::Failed);
    assert_eq!(world.machine.next_wake(), None);
    world.pass(100);
    action(&world.tell(Event::Resumed), 0, LIVENESS);
}

#[test]
fn a_pod_that_is_stopped_is_asked_only_whether_it_is_ready() {
    let mut all = with_probe(ProbeKind::Liveness, PROBE, RestartPolicy::Never);
    all.containers[0].readiness = Some(PROBE);
    let mut world = World::with(all);
    world.tell(Event::Start);
    let effects = world.started(0);
    let live = action(&effects[..1], 0, LIVENESS);
    let ready = action(&effects[1..], 0, READINESS);
    world.done(ready, ActionOutcome::Succeeded);
    world.stop(60);
    assert_eq!(world.done(live, ActionOutcome::Failed), []);
    let (_, effects) = world.wake();
    let ready = action(&effects, 0, READINESS);
    let effects = world.exited(0, Exit::Code(0));
    assert_eq!(effects, [Effect::CancelAction { action: ready }]);
    assert_eq!(end(&world.done(ready, ActionOutcome::Failed)).outcome, Outcome::Succeeded);
    let unknown = Event::ActionDone { action: ActionId(99), outcome: ActionOutcome::Failed };
    assert!(world.machine.step(unknown, world.now, &mut Vec::new()).is_err());
}
