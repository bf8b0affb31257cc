//! Volumes, users and rights of pods, from the manifest to what a process finds.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use stint_tests::api::name;
use stint_tests::{Shape, World, eventually, job, proc, until};

use super::{STINT, shared};

const LIMIT: Duration = Duration::from_secs(60);

/// A container that runs a script with these mounts.
fn container(name: &str, script: &str, mounts: &Value) -> Value {
    let command = json!(["sh", "-c", script]);
    json!({"name": name, "image": "host", "command": command, "volumeMounts": mounts})
}

#[tokio::test]
async fn containers_share_the_volumes_of_their_pod_and_nothing_is_left() {
    let (world, api) = shared("volumes").await;
    let volumes = json!([
        {"name": "disk", "emptyDir": {}},
        {"name": "memory", "emptyDir": {"medium": "Memory"}},
        {"name": "info", "downwardAPI": {"items": [
            {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
            {"path": "name", "fieldRef": {"fieldPath": "metadata.name"}},
        ]}},
    ]);
    let both = json!([
        {"name": "disk", "mountPath": "/stint-e2e/disk"},
        {"name": "memory", "mountPath": "/stint-e2e/memory"},
        {"name": "info", "mountPath": "/stint-e2e/info"},
    ]);
    let containers = json!([
        container("writes", "echo from the other > /stint-e2e/disk/file", &both),
        container(
            "reads",
            "until [ -s /stint-e2e/disk/file ]; do sleep 0.02; done
             cat /stint-e2e/disk/file /stint-e2e/info/name; echo
             grep color /stint-e2e/info/labels
             stat -f -c %T /stint-e2e/memory
             echo x 2>/dev/null > /stint-e2e/info/new || echo read-only",
            &both,
        ),
    ]);
    let manifest = job("volumes")
        .pod_spec(&json!({"volumes": volumes, "containers": containers}))
        .pod_metadata(&json!({"labels": {"color": "red"}}));
    api.complete(&manifest.build()).await;
    let pods = api.pods("volumes").await;
    let said = api.log(name(&pods[0]), &[("container", "reads")]).await;
    let pod = name(&pods[0]);
    let expected = format!("from the other\n{pod}\ncolor=\"red\"\ntmpfs\nread-only\n");
    assert_eq!(String::from_utf8(said).unwrap(), expected);
    assert!(!Path::new("/stint-e2e").exists());
    let uid = pods[0]["metadata"]["uid"].as_str().unwrap();
    let directory = world.path().join("worker-0/pods").join(uid);
    eventually("the pod's directory is gone", || !directory.exists()).await;
}

#[tokio::test]
async fn the_machines_files_are_shown_where_the_worker_allows_it() {
    let (world, api) = shared("host-path").await;
    let allowed = world.path().join("host");
    std::fs::write(allowed.join("file"), "of the machine\n").unwrap();
    let manifest = |name: &str, path: &Path| {
        let volumes = json!([{"name": "v", "hostPath": {"path": path}}]);
        let mounts = json!([{"name": "v", "mountPath": "/v", "readOnly": true}]);
        let script = "cat /v/file; (echo x > /v/new) 2>/dev/null || echo read-only";
        let containers = json!([container("main", script, &mounts)]);
        job(name)
            .spec(&json!({"backoffLimit": 0}))
            .pod_spec(&json!({"volumes": volumes, "containers": containers}))
            .build()
    };
    api.complete(&manifest("allowed", &allowed)).await;
    let pods = api.pods("allowed").await;
    let said = api.log(name(&pods[0]), &[]).await;
    assert_eq!(String::from_utf8(said).unwrap(), "of the machine\nread-only\n");
}

#[tokio::test]
async fn a_pod_runs_as_the_user_that_it_names() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: only root may become others");
        return;
    }
    let (_world, api) = shared("users").await;
    let context = json!({"runAsUser": 12345, "runAsGroup": 23456, "fsGroup": 34567});
    let manifest = job("users")
        .script(
            "id -u; id -g; id -G; touch /v/f; stat -c '%u %g' /v/f; grep NoNew /proc/self/status",
        )
        .container(&json!({
            "volumeMounts": [{"name": "v", "mountPath": "/v"}],
            "securityContext": {"allowPrivilegeEscalation": false},
        }))
        .pod_spec(&json!({"securityContext": context, "volumes": [{"name": "v", "emptyDir": {}}]}));
    api.complete(&manifest.build()).await;
    let pods = api.pods("users").await;
    let said = String::from_utf8(api.log(name(&pods[0]), &[]).await).unwrap();
    assert_eq!(said, "12345\n23456\n23456 34567\n12345 34567\nNoNewPrivs:\t1\n");
}

