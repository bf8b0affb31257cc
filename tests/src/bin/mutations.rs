//! Plants every bug of `tests/mutations`, one at a time, in a worktree of its own, and runs the
//! suites that must catch it. What it prints last is a table; its exit code is 1 if one survived.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::time::Instant;

use anyhow::{Context as _, bail};
use stint_tests::mutations::{Mutation, all, workspace};

/// What became of a bug.
enum Fate {
    CaughtBy(String),
    Survived,
    /// It does not compile, which proves nothing.
    Broken(String),
}

fn main() -> anyhow::Result<ExitCode> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let chosen = |bug: &Mutation| {
        wanted.is_empty() || wanted.iter().any(|part| bug.name.contains(part.as_str()))
    };
    let bugs: Vec<Mutation> = all()?.into_iter().filter(chosen).collect();
    let root = workspace().join("target/mutations");
    check_out(&root)?;
    let mut rows = Vec::new();
    for bug in &bugs {
        let begin = Instant::now();
        let fate = try_out(bug, &root)?;
        let (word, good) = match fate {
            Fate::CaughtBy(suite) => (format!("caught by `{suite}`"), true),
            Fate::Survived => ("**survived**".to_owned(), false),
            Fate::Broken(why) => (format!("**does not compile**: {why}"), false),
        };
        eprintln!("{}: {word} ({} s)", bug.name, begin.elapsed().as_secs());
        rows.push((bug, word, good));
    }
    println!("| bug | what goes wrong | fate |\n| --- | --- | --- |");
    for (bug, word, _) in &rows {
        println!("| {} | {} | {word} |", bug.name, bug.why);
    }
    let left = rows.iter().filter(|(_, _, good)| !good).count();
    println!("\n{} bugs, {} caught", rows.len(), rows.len() - left);
    Ok(if left == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is committed, in a worktree of its own.
fn check_out(root: &Path) -> anyhow::Result<()> {
    if root.join(".git").exists() {
        let head = git(&workspace(), &["rev-parse", "HEAD"])?;
        git(root, &["checkout", "--quiet", "--force", "--detach", &head])?;
    } else {
        let path = root.display().to_string();
        git(&workspace(), &["worktree", "prune"])?;
        git(&workspace(), &["worktree", "add", "--quiet", "--force", "--detach", &path])?;
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

/// Plants a bug, runs its suites until one fails, and takes it out again.
fn try_out(bug: &Mutation, root: &Path) -> anyhow::Result<Fate> {
    let planted = bug.plant(root)?;
    let path = root.join(&bug.file);
    let before = std::fs::read_to_string(&path)?;
    std::fs::write(&path, planted)?;
    let fate = run_suites(bug, root);
    std::fs::write(&path, before)?;
    fate
}

fn run_suites(bug: &Mutation, root: &Path) -> anyhow::Result<Fate> {
    for suite in &bug.caught_by {
        let output = cargo(root, suite)?;
        if output.status.success() {
            continue;
        }
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        if text.contains("could not compile") {
            let line = text.lines().find(|line| line.starts_with("error"));
            return Ok(Fate::Broken(line.unwrap_or("see cargo's output").to_owned()));
        }
        return Ok(Fate::CaughtBy(suite.clone()));
    }
    Ok(Fate::Survived)
}

/// Runs a suite, sharing what this workspace has built of its dependencies.
fn cargo(root: &Path, suite: &str) -> anyhow::Result<Output> {
    let suite = match suite {
        "job" => vec!["-p", "stint-coordinator", "--lib", "--", "job::"],
        "common" => vec!["-p", "stint-common", "--lib"],
        test => vec!["-p", "stint-tests", "--test", test],
    };
    let program = std::env::var_os("STINT_CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let target: PathBuf = workspace().join("target");
    let mut command = Command::new(program);
    command.arg("test").args(suite).current_dir(root);
    command.env("CARGO_TARGET_DIR", target).output().context("running cargo")
}
