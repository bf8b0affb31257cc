//! What leaves its group does not outlive its run.

use stint_common::wire::Exit;
use stint_worker::runtime::Runtime as _;

use crate::Case;
use crate::world::{World, stdout, tagged, until};

pub(crate) const CASES: [Case; 5] = [
    ("escapes::nothing_is_left_of_a_tree", nothing_is_left_of_a_tree),
    ("escapes::an_empty_environment_does_not_help", an_empty_environment_does_not_help),
    ("escapes::other_runs_are_left_alone", other_runs_are_left_alone),
    ("escapes::orphans_that_end_are_reaped", orphans_that_end_are_reaped),
    ("escapes::a_forking_daemon", a_forking_daemon),
];

fn nothing_is_left_of_a_tree() {
    let mut world = World::new();
    for script in [
        "sleep 1000 & exit 3",
        "setsid sleep 1000 & exit 3",
        "(setsid sleep 1000 &); exit 3",
        "(setsid sh -c '(setsid sleep 1000 &); sleep 1000' &); exit 3",
        "nohup sh -c 'sleep 1000; true' >/dev/null 2>&1 & exit 3",
        "setsid sh -c 'sleep 1000 & sleep 1000 & wait' & sleep 0.02; exit 3",
    ] {
        assert_eq!(world.run(script).0, Exit::Code(3), "{script}");
        assert_eq!(tagged(&world.tag), [], "{script}");
    }
    // Files that a daemon could have held are not given to the next run with its output in it.
    assert_eq!(stdout(&world.run("echo clean").1), "clean\n");
}

fn an_empty_environment_does_not_help() {
    let mut world = World::new();
    // Nothing else runs: it can only be this run's.
    let argument = format!("1000.{}", std::process::id());
    let run = world.command(&["sh", "-c", &format!("env -i setsid sleep {argument} & exit 0")]);
    world.end(run);
    until("it is gone", || tagged(&argument).is_empty());
}

fn other_runs_are_left_alone() {
    let mut world = World::new();
    let kept = world.script("(setsid sleep 1000 &); setsid sleep 1000 & sleep 1000");
    until("four processes run", || tagged(&world.tag).len() == 4);
    for _ in 0..5 {
        world.run("(setsid sleep 1000 &); setsid sleep 1000 & exit 0");
        assert_eq!(tagged(&world.tag).len(), 4);
    }
    world.runtime.kill(kept);
    world.end(kept);
    assert_eq!(tagged(&world.tag), []);
}

fn orphans_that_end_are_reaped() {
    let mut world = World::new();
    let run = world.script("for i in 1 2 3 4 5; do (setsid true &); done; sleep 1000");
    until("only two are left", || {
        let children = std::fs::read_dir("/proc").unwrap().flatten().filter(|entry| {
            let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            stat.contains(&format!(") Z {} ", std::process::id()))
        });
        tagged(&world.tag).len() == 1 + usize::from(tagged(&world.tag).len() == 2)
            && children.count() == 0
    });
    world.runtime.kill(run);
    assert_eq!(world.end(run).0, Exit::Signal(9));
}

/// Forks as long as it lives, each child in a session of its own.
fn a_forking_daemon() {
    let mut world = World::new();
    let script = "f='sleep 0.01; exec setsid -f sh -c \"$f\"'; export f; setsid -f sh -c \"$f\"; sleep 0.05; exit 4";
    assert_eq!(world.run(script).0, Exit::Code(4));
    assert_eq!(tagged(&world.tag), []);
}
