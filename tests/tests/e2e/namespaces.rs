//! Namespaces: they come into being with what is made in them, and go with it.

use serde_json::{Value, json};
use stint_tests::api::name;
use stint_tests::{Api, job, until};

use super::shared;

const LIMIT: std::time::Duration = std::time::Duration::from_secs(60);

async fn namespace(api: &Api, name: &str) -> Option<Value> {
    let all = api.elsewhere("_all");
    let reply = all.send(&format!("namespaces.get.{name}"), &[], "").await;
    reply.code.is_none().then_some(reply.body)
}

#[tokio::test]
async fn the_first_object_opens_its_namespace() {
    let (_world, api) = shared("opened-by-a-job").await;
    let suspended = job("first").spec(&json!({"suspend": true})).build();
    let headers = [("dryRun", "All")];
    api.send("jobs.create", &headers, suspended.to_string()).await.object();
    assert_eq!(namespace(&api, "opened-by-a-job").await, None, "a dry run opens nothing");
    api.create(&suspended).await;
    let opened = namespace(&api, "opened-by-a-job").await.unwrap();
    assert_eq!(opened["status"]["phase"], "Active");
    assert_eq!(opened["metadata"]["labels"]["kubernetes.io/metadata.name"], "opened-by-a-job");
    let account = api.send("serviceaccounts.get.default", &[], "").await.object();
    assert_eq!(account["metadata"]["namespace"], "opened-by-a-job");
    let root = api.send("configmaps.get.kube-root-ca.crt", &[], "").await.object();
    assert!(root["data"]["ca.crt"].is_string());
}

#[tokio::test]
async fn a_namespace_goes_with_all_that_is_in_it() {
    let (_world, api) = shared("_all").await;
    let body = json!({"kind": "Namespace", "metadata": {"generateName": "e2e-"}});
    let made = api.send("namespaces.create", &[], body.to_string()).await.object();
    let space = name(&made).to_owned();
    assert_eq!(made["spec"]["finalizers"], json!(["kubernetes"]));
    let inside = api.elsewhere(&space);
    let secret = json!({"kind": "Secret", "metadata": {"name": "s"}});
    inside.send("secrets.create", &[], secret.to_string()).await.object();
    inside.create(&job("runs").script("sleep 1000").build()).await;
    inside.until_job("runs", "runs", |job| job["status"]["ready"] == 1).await;
    let mut watch =
        api.open("namespaces.watch", &[("fieldSelector", &format!("metadata.name={space}"))]).await;
    assert_eq!(watch.event().await.0, "ADDED");
    let going = api.send(&format!("namespaces.delete.{space}"), &[], "").await.object();
    assert_eq!(going["status"]["phase"], "Terminating");
    let refused = inside.send("jobs.create", &[], job("late").build().to_string()).await;
    if refused.code == Some(403) {
        let message = refused.body["message"].as_str().unwrap();
        assert!(message.contains("because it is being terminated"), "{message}");
    }
    loop {
        let (kind, object) = watch.event().await;
        if kind == "DELETED" {
            assert_eq!(object["status"]["phase"], "Terminating");
            break;
        }
    }
    until("the namespace is empty", LIMIT, || async {
        let pods = inside.send("pods.list", &[], "").await.object();
        let secrets = inside.send("secrets.list", &[], "").await.object();
        let left = [&pods, &secrets].map(|list| list["items"].as_array().map_or(0, Vec::len));
        (left == [0, 0]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_default_namespace_stays() {
    let (_world, api) = shared("_all").await;
    until("the default namespace is there", LIMIT, || namespace(&api, "default")).await;
    api.send("namespaces.delete.default", &[], "").await.refused(403);
    let bad = json!({"kind": "Namespace", "metadata": {"name": "a.b"}});
    let status = api.send("namespaces.create", &[], bad.to_string()).await.refused(422);
    assert_eq!(status["details"]["causes"][0]["field"], "metadata.name");
}