#[tokio::test]
async fn what_cannot_be_set_up_is_a_start_error() {
    let (_world, api) = shared("setup-errors").await;
    let manifest = job("setup-errors")
        .spec(&json!({"backoffLimit": 0}))
        .pod_spec(&json!({"volumes": [{"name": "v", "emptyDir": {}}]}))
        .container(&json!({"volumeMounts": [{"name": "v", "mountPath": "/etc/passwd"}]}));
    api.failed(&manifest.build()).await;
    let pods = api.pods("setup-errors").await;
    let ended = &pods[0]["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!(ended["reason"], "StartError", "{ended}");
    assert!(ended["message"].as_str().unwrap().contains("/etc/passwd"), "{ended}");
}

#[tokio::test]
async fn a_pod_that_fills_its_volume_is_evicted() {
    let (_world, api) = shared("evicted").await;
    let manifest = job("evicted")
        .spec(&json!({"backoffLimit": 0}))
        .script("head -c 4194304 /dev/zero > /v/f; sleep 600")
        .pod_spec(&json!({"volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1Mi"}}]}))
        .container(&json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]}));
    api.failed(&manifest.build()).await;
    let pods = api.pods("evicted").await;
    let status = &pods[0]["status"];
    assert_eq!((&status["phase"], &status["reason"]), (&json!("Failed"), &json!("Evicted")));
    assert!(status["message"].as_str().unwrap().contains("\"v\" exceeds the limit"), "{status}");
}

#[tokio::test]
async fn a_pod_that_fills_its_disk_is_evicted() {
    let (_world, api) = shared("disk").await;
    let volumes = json!([{"name": "a", "emptyDir": {}}, {"name": "b", "emptyDir": {}}]);
    let mounts = json!([{"name": "a", "mountPath": "/a"}, {"name": "b", "mountPath": "/b"}]);
    let limits = json!({"limits": {"ephemeral-storage": "3Mi"}});
    let script = "for at in /a /b; do head -c 2097152 /dev/zero > $at/f; done; sleep 600";
    let manifest = job("disk")
        .spec(&json!({"backoffLimit": 0}))
        .script(script)
        .pod_spec(&json!({"volumes": volumes}))
        .container(&json!({"volumeMounts": mounts, "resources": limits}));
    api.failed(&manifest.build()).await;
    let status = &api.pods("disk").await[0]["status"];
    assert_eq!((&status["phase"], &status["reason"]), (&json!("Failed"), &json!("Evicted")));
    let message = status["message"].as_str().unwrap();
    assert!(message.contains("exceeds the total limit of containers 3Mi"), "{status}");
}

#[tokio::test]
async fn what_a_killed_worker_left_is_cleared_away_by_its_next_life() {
    let shape = Shape { lease: (2.0, 0.5, 0.5), ..Shape::default() };
    let world = World::start(STINT, shape).await;
    let api = world.api("left");
    let file: PathBuf = world.path().join("left-pid");
    let volumes = json!([
        {"name": "disk", "emptyDir": {}},
        {"name": "memory", "emptyDir": {"medium": "Memory"}},
    ]);
    let mounts = json!([
        {"name": "disk", "mountPath": "/stint-e2e/disk"},
        {"name": "memory", "mountPath": "/stint-e2e/memory"},
    ]);
    let script =
        format!("echo x > /stint-e2e/disk/f; echo $$ > {}; exec sleep 600", file.display());
    let manifest = job("left")
        .script(&script)
        .container(&json!({"volumeMounts": mounts}))
        .pod_spec(&json!({"volumes": volumes}));
    api.create(&manifest.build()).await;
    let pid =
        until("the pod runs", Duration::from_secs(20), || async { proc::pid_in(&file) }).await;
    let pods = world.path().join("worker-0/pods");
    let uid = api.pods("left").await[0]["metadata"]["uid"].as_str().unwrap().to_owned();
    assert!(pods.join(&uid).exists());
    world.kill_with_supervisor("worker-0");
    eventually("the process is gone", || !proc::lives(pid)).await;
    world.play("worker-0");
    eventually("its directory is gone", || !pods.join(&uid).exists()).await;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&uid));
}

