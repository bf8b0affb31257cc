//! The programs of `docs/clients`, as they are shown to users: each submits a Job, follows it, and
//! prints what its pods wrote.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::shared;

/// What `npm` is asked for.
const NODE_PACKAGE: &str = "@nats-io/transport-node@3.4.0";
/// Fetching or compiling takes no longer.
const PREPARE: Duration = Duration::from_secs(240);
/// A program takes no longer.
const LIMIT: Duration = Duration::from_secs(60);

fn programs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/clients")
}

/// A directory of the build's for one language.
fn place(language: &str) -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("languages").join(language);
    std::fs::create_dir_all(&place).expect("the build's directory can be written to");
    place
}

/// What compilers and `npm` say where a library is missing, or nothing can be fetched.
const MISSING: [&str; 4] =
    ["fatal error: ", "cannot find -l", "cannot find package", "npm error network"];

/// Runs what makes a program ready. Nothing comes of it where a tool or a library is missing; a
/// program that does not compile is a fault.
async fn prepare(language: &str, command: &mut Command) -> Option<()> {
    let output = timeout(PREPARE, command.stdin(Stdio::null()).kill_on_drop(true).output()).await;
    let why = match output.expect("a compiler ends") {
        Ok(output) if output.status.success() => return Some(()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("SKIPPED: {language} is not on this machine: {error}");
            return None;
        }
        Err(error) => panic!("{language}: {error}"),
    };
    assert!(MISSING.iter().any(|missing| why.contains(missing)), "{language}: {why}");
    eprintln!("SKIPPED: {language} lacks a library on this machine: {why}");
    None
}

/// Runs a program that is ready, against a system of its language's namespace.
async fn submits(language: &str, command: &mut Command) {
    let namespace = format!("in-{}", language.to_lowercase());
    let (world, api) = shared(&namespace).await;
    command.args(["first", &namespace]).env("NATS_URL", world.url());
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(LIMIT, command.output()).await.expect("the program ends");
    let output = output.expect("the program runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{errors}");
    assert!(said.ends_with("Complete\n"), "{said}");
    for index in 0..3 {
        assert!(said.contains(&format!("index {index} of {language}\n")), "{said}");
    }
    // Once more, as after an answer that was not heard: the Job is there, and is not made again.
    let uid = async || api.job("first").await["metadata"]["uid"].clone();
    let before = uid().await;
    let again = timeout(LIMIT, command.output()).await.expect("the program ends");
    let again = again.expect("the program runs");
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    assert_eq!(uid().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn python() {
    let Some(python) = super::python::python().await else { return };
    submits("Python", Command::new(python).arg(programs().join("submit.py"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn javascript() {
    // Modules are looked for from where a program is.
    let place = place("node");
    let file = place.join("submit.mjs");
    std::fs::copy(programs().join("submit.mjs"), &file).expect("the program can be copied");
    let module = place.join("node_modules/@nats-io/transport-node");
    if !module.is_dir() {
        let mut npm = Command::new("npm");
        npm.args(["install", "--silent", "--no-audit", "--no-fund", NODE_PACKAGE]);
        let Some(()) = prepare("JavaScript", npm.current_dir(&place)).await else { return };
    }
    submits("JavaScript", Command::new("node").arg(file)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn go() {
    // As Debian packages libraries: no modules, and nothing is fetched.
    let place = place("go");
    let program = place.join("submit");
    let mut go = Command::new("go");
    go.arg("build").arg("-o").arg(&program).arg(programs().join("submit.go"));
    go.env("GO111MODULE", "off").env("GOPATH", "/usr/share/gocode");
    let Some(()) = prepare("Go", go.env("GOCACHE", place.join("cache"))).await else { return };
    submits("Go", &mut Command::new(program)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c() {
    let program = place("c").join("submit");
    let mut cc = Command::new("cc");
    cc.args(["-Wall", "-Wextra", "-Werror", "-o"]).arg(&program);
    cc.arg(programs().join("submit.c")).args(["-lnats", "-ljansson"]);
    let Some(()) = prepare("C", &mut cc).await else { return };
    submits("C", &mut Command::new(program)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rust() {
    submits("Rust", &mut Command::new(env!("CARGO_BIN_EXE_submit"))).await;
}
