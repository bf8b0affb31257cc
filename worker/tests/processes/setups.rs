//! What the launcher arranges before a program runs: volumes, users, rights, the host's name.
//!
//! Run as root, all of it; as another user, what a user namespace allows.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use nix::unistd::{getegid, geteuid};
use stint_common::capability::Capabilities;
use stint_common::wire::Exit;
use stint_worker::launch::{
    FileContent, Filter, HostPathKind, LaunchSpec, Limits, Mount, Security, Setup, Volume,
    VolumeSource,
};
use stint_worker::runtime::{RunId, Runtime as _, StartError};

use crate::Case;
use crate::world::{World, spec, stdout, until};

pub(crate) const CASES: [Case; 16] = [
    ("setups::volumes_are_shared_and_gone_after", volumes_are_shared_and_gone_after),
    ("setups::places_are_made_up", places_are_made_up),
    ("setups::files_cannot_be_written", files_cannot_be_written),
    ("setups::parts_of_volumes", parts_of_volumes),
    (
        "setups::a_working_directory_is_made_in_a_volume_and_nowhere_else",
        a_working_directory_is_made_in_a_volume_and_nowhere_else,
    ),
    ("setups::what_cannot_be_mounted_is_the_pods_fault", what_cannot_be_mounted_is_the_pods_fault),
    ("setups::the_machines_files_are_guarded", the_machines_files_are_guarded),
    ("setups::a_root_that_cannot_be_written", a_root_that_cannot_be_written),
    ("setups::another_user", another_user),
    ("setups::rights_are_dropped", rights_are_dropped),
    ("setups::calls_are_filtered", calls_are_filtered),
    ("setups::messages_are_left_anywhere", messages_are_left_anywhere),
    ("setups::the_hosts_name", the_hosts_name),
    ("setups::faults_are_named", faults_are_named),
    ("setups::memory_is_limited", memory_is_limited),
    ("setups::processes_and_time_are_limited", processes_and_time_are_limited),
];

const POD: &str = "00000000-0000-0000-0000-000000000001";

fn empty(name: &str) -> Volume {
    let source = VolumeSource::Empty { memory: false, limit: None };
    Volume { name: Arc::from(name), source }
}

fn mount(volume: usize, path: &str) -> Mount {
    Mount {
        volume,
        path: Arc::from(path),
        sub_path: Arc::from(""),
        read_only: false,
        missing: None,
    }
}

fn setup(volumes: Vec<Volume>, mounts: Vec<Mount>) -> Setup {
    Setup {
        leaves_in: None,
        leaves_at: None,
        pod: Arc::from(POD),
        volumes: Arc::from(volumes),
        disk: None,
        volume_group: None,
        mounts,
        limits: Limits::default(),
        security: Security::default(),
        hostname: None,
        inherits_home: true,
    }
}

fn script(world: &World, script: &str, setup: Setup) -> LaunchSpec {
    let spec = spec(&world.tag, &["sh", "-c", script]);
    LaunchSpec { setup: Some(Box::new(setup)), ..spec }
}

/// What a script with a setup wrote; it must succeed.
fn run(world: &mut World, text: &str, setup: Setup) -> String {
    let run = world.start(script(world, text, setup));
    let (exit, logs) = world.end(run);
    assert_eq!(exit, Exit::Code(0), "{logs:?}");
    stdout(&logs).to_owned()
}

fn refusal(world: &mut World, spec: LaunchSpec) -> String {
    let run: RunId = world.start(spec);
    match world.refusal(run) {
        StartError::Container { message } => message,
        other => panic!("{other}"),
    }
}

fn volumes_are_shared_and_gone_after() {
    let mut world = World::new();
    let memory = Volume {
        name: Arc::from("memory"),
        source: VolumeSource::Empty { memory: true, limit: None },
    };
    let volumes = || vec![empty("disk"), memory.clone()];
    let mounts = || vec![mount(0, "/disk"), mount(1, "/memory")];
    let write = "echo one > /disk/a; echo two > /memory/b; stat -f -c %T /memory";
    let kind = run(&mut world, write, setup(volumes(), mounts()));
    assert_eq!(kind, "tmpfs\n");
    let read = run(&mut world, "cat /disk/a /memory/b", setup(volumes(), mounts()));
    assert_eq!(read, "one\ntwo\n");
    assert!(!Path::new("/disk").exists() && !Path::new("/memory").exists());
    let pod = world.dir().join("pods").join(POD);
    assert!(pod.join("volumes/disk/a").exists());
    world.runtime.clear_away(Arc::from(POD));
    until("the pod's directory is gone", || !pod.exists());
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(pod.to_str().unwrap()));
}

