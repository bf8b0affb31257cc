//! Plants every bug of `tests/mutations` in a worktree of its own, all behind switches, builds the
//! suites once, and runs each with one bug at a time. What it prints last is a table; its exit code
//! is 1 if a suite missed a bug that it must catch.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, bail};
use stint_tests::mutations::{Mutation, VARIABLE, all, plant, workspace};
use wait_timeout::ChildExt as _;

/// A bug may make a suite hang: that is found, too.
const HANGS: Duration = Duration::from_secs(900);

/// How many seeds of the simulation may pass before a bug counts as missed: some bugs need a rare
/// course of things, and another one with each change of the code.
const SEEDS: &str = "2000";

/// What was built with all bugs in it.
#[derive(Default)]
struct Suites {
    /// Executables of the suites, with the directory that each runs in.
    by_name: BTreeMap<String, (PathBuf, PathBuf)>,
    /// Every executable, the programs that suites start among them, and when it was built. Who
    /// builds in the same directory meanwhile puts one without bugs in its place.
    built: BTreeMap<PathBuf, SystemTime>,
}

/// Suites that are the unit tests of a package.
const LIBRARIES: [&str; 3] = ["common", "coordinator", "worker"];

/// What is to catch a bug.
struct Suite<'a> {
    name: &'a str,
    /// Only tests whose names hold this.
    only: Option<&'a str>,
}

