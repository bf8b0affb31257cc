//! A receiver that is not there, or never answers, holds nothing up.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use stint_tests::{World, job};
use tokio::net::TcpListener;

use crate::world_with;

/// What a Job of twenty pods takes at most, on a busy machine.
const PROMPT: Duration = Duration::from_secs(10);
/// The coordinator waits three seconds for its last spans; the rest of its end takes less.
const STOPPED: Duration = Duration::from_secs(6);

async fn runs_and_stops_as_ever(world: &World) {
    let api = world.api("away");
    for name in ["first", "second"] {
        let start = Instant::now();
        api.complete(&job(name).completions(20).build()).await;
        assert!(start.elapsed() < PROMPT, "{name} took {:?}", start.elapsed());
    }
    let mut coordinator = world.take("coordinator-0");
    coordinator.signal(Signal::SIGTERM);
    let status = coordinator.wait(STOPPED).await.expect("it stops in time");
    assert!(status.success(), "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("some port is free");
    let address = listener.local_addr().expect("it is bound");
    drop(listener);
    let endpoint = format!("http://{address}");
    let world = world_with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]).await;
    runs_and_stops_as_ever(&world).await;
    let log = world.log("coordinator-0");
    assert!(log.contains("spans were lost"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_answers() {
    // Connections are taken by the kernel; no request is ever read.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("some port is free");
    let endpoint = format!("http://{}", listener.local_addr().expect("it is bound"));
    let world = world_with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]).await;
    runs_and_stops_as_ever(&world).await;
    drop(listener);
}