/// No directory of the machine is touched, and everything that it has is still seen.
fn places_are_made_up() {
    let mut world = World::new();
    let volumes = vec![empty("a"), empty("b"), empty("c")];
    let mounts = vec![
        mount(0, "/stint-test/a"),
        mount(1, "/stint-test/a/deep/b"),
        mount(2, "/etc/stint-test/c"),
    ];
    let text = "
        touch /stint-test/a/x /stint-test/a/deep/b/y /etc/stint-test/c/z
        ls /stint-test/a /stint-test/a/deep/b /etc/stint-test/c | tr '\\n' ' '
        head -c 4 /etc/passwd; test -e /proc/self/status && test -d /usr/bin && echo ' seen'
    ";
    let found = run(&mut world, text, setup(volumes, mounts));
    let expect = "/etc/stint-test/c: z  /stint-test/a: deep x  /stint-test/a/deep/b: y root seen\n";
    assert_eq!(found, expect);
    assert!(!Path::new("/stint-test").exists() && !Path::new("/etc/stint-test").exists());
}

fn files_cannot_be_written() {
    let mut world = World::new();
    let content = |text: &str, mode| FileContent { bytes: Arc::from(text.as_bytes()), mode };
    let files = BTreeMap::from([
        ("name".to_owned(), content("x", 0o400)),
        ("sub/labels".to_owned(), content("a=\"b\"", 0o644)),
    ]);
    let volume =
        Volume { name: Arc::from("info"), source: VolumeSource::Files { files, memory: true } };
    let mounts = vec![Mount { read_only: true, ..mount(0, "/info") }];
    let text = "cat /info/name /info/sub/labels; stat -c ' %a' /info/name; \
                (echo x > /info/new) 2>/dev/null || echo refused";
    let found = run(&mut world, text, setup(vec![volume], mounts));
    assert_eq!(found, "xa=\"b\" 400\nrefused\n");
}

fn parts_of_volumes() {
    let mut world = World::new();
    let part = |path: &str, sub: &str| Mount { sub_path: Arc::from(sub), ..mount(0, path) };
    let mounts = vec![part("/part", "x/y"), mount(0, "/whole")];
    let found = run(
        &mut world,
        "echo 1 > /part/f; cat /whole/x/y/f; ln -s / /whole/out",
        setup(vec![empty("a")], mounts),
    );
    assert_eq!(found, "1\n");
    let spec = script(&world, "true", setup(vec![empty("a")], vec![part("/part", "out/etc")]));
    assert_eq!(refusal(&mut world, spec), "subPath \"out/etc\": leads out of its volume");
    let missing = Mount { missing: Some(Arc::from("A, B")), ..mount(0, "/part") };
    let spec = script(&world, "true", setup(vec![empty("a")], vec![missing]));
    assert!(refusal(&mut world, spec).ends_with("/part: missing value for A, B"));
}

fn a_working_directory_is_made_in_a_volume_and_nowhere_else() {
    let mut world = World::new();
    let outside = tempfile::tempdir().unwrap();
    let link = format!("ln -s {} /vol/link", outside.path().display());
    let in_dir = |world: &World, dir: &str, text: &str, read_only| {
        let mounts = vec![Mount { read_only, ..mount(0, "/vol") }];
        let mut spec = script(world, text, setup(vec![empty("a")], mounts));
        spec.working_dir = Arc::from(dir);
        spec
    };
    let spec = in_dir(&world, "/vol/a/b", &format!("pwd; stat -c %a .; {link}"), false);
    let id = world.start(spec);
    let (_, logs) = world.end(id);
    assert_eq!(stdout(&logs), "/vol/a/b\n755\n");
    for (dir, read_only) in [("/vol/c", true), ("/vol/link/d", false), ("/volume", false)] {
        let spec = in_dir(&world, dir, "true", read_only);
        assert!(refusal(&mut world, spec).contains("workingDir"), "{dir}");
    }
    assert_eq!(outside.path().read_dir().unwrap().count(), 0);
}

