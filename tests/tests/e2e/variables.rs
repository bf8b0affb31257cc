//! Variables from ConfigMaps and Secrets.

use std::time::Duration;

use serde_json::{Value, json};
use stint_tests::api::name;
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
