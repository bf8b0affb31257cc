//! What is left of deleted objects goes after a while, and nobody is misled by that: neither a
//! watch that begins before, nor a coordinator that was cut off meanwhile.

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::jetstream;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use stint_common::names::Names;
use stint_tests::api::name;
use stint_tests::world::NATS;
use stint_tests::{Api, Shape, World, job, until};

use super::STINT;

const LIMIT: Duration = Duration::from_secs(60);
const JOBS: [&str; 3] = ["one", "two", "three"];
const SECRET: &str = "token";

async fn create_all(api: &Api) {
    for name in JOBS {
        api.create(&job(name).spec(&json!({"suspend": true})).build()).await;
    }
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET},
        "stringData": {"password": "let nobody read this when it is deleted"},
    });
    api.send("secrets.create", &[], secret.to_string()).await.object();
}

async fn delete_all(api: &Api) {
    for name in JOBS {
        api.send(&format!("jobs.delete.{name}"), &[], "").await.object();
    }
    api.send(&format!("secrets.delete.{SECRET}"), &[], "").await.object();
}

/// Nothing of any Job or Secret is in the stream.
async fn until_nothing_is_left(world: &World) {
    let names = Names::default();
    let client = world.connect().await;
    let stream = jetstream::new(client).get_stream(names.objects_stream()).await.unwrap();
    for resource in ["jobs", "secrets"] {
        let all = names.objects(Some(resource));
        until("no message is left", LIMIT, || async {
            stream.get_last_raw_message_by_subject(&all).await.is_err().then_some(())
        })
        .await;
    }
}

async fn list(api: &Api) -> (Vec<String>, String) {
    let list = api.send("jobs.list", &[], "").await.object();
    let items = list["items"].as_array().cloned().unwrap_or_default();
    let revision = list["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
    (items.iter().map(|item| name(item).to_owned()).collect(), revision)
}

#[tokio::test]
async fn a_watch_from_before_a_deletion_hears_of_it_or_must_list_again() {
    let world = World::start(STINT, Shape { keep_deleted: Some(1.0), ..Shape::default() }).await;
    let api = world.api("default");
    create_all(&api).await;
    let (there, revision) = list(&api).await;
    assert_eq!(there.len(), 3);
    delete_all(&api).await;
    until_nothing_is_left(&world).await;

    let mut watch = api.open("jobs.watch", &[("resourceVersion", &revision)]).await;
    let mut deleted = BTreeSet::new();
    while deleted.len() < JOBS.len() {
        let (kind, object) = watch.event().await;
        if kind == "DELETED" {
            deleted.insert(name(&object).to_owned());
        }
    }
    assert_eq!(deleted, JOBS.map(str::to_owned).into());

    world.kill("coordinator-0");
    world.play("coordinator-0");
    world.await_api().await;
    let mut watch = api.open("jobs.watch", &[("resourceVersion", &revision)]).await;
    let (kind, status) = watch.event().await;
    assert_eq!((kind.as_str(), &status["code"]), ("ERROR", &Value::from(410)), "{status}");
    assert_eq!(list(&api).await.0, Vec::<String>::new());
    // A name is free again, whether or not anybody remembers its tombstone.
    api.complete(&job("one").build()).await;
}

#[tokio::test]
async fn a_coordinator_that_was_cut_off_meanwhile_does_not_show_what_is_gone() {
    let shape = Shape { keep_deleted: Some(1.0), coordinators: 2, ..Shape::default() };
    let world = World::start(STINT, shape).await;
    let api = world.api("default");
    until("both coordinators are ready", LIMIT, || {
        let said = world.log("coordinator-1");
        async move { said.lines().any(|line| line == "ready").then_some(()) }
    })
    .await;
    create_all(&api).await;
    world.signal("coordinator-1", Signal::SIGSTOP);
    // It does not come back to the new server before it goes on.
    world.kill(NATS);
    world.play(NATS);
    world.await_api().await;
    delete_all(&api).await;
    until_nothing_is_left(&world).await;
    world.signal("coordinator-1", Signal::SIGCONT);
    world.kill("coordinator-0");
    world.await_api().await;
    until("the other shows none of them", LIMIT, || async {
        list(&api).await.0.is_empty().then_some(())
    })
    .await;
    api.complete(&job("one").build()).await;
}
