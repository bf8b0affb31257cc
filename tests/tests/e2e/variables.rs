//! Variables from ConfigMaps and Secrets.

use std::time::Duration;

use serde_json::{Value, json};
use stint_tests::api::{condition, name};
use stint_tests::world::World;
use stint_tests::{Api, job, until};

use super::shared;

const LIMIT: Duration = Duration::from_secs(60);

async fn create(api: &Api, resource: &str, object: Value) {
    api.send(&format!("{resource}.create"), &[], object.to_string()).await.object();
}

#[tokio::test]
async fn a_pod_has_its_variables_from_elsewhere() {
    let (_world, api) = shared("variables").await;
    let config = json!({
        "kind": "ConfigMap", "metadata": {"name": "settings"},
        "data": {"colour": "blue $(HOME)", "size": "9"},
    });
    create(&api, "configmaps", config).await;
    let secret = json!({
        "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"token": "t0p-s3cret"},
    });
    create(&api, "secrets", secret).await;
    let container = json!({
        "command": ["sh", "-c", "echo \"$C_colour|$C_size|$TOKEN|$(SIZE_AGAIN)|${NOT-unset}\""],
        "envFrom": [
            {"prefix": "C_", "configMapRef": {"name": "settings"}},
            {"secretRef": {"name": "nobody", "optional": true}},
        ],
        "env": [
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}},
            {"name": "SIZE_AGAIN", "value": "$(C_size)"},
            {"name": "NOT", "valueFrom": {
                "configMapKeyRef": {"name": "settings", "key": "none", "optional": true},
            }},
        ],
    });
    let made = api.complete(&job("reads").container(&container).build()).await;
    let pods = api.pods("reads").await;
    let log = api.log(name(&pods[0]), &[]).await;
    assert_eq!(String::from_utf8_lossy(&log), "blue $(HOME)|9|t0p-s3cret|9|unset\n");
    for object in [&made, &pods[0]] {
        assert!(!object.to_string().contains("t0p-s3cret"), "{object}");
    }
}

#[tokio::test]
async fn a_pod_waits_for_what_is_missing() {
    let (world, api) = shared("variables-missing").await;
    let container = json!({
        "command": ["sh", "-c", "echo $TOKEN"],
        "env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "late", "key": "k"}}}],
    });
    api.create(&job("waits").container(&container).build()).await;
    let waiting = |message: &'static str| {
        let api = api.clone();
        async move {
            until(message, LIMIT, || async {
                let pods = api.pods("waits").await;
                let pod = pods.first()?;
                let waiting = &pod["status"]["containerStatuses"][0]["state"]["waiting"];
                let here = waiting["reason"] == "CreateContainerConfigError"
                    && waiting["message"] == message;
                (here && pod["status"]["phase"] == "Pending").then_some(())
            })
            .await;
        }
    };
    waiting("secret \"late\" not found").await;
    let secret = json!({"kind": "Secret", "metadata": {"name": "late"}});
    create(&api, "secrets", secret).await;
    waiting("couldn't find key k in Secret late").await;
    let patch = r#"{"stringData": {"k": "s3cr3t-at-last"}}"#;
    api.send("secrets.patch.late", &[], patch).await.object();
    assert_eq!(api.ended("waits").await.0, "Complete");
    let pods = api.pods("waits").await;
    assert_eq!(api.log(name(&pods[0]), &[]).await, b"s3cr3t-at-last\n");
    for part in ["coordinator-0", "worker-0"] {
        assert!(!world.log(part).contains("s3cr3t-at-last"), "a Secret is in the log of {part}");
    }
}

#[tokio::test]
async fn a_waiting_pod_can_be_stopped() {
    let (_world, api) = shared("variables-stopped").await;
    let container = json!({"envFrom": [{"configMapRef": {"name": "never"}}]});
    api.create(&job("stuck").container(&container).build()).await;
    until("the pod waits", LIMIT, || async {
        let pods = api.pods("stuck").await;
        let waiting = &pods.first()?["status"]["containerStatuses"][0]["state"]["waiting"];
        (waiting["reason"] == "CreateContainerConfigError").then_some(())
    })
    .await;
    api.patch("stuck", &json!({"spec": {"suspend": true}})).await;
    until("the pod is gone", LIMIT, || async { api.pods("stuck").await.is_empty().then_some(()) })
        .await;
}

