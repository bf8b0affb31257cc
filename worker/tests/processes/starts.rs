//! Starting: programs are found, faults are named and put where they belong.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use stint_common::wire::Exit;
use stint_worker::runtime::{Runtime as _, RuntimeEvent, StartError};

use crate::Case;
use crate::world::{World, spec, stdout, tagged};

pub(crate) const CASES: [Case; 6] = [
    ("starts::environment_and_directory", environment_and_directory),
    ("starts::faults_of_the_container", faults_of_the_container),
    ("starts::a_full_machine", a_full_machine),
    ("starts::a_withdrawn_start", a_withdrawn_start),
    ("starts::a_program_that_moved", a_program_that_moved),
    ("starts::side_by_side", side_by_side),
];

fn environment_and_directory() {
    let mut world = World::new();
    let mut spec = spec(&world.tag, &["sh", "-c", "echo $0; pwd; env | sort | cut -d= -f1; cat"]);
    spec.working_dir = Arc::from("/usr");
    let run = world.start(spec);
    let (exit, logs) = world.end(run);
    let expect = "sh\n/usr\nPATH\nPWD\nSTINT_TEST_TAG\nSTINT_WORKER_LIFE\n";
    assert_eq!((exit, stdout(&logs)), (Exit::Code(0), expect));
}

fn faults_of_the_container() {
    let mut world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("script");
    std::fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    let script = script.to_str().unwrap();
    let mut refusal = |argv: &[&str], working_dir: &str| {
        let mut spec = spec(&world.tag, argv);
        spec.working_dir = Arc::from(working_dir);
        let run = world.start(spec);
        match world.refusal(run) {
            StartError::Container { message } => message,
            other => panic!("{other}"),
        }
    };
    assert_eq!(
        refusal(&["no-such-program"], "/"),
        r#"exec: "no-such-program": executable file not found in $PATH"#
    );
    assert_eq!(refusal(&["/no/such"], "/"), r#"exec: "/no/such": no such file or directory"#);
    assert_eq!(refusal(&["/etc/passwd"], "/"), r#"exec: "/etc/passwd": permission denied"#);
    assert_eq!(refusal(&["sh"], "/no/dir"), r#"workingDir "/no/dir": no such directory"#);
    assert!(refusal(&["sh", "a\0b"], "/").contains("nul byte"));
    std::fs::set_permissions(script, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert!(refusal(&[script], "/").ends_with("its interpreter does not exist"));
    assert_eq!(world.runtime.live(), 0);
}

/// While it lives this process can open no file: the limit is on numbers, and those below it are
/// standard streams.
struct NoMoreFiles {
    soft: u64,
    hard: u64,
}

impl NoMoreFiles {
    fn begin() -> Self {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, 3, hard).unwrap();
        Self { soft, hard }
    }
}

impl Drop for NoMoreFiles {
    fn drop(&mut self) {
        setrlimit(Resource::RLIMIT_NOFILE, self.soft, self.hard).unwrap();
    }
}

fn a_full_machine() {
    let mut world = World::new();
    let full = NoMoreFiles::begin();
    let run = world.script("true");
    let refusal = world.refusal(run);
    drop(full);
    assert!(refusal.is_transient(), "{refusal}");
    assert_eq!(world.run("true").0, Exit::Code(0));
}

fn a_withdrawn_start() {
    let mut world = World::new();
    world.runtime.freeze_all();
    let (first, second) = (world.script("true"), world.script("true"));
    world.runtime.kill(first);
    assert!(matches!(world.event(), RuntimeEvent::NotStarted { run, .. } if run == first));
    world.runtime.thaw_all();
    assert_eq!(world.end(second).0, Exit::Code(0));
    world.runtime.kill(second);
}

fn a_program_that_moved() {
    let mut world = World::new();
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let paths = dirs.each_ref().map(|dir| dir.path().to_str().unwrap().to_owned());
    let mut run = || {
        let mut spec = spec(&world.tag, &["moving"]);
        spec.env[0].1 = Arc::from(paths.join(":"));
        let run = world.start(spec);
        world.end(run).0
    };
    std::fs::copy("/bin/true", dirs[0].path().join("moving")).unwrap();
    assert_eq!(run(), Exit::Code(0));
    std::fs::rename(dirs[0].path().join("moving"), dirs[1].path().join("moving")).unwrap();
    assert_eq!(run(), Exit::Code(0));
}

fn side_by_side() {
    let mut world = World::new();
    let runs: Vec<_> = (0..50).map(|number| world.script(&format!("exit {number}"))).collect();
    let mut exits = Vec::new();
    while exits.len() < runs.len() {
        if let RuntimeEvent::Exited { run, exit, .. } = world.event() {
            exits.push((run, exit));
        }
    }
    exits.sort_unstable_by_key(|(run, _)| *run);
    let expect: Vec<_> = runs.into_iter().zip((0..50).map(Exit::Code)).collect();
    assert_eq!(exits, expect);
    assert_eq!((world.runtime.live(), tagged(&world.tag).len()), (0, 0));
}