/// What cannot be is the pod's fault: it is not tried again, which would hold up all others.
fn what_cannot_be_mounted_is_the_pods_fault() {
    let mut world = World::new();
    let content = FileContent { bytes: Arc::from(&b"x"[..]), mode: 0o644 };
    let files = |names: &[&str]| Volume {
        name: Arc::from("files"),
        source: VolumeSource::Files {
            files: names.iter().map(|name| ((*name).to_owned(), content.clone())).collect(),
            memory: false,
        },
    };
    let long = "n".repeat(256);
    for names in [&["a", "a/b"][..], &["."], &["../a"], &[&*long]] {
        let spec = script(&world, "true", setup(vec![files(names)], vec![mount(0, "/files")]));
        let message = refusal(&mut world, spec);
        assert!(message.starts_with("MountVolume.SetUp failed for volume \"files\""), "{message}");
    }
    let volume = || vec![files(&["./b"])];
    let found = run(&mut world, "cat /files/b", setup(volume(), vec![mount(0, "/files")]));
    assert_eq!(found, "x");
    let spec = script(&world, "true", setup(volume(), vec![mount(0, "/")]));
    assert!(refusal(&mut world, spec).starts_with("mountPath /:"));
}

fn the_machines_files_are_guarded() {
    let dir = tempfile::tempdir().unwrap();
    let (open, closed) = (dir.path().join("open"), dir.path().join("closed"));
    std::fs::create_dir_all(open.join("data")).unwrap();
    std::fs::create_dir_all(&closed).unwrap();
    std::os::unix::fs::symlink(&closed, open.join("link")).unwrap();
    std::fs::write(open.join("data/f"), "hello").unwrap();
    let mut world = World::allowing(std::slice::from_ref(&open));
    let host = |path: &Path, kind| Volume {
        name: Arc::from("host"),
        source: VolumeSource::Host { path: Arc::from(path.to_str().unwrap()), kind },
    };
    let mut try_it = |path: &Path, kind, text: &str| {
        let setup = setup(vec![host(path, kind)], vec![mount(0, "/host")]);
        let run = world.start(script(&world, text, setup));
        match world.outcome(run) {
            Ok((exit, logs)) => format!("{exit:?} {}", stdout(&logs)),
            Err(error) => error.to_string(),
        }
    };
    let any = HostPathKind::Any;
    assert_eq!(try_it(&open.join("data"), any, "cat /host/f"), "Code(0) hello");
    assert!(try_it(&closed, any, "true").contains("is not allowed on this worker"));
    assert!(try_it(&open.join("link"), any, "true").contains("is not allowed on this worker"));
    assert!(try_it(&open.join("../closed"), any, "true").contains("is not allowed"));
    let file = HostPathKind::File;
    let message = try_it(&open.join("data"), file, "true");
    assert!(message.contains("hostPath type check failed") && message.ends_with("is not a file"));
    let made = open.join("new/dir");
    assert_eq!(try_it(&made, HostPathKind::DirectoryOrCreate, "touch /host/f"), "Code(0) ");
    assert!(made.join("f").exists());
    let missing = try_it(&open.join("none"), HostPathKind::Directory, "true");
    assert!(missing.contains("hostPath type check failed"), "{missing}");
}

fn a_root_that_cannot_be_written() {
    let mut world = World::new();
    let security = Security { read_only_root: true, ..Security::default() };
    let setup = Setup { security, ..setup(vec![empty("a")], vec![mount(0, "/a")]) };
    let text = "for at in /tmp /var/tmp /root / /a /dev/shm; do
        (touch $at/stint-test-file) 2>/dev/null && echo $at; done; rm -f /dev/shm/stint-test-file";
    assert_eq!(run(&mut world, text, setup), "/a\n/dev/shm\n");
}

