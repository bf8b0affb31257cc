//! The `stint` command's exit codes: what a script can rely on.

use std::collections::BTreeSet;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use stint_tests::{World, job};

use super::{STINT, settled, shared};

async fn stint(url: &str, namespace: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(STINT);
    command.args(arguments).stdin(Stdio::null()).env("NATS_URL", url);
    command.env("STINT_NAMESPACE", namespace).env_remove("STINT_NATS_URL");
    let run = tokio::task::spawn_blocking(move || command.output());
    run.await.unwrap().unwrap()
}

pub(super) async fn check(world: &World, namespace: &str, arguments: &[&str], code: i32) -> Output {
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

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn a_manifest_is_applied_again_and_again() {
    let (world, api) = shared("cli-apply").await;
    let file = world.path().join("applied.json");
    let path = file.to_str().unwrap();
    let mut manifest = job("applied").spec(&json!({"suspend": true, "parallelism": 2})).build();
    manifest["metadata"]["labels"] = json!({"team": "x"});
    let apply = async |manifest: &Value, word: &str| {
        std::fs::write(&file, manifest.to_string()).unwrap();
        let output = check(&world, "cli-apply", &["apply", "-f", path], 0).await;
        assert_eq!(said(&output), format!("job.batch/applied {word}\n"));
    };
    apply(&manifest, "created").await;
    settled(&api, "applied").await;
    apply(&manifest, "unchanged").await;
    manifest["spec"]["parallelism"] = json!(3);
    manifest["metadata"]["labels"] = json!({"tier": "y"});
    let dry = async |word: &str| {
        std::fs::write(&file, manifest.to_string()).unwrap();
        let output = check(&world, "cli-apply", &["apply", "-f", path, "--dry-run"], 0).await;
        assert_eq!(said(&output), format!("job.batch/applied {word}\n"));
    };
    dry("configured").await;
    assert_eq!(api.job("applied").await["spec"]["parallelism"], 2);
    apply(&manifest, "configured").await;
    let seen = api.job("applied").await;
    assert_eq!(seen["spec"]["parallelism"], 3, "{seen}");
    let labels = seen["metadata"]["labels"].as_object().unwrap();
    assert!(labels.contains_key("tier") && !labels.contains_key("team"), "{seen}");
    manifest["spec"]["completionMode"] = json!("Indexed");
    std::fs::write(&file, manifest.to_string()).unwrap();
    check(&world, "cli-apply", &["apply", "-f", path], 2).await;
    check(&world, "cli-apply", &["delete", "-f", path, "--wait"], 0).await;
    check(&world, "cli-apply", &["delete", "-f", path], 3).await;
    check(&world, "cli-apply", &["delete", "-f", path, "--ignore-not-found"], 0).await;
}

#[tokio::test]
async fn jobs_are_patched_labelled_and_annotated() {
    let (world, api) = shared("cli-patch").await;
    for name in ["one", "two"] {
        api.create(&job(name).spec(&json!({"suspend": true})).build()).await;
        settled(&api, name).await;
    }
    let ns = "cli-patch";
    let patch = r#"{"spec": {"parallelism": 4}}"#;
    let output = check(&world, ns, &["patch", "job", "one", "-p", patch], 0).await;
    assert_eq!(said(&output), "job.batch/one patched\n");
    let output = check(&world, ns, &["patch", "job/one", "-p", patch], 0).await;
    assert_eq!(said(&output), "job.batch/one unchanged\n");
    let operations = r#"[{"op": "replace", "path": "/spec/parallelism", "value": 5}]"#;
    check(&world, ns, &["patch", "job", "one", "--type", "json", "-p", operations], 0).await;
    assert_eq!(api.job("one").await["spec"]["parallelism"], 5);
    check(&world, ns, &["patch", "job", "one", "-p", operations], 2).await;
    check(
        &world,
        ns,
        &["patch", "job", "one", "--type", "merge", "-p", "spec: {completions: 9}"],
        2,
    )
    .await;
    check(&world, ns, &["label", "job", "one", "two", "team=film"], 0).await;
    check(&world, ns, &["label", "job", "one", "team=other"], 2).await;
    check(&world, ns, &["label", "job", "one", "team=other", "--overwrite"], 0).await;
    let annotate = ["annotate", "jobs", "-l", "team=film", "stint.internal/backoff-base=1s"];
    let output = check(&world, ns, &annotate, 0).await;
    assert_eq!(said(&output), "job.batch/two annotated\n");
    let said_there = api.job("two").await["metadata"]["annotations"].clone();
    assert_eq!(said_there, json!({"stint.internal/backoff-base": "1s"}));
    check(&world, ns, &["label", "job/two", "team-"], 0).await;
    let output = check(&world, ns, &["delete", "jobs", "-l", "team=other", "--wait"], 0).await;
    assert_eq!(said(&output), "job.batch/one deleted\n");
    check(&world, ns, &["delete", "jobs", "two", "-l", "a=b"], 2).await;
    let output =
        check(&world, ns, &["delete", "jobs", "--all", "--cascade", "foreground"], 0).await;
    assert_eq!(said(&output), "job.batch/two deleted\n");
}

#[tokio::test]
async fn a_finished_job_is_run_again() {
    let (world, api) = shared("cli-rerun").await;
    let ns = "cli-rerun";
    api.complete(&job("once").indexed().completions(4).build()).await;
    let rerun = ["rerun", "once", "--index", "1,3", "--name", "twice"];
    let output = check(&world, ns, &rerun, 0).await;
    assert_eq!(said(&output), "job.batch/twice created\n");
    let (_, done) = api.ended("twice").await;
    assert_eq!(done["status"]["completedIndexes"], "1,3", "{done}");
    check(&world, ns, &["rerun", "once", "--failed"], 2).await;
    check(&world, ns, &["rerun", "none"], 3).await;
    check(&world, ns, &["rerun", "once", "--failed", "--index", "1"], 2).await;
}

#[tokio::test]
async fn what_is_more_than_a_message_holds_is_listed() {
    let (world, api) = shared("cli-many").await;
    let ns = "cli-many";
    // Pods that wait are listed, too: together more than two messages hold.
    let mut many = job("many").indexed().completions(1200).build();
    many["spec"]["parallelism"] = json!(1200);
    many["spec"]["template"]["spec"]["nodeSelector"] = json!({"zone": "nowhere"});
    let _ = api.create(&many).await;
    api.until_job("many", "all its pods are there", |job| job["status"]["active"] == 1200).await;
    let output = check(&world, ns, &["get", "pods", "-o", "name"], 0).await;
    let names: BTreeSet<String> = said(&output).lines().map(str::to_owned).collect();
    assert_eq!(names.len(), 1200);
    check(&world, ns, &["get", "pods", "-l", "batch.kubernetes.io/job-name=many"], 0).await;
    check(&world, ns, &["describe", "job", "many"], 0).await;
    let output = check(&world, ns, &["trace", "many", "-o", "json"], 0).await;
    let trace: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(trace["pods"].as_array().map(Vec::len), Some(1200));
    // Nothing was written yet, which is said of none of them.
    check(&world, ns, &["logs", "many", "--index", "5,1100"], 0).await;
    check(&world, ns, &["delete", "job", "many", "--wait"], 0).await;
}
