//! What a user has configured, what a shell completes, and manual pages.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use stint_tests::job;

use super::{STINT, shared};

/// Runs the command for a user with this home and these variables, and no others.
async fn stint(home: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = Command::new(STINT);
    command.args(arguments).stdin(Stdio::null()).env_clear().env("HOME", home);
    command.envs(variables.iter().copied());
    let run = tokio::task::spawn_blocking(move || command.output());
    run.await.unwrap().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn a_file_says_what_is_not_typed_and_view_says_who_says_what() {
    let (world, api) = shared("config").await;
    api.create(&job("configured").build()).await;
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join(".config/stint/config.yaml");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let text = format!("nats: {}\nnamespace: config\n", world.url());
    std::fs::write(&file, text).unwrap();
    let listed = stint(home.path(), &[], &["get", "jobs", "-o", "name"]).await;
    assert_eq!(said(&listed), "job.batch/configured\n");
    let view = async |variables: &[(&str, &str)], arguments: &[&str]| {
        let arguments = [&["config", "view", "-o", "json"], arguments].concat();
        let output = stint(home.path(), variables, &arguments).await;
        let held: Vec<Value> = serde_json::from_str(&said(&output)).unwrap();
        move |key: &str| {
            let found = held.iter().find(|held| held["key"] == key).unwrap();
            (
                found["value"].as_str().unwrap().to_owned(),
                found["from"].as_str().unwrap().to_owned(),
            )
        }
    };
    let place = file.display().to_string();
    let held = view(&[], &[]).await;
    assert_eq!(held("nats"), (world.url(), place.clone()));
    assert_eq!(held("namespace"), ("config".to_owned(), place));
    assert_eq!(held("auth"), ("nobody".to_owned(), "default".to_owned()));
    let held = view(&[("NATS_URL", "nats://other")], &["-n", "mine"]).await;
    assert_eq!(held("nats"), ("nats://other".to_owned(), "NATS_URL".to_owned()));
    assert_eq!(held("namespace"), ("mine".to_owned(), "a flag".to_owned()));
    std::fs::write(&file, "nat: x\n").unwrap();
    let refused = stint(home.path(), &[], &["get", "jobs"]).await;
    assert_eq!(refused.status.code(), Some(2));
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(text.contains("configuration file") && text.contains("nat"), "{text}");
}

#[tokio::test]
async fn shells_complete_the_names_of_jobs() {
    let (world, api) = shared("completion").await;
    api.create(&job("complete-me").build()).await;
    let home = tempfile::tempdir().unwrap();
    let url = world.url();
    let variables = [
        ("NATS_URL", url.as_str()),
        ("STINT_NAMESPACE", "completion"),
        ("COMPLETE", "bash"),
        ("_CLAP_COMPLETE_INDEX", "2"),
        ("_CLAP_COMPLETE_COMP_TYPE", "9"),
        ("_CLAP_IFS", "\n"),
    ];
    let completed = stint(home.path(), &variables, &["--", "stint", "logs", "comp"]).await;
    assert_eq!(said(&completed).trim(), "complete-me", "{completed:?}");
    let script = stint(home.path(), &[], &["completion", "bash"]).await;
    assert!(said(&script).contains("COMPLETE=\"bash\""), "{}", said(&script));
}

#[tokio::test]
async fn manual_pages_are_written() {
    let home = tempfile::tempdir().unwrap();
    let pages = home.path().join("man");
    let output = stint(home.path(), &[], &["man", pages.to_str().unwrap()]).await;
    assert!(output.status.success(), "{output:?}");
    let page = std::fs::read_to_string(pages.join("stint-explain.1")).unwrap();
    assert!(page.contains("explain"), "{page}");
}
