//! An administrator removes what he should not: consumers, the work queue, output, events.

use async_nats::jetstream;
use futures_util::TryStreamExt as _;
use stint_common::names::Names;
use stint_tests::api::name;
use stint_tests::{Shape, World, job};

use super::STINT;
use super::lasting::times;
use super::standstill::Counted;

#[tokio::test]
async fn consumers_and_the_work_queue_come_back_when_they_are_removed() {
    let world = World::start(STINT, Shape { workers: 2, slots: 4, ..Shape::default() }).await;
    let counted = Counted::start(&world, "removed").await;
    let (jet, names) = (jetstream::new(world.client().clone()), Names::default());
    for time in 0..times(2) {
        for stream in [names.work_stream(), names.pods_stream(), names.objects_stream()] {
            counted.goes_on(20).await;
            let stream = jet.get_stream(&stream).await.unwrap();
            let consumers: Vec<String> = stream.consumer_names().try_collect().await.unwrap();
            println!(
                "{time}: removing {} consumers of {}",
                consumers.len(),
                stream.cached_info().config.name
            );
            for consumer in consumers {
                // Some are of readers that are through by now.
                let _gone_already = stream.delete_consumer(&consumer).await;
            }
        }
        for stream in [names.logs_stream(), names.events_stream(), names.work_stream()] {
            counted.goes_on(20).await;
            println!("{time}: removing {stream}");
            jet.delete_stream(&stream).await.unwrap();
        }
        // It has more output than its record holds, and nowhere to put it for some seconds.
        let loud = format!("loud-{time}");
        let job = job(&loud).script("seq 20000");
        let api = world.api("removed");
        api.complete(&job.build()).await;
        let log = api.log(name(&api.pods(&loud).await[0]), &[]).await;
        assert!(log.ends_with(b"\n20000\n"), "{} bytes", log.len());
    }
    counted.ends(&world).await;
}
