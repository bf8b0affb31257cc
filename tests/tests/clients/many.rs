//! Very many watches at once, and such as take nothing.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use stint_tests::api::name;
use stint_tests::{job, until};

use super::shared;

const WATCHES: usize = 1000;
/// Watches that are opened at a time.
const AT_ONCE: usize = 50;
const LIMIT: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_watches_are_told_and_slow_ones_hold_up_nobody() {
    let (world, api) = shared("many-watches").await;
    let http = world.http("coordinator-0");
    let path = |resource: &str| format!("{resource}?watch=true&timeoutSeconds=300");
    let jobs = path("/apis/batch/v1/namespaces/many-watches/jobs");
    let pods = path("/api/v1/namespaces/many-watches/pods");
    // These are never read from.
    let slow = join_all((0..10).map(|_| http.open(&jobs, &[]))).await;
    let mut watches = Vec::new();
    while watches.len() < WATCHES {
        let some = (0..AT_ONCE).map(|n| http.open(if n % 2 == 0 { &jobs } else { &pods }, &[]));
        watches.extend(join_all(some).await);
    }
    api.complete(&job("told").script("true").build()).await;
    // More than the kernel takes for one that does not read.
    let text = "x".repeat(100_000);
    api.create(&job("big").spec(&json!({"suspend": true})).build()).await;
    for number in 0..100 {
        let patch = json!({"metadata": {"annotations": {"n": number.to_string(), "text": text}}});
        api.patch("big", &patch).await;
    }
    let told = join_all(watches.iter_mut().map(|watch| async move {
        let (kind, object) = watch.event().await;
        (kind == "ADDED" && name(&object).starts_with("told")).then_some(())
    }))
    .await;
    assert_eq!(told.iter().flatten().count(), WATCHES);
    // One that reads is told everything, whatever the others do.
    until("a watch that reads has come to the end", LIMIT, || async {
        let mut watch = http.open(&jobs, &[]).await;
        loop {
            let (_, object) = watch.event().await;
            if object["metadata"]["annotations"]["n"] == "99" {
                return Some(());
            }
        }
    })
    .await;
    drop(slow);
}
