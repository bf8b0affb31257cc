//! What holds for any order of events.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use stint_common::time;
use stint_common::wire::Exit;

use super::super::{ActionId, ActionOutcome, Effect, Event, Hook, RestartPolicy, Role, Settings};
use super::world::{PROBE, World, settings};

/// A random event, by number; whether it can happen is the machine's to say.
fn event(choice: u8, index: usize, now: Timestamp) -> Event {
    match choice {
        0 => Event::Start,
        1 | 10 => Event::ContainerStarted { index, at: now },
        2 => Event::StartFailed { index, message: String::new() },
        3 => Event::StartCancelled { index },
        4..=6 => {
            let exit = Exit::Code(i32::from(choice - 4));
            let (logs, message) = Default::default();
            Event::ContainerExited { index, exit, at: now, out_of_memory: false, logs, message }
        }
        7 => Event::StopOrdered { grace_seconds: 20, reason: String::new(), at: now },
        8 => Event::Kill,
        11..=13 => {
            let outcomes =
                [ActionOutcome::Succeeded, ActionOutcome::Failed, ActionOutcome::Unknown];
            let action = ActionId(u64::try_from(index).unwrap_or(0) + 1);
            Event::ActionDone { action, outcome: outcomes[usize::from(choice - 11)] }
        }
        14 => Event::Paused,
        15 => Event::Resumed,
        18 | 19 => Event::Configured { index },
        20 => Event::NotConfigured { index, missing: Some("it".to_owned()) },
        21 => Event::NotConfigured { index, missing: None },
        _ => Event::Wake,
    }
}

fn everything(on_failure: bool) -> Settings {
    let policy = if on_failure { RestartPolicy::OnFailure } else { RestartPolicy::Never };
    let mut all = settings(&[Role::Main, Role::Main, Role::Sidecar, Role::Init], policy);
    all.active_deadline = Some(Duration::from_secs(600));
    all.containers[0].liveness = Some(PROBE);
    all.containers[0].pre_stop = Some(Hook::Run);
    all.containers[1].post_start = Some(Hook::Sleep(Duration::from_secs(3)));
    all.containers[2].startup = Some(PROBE);
    all.containers[2].readiness = Some(PROBE);
    all.containers[2].post_start = Some(Hook::Run);
    all.containers[1].is_configured = true;
    all.containers[3].is_configured = true;
    all
}

proptest! {
    #[test]
    fn a_pod_ends_at_most_once_and_nothing_follows(
        on_failure: bool,
        steps in proptest::collection::vec((0_u8..22, 0_usize..8, 0_u64..40), 0..120),
    ) {
        let mut world = World::with(everything(on_failure));
        let mut ended = false;
        let (mut begun, mut over) = (0, 0);
        let mut live = [false; 4];
        let mut asked = [0; 4];
        for (choice, index, seconds) in steps {
            world.now = time::after(world.now, Duration::from_secs(seconds));
            let mut effects = Vec::new();
            let event = event(choice, index, world.now);
            let result = world.machine.step(event.clone(), world.now, &mut effects);
            prop_assert!(result.is_ok() || effects.is_empty());
            prop_assert!(!ended || effects.is_empty());
            if result.is_ok() {
                match event {
                    Event::ActionDone { .. } => over += 1,
                    Event::ContainerExited { index, .. }
                    | Event::StartFailed { index, .. }
                    | Event::StartCancelled { index } => live[index] = false,
                    Event::Configured { index } | Event::NotConfigured { index, .. } => {
                        asked[index] -= 1;
                    }
                    _ => {}
                }
            }
            for effect in &effects {
                match effect {
                    Effect::RunAction { .. } => begun += 1,
                    Effect::Configure { index } => {
                        prop_assert!(!live[*index], "it asks for what it has");
                        asked[*index] += 1;
                        prop_assert_eq!(asked[*index], 1, "it asks twice at once");
                    }
                    Effect::StartContainer { index } => {
                        prop_assert!(!live[*index], "it is started twice at once");
                        live[*index] = true;
                    }
                    Effect::Ended(_) => {
                        prop_assert!(!ended);
                        prop_assert!(live.iter().all(|live| !live), "something runs on");
                        prop_assert_eq!(begun, over, "an action runs on");
                        ended = true;
                    }
                    _ => {}
                }
            }
            prop_assert_eq!(ended, world.machine.is_ended());
            let asleep = world.machine.next_wake().is_none_or(|wake| wake > world.now);
            prop_assert!(result.is_err() || asleep);
        }
    }

    /// Whatever is under way when the clock is set, it goes on as if nothing had been.
    #[test]
    fn a_clock_that_is_set_changes_nothing(
        steps in proptest::collection::vec((0_u8..22, 0_usize..8, 0_u64..40), 1..120),
        set_at in 0_usize..120,
        hours in -30_i64..30,
    ) {
        let by = SignedDuration::from_hours(hours);
        let (mut even, mut set) = (World::with(everything(true)), World::with(everything(true)));
        for (number, (choice, index, seconds)) in steps.iter().copied().enumerate() {
            even.pass(seconds);
            set.pass(seconds);
            if number == set_at {
                set.machine.clock_was_set(by);
                set.now += by;
            }
            let wakes = |world: &World| {
                world.machine.next_wake().map(|at| at.duration_since(world.now))
            };
            prop_assert_eq!(wakes(&even), wakes(&set));
            let step = |world: &mut World| {
                let event = event(choice, index, world.now);
                world.machine.step(event, world.now, &mut world.effects)
            };
            prop_assert_eq!(step(&mut even).is_ok(), step(&mut set).is_ok());
            prop_assert_eq!(even.effects.len(), set.effects.len());
        }
        if set_at < steps.len() {
            even.machine.clock_was_set(by);
        }
        let text = |machine| serde_json::to_value(machine).unwrap();
        prop_assert_eq!(text(&even.machine), text(&set.machine));
    }
}