impl<'a> Suite<'a> {
    fn of(text: &'a str) -> Self {
        match text.split_once('/') {
            Some(("job", only)) => Self { name: "coordinator", only: Some(only) },
            Some((name, only)) => Self { name, only: Some(only) },
            None if text == "job" => Self { name: "coordinator", only: Some("job::") },
            None => Self { name: text, only: None },
        }
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let chosen = |bug: &&Mutation| {
        wanted.is_empty() || wanted.iter().any(|part| bug.name.contains(part.as_str()))
    };
    let root = workspace().join("target/mutations");
    check_out(&root)?;
    let bugs = all(&root)?;
    for (path, text) in plant(&bugs, &root)? {
        std::fs::write(root.join(path), text)?;
    }
    let chosen: Vec<&Mutation> = bugs.iter().filter(chosen).collect();
    let start = Instant::now();
    let suites = build(&root, &chosen)?;
    eprintln!("built in {} s", start.elapsed().as_secs());
    let caught_by: BTreeSet<&String> = chosen.iter().flat_map(|bug| &bug.caught_by).collect();
    for suite in caught_by {
        if !passes(suite, &suites, "")? {
            bail!("the suite `{suite}` fails without any bug; nothing can be learned from it");
        }
    }
    let mut rows = Vec::new();
    for bug in chosen {
        let begin = Instant::now();
        let mut missed = Vec::new();
        for suite in &bug.caught_by {
            if passes(suite, &suites, &bug.name)? {
                missed.push(suite.as_str());
            }
        }
        let caught: Vec<&str> = bug.caught_by.iter().map(String::as_str).collect();
        let word = match missed.is_empty() {
            true => format!("caught by {}", caught.join(", ")),
            false => format!("**missed by {}**", missed.join(", ")),
        };
        eprintln!("{}: {word} ({:.1} s)", bug.name, begin.elapsed().as_secs_f64());
        rows.push((bug, word, missed.is_empty()));
    }
    println!("| bug | what goes wrong | fate |\n| --- | --- | --- |");
    for (bug, word, _) in &rows {
        println!("| {} | {} | {word} |", bug.name, bug.why);
    }
    let left = rows.iter().filter(|(_, _, caught)| !caught).count();
    let (all, took) = (rows.len(), start.elapsed().as_secs());
    println!("\n{all} bugs, {} caught, {took} s", all - left);
    Ok(if left == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is committed, in a worktree of its own, beside the tables that lie beside this one.
fn check_out(root: &Path) -> anyhow::Result<()> {
    if root.join(".git").exists() {
        let head = git(&workspace(), &["rev-parse", "HEAD"])?;
        git(root, &["checkout", "--quiet", "--force", "--detach", &head])?;
    } else {
        let path = root.display().to_string();
        git(&workspace(), &["worktree", "prune"])?;
        git(&workspace(), &["worktree", "add", "--quiet", "--force", "--detach", &path])?;
    }
    let (tables, beside) = (workspace().join("../shared"), workspace().join("target/shared"));
    if tables.exists() && !beside.exists() {
        std::os::unix::fs::symlink(tables, beside)?;
    }
    Ok(())
}

fn git(directory: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("git").arg("-C").arg(directory).args(arguments).output();
    let output = output.context("running git")?;
    if !output.status.success() {
        bail!("git {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Builds the suites that are asked for, sharing what this workspace has built of dependencies.
fn build(root: &Path, bugs: &[&Mutation]) -> anyhow::Result<Suites> {
    let caught_by = bugs.iter().flat_map(|bug| &bug.caught_by);
    let wanted: BTreeSet<&str> = caught_by.map(|suite| Suite::of(suite).name).collect();
    let program = std::env::var_os("STINT_CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    command.args(["test", "--no-run", "--message-format=json-render-diagnostics"]);
    for package in ["stint-common", "stint-coordinator", "stint-worker", "stint-tests"] {
        command.args(["-p", package]);
    }
    command.arg("--lib");
    for suite in wanted.iter().filter(|suite| !LIBRARIES.contains(suite)) {
        command.args(["--test", suite]);
    }
    command.current_dir(root).env("CARGO_TARGET_DIR", workspace().join("target"));
    let output = command.stderr(std::process::Stdio::inherit()).output();
    let output = output.context("running cargo")?;
    if !output.status.success() {
        bail!("the tree with the planted bugs does not compile (see above)");
    }
    let mut suites = Suites::default();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let said: serde_json::Value = serde_json::from_str(line)?;
        let Some(executable) = said["executable"].as_str().map(PathBuf::from) else { continue };
        suites.built.insert(executable.clone(), built_at(&executable)?);
        let suite = match said["target"]["name"].as_str() {
            Some("stint_coordinator") => "coordinator",
            Some("stint_common") => "common",
            Some("stint_worker") => "worker",
            Some(name) => name,
            None => continue,
        };
        let manifest = Path::new(said["manifest_path"].as_str().unwrap_or_default());
        let package = manifest.parent().unwrap_or(root).to_owned();
        if wanted.contains(suite) {
            suites.by_name.insert(suite.to_owned(), (executable, package));
        }
    }
    Ok(suites)
}

fn built_at(executable: &Path) -> anyhow::Result<SystemTime> {
    let metadata = std::fs::metadata(executable);
    metadata
        .and_then(|metadata| metadata.modified())
        .with_context(|| format!("looking at {}", executable.display()))
}

/// Whether a suite passes with one bug switched on.
fn passes(suite: &str, suites: &Suites, bug: &str) -> anyhow::Result<bool> {
    let Suite { name, only } = Suite::of(suite);
    let Some((executable, directory)) = suites.by_name.get(name) else {
        bail!("there is no suite `{name}`");
    };
    for (executable, at) in &suites.built {
        if built_at(executable)? != *at {
            bail!(
                "{} was built anew meanwhile, without the bugs; begin again, and build nothing else \
                 in this directory until it is over",
                executable.display()
            );
        }
    }
    let mut command = Command::new(executable);
    command.args(only);
    command.current_dir(directory).env(VARIABLE, bug);
    command.env("STINT_SIM_ENOUGH", "1").env("STINT_SIM_SEEDS", SEEDS);
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut child = command.spawn().with_context(|| format!("running {}", executable.display()))?;
    match child.wait_timeout(HANGS)? {
        Some(status) => Ok(status.success()),
        None => {
            child.kill()?;
            child.wait()?;
            Ok(false)
        }
    }
}
