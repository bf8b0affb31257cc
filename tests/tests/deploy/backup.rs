//! Everything is taken out while pods run, and put back later: Jobs go on from there.

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use stint_tests::api::{counters, name};
use stint_tests::{Api, Shape, World, job};

use super::STINT;

/// A worker that is told to stop lets its pods end.
const STOPPING: Duration = Duration::from_secs(60);

async fn stint(world: &World, arguments: &[&str], code: i32) -> String {
    let mut command = Command::new(STINT);
    command.args(arguments).stdin(Stdio::null()).env("NATS_URL", world.url());
    let run = tokio::task::spawn_blocking(move || command.output());
    let Output { status, stdout, stderr } = run.await.unwrap().unwrap();
    let said = [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert_eq!(status.code(), Some(code), "{arguments:?}: {said}");
    said
}

async fn stop(world: &World, part: &str) {
    let mut part = world.take(part);
    part.signal(Signal::SIGTERM);
    assert!(part.wait(STOPPING).await.is_some(), "it ends when it is told to");
}

async fn names_of_jobs(api: &Api) -> Vec<String> {
    let list = api.send("jobs.list", &[], "").await.object();
    list["items"].as_array().unwrap().iter().map(|job| name(job).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_out_is_put_back_and_goes_on() {
    let world = World::start(STINT, Shape::default()).await;
    let api = world.api("kept");
    // More than a record holds.
    let much = job("done").completions(2).script("seq 20000; echo last").build();
    let done = api.complete(&much).await;
    let pod = name(&api.pods("done").await[0]).to_owned();
    let output = api.log(&pod, &[]).await;
    assert!(output.len() > 100_000);
    let go = world.path().join("go");
    let script = format!("until [ -e {} ]; do sleep 0.05; done", go.display());
    let long = job("long").indexed().completions(3).script(&script);
    let mut long = long.spec(&json!({"parallelism": 2})).build();
    long["metadata"]["annotations"] = json!({"stint.internal/backoff-base": "0s"});
    api.create(&long).await;
    let held = job("held").spec(&json!({"suspend": true})).build();
    api.create(&held).await;
    let secret = json!({"metadata": {"name": "word"}, "stringData": {"a": "b"}}).to_string();
    let _ = api.send("secrets.create", &[], secret).await.object();
    api.until_job("long", "two run", |job| job["status"]["ready"] == 2).await;

    let place = world.path().join("backup");
    let place = place.display().to_string();
    let said = stint(&world, &["backup", &place], 0).await;
    assert!(said.contains("STINT_OBJECTS: ") && said.contains("STINT_LOGS: "), "{said}");
    let said = stint(&world, &["backup", &place], 2).await;
    assert!(said.contains("it is not empty"), "{said}");
    api.complete(&job("later").build()).await;

    let said = stint(&world, &["restore", &place], 2).await;
    assert!(said.contains("1 coordinator(s) run"), "{said}");
    stop(&world, "worker-0").await;
    stop(&world, "coordinator-0").await;
    let said = stint(&world, &["restore", &place], 2).await;
    assert!(said.contains("there are streams already"), "{said}");
    let said = stint(&world, &["restore", &place, "--replace"], 0).await;
    assert!(said.contains("STINT_WORK: "), "{said}");

    world.play("coordinator-0");
    world.await_api().await;
    world.play("worker-0");
    assert_eq!(names_of_jobs(&api).await, ["done", "held", "long"]);
    let again = api.job("done").await;
    assert_eq!(
        (&again["metadata"]["uid"], &again["status"]),
        (&done["metadata"]["uid"], &done["status"])
    );
    assert_eq!(api.log(&pod, &[]).await, output);
    let secret = api.send("secrets.get.word", &[], "").await.object();
    assert_eq!(secret["data"]["a"], "Yg==");
    std::fs::write(&go, "").unwrap();
    let (outcome, ended) = api.ended("long").await;
    assert_eq!((outcome.as_str(), counters(&ended).1), ("Complete", 3), "{ended}");
    let resumed: Value = json!({"spec": {"suspend": false}});
    api.patch("held", &resumed).await;
    assert_eq!(api.ended("held").await.0, "Complete");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_stored_there_is_nothing_to_take_out() {
    let shape = Shape { coordinators: 0, workers: 0, ..Shape::default() };
    let world = World::start(STINT, shape).await;
    let place = world.path().join("backup").display().to_string();
    let said = stint(&world, &["backup", &place], 3).await;
    assert!(said.contains("nothing of Stint is stored here"), "{said}");
    let said = stint(&world, &["restore", &place], 2).await;
    assert!(said.contains("STINT_OBJECTS is not in it"), "{said}");
}