fn another_user() {
    let mut world = World::new();
    let is_root = geteuid().is_root();
    let security = |user, group| Security {
        user: Some(user),
        group: Some(group),
        groups: vec![4242],
        ..Security::default()
    };
    if is_root {
        let setup = Setup {
            security: security(12_345, 54_321),
            volume_group: Some(4242),
            ..setup(vec![empty("a")], vec![mount(0, "/a")])
        };
        let text = "id -u; id -g; id -G; touch /a/f && stat -c '%u %g' /a/f; echo $HOME";
        let found = run(&mut world, text, setup);
        assert_eq!(found, "12345\n54321\n54321 4242\n12345 4242\n/\n");
        let nobody = Setup {
            security: Security { user: Some(65_534), non_root: true, ..Security::default() },
            ..setup_of_nothing()
        };
        assert_eq!(run(&mut world, "id -un; echo $USER", nobody), "nobody\nnobody\n");
    } else {
        let spec = script(&world, "true", Setup { security: security(0, 0), ..setup_of_nothing() });
        assert!(refusal(&mut world, spec).contains("only root can"));
        let own = Security {
            user: Some(geteuid().as_raw()),
            group: Some(getegid().as_raw()),
            ..Security::default()
        };
        run(&mut world, "true", Setup { security: own, ..setup_of_nothing() });
    }
    let root = Security { user: Some(0), non_root: true, ..Security::default() };
    let spec = script(&world, "true", Setup { security: root, ..setup_of_nothing() });
    assert!(refusal(&mut world, spec).contains("runAsNonRoot"));
}

fn setup_of_nothing() -> Setup {
    setup(Vec::new(), Vec::new())
}

fn rights_are_dropped() {
    let mut world = World::new();
    let read = "grep -E 'NoNewPrivs|CapEff|CapBnd' /proc/self/status | tr -d '\\t' | tr '\\n' ' '";
    let no_more = Security { no_new_privileges: true, ..Security::default() };
    let found = run(&mut world, read, Setup { security: no_more, ..setup_of_nothing() });
    assert!(found.contains("NoNewPrivs:1"), "{found}");
    let none = Security { capabilities: Some(Capabilities(0)), ..Security::default() };
    let found = run(&mut world, read, Setup { security: none, ..setup_of_nothing() });
    assert!(found.contains("CapEff:0000000000000000"), "{found}");
    if geteuid().is_root() {
        assert!(found.contains("CapBnd:0000000000000000"), "{found}");
        let one = Capabilities::of_container(&["NET_ADMIN"], &["ALL"]);
        let one = Security { capabilities: Some(one), ..Security::default() };
        let found = run(&mut world, read, Setup { security: one, ..setup_of_nothing() });
        assert!(found.contains("CapEff:0000000000001000"), "{found}");
    }
}

fn calls_are_filtered() {
    let mut world = World::new();
    let with = |filter| Setup {
        security: Security { filter: Some(filter), ..Security::default() },
        ..setup_of_nothing()
    };
    let text = "grep Seccomp: /proc/self/status; unshare -U true 2>&1 || echo refused; \
                mkdir made && echo made; rmdir made";
    let text = format!("cd {} && {text}", world.dir().display());
    let found = run(&mut world, &text, with(Filter::Usual));
    let says = |words: &[&str]| words.iter().all(|word| found.contains(word));
    assert!(says(&["Seccomp:\t2", "refused", "not permitted", "made"]), "{found}");
    let profiles = world.dir().join("seccomp");
    std::fs::create_dir(&profiles).unwrap();
    let profile = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13}]}"#;
    std::fs::write(profiles.join("own.json"), profile).unwrap();
    let text = format!("mkdir {}/made 2>&1 || echo refused", world.dir().display());
    let found = run(&mut world, &text, with(Filter::Profile("own.json".to_owned())));
    assert!(found.contains("Permission denied") && found.contains("refused"), "{found}");
    let run = world.start(script(&world, "true", with(Filter::Profile("none.json".to_owned()))));
    let refused = world.refusal(run).to_string();
    assert!(refused.contains("seccomp/none.json: No such file"), "{refused}");
}

fn messages_are_left_anywhere() {
    let mut world = World::new();
    let file = world.dir().join("left");
    let at = |target: &str| Setup {
        leaves_at: Some((Arc::from(file.display().to_string()), Arc::from(target))),
        ..setup_of_nothing()
    };
    for target in ["/stint-made-up/message", "/tmp/stint-message"] {
        assert_eq!(run(&mut world, &format!("echo said > {target}"), at(target)), "");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "said\n");
        assert!(!Path::new(target).exists());
    }
}

