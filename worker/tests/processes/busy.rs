//! Programs that somebody has open for writing.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use stint_common::wire::Exit;
use stint_worker::launch::{LaunchSpec, Limits, Security, Setup};
use stint_worker::runtime::{RunId, Runtime as _, RuntimeEvent, StartError};

use crate::Case;
use crate::world::{World, spec};

pub(crate) const CASES: [Case; 3] = [
    ("busy::what_is_let_go_is_started", what_is_let_go_is_started),
    ("busy::what_stays_busy_holds_up_no_other", what_stays_busy_holds_up_no_other),
    ("busy::what_is_killed_gives_its_place_back", what_is_killed_gives_its_place_back),
];

/// A program, and what keeps it from being executed.
fn program(dir: &Path) -> (String, File) {
    let path = dir.join("program");
    std::fs::copy("/bin/true", &path).unwrap();
    let held = OpenOptions::new().append(true).open(&path).unwrap();
    (path.to_str().unwrap().to_owned(), held)
}

/// Started directly, and through the launcher with a cgroup of its own where there are any.
fn both_ways(world: &World, program: &str) -> [LaunchSpec; 2] {
    let direct = spec(&world.tag, &[program]);
    let setup = Setup {
        leaves_in: None,
        leaves_at: None,
        pod: Arc::from("00000000-0000-0000-0000-000000000001"),
        volumes: Arc::from(Vec::new()),
        disk: None,
        volume_group: None,
        mounts: Vec::new(),
        limits: Limits { memory: Some(256 << 20), ..Limits::default() },
        security: Security::default(),
        hostname: None,
        inherits_home: true,
    };
    [direct.clone(), LaunchSpec { setup: Some(Box::new(setup)), ..direct }]
}

fn what_is_let_go_is_started() {
    let mut world = World::new();
    let dir = tempfile::tempdir().unwrap();
    for way in 0..2 {
        let (program, held) = program(dir.path());
        let run = world.start(both_ways(&world, &program)[way].clone());
        // Nothing tells that it was tried in vain.
        let lets_go = thread::spawn(move || {
            thread::sleep(Duration::from_millis(200));
            drop(held);
        });
        assert_eq!(world.outcome(run).unwrap().0, Exit::Code(0), "way {way}");
        lets_go.join().unwrap();
    }
}

fn what_stays_busy_holds_up_no_other() {
    let mut world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let (program, _held) = program(dir.path());
    // More than there are spawners.
    let each = (0..4).flat_map(|_| both_ways(&world, &program));
    let mut busy: Vec<RunId> = each.map(|spec| world.start(spec)).collect();
    let other = world.script("exit 3");
    let mut ended = false;
    while !busy.is_empty() {
        match world.event() {
            RuntimeEvent::NotStarted { run, error: StartError::Container { message } } => {
                let place = busy.iter().position(|it| *it == run).unwrap();
                busy.swap_remove(place);
                let expect = format!("exec: {program:?}: text file busy: ");
                assert!(message.starts_with(&expect), "{message}");
            }
            RuntimeEvent::Started { run, .. } => assert_eq!(run, other),
            RuntimeEvent::Exited { run, exit, .. } => {
                assert_eq!((run, exit), (other, Exit::Code(3)));
                ended = true;
            }
            event => panic!("{event:?}"),
        }
    }
    // Had each been waited for, it would have been started behind all of them.
    assert!(ended, "what can be started is held up");
    assert_eq!(world.runtime.live(), 0);
}

fn what_is_killed_gives_its_place_back() {
    let mut world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let (program, _held) = program(dir.path());
    world.runtime.set_places(1);
    let (busy, next) = (RunId(1001), RunId(1002));
    world.runtime.line_up(busy, spec(&world.tag, &[&program])).unwrap();
    world.runtime.line_up(next, spec(&world.tag, &["/bin/sh", "-c", "exit 4"])).unwrap();
    // Long enough to have been tried and put off: each pause is longer than a try.
    thread::sleep(Duration::from_millis(60));
    world.runtime.kill(busy);
    let refusal = world.refusal(busy);
    // It was put off just then, or being tried.
    let expected = matches!(refusal, StartError::Cancelled | StartError::Container { .. });
    assert!(expected, "{refusal}");
    assert_eq!(world.end(next).0, Exit::Code(4));
}
