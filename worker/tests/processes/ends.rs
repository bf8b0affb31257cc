//! Ends: the truth of an exit, TERM and KILL to the whole tree, and nobody else's children.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use stint_common::wire::Exit;
use stint_worker::runtime::Runtime as _;

use crate::Case;
use crate::world::{World, stdout, tagged, until};

pub(crate) const CASES: [Case; 6] = [
    ("ends::exit_codes_and_signals", exit_codes_and_signals),
    ("ends::output_of_both_streams", output_of_both_streams),
    ("ends::a_flood", a_flood),
    ("ends::term_reaches_the_whole_tree", term_reaches_the_whole_tree),
    ("ends::kill_ends_what_ignores_term", kill_ends_what_ignores_term),
    ("ends::children_of_others_are_left_alone", children_of_others_are_left_alone),
];

fn exit_codes_and_signals() {
    let mut world = World::new();
    assert_eq!(world.run("exit 0").0, Exit::Code(0));
    assert_eq!(world.run("exit 255").0, Exit::Code(255));
    assert_eq!(world.run("kill -9 $$").0, Exit::Signal(9));
    assert_eq!(world.run("kill -SEGV $$").0, Exit::Signal(11));
    // A real-time signal, for which nix has no name.
    assert_eq!(world.run("kill -40 $$").0, Exit::Signal(40));
}

fn output_of_both_streams() {
    let mut world = World::new();
    let (_, logs) = world.run("echo out; echo err >&2; (sleep 0; echo child)");
    let inline = logs.inline.unwrap();
    assert_eq!((&*inline.stdout, &*inline.stderr), ("out\nchild\n", "err\n"));
    assert_eq!(world.run("true").1.bytes, 0);
}

fn a_flood() {
    let mut world = World::new();
    let (exit, logs) = world.run("head -c 20000000 /dev/zero; echo bad >&2; exit 1");
    assert_eq!(exit, Exit::Code(1));
    assert_eq!(logs.bytes, 20_000_004);
    assert_eq!(logs.dropped, 20_000_000 - 8 * 1024 * 1024 - 64 * 1024);
    assert_eq!(logs.stderr_tail, "bad\n");
}

/// In the group, in a session of its own, and in one whose parent is gone: each says that it heard
/// TERM.
fn term_reaches_the_whole_tree() {
    let mut world = World::new();
    let child = "trap 'echo heard; exit 0' TERM; echo ready; while :; do sleep 0.01; done";
    let script = format!(
        "trap 'wait; exit 7' TERM; c=\"{child}\"; \
         sh -c \"$c\" & setsid sh -c \"$c\" & (setsid sh -c \"$c\" &); \
         while :; do sleep 0.01; done"
    );
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("heard");
    let path = file.to_str().unwrap();
    let run = world.script(&format!("exec >>{path}; {script}"));
    let count = |word: &str| {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        text.lines().filter(|line| *line == word).count()
    };
    until("all are ready", || count("ready") == 3);
    world.runtime.terminate(run);
    assert_eq!(world.end(run).0, Exit::Code(7));
    // The orphan may have been killed before it could say so: it is not waited for by its shell.
    assert!(count("heard") >= 2, "{} heard", count("heard"));
    assert_eq!(tagged(&world.tag), []);
}

fn kill_ends_what_ignores_term() {
    let mut world = World::new();
    let deaf = "trap '' TERM; while :; do sleep 0.01; done";
    let run = world.script(&format!("setsid sh -c \"{deaf}\" & sh -c \"{deaf}\" & {deaf}"));
    until("three shells run", || tagged(&world.tag).len() >= 4);
    world.runtime.terminate(run);
    world.runtime.kill(run);
    assert_eq!(world.end(run).0, Exit::Signal(9));
    assert_eq!(tagged(&world.tag), []);
}

fn children_of_others_are_left_alone() {
    let mut world = World::new();
    let run = world.script("while :; do sleep 0.01; done");
    for number in 0..20 {
        let script = format!("exit {number}");
        let mut child =
            Command::new("/bin/sh").args(["-c", &script]).process_group(0).spawn().unwrap();
        // Whoever spawns a child waits for it: what nobody takes within a second is an orphan.
        let owner = std::thread::spawn(move || child.wait());
        let (exit, logs) = world.run("echo x");
        assert_eq!((exit, stdout(&logs)), (Exit::Code(0), "x\n"));
        assert_eq!(owner.join().unwrap().unwrap().code(), Some(number));
    }
    world.runtime.kill(run);
    world.end(run);
}
