//! An older copy of JetStream's directory is put back: what was stored since is gone, though it was
//! acknowledged. That is noticed and said; what runs without a record is stopped; and what is left
//! of the Jobs is driven to its end.

use std::path::Path;
use std::time::Duration;

use stint_tests::api::counters;
use stint_tests::world::NATS;
use stint_tests::{Api, World, job, proc, until};

use super::STINT;

const LIMIT: Duration = Duration::from_secs(60);

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

async fn until_running(api: &Api, name: &str, pods: u64) {
    api.until_job(name, "runs", |job| job["status"]["ready"].as_u64() == Some(pods)).await;
}

#[tokio::test]
async fn an_older_copy_of_the_store_is_noticed_and_its_jobs_go_on() {
    let world = World::start(STINT, stint_tests::Shape::default()).await;
    let api = world.api("default");
    let (store, old) = (world.path().join("jetstream"), world.path().join("older"));
    let go = world.path().join("go");
    let script = format!("until [ -e {} ]; do sleep 0.05; done", go.display());
    let id = uuid::Uuid::new_v4().to_string();
    let manifest = |name: &str, pods| {
        job(name).completions(pods).env("WHOSE", &format!("{name}-{id}")).script(&script).build()
    };
    api.create(&manifest("kept", 2)).await;
    until_running(&api, "kept", 2).await;
    world.kill(NATS);
    copy(&store, &old);
    world.play(NATS);
    world.await_api().await;

    api.create(&manifest("forgotten", 2)).await;
    until_running(&api, "forgotten", 2).await;
    // The Job stays, its pods' records do not: they come to be after the copy.
    let forgotten = format!("forgotten-{id}");
    assert!(!proc::with_variable("WHOSE", &forgotten).is_empty());
    world.kill(NATS);
    std::fs::remove_dir_all(&store).unwrap();
    std::fs::rename(&old, &store).unwrap();
    world.play(NATS);
    world.await_api().await;

    until("what runs without a record is stopped", LIMIT, || async {
        proc::with_variable("WHOSE", &forgotten).is_empty().then_some(())
    })
    .await;
    api.send("jobs.get.forgotten", &[], "").await.refused(404);
    until("the coordinator says so", LIMIT, || {
        let said = world.log("coordinator-0").contains("has lost what it had acknowledged");
        async move { said.then_some(()) }
    })
    .await;
    std::fs::write(&go, "").unwrap();
    let (end, kept) = api.ended_at_last("kept", LIMIT).await;
    assert_eq!((end.as_str(), counters(&kept).1), ("Complete", 2), "{kept}");
    api.complete(&job("after").completions(3).build()).await;
    assert_eq!(world.ended_by_themselves(), Vec::<String>::new());
}