/// A variable that comes from a Secret.
fn secret_variable(secret: &str, key: &str) -> Value {
    let from = json!({"secretKeyRef": {"name": secret, "key": key}});
    json!([{"name": "TOKEN", "valueFrom": from}])
}

fn container(name: &str, script: &str) -> Value {
    json!({"name": name, "image": "host", "command": ["sh", "-c", script]})
}

/// The Job's pod, once this container of it waits for what `message` says.
async fn waits_for(api: &Api, job: &str, container: &str, message: &str) -> Value {
    until(&format!("{container} of {job} waits"), LIMIT, || async {
        let pod = api.pods(job).await.into_iter().next()?;
        let status = pod["status"].clone();
        let lists = ["initContainerStatuses", "containerStatuses"];
        let mut all = lists.iter().filter_map(|list| status[list].as_array()).flatten();
        let waiting = &all.find(|it| it["name"] == container)?["state"]["waiting"];
        let here = waiting["reason"] == "CreateContainerConfigError";
        (here && waiting["message"] == message).then_some(pod)
    })
    .await
}

/// What Events of reason `Failed` say of a pod.
async fn failed_events(api: &Api, pod: &str) -> Vec<Value> {
    let about = format!("involvedObject.name={pod},reason=Failed");
    let events = api.send("events.list", &[("fieldSelector", &about)], "").await.object();
    events["items"].as_array().cloned().unwrap_or_default()
}

#[tokio::test]
async fn init_containers_run_before_what_a_main_container_lacks_is_looked_for() {
    let (world, api) = shared("variables-init").await;
    let mut first = container("first", "echo from $WORD >> $STINT_TERMINATION_LOG");
    first["envFrom"] = json!([{"configMapRef": {"name": "words"}}]);
    let init = json!([first, container("second", "exit 0")]);
    let main = json!({
        "command": ["sh", "-c", "echo $TOKEN"], "env": secret_variable("late", "k"),
    });
    let manifest = job("init-first").container(&main).pod_spec(&json!({"initContainers": init}));
    api.create(&manifest.build()).await;
    // The init container that lacks something holds up those behind it.
    let pod = waits_for(&api, "init-first", "first", "configmap \"words\" not found").await;
    let second = &pod["status"]["initContainerStatuses"][1]["state"]["waiting"];
    assert_eq!(
        (&pod["status"]["phase"], &second["reason"]),
        (&json!("Pending"), &json!("PodInitializing"))
    );
    assert!(condition(&pod, "Initialized").is_none(), "{pod}");
    let words = json!({"kind": "ConfigMap", "metadata": {"name": "words"}, "data": {"WORD": "w"}});
    create(&api, "configmaps", words).await;
    let pod = waits_for(&api, "init-first", "main", "secret \"late\" not found").await;
    let first = &pod["status"]["initContainerStatuses"][0]["state"]["terminated"];
    assert_eq!((&first["exitCode"], &first["message"]), (&json!(0), &json!("from w\n")), "{pod}");
    assert_eq!(pod["status"]["phase"], "Pending");
    assert!(condition(&pod, "Initialized").is_some(), "{pod}");
    let told = until("an Event tells", LIMIT, || async {
        let all = failed_events(&api, name(&pod)).await;
        (all.len() == 2).then_some(all)
    })
    .await;
    let mut told: Vec<&str> = told.iter().filter_map(|it| it["message"].as_str()).collect();
    told.sort_unstable();
    let expect = ["Error: configmap \"words\" not found", "Error: secret \"late\" not found"];
    assert_eq!(told, expect);
    let explained = explain(&world, "variables-init", "init-first").await;
    let line = "1 × CreateContainerConfigError: secret \"late\" not found";
    assert!(explained.contains(line), "{explained}");
    let secret = json!({"kind": "Secret", "metadata": {"name": "late"}, "stringData": {"k": "v"}});
    create(&api, "secrets", secret).await;
    let (outcome, ended) = api.ended("init-first").await;
    assert_eq!(outcome, "Complete", "{ended}");
    assert_eq!(api.log(name(&pod), &[("container", "main")]).await, b"v\n");
}

