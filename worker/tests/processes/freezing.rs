//! Freezing: every process of every run stands still, and goes on.

use std::time::Duration;

use nix::unistd::Pid;
use stint_common::time::boottime_ms;
use stint_common::wire::Exit;
use stint_worker::runtime::{Runtime as _, RuntimeEvent};

use crate::Case;
use crate::world::{World, states, switches, tagged, until};

pub(crate) const CASES: [Case; 4] = [
    ("freezing::all_stand_still_and_go_on", all_stand_still_and_go_on),
    ("freezing::what_is_frozen_can_be_killed", what_is_frozen_can_be_killed),
    ("freezing::what_a_pod_stopped_stays_stopped", what_a_pod_stopped_stays_stopped),
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

fn what_a_pod_stopped_stays_stopped() {
    let mut world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    // One in the group of the run, and one that has left it.
    let stops = |name: &str| {
        let path = path(name);
        let path = path.display();
        format!("sh -c 'echo $$ > {path}; kill -STOP $$; touch {path}-goes-on; exec sleep 1000'")
    };
    let script = format!(
        "{} & setsid {} & until [ -e {go} ]; do sleep 0.01; done; \
         kill -CONT $(cat {inside}) $(cat {outside}); wait",
        stops("inside"),
        stops("outside"),
        go = path("go").display(),
        inside = path("inside").display(),
        outside = path("outside").display(),
    );
    let run = world.script(&script);
    let stopped = || {
        let pid = |name| std::fs::read_to_string(path(name)).ok()?.trim().parse().ok();
        Some([pid("inside")?, pid("outside")?].map(Pid::from_raw))
    };
    until("two stand still", || stopped().is_some_and(|pids| states(&pids) == "TT"));
    let stopped = stopped().unwrap();
    for _ in 0..2 {
        world.runtime.freeze_all();
        until("all stand still", || {
            states(&tagged(&world.tag)).chars().all(|state| "TD".contains(state))
        });
        // Said twice, it is done once.
        world.runtime.freeze_all();
        world.runtime.thaw_all();
        until("the shell goes on", || states(&tagged(&world.tag)).contains('S'));
        assert_eq!(states(&stopped), "TT");
    }
    let go_on = ["inside", "outside"].map(|name| path(&format!("{name}-goes-on")));
    assert!(go_on.iter().all(|path| !path.exists()));
    std::fs::write(path("go"), "").unwrap();
    until("they go on when their pod says so", || go_on.iter().all(|path| path.exists()));
    // What has gone on since is thawed as all others are.
    world.runtime.freeze_all();
    until("they stand still", || states(&stopped) == "TT");
    world.runtime.thaw_all();
    until("they go on", || states(&stopped) == "SS");
    world.runtime.kill(run);
    assert_eq!(world.end(run).0, Exit::Signal(9));
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