fn the_hosts_name() {
    let mut world = World::new();
    let setup = Setup { hostname: Some(Arc::from("other-host")), ..setup_of_nothing() };
    let before = nix::unistd::gethostname().unwrap();
    assert_eq!(run(&mut world, "uname -n", setup), "other-host\n");
    assert_eq!(nix::unistd::gethostname().unwrap(), before);
}

fn faults_are_named() {
    let mut world = World::new();
    let with = |world: &World, argv: &[&str], working_dir: &str| LaunchSpec {
        working_dir: Arc::from(working_dir),
        setup: Some(Box::new(setup(vec![empty("a")], vec![mount(0, "/a")]))),
        ..spec(&world.tag, argv)
    };
    let spec = with(&world, &["no-such-program"], "/");
    let message = refusal(&mut world, spec);
    assert_eq!(message, r#"exec: "no-such-program": executable file not found in $PATH"#);
    let spec = with(&world, &["sh"], "/none");
    assert_eq!(refusal(&mut world, spec), r#"workingDir "/none": no such directory"#);
    let spec = with(&world, &["pwd"], "/a");
    let run = world.start(spec);
    let (exit, logs) = world.end(run);
    assert_eq!((exit, stdout(&logs)), (Exit::Code(0), "/a\n"));
    let spec = LaunchSpec {
        setup: Some(Box::new(setup(vec![empty("a")], vec![mount(0, "/etc/passwd")]))),
        ..crate::world::spec(&world.tag, &["true"])
    };
    assert!(refusal(&mut world, spec).contains("/etc/passwd"));
    assert_eq!(world.runtime.live(), 0);
}

fn memory_is_limited() {
    let mut world = World::new();
    if !world.runtime.abilities().memory_limits {
        println!("skipped: memory cannot be limited here");
        return;
    }
    let limits = Limits { memory: Some(16 << 20), ..Limits::default() };
    let with = |limits| Setup { limits, ..setup_of_nothing() };
    let hungry = "x=$(head -c 100000000 /dev/zero | tr '\\0' x); echo ${#x}";
    let run = world.start(script(&world, hungry, with(limits)));
    let (exit, _) = world.end(run);
    assert_ne!(exit, Exit::Code(0));
    assert_eq!(world.out_of_memory, [run]);
    let run = world.start(script(&world, "echo small", with(limits)));
    let (exit, logs) = world.end(run);
    assert_eq!((exit, stdout(&logs)), (Exit::Code(0), "small\n"));
    assert_eq!(world.out_of_memory.len(), 1);
    let hardly = Limits { memory: Some(4096), ..limits };
    let spec = script(&world, "echo tiny", with(hardly));
    assert!(refusal(&mut world, spec).contains("limit is too low"));
}

/// What left its group and emptied its environment is found by its cgroup, and nothing is left.
fn processes_and_time_are_limited() {
    let mut world = World::new();
    if !world.runtime.abilities().cpu_limits {
        println!("skipped: CPU time cannot be limited here");
        return;
    }
    let limits = Limits { memory: None, cpu_milli: Some(200), pids: Some(20) };
    let with = || Setup { limits, ..setup_of_nothing() };
    let busy = "end=$(($(date +%s%N) + 1000000000)); while [ $(date +%s%N) -lt $end ]; do :; done; \
                cut -d' ' -f14-17 /proc/$$/stat";
    let run = world.start(script(&world, busy, with()));
    let (exit, logs) = world.end(run);
    assert_eq!(exit, Exit::Code(0));
    let ticks: u64 = stdout(&logs).split_whitespace().map(|it| it.parse::<u64>().unwrap()).sum();
    assert!(ticks < 60, "{ticks} of 100 ticks with a fifth of a CPU");
    let bomb = "i=0; while [ $i -lt 60 ]; do (env -i setsid sleep 1000 &) 2>/dev/null || break; \
                i=$((i+1)); done; exit 0";
    let tag = world.tag.clone();
    let run = world.start(script(&world, bomb, with()));
    let (_, _) = world.end(run);
    until("nothing is left", || crate::world::tagged(&tag).is_empty());
    assert_eq!(world.runtime.live(), 0);
}
