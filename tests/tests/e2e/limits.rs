//! A server whose messages are smaller than usual (what may not fit is refused before it begins,
//! and what is accepted fits to its end), or that has less storage.

use serde_json::json;
use stint_tests::api::{counters, name};
use stint_tests::{Shape, World, job};

use super::STINT;

#[tokio::test]
async fn jobs_fit_the_servers_messages_whatever_becomes_of_them() {
    let shape = Shape { max_payload: Some(128 << 10), slots: 32, ..Shape::default() };
    let world = World::start(STINT, shape).await;
    let api = world.api("default");
    let huge =
        job("huge").indexed().spec(&json!({"completions": 1_000_000, "parallelism": 50_000}));
    let huge = huge.build().to_string();
    let status = api.send("jobs.create", &[], huge).await.refused(413);
    let message = status["message"].as_str().unwrap();
    assert!(message.contains("spec.parallelism") && message.contains("131072"), "{message}");

    // Every second index is given up, some are tried again: much state, all of it within bounds.
    let script = "[ $((JOB_COMPLETION_INDEX % 2)) = 0 ] || [ $((JOB_COMPLETION_INDEX % 3)) = 0 ]";
    let manifest = job("many").indexed().script(script).spec(&json!({
        "completions": 1500, "parallelism": 100, "backoffLimitPerIndex": 0,
    }));
    let (_, done) = api.failed(&manifest.build()).await;
    assert_eq!(counters(&done), (0, 1000, 500), "{done}");
    let many = json!({"spec": {"parallelism": 100_000}}).to_string();
    let other = job("other").indexed().spec(&json!({"completions": 100_000, "suspend": true}));
    api.create(&other.build()).await;
    api.send("jobs.patch.other", &[], many).await.refused(413);
}

/// nats-server promises a stream the storage that it may grow to, or refuses it: on a small disk,
/// too, there must be streams for output and Events.
#[tokio::test]
async fn a_server_with_little_storage_keeps_less_output() {
    let shape = Shape { max_store: Some(1 << 30), ..Shape::default() };
    let world = World::start(STINT, shape).await;
    let api = world.api("default");
    api.complete(&job("small").script("head -c 100000 /dev/zero").build()).await;
    let pods = api.pods("small").await;
    assert_eq!(api.log(name(&pods[0]), &[]).await.len(), 100_000);
}
