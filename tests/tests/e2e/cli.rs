//! The `stint` command's exit codes: what a script can rely on.

use std::process::{Command, Output, Stdio};

use stint_tests::{World, job};

use super::{STINT, shared};

async fn stint(url: &str, namespace: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(STINT);
    command.args(arguments).stdin(Stdio::null()).env("NATS_URL", url);
    command.env("STINT_NAMESPACE", namespace).env_remove("STINT_NATS_URL");
    let run = tokio::task::spawn_blocking(move || command.output());
    run.await.unwrap().unwrap()
}

async fn check(world: &World, namespace: &str, arguments: &[&str], code: i32) -> Output {
    let output = stint(&world.url(), namespace, arguments).await;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    output
}

#[tokio::test]
async fn a_job_that_completes_is_code_0() {
    let (world, api) = shared("cli-good").await;
    let run = ["run", "--name", "good", "--completions", "3", "--", "true"];
    check(&world, "cli-good", &run, 0).await;
    assert_eq!(api.ended("good").await.0, "Complete");
    check(&world, "cli-good", &["wait", "good"], 0).await;
    let listed = check(&world, "cli-good", &["get", "jobs", "-o", "name"], 0).await;
    assert!(String::from_utf8_lossy(&listed.stdout).contains("/good"));
}

#[tokio::test]
async fn a_job_that_fails_is_code_1() {
    let (world, _api) = shared("cli-bad").await;
    let run = ["run", "--name", "bad", "--backoff-limit", "0", "--", "false"];
    check(&world, "cli-bad", &run, 1).await;
    check(&world, "cli-bad", &["wait", "bad", "--for", "complete"], 1).await;
}

#[tokio::test]
async fn a_wrong_request_is_code_2() {
    let (world, _api) = shared("cli-wrong").await;
    check(&world, "cli-wrong", &["run", "--no-such-flag", "--", "true"], 2).await;
    check(&world, "cli-wrong", &["run", "--name", "Not_A_Name", "--", "true"], 2).await;
}

#[tokio::test]
async fn what_is_not_there_is_code_3() {
    let (world, _api) = shared("cli-missing").await;
    check(&world, "cli-missing", &["get", "job/missing"], 3).await;
    check(&world, "cli-missing", &["wait", "missing"], 3).await;
    check(&world, "cli-missing", &["delete", "job", "missing"], 3).await;
    check(&world, "cli-missing", &["logs", "missing"], 3).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_code_4() {
    // Nothing listens on port 1.
    let output = stint("nats://127.0.0.1:1", "default", &["get", "jobs"]).await;
    assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn what_does_not_come_in_time_is_code_124() {
    let (world, api) = shared("cli-late").await;
    let run = ["run", "--name", "late", "--timeout", "1s", "--", "sleep", "600"];
    check(&world, "cli-late", &run, 124).await;
    check(&world, "cli-late", &["wait", "late", "--timeout", "1s"], 124).await;
    check(&world, "cli-late", &["delete", "job", "late", "--wait", "--timeout", "40s"], 0).await;
    api.send("jobs.get.late", &[], "").await.refused(404);
}

#[tokio::test]
async fn a_manifest_is_run_from_a_file() {
    let (world, api) = shared("cli-file").await;
    let file = world.path().join("manifest.json");
    std::fs::write(&file, job("from-file").completions(2).build().to_string()).unwrap();
    check(&world, "cli-file", &["run", "-f", file.to_str().unwrap()], 0).await;
    assert_eq!(api.job("from-file").await["status"]["succeeded"], 2);
}