async fn explain(world: &World, namespace: &str, job: &str) -> String {
    let output = super::cli::check(world, namespace, &["explain", job], 0).await;
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn a_container_that_lacks_variables_holds_up_no_other() {
    let (world, api) = shared("variables-two").await;
    let go = world.path().join("variables-two-go");
    let keys = json!({"kind": "Secret", "metadata": {"name": "two"}, "stringData": {"a": "old"}});
    create(&api, "secrets", keys).await;
    // The one that runs fails once, and is started again with the value that it had.
    let (ran, go) = (go.with_extension("ran"), go.display());
    let first = format!("touch {0}; until [ -e {go} ]; do sleep 0.02; done; exit 1", ran.display());
    let script = format!("[ -e {} ] || {{ {first}; }}; [ $TOKEN = old ]", ran.display());
    let mut runs = container("runs", &script);
    runs["env"] = secret_variable("two", "a");
    let mut lacks = container("lacks", "echo $TOKEN");
    lacks["env"] = secret_variable("two", "b");
    let both = json!({"containers": [runs, lacks], "restartPolicy": "OnFailure"});
    api.create(&job("two").pod_spec(&both).build()).await;
    let pod = waits_for(&api, "two", "lacks", "couldn't find key b in Secret two").await;
    until("the other runs", LIMIT, || async {
        let pod = api.pods("two").await.into_iter().next()?;
        pod["status"]["containerStatuses"][0]["state"]["running"].is_object().then_some(())
    })
    .await;
    // As the kubelet has it: a main container was never started.
    assert_eq!(pod["status"]["phase"], "Pending");
    let explained = explain(&world, "variables-two", "two").await;
    assert!(explained.contains("1 claimed pod cannot start all containers"), "{explained}");
    let patch = r#"{"stringData": {"a": "new"}}"#;
    api.send("secrets.patch.two", &[], patch).await.object();
    std::fs::write(world.path().join("variables-two-go"), "").unwrap();
    let ended = until("it has ended", LIMIT, || async {
        let pod = api.pods("two").await.into_iter().next()?;
        let state = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
        (state["exitCode"] == 0).then_some(pod)
    })
    .await;
    assert_eq!(ended["status"]["containerStatuses"][0]["restartCount"], 1, "{ended}");
    assert_eq!(ended["status"]["phase"], "Pending", "the pod waits for the other: {ended}");
    assert_eq!(failed_events(&api, name(&pod)).await.len(), 1, "what is known is told once");
    let patch = r#"{"stringData": {"b": "at last"}}"#;
    api.send("secrets.patch.two", &[], patch).await.object();
    let (outcome, ended) = api.ended("two").await;
    assert_eq!(outcome, "Complete", "{ended}");
    assert_eq!(api.log(name(&pod), &[("container", "lacks")]).await, b"at last\n");
}

#[tokio::test]
async fn deadlines_and_deletion_end_a_wait_beside_what_runs() {
    let (_world, api) = shared("variables-ended").await;
    let pod_of = |deadline: Option<u32>| {
        let mut lacks = container("lacks", "exit 0");
        lacks["env"] = secret_variable("never", "k");
        let both = json!([container("runs", "exec sleep 1000"), lacks]);
        json!({
            "containers": both, "terminationGracePeriodSeconds": 1,
            "activeDeadlineSeconds": deadline,
        })
    };
    let once = json!({"backoffLimit": 0});
    api.create(&job("deadline").spec(&once).pod_spec(&pod_of(Some(2))).build()).await;
    api.create(&job("deleted").spec(&once).pod_spec(&pod_of(None)).build()).await;
    let pod = waits_for(&api, "deleted", "lacks", "secret \"never\" not found").await;
    api.send(&format!("pods.delete.{}", name(&pod)), &[], "").await.object();
    until("the deleted pod is gone", LIMIT, || async {
        let pods = api.pods("deleted").await;
        pods.iter().all(|it| name(it) != name(&pod)).then_some(())
    })
    .await;
    let (outcome, _) = api.ended("deadline").await;
    assert_eq!(outcome, "Failed");
    let pod = api.pods("deadline").await.remove(0);
    assert_eq!(pod["status"]["reason"], "DeadlineExceeded");
    let lacks = &pod["status"]["containerStatuses"][1]["state"]["terminated"];
    assert_eq!(
        (&lacks["exitCode"], &lacks["reason"]),
        (&json!(137), &json!("ContainerStatusUnknown"))
    );
}