#[tokio::test]
async fn files_come_from_config_maps_and_secrets() {
    let (world, api) = shared("config-volumes").await;
    let item = json!([{"key": "key", "path": "deep/er", "mode": 0o440}]);
    let volumes = json!([
        {"name": "config", "configMap": {"name": "settings"}},
        {"name": "hidden", "secret": {"secretName": "keys", "defaultMode": 0o400}},
        {"name": "maybe", "configMap": {"name": "none", "optional": true}},
        {"name": "both", "projected": {"defaultMode": 0o404, "sources": [
            {"configMap": {"name": "settings"}},
            {"secret": {"name": "keys", "items": item}},
        ]}},
    ]);
    let mounts = json!([
        {"name": "config", "mountPath": "/stint-e2e/config"},
        {"name": "hidden", "mountPath": "/stint-e2e/hidden"},
        {"name": "maybe", "mountPath": "/stint-e2e/maybe"},
        {"name": "both", "mountPath": "/stint-e2e/both"},
        {"name": "config", "mountPath": "/stint-e2e/one.conf", "subPath": "color"},
    ]);
    let script = "cd /stint-e2e
        cat config/color hidden/key one.conf both/color both/deep/er; echo
        stat -c %a hidden/key config/color both/color both/deep/er
        stat -f -c %T hidden both; ls maybe
        (echo x > hidden/key) 2>/dev/null || echo read-only";
    let manifest = job("files")
        .script(script)
        .container(&json!({"volumeMounts": mounts}))
        .pod_spec(&json!({"volumes": volumes}));
    api.create(&manifest.build()).await;
    // It waits for what it needs, and says so.
    let message =
        "MountVolume.SetUp failed for volume \"config\" : configmap \"settings\" not found";
    let pod = until("the pod waits", LIMIT, || async {
        let pod = api.pods("files").await.into_iter().next()?;
        let waiting = &pod["status"]["containerStatuses"][0]["state"]["waiting"];
        let here = waiting["reason"] == "ContainerCreating" && waiting["message"] == message;
        (here && pod["status"]["phase"] == "Pending").then_some(pod)
    })
    .await;
    let about = format!("involvedObject.name={}", name(&pod));
    until("an event says so", LIMIT, || async {
        let events = api.send("events.list", &[("fieldSelector", &about)], "").await.object();
        let mut events = events["items"].as_array()?.iter();
        let said = |it: &Value| it["reason"] == "FailedMount" && it["message"] == message;
        events.any(said).then_some(())
    })
    .await;
    let object = |kind: &str, name: &str, data: Value| {
        let metadata = json!({"name": name});
        json!({"apiVersion": "v1", "kind": kind, "metadata": metadata, "data": data}).to_string()
    };
    let settings = object("ConfigMap", "settings", json!({"color": "red"}));
    api.send("configmaps.create", &[], settings).await.object();
    let keys = object("Secret", "keys", json!({"key": "aDFkZC1lbg=="}));
    api.send("secrets.create", &[], keys).await.object();
    let (outcome, ended) = api.ended("files").await;
    assert_eq!(outcome, "Complete", "{ended}");
    let said = String::from_utf8(api.log(name(&pod), &[]).await).unwrap();
    let expected = "redh1dd-enredredh1dd-en\n400\n644\n404\n440\ntmpfs\ntmpfs\nread-only\n";
    assert_eq!(said, expected);
    for part in ["coordinator-0", "worker-0"] {
        assert!(!world.log(part).contains("h1dd-en"), "a Secret is in the log of {part}");
    }
    // Nothing of it is left, on disk or in memory.
    let uid = pod["metadata"]["uid"].as_str().unwrap();
    let directory = world.path().join("worker-0/pods").join(uid);
    eventually("the pod's directory is gone", || !directory.exists()).await;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(uid));
}
