//! Freezing: every process of every run stands still, and goes on.

use std::time::Duration;

use stint_common::time::boottime_ms;
use stint_common::wire::Exit;
use stint_worker::runtime::{Runtime as _, RuntimeEvent};

use crate::Case;
use crate::world::{World, states, switches, tagged, until};

pub(crate) const CASES: [Case; 3] = [
    ("freezing::all_stand_still_and_go_on", all_stand_still_and_go_on),
    ("freezing::what_is_frozen_can_be_killed", what_is_frozen_can_be_killed),
    ("freezing::nothing_starts_without_proof", nothing_starts_without_proof),
];

const BUSY: &str = "b='while :; do sleep 0.01; done'; sh -c \"$b\" & setsid sh -c \"$b\" & (setsid sh -c \"$b\" &); \
                    eval \"$b\"";

fn all_stand_still_and_go_on() {
    let mut world = World::new();
    let runs = [world.script(BUSY), world.script(BUSY)];
    until("eight shells run", || tagged(&world.tag).len() >= 8);
    world.runtime.freeze_all();
    let frozen = tagged(&world.tag);
    assert!(frozen.len() >= 8);
    // A shell whose child was stopped between vfork and exec waits for it in the kernel (D).
    until("all have come to a stop", || states(&frozen).chars().all(|state| "TD".contains(state)));
    let before = switches(&frozen);
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(switches(&frozen), before);
    let late = world.script("exit 5");
    world.runtime.thaw_all();
    until("none stands still", || !states(&tagged(&world.tag)).contains('T'));
    assert_eq!(world.end(late).0, Exit::Code(5));
    runs.into_iter().for_each(|run| world.runtime.kill(run));
    runs.into_iter().for_each(|run| assert_eq!(world.end(run).0, Exit::Signal(9)));
}

fn what_is_frozen_can_be_killed() {
    let mut world = World::new();
    let run = world.script(BUSY);
    until("four shells run", || tagged(&world.tag).len() >= 4);
    world.runtime.freeze_all();
    world.runtime.kill_all();
    assert_eq!(world.end(run).0, Exit::Signal(9));
    assert_eq!(tagged(&world.tag), []);
}

fn nothing_starts_without_proof() {
    let mut world = World::new();
    // The proof is over, and nobody has looked yet.
    world.runtime.prove(boottime_ms() - 1);
    let (first, second) = (world.script("exit 6"), world.script("exit 7"));
    world.runtime.kill(first);
    assert!(matches!(world.event(), RuntimeEvent::NotStarted { run, .. } if run == first));
    world.runtime.prove(boottime_ms() + 60_000);
    assert_eq!(world.end(second).0, Exit::Code(7));
}
