//! The API over HTTP, asked with raw requests: codes and bodies as Kubernetes gives them, watches,
//! logs, limits, and what no client sends.

#![cfg(test)]

#[path = "http/discovery.rs"]
mod discovery;
#[path = "http/hostile.rs"]
mod hostile;
#[path = "http/leases.rs"]
mod leases;
#[path = "http/logs.rs"]
mod logs;
#[path = "http/metrics.rs"]
mod metrics;
#[path = "http/verbs.rs"]
mod verbs;
#[path = "http/watch.rs"]
mod watch;

use std::sync::Arc;

use serde_json::Value;
use stint_tests::{Api, Http, World};

/// The program under test.
const STINT: &str = env!("CARGO_BIN_EXE_stint-under-test");

/// The shared world, HTTP, and the API over NATS for the same namespace.
async fn shared(namespace: &str) -> (Arc<World>, Http, Api) {
    let world = World::shared(STINT).await;
    let api = Api { client: world.connect().await, namespace: namespace.to_owned() };
    let http = world.http("coordinator-0");
    (world, http, api)
}

/// The path of Jobs in a namespace, or of one of them.
fn jobs(namespace: &str, name: &str) -> String {
    let path = format!("/apis/batch/v1/namespaces/{namespace}/jobs/{name}");
    path.trim_end_matches('/').to_owned()
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

fn revision(object: &Value) -> u128 {
    let text = object["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    text.parse().unwrap_or_else(|_| panic!("no resourceVersion: {object}"))
}
