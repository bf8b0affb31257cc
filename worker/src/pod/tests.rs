//! The machine's rules, each in a few steps of made-up time; and what holds for any order of
//! events.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use stint_common::time;
use stint_common::wire::{End, Exit, LogSummary, Outcome};

use super::{Effect, Event, Machine, RestartPolicy, Settings};

/// A machine with a clock in seconds, and all effects since the last look.
struct World {
    machine: Machine,
    now: Timestamp,
    effects: Vec<Effect>,
}

impl World {
    fn new(containers: usize, restart_policy: RestartPolicy) -> Self {
        let containers = (0..containers).map(|index| Arc::from(format!("c{index}"))).collect();
        Self::with(Settings {
            containers,
            restart_policy,
            grace_seconds: 30,
            active_deadline: None,
        })
    }

    fn with(settings: Settings) -> Self {
        let now = Timestamp::UNIX_EPOCH;
        Self { machine: Machine::new(Arc::new(settings)), now, effects: Vec::new() }
    }

    fn tell(&mut self, event: Event) -> Vec<Effect> {
        self.machine.step(event, self.now, &mut self.effects).unwrap();
        std::mem::take(&mut self.effects)
    }

    fn started(&mut self, index: usize) -> Vec<Effect> {
        self.tell(Event::ContainerStarted { index, at: self.now })
    }

    fn exited(&mut self, index: usize, exit: Exit) -> Vec<Effect> {
        let logs = LogSummary::default();
        self.tell(Event::ContainerExited { index, exit, at: self.now, logs })
    }

    fn stop(&mut self, grace_seconds: u32) -> Vec<Effect> {
        self.tell(Event::StopOrdered { grace_seconds, reason: "why".to_owned(), at: self.now })
    }

    /// Moves time to the next wake; how many seconds that was.
    fn wake(&mut self) -> (u64, Vec<Effect>) {
        let at = self.machine.next_wake().unwrap();
        let waited = time::since(at, self.now).as_secs();
        self.now = at;
        (waited, self.tell(Event::Wake))
    }

    /// Starts all containers and lets them run.
    fn run(&mut self, containers: usize) {
        self.tell(Event::Start);
        for index in 0..containers {
            self.started(index);
        }
    }
}

fn end(effects: &[Effect]) -> &End {
    match effects {
        [.., Effect::Ended(end)] => end,
        other => panic!("no end in {other:?}"),
    }
}

#[test]
fn a_pod_succeeds_when_every_container_did() {
    let mut world = World::new(2, RestartPolicy::Never);
    let starts = world.tell(Event::Start);
    assert_eq!(starts, [Effect::StartContainer { index: 0 }, Effect::StartContainer { index: 1 }]);
    assert!(matches!(&world.started(0)[..], [Effect::ReportRunning(running)] if !running.ready));
    assert!(matches!(&world.started(1)[..], [Effect::ReportRunning(running)] if running.ready));
    assert!(matches!(&world.exited(1, Exit::Code(0))[..], [Effect::ReportRunning(_)]));
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
    assert!(matches!(&world.exited(1, Exit::Code(0))[..], [Effect::ReportRunning(_)]));
    let effects = world.exited(0, Exit::Code(3));
    assert_eq!(effects[0], Effect::StartContainer { index: 0 });
    assert!(matches!(&effects[1], Effect::ReportRunning(running) if running.restarts == 1));
    world.started(0);
    assert!(!world.exited(0, Exit::Code(4)).contains(&Effect::StartContainer { index: 0 }));
    let (waited, effects) = world.wake();
    assert_eq!((waited, &effects[0]), (10, &Effect::StartContainer { index: 0 }));
    assert_eq!(world.machine.last_end(0).unwrap().exit, Exit::Code(4));
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
    assert_eq!(effects, [Effect::StartContainer { index: 0 }]);
    world.tell(Event::StartFailed { index: 0, message: "no file".to_owned() });
    assert_eq!(world.wake().0, 10);
}

#[test]
fn a_stop_is_term_then_kill_then_the_end() {
    let mut world = World::new(2, RestartPolicy::OnFailure);
    world.run(2);
    assert_eq!(world.stop(30), [Effect::SignalTerm { index: 0 }, Effect::SignalTerm { index: 1 }]);
    assert_eq!(world.stop(30), []);
    let effects = world.exited(0, Exit::Code(0));
    assert!(matches!(&effects[..], [Effect::ReportRunning(_)]));
    assert_eq!(world.wake(), (30, vec![Effect::KillAll]));
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
    assert_eq!(world.tell(Event::Kill), [Effect::KillAll]);
    let mut world = World::new(1, RestartPolicy::Never);
    world.run(1);
    assert_eq!(world.stop(0), [Effect::KillAll]);
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
    assert_eq!(world.tell(Event::Kill), [Effect::KillAll]);
    world.tell(Event::StartCancelled { index: 1 });
    let effects = world.exited(0, Exit::Signal(9));
    assert_eq!(end(&effects).containers[1].reason, "ContainerStatusUnknown");
}

#[test]
fn a_pods_own_deadline_fails_it() {
    let mut world = World::with(Settings {
        containers: vec![Arc::from("c")],
        restart_policy: RestartPolicy::Never,
        grace_seconds: 7,
        active_deadline: Some(Duration::from_secs(60)),
    });
    world.run(1);
    assert_eq!(world.wake(), (60, vec![Effect::SignalTerm { index: 0 }]));
    assert_eq!(world.wake(), (7, vec![Effect::KillAll]));
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

/// A random event, by number; whether it can happen is the machine's to say.
fn event(choice: u8, index: usize, now: Timestamp) -> Event {
    match choice {
        0 => Event::Start,
        1 => Event::ContainerStarted { index, at: now },
        2 => Event::StartFailed { index, message: String::new() },
        3 => Event::StartCancelled { index },
        4..=6 => {
            let exit = Exit::Code(i32::from(choice - 4));
            Event::ContainerExited { index, exit, at: now, logs: LogSummary::default() }
        }
        7 => Event::StopOrdered { grace_seconds: 20, reason: String::new(), at: now },
        8 => Event::Kill,
        _ => Event::Wake,
    }
}

proptest! {
    #[test]
    fn a_pod_ends_at_most_once_and_nothing_follows(
        on_failure: bool,
        steps in proptest::collection::vec((0_u8..10, 0_usize..3, 0_u64..40), 0..80),
    ) {
        let policy = if on_failure { RestartPolicy::OnFailure } else { RestartPolicy::Never };
        let mut world = World::new(3, policy);
        let mut ended = false;
        for (choice, index, seconds) in steps {
            world.now = time::after(world.now, Duration::from_secs(seconds));
            let mut effects = Vec::new();
            let event = event(choice, index, world.now);
            let result = world.machine.step(event, world.now, &mut effects);
            prop_assert!(result.is_ok() || effects.is_empty());
            prop_assert!(!ended || effects.is_empty());
            let ends = effects.iter().filter(|effect| matches!(effect, Effect::Ended(_))).count();
            prop_assert!(ends <= 1);
            ended |= ends == 1;
            prop_assert_eq!(ended, world.machine.is_ended());
            let asleep = world.machine.next_wake().is_none_or(|wake| wake > world.now);
            prop_assert!(result.is_err() || asleep);
        }
    }
}
