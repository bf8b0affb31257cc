//! Two coordinators that answer at once.

use std::sync::Arc;

use serde_json::json;
use stint_tests::http::Http;
use stint_tests::{Shape, World, job};

use super::STINT;

/// Clients that count up at the same time, and what they reach together.
const CLIENTS: usize = 8;
const INCREMENTS: usize = 1000;

const JOBS: &str = "/apis/batch/v1/namespaces/default/jobs";

async fn two() -> (World, [Http; 2]) {
    let shape = Shape { coordinators: 2, workers: 0, ..Shape::default() };
    let world = World::start(STINT, shape).await;
    let both = ["coordinator-0", "coordinator-1"].map(|name| {
        let log = name.to_owned();
        (log, name)
    });
    for (part, _) in &both {
        stint_tests::until("it says where it listens", std::time::Duration::from_secs(30), || {
            let said = world.log(part).contains("STINT_HTTP=");
            async move { said.then_some(()) }
        })
        .await;
    }
    let https = both.map(|(_, name)| world.http(name));
    (world, https)
}

/// Reads and writes an annotation by `resourceVersion` until it was written as read.
async fn count_up(http: &Http, path: &str) -> usize {
    let mut lost = 0;
    loop {
        let mut object = http.get(path).await.object(200);
        let count = object["metadata"]["annotations"]["count"].as_str().unwrap_or("0");
        let count: usize = count.parse().expect("it is a number");
        object["metadata"]["annotations"]["count"] = json!((count + 1).to_string());
        let answer = http.json("PUT", path, &object).await;
        match answer.code {
            200 => return lost,
            409 => lost += 1,
            _ => panic!("{}", answer.body()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_updates_lose_nothing_and_a_name_is_given_once() {
    let (_world, https) = two().await;
    let suspended = job("counted").spec(&json!({"suspend": true})).build();
    let made = https[0].json("POST", JOBS, &suspended).await;
    let _ = made.object(201);
    let path: Arc<str> = format!("{JOBS}/counted").into();
    let clients = (0..CLIENTS).map(|client| {
        let (http, path) = (https[client % 2].clone(), Arc::clone(&path));
        tokio::spawn(async move {
            let mut lost = 0;
            for _ in 0..INCREMENTS / CLIENTS {
                lost += count_up(&http, &path).await;
            }
            lost
        })
    });
    let mut lost = 0;
    for client in clients.collect::<Vec<_>>() {
        lost += client.await.expect("the client counts to its end");
    }
    let object = https[1].get(&path).await.object(200);
    assert_eq!(object["metadata"]["annotations"]["count"], INCREMENTS.to_string());
    assert!(lost > 0, "nobody ever got in another's way: they did not run at once");

    for number in 0..20 {
        let racing = job(&format!("race-{number}")).spec(&json!({"suspend": true})).build();
        let creates = https.iter().map(|http| http.json("POST", JOBS, &racing));
        let mut codes: Vec<u16> =
            futures_util::future::join_all(creates).await.iter().map(|it| it.code).collect();
        codes.sort_unstable();
        assert_eq!(codes, [201, 409]);
    }
}
