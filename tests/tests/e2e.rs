//! The whole road: a real nats-server, coordinator and worker, asked through the NATS API as a
//! foreign client would.
//!
//! Tests share one world and keep to a namespace of their own; those that look at everything start
//! their own.

#![cfg(test)]

#[path = "e2e/cli.rs"]
mod cli;
#[path = "e2e/config.rs"]
mod config;
#[path = "e2e/cron.rs"]
mod cron;
#[path = "e2e/delete.rs"]
mod delete;
#[path = "e2e/ended.rs"]
mod ended;
#[path = "e2e/events.rs"]
mod events;
#[path = "e2e/evict.rs"]
mod evict;
#[path = "e2e/exhaustion.rs"]
mod exhaustion;
#[path = "e2e/extensions.rs"]
mod extensions;
#[path = "e2e/failures.rs"]
mod failures;
#[path = "e2e/finalizers.rs"]
mod finalizers;
#[path = "e2e/init.rs"]
mod init;
#[path = "e2e/kinds.rs"]
mod kinds;
#[path = "e2e/limits.rs"]
mod limits;
#[path = "e2e/list.rs"]
mod list;
#[path = "e2e/logs.rs"]
mod logs;
#[path = "e2e/look.rs"]
mod look;
#[path = "e2e/namespaces.rs"]
mod namespaces;
#[path = "e2e/nodes.rs"]
mod nodes;
#[path = "e2e/objects.rs"]
mod objects;
#[path = "e2e/patch.rs"]
mod patch;
#[path = "e2e/placing.rs"]
mod placing;
#[path = "e2e/pods.rs"]
mod pods;
#[path = "e2e/policies.rs"]
mod policies;
#[path = "e2e/probes.rs"]
mod probes;
#[path = "e2e/refusals.rs"]
mod refusals;
#[path = "e2e/results.rs"]
mod results;
#[path = "e2e/service.rs"]
mod service;
#[path = "e2e/status.rs"]
mod status;
#[path = "e2e/variables.rs"]
mod variables;
#[path = "e2e/volumes.rs"]
mod volumes;
#[path = "e2e/watch.rs"]
mod watch;

use std::sync::Arc;

use serde_json::Value;
use stint_tests::api::condition;
use stint_tests::{Api, World};

/// The program under test.
const STINT: &str = env!("CARGO_BIN_EXE_stint-under-test");

/// The shared world, and the API as seen from one namespace.
async fn shared(namespace: &str) -> (Arc<World>, Api) {
    let world = World::shared(STINT).await;
    let api = Api { client: world.connect().await, namespace: namespace.to_owned() };
    (world, api)
}

/// A suspended Job once its owner has said that it is: it changes no more by itself.
async fn settled(api: &Api, name: &str) -> Value {
    api.until_job(name, "is said to be suspended", |job| condition(job, "Suspended").is_some())
        .await
}
