//! Units of systemd, configurations of nats-server, certificates, and what goes into a package.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use stint_tests::{Shape, World};

use crate::{STINT, deployed};

/// A server is ready within this time on a loaded machine.
const LIMIT: Duration = Duration::from_secs(60);

fn run(command: &mut Command) -> Output {
    let output = command.output().expect("the program can be started");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {text}{}", shown(&output));
    output
}

fn shown(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

#[test]
fn units_are_in_order() {
    if !is_there("systemd-analyze") {
        println!("not tried: there is no systemd-analyze here");
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    for name in ["stint-coordinator.service", "stint-worker.service", "nats-server.service"] {
        let text = fs::read_to_string(deployed(name)).expect("it can be read");
        // The programs are not installed where tests run.
        let text = text.replace("/usr/bin/stint", STINT);
        let text = text.replace("/usr/local/bin/nats-server", STINT);
        let unit = dir.path().join(name);
        fs::write(&unit, text).expect("it can be written");
        let output = run(Command::new("systemd-analyze").arg("verify").arg(&unit));
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        // Keys of later versions of systemd: older ones pass over them, as the unit says.
        let later = ["Unknown key 'DelegateSubgroup'"];
        let about_it = words.lines().filter(|line| line.contains(name));
        let about_it: Vec<&str> =
            about_it.filter(|line| !later.iter().any(|key| line.contains(key))).collect();
        assert_eq!(about_it, Vec::<&str>::new());
    }
}

/// Arguments and variables that units and samples use are those of the program.
#[test]
fn units_and_samples_say_what_the_program_knows() {
    let mut known = BTreeSet::new();
    for role in ["coordinator", "worker"] {
        let help = shown(&run(Command::new(STINT).args([role, "--help"])));
        known.extend(help.split([' ', '[', ']', '=', ',', '\n']).map(str::to_owned));
        let unit = fs::read_to_string(deployed(&format!("stint-{role}.service"))).expect("a unit");
        let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("one");
        for flag in start.split(' ').filter(|word| word.starts_with("--")) {
            assert!(known.contains(flag), "{role}: {flag}");
        }
    }
    // Read by libraries, or hidden where a password could be shown.
    let elsewhere = [
        "NATS_URL",
        "NATS_PASSWORD",
        "STINT_LOG",
        "STINT_LOG_FORMAT",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_CERTIFICATE",
        "OTEL_LOGS_EXPORTER",
    ];
    let sample = fs::read_to_string(deployed("stint.env")).expect("a sample");
    let cloud = fs::read_to_string(deployed("cloud-init.yaml")).expect("a sample");
    let cloud: Value = serde_saphyr::from_str(&cloud).expect("it is YAML");
    let cloud = cloud["write_files"][0]["content"].as_str().expect("the environment of a worker");
    let mut said = 0;
    for line in sample.lines().chain(cloud.lines()) {
        let Some((name, _)) = line.trim_start_matches('#').split_once('=') else { continue };
        if name.contains(' ') || !name.chars().all(|it| it.is_ascii_uppercase() || it == '_') {
            continue;
        }
        said += 1;
        assert!(known.contains(name) || elsewhere.contains(&name), "{name} means nothing");
    }
    assert!(said > 10, "only {said} variables were found");
}

/// systemd is told when a server is ready, that it lives, and that it stops.
#[tokio::test(flavor = "multi_thread")]
async fn systemd_is_told() {
    let world = World::start(STINT, Shape { workers: 0, ..Shape::default() }).await;
    for role in ["coordinator", "worker"] {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket can be made");
        socket.set_read_timeout(Some(LIMIT)).expect("it can be set");
        let mut command = Command::new(STINT);
        command
            .args([role, "--nats", &world.url()])
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "200000")
            .current_dir(dir.path())
            .stdout(std::process::Stdio::null());
        if role == "worker" {
            // Where it is started from, which is not where its supervisor is.
            command.args(["--data", "own"]);
        }
        let mut server = command.spawn().expect("it can be started");
        let pid = nix::unistd::Pid::from_raw(i32::try_from(server.id()).expect("a pid"));
        let heard = tokio::task::spawn_blocking(move || {
            let mut heard = Vec::new();
            let mut buffer = [0; 256];
            let mut asked = false;
            while !heard.contains(&"STOPPING=1".to_owned()) {
                let size = socket.recv(&mut buffer).expect("systemd hears of it in time");
                heard.push(String::from_utf8_lossy(&buffer[..size]).trim().to_owned());
                let all = ["READY=1", "WATCHDOG=1"];
                if !asked && all.iter().all(|word| heard.iter().any(|it| it == word)) {
                    asked = true;
                    nix::sys::signal::kill(pid, Signal::SIGTERM).expect("it is ours");
                }
            }
            heard
        });
        let heard = heard.await;
        if heard.is_err() {
            server.kill().expect("it is ours");
        }
        let ended = server.wait().expect("it can be waited for");
        let heard = heard.expect("it was heard");
        assert!(heard.iter().filter(|it| *it == "WATCHDOG=1").count() >= 1, "{role}: {heard:?}");
        assert_eq!(heard.iter().filter(|it| *it == "READY=1").count(), 1, "{role}: {heard:?}");
        assert!(ended.success(), "{role}: {ended}");
    }
}

#[test]
fn configurations_are_what_nats_server_takes() {
    let server = stint::nats_server::find_or_fetch().expect("a nats-server is found or fetched");
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let certificates = |arguments: &[&str]| {
        run(Command::new(deployed("certs.sh")).arg(dir.path().join("certs")).args(arguments));
    };
    if !is_there("openssl") {
        println!("not tried: there is no openssl here");
        return;
    }
    certificates(&["server", "nats", "localhost", "127.0.0.1"]);
    for name in ["nats-server.conf", "nats-cluster.conf"] {
        run(Command::new(&server.path)
            .current_dir(dir.path())
            .args(["-t", "-c"])
            .arg(deployed(name))
            .envs([
                ("STINT_NATS_NAME", "nats-1"),
                ("STINT_NATS_LISTEN", "127.0.0.1:4222"),
                ("STINT_NATS_CLUSTER_LISTEN", "127.0.0.1:6222"),
                ("STINT_NATS_MONITOR", "127.0.0.1:8222"),
                ("STINT_NATS_ROUTES", "[\"nats-route://127.0.0.1:6222\"]"),
                ("STINT_NATS_STORE", "store"),
            ])
            .envs(
                ["ADMIN", "COORDINATOR", "WORKER", "SUBMITTER", "VIEWER"]
                    .map(|role| (format!("STINT_{role}_PASSWORD"), "\"secret\"")),
            ));
    }
    // A client's certificate says user and groups, and both are of the authority.
    certificates(&["client", "sue", "submitters", "team"]);
    let file = |name: &str| dir.path().join("certs").join(name);
    let shown = shown(&run(Command::new("openssl")
        .args(["x509", "-noout", "-subject", "-nameopt", "RFC2253", "-in"])
        .arg(file("sue.crt"))));
    assert_eq!(shown.trim(), "subject=O=team,O=submitters,CN=sue");
    run(Command::new("openssl")
        .args(["verify", "-CAfile"])
        .arg(file("ca.crt"))
        .args([file("nats.crt"), file("sue.crt")]));
    assert_private(&file("ca.key"));
    assert_private(&file("sue.key"));
}

fn assert_private(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o077, 0, "{}", path.display());
}

/// What the package is to hold is there.
#[test]
fn the_package_has_its_files() {
    let manifest = deployed("../cli/Cargo.toml");
    let text = fs::read_to_string(&manifest).expect("it can be read");
    let assets = text.lines().filter_map(|line| line.trim().strip_prefix("[\"../deploy/"));
    let names: Vec<&str> = assets.filter_map(|line| line.split('"').next()).collect();
    assert!(names.len() >= 9, "{names:?}");
    for name in names.into_iter().chain(["debian/postinst", "debian/prerm", "debian/postrm"]) {
        let path = deployed(name);
        if name.starts_with("debian/") {
            run(Command::new("sh").arg("-n").arg(path));
        }
    }
}
