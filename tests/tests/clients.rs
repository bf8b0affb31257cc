//! Clients that are not ours, in several languages, and many of them at once; and what all of them
//! rest on: watches without gaps, writes that lose nothing.
//!
//! What programs in other languages need is fetched once, into the build's directory, with `pip`
//! and `npm`; compilers and libraries are the machine's. Where something is missing the test says
//! so, and does nothing.

#![cfg(test)]

#[path = "clients/concurrent.rs"]
mod concurrent;
#[path = "clients/kube_rs.rs"]
mod kube_rs;
#[path = "clients/languages.rs"]
mod languages;
#[path = "clients/many.rs"]
mod many;
#[path = "clients/pods.rs"]
mod pods;
#[path = "clients/python.rs"]
mod python;
#[path = "clients/resume.rs"]
mod resume;

use std::sync::Arc;

use stint_tests::{Api, World};

/// The program under test.
const STINT: &str = env!("CARGO_BIN_EXE_stint-under-test");

/// The world that these tests share, and a namespace of it.
async fn shared(namespace: &str) -> (Arc<World>, Api) {
    let world = World::shared(STINT).await;
    let api = Api { client: world.connect().await, namespace: namespace.to_owned() };
    (world, api)
}
