//! kube-rs: a Job's life, and a watch that outlives its coordinator.

use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::batch::v1::Job;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::{Client, Config, ResourceExt as _};
use serde_json::json;
use stint_tests::{Shape, World, job, until};

use super::STINT;

const LIMIT: Duration = Duration::from_secs(60);

async fn client(world: &World) -> Client {
    until("it says where it listens", LIMIT, || {
        let said = world.log("coordinator-0").contains("STINT_HTTP=");
        async move { said.then_some(()) }
    })
    .await;
    let address = format!("http://{}", world.http("coordinator-0").address);
    let mut config = Config::new(address.parse().expect("an address is a URI"));
    config.default_namespace = "default".to_owned();
    Client::try_from(config).expect("a client can be made")
}

/// What a watch from a revision tells, up to the event that `last` knows: type and revision.
async fn told(
    jobs: &Api<Job>,
    from: &str,
    last: impl Fn(&str, &Job) -> bool,
) -> Vec<(String, String)> {
    let watch = jobs.watch(&WatchParams::default().timeout(200), from).await;
    let mut watch = watch.expect("a watch is begun").boxed();
    let mut seen = Vec::new();
    loop {
        let event = tokio::time::timeout(LIMIT, watch.try_next()).await.expect("it goes on");
        let event = event.expect("it is not broken off").expect("it has not ended");
        let (kind, job) = match event {
            WatchEvent::Added(job) => ("ADDED", job),
            WatchEvent::Modified(job) => ("MODIFIED", job),
            WatchEvent::Deleted(job) => ("DELETED", job),
            WatchEvent::Bookmark(_) => continue,
            WatchEvent::Error(status) => panic!("{status:?}"),
        };
        seen.push((kind.to_owned(), job.resource_version().expect("it has a revision")));
        if last(kind, &job) {
            return seen;
        }
    }
}

fn finished(job: &Job) -> bool {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|list| list.iter().any(|it| it.type_ == "Complete"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_goes_on_when_its_coordinator_was_killed() {
    let world = World::start(STINT, Shape::default()).await;
    let jobs: Api<Job> = Api::default_namespaced(client(&world).await);
    let from = jobs.list_metadata(&kube::api::ListParams::default()).await.expect("a list");
    let from = from.metadata.resource_version.expect("a list has a revision");
    let manifest: Job = serde_json::from_value(job("life").script("true").build()).unwrap();
    let made = jobs.create(&PostParams::default(), &manifest).await.expect("it is created");
    assert_eq!(made.name_any(), "life");
    let first = told(&jobs, &from, |_, job| finished(job)).await;
    assert_eq!(first[0].0, "ADDED");
    let last = first.last().expect("there are events").1.clone();

    world.kill("coordinator-0");
    world.play("coordinator-0");
    world.await_api().await;
    let jobs: Api<Job> = Api::default_namespaced(client(&world).await);
    let patch = json!({"metadata": {"labels": {"by": "kube-rs"}}});
    let patched = jobs.patch("life", &PatchParams::default(), &Patch::Merge(&patch)).await;
    let patched = patched.expect("it is patched").resource_version().expect("it has a revision");
    jobs.delete("life", &DeleteParams::background()).await.expect("it is deleted");
    let second = told(&jobs, &last, |kind, _| kind == "DELETED").await;
    assert_eq!(second.len(), 2, "{second:?}");
    assert_eq!(second[0], ("MODIFIED".to_owned(), patched));
    // From the very beginning, all of it is no longer known: that is said, and nothing left out.
    let applied = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "applied"},
        "spec": manifest.spec});
    let params = PatchParams::apply("kube-rs").force();
    let applied = jobs.patch("applied", &params, &Patch::Apply(&applied)).await;
    assert!(applied.expect("it is applied").metadata.managed_fields.is_some());
}
