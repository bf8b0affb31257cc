//! The agent is killed while pods wait for ConfigMaps and Secrets: the next one goes on with each
//! where it was, and what containers had read they keep.

use std::path::Path;

use serde_json::{Value, json};
use stint_tests::api::{counters, name};
use stint_tests::world::World;
use stint_tests::{Api, Shape, job, until};

use super::STINT;
use super::lasting::{PATIENCE, file};

async fn waits(api: &Api, job: &str, list: &str) {
    until(&format!("{job} waits"), PATIENCE, || async {
        let pod = api.pods(job).await.into_iter().next()?;
        let waiting = &pod["status"][list][0]["state"]["waiting"];
        (waiting["reason"] == "CreateContainerConfigError").then_some(())
    })
    .await;
}

fn token(secret: &str) -> Value {
    let from = json!({"secretKeyRef": {"name": secret, "key": "k"}});
    json!([{"name": "TOKEN", "valueFrom": from}])
}

async fn create(api: &Api, resource: &str, name: &str, value: &str) {
    let object = json!({"metadata": {"name": name}, "stringData": {"k": value}});
    api.send(&format!("{resource}.create"), &[], object.to_string()).await.object();
}

/// Its init container has run when its main one waits; which is the first that has files.
fn behind_init(dir: &Path) -> Value {
    let init = format!("echo init >> {}/order", dir.display());
    let init = json!([{"name": "init", "image": "host", "command": ["sh", "-c", init]}]);
    let main = format!("echo main $TOKEN $(cat /stint-crash/it/k) >> {}/order", dir.display());
    let volumes = json!([{"name": "v", "secret": {"secretName": "early"}}]);
    let mounts = json!([{"name": "v", "mountPath": "/stint-crash/it"}]);
    let fields = json!({"env": token("late"), "volumeMounts": mounts});
    let main = job("behind-init").script(&main).container(&fields);
    main.pod_spec(&json!({"initContainers": init, "volumes": volumes})).build()
}

/// Nothing of it has run; its files were there, and its variables are not.
fn with_files() -> Value {
    let volumes = json!([{"name": "v", "secret": {"secretName": "early"}}]);
    let mounts = json!([{"name": "v", "mountPath": "/stint-crash/files"}]);
    let main = json!({"env": token("late"), "volumeMounts": mounts});
    let script = "echo $(cat /stint-crash/files/k) $TOKEN";
    let manifest = job("with-files").script(script).container(&main);
    // It holds a place while it waits.
    let spec = json!({"volumes": volumes, "restartPolicy": "OnFailure"});
    manifest.pod_spec(&spec).build()
}

/// It fails once, when it is let go, and tells its variable when it is started again.
fn started_again(dir: &Path) -> Value {
    let dir = dir.display();
    let first = format!("touch {dir}/ran; until [ -e {dir}/go ]; do sleep 0.02; done; exit 1");
    let script = format!("[ -e {dir}/ran ] || {{ {first}; }}; echo $TOKEN > {dir}/again");
    let manifest = job("started-again").script(&script).container(&json!({"env": token("early")}));
    manifest.pod_spec(&json!({"restartPolicy": "OnFailure"})).build()
}

#[tokio::test]
async fn pods_wait_on_when_their_agent_is_killed() {
    let world = World::start(STINT, Shape::default()).await;
    let (api, dir) = (world.api("default"), world.path().join("out"));
    std::fs::create_dir_all(&dir).unwrap();
    create(&api, "secrets", "early", "old").await;
    let plain = json!({"env": token("late")});
    let plain = job("plain").script("echo $TOKEN").container(&plain).build();
    let all = [behind_init(&dir), with_files(), started_again(&dir), plain];
    for manifest in &all {
        api.create(manifest).await;
    }
    for job in ["behind-init", "with-files", "plain"] {
        waits(&api, job, "containerStatuses").await;
    }
    until("the other runs", PATIENCE, || async { dir.join("ran").exists().then_some(()) }).await;
    world.kill("worker-0");
    let patch = r#"{"stringData": {"k": "new"}}"#;
    api.send("secrets.patch.early", &[], patch).await.object();
    create(&api, "secrets", "late", "at-last").await;
    std::fs::write(dir.join("go"), "").unwrap();
    world.play("worker-0");
    for manifest in &all {
        let (end, done) = api.ended_at_last(name(manifest), PATIENCE).await;
        assert_eq!((end.as_str(), counters(&done)), ("Complete", (0, 1, 0)), "{done}");
    }
    assert_eq!(file(&dir, "order"), "init\nmain at-last old\n");
    assert_eq!(file(&dir, "again"), "old\n", "a container keeps the variables that it had");
    for (job, said) in [("with-files", "new at-last\n"), ("plain", "at-last\n")] {
        let pods = api.pods(job).await;
        assert_eq!(api.log(name(&pods[0]), &[]).await, said.as_bytes());
    }
    assert!(!world.log("worker-0").contains("at-last"), "a Secret is in the worker's log");
}
