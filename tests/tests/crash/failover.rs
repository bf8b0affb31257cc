//! Two coordinators, and the one that owns the Jobs is killed.

use std::time::{Duration, Instant};

use stint_tests::api::counters;
use stint_tests::{Shape, World, job, until};

use super::STINT;

/// What a coordinator says when it takes over.
const OWNER: &str = "owner: reconciling";

#[tokio::test]
async fn another_coordinator_takes_over_within_five_seconds() {
    let world = World::start(STINT, Shape { coordinators: 2, ..Shape::default() }).await;
    let api = world.api("default");
    let both = ["coordinator-0", "coordinator-1"];
    let owner = until("one owns", Duration::from_secs(20), || async {
        both.into_iter().find(|part| world.log(part).contains(OWNER))
    })
    .await;
    let other = if owner == both[0] { both[1] } else { both[0] };
    let go = world.path().join("go");
    let script = format!("until [ -e {} ]; do sleep 0.05; done", go.display());
    let manifest = job("failover").indexed().completions(20).script(&script);
    api.create(&manifest.build()).await;
    api.until_job("failover", "its pods", |job| counters(job).0 == 20).await;
    world.kill(owner);
    let start = Instant::now();
    until("the other owns", Duration::from_secs(20), || async {
        world.log(other).contains(OWNER).then_some(())
    })
    .await;
    let took = start.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    std::fs::write(&go, "").unwrap();
    let (end, done) = api.ended_at_last("failover", Duration::from_secs(60)).await;
    assert_eq!((end.as_str(), counters(&done)), ("Complete", (0, 20, 0)), "{done}");
}
