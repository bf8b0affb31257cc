//! Workers of different shapes: who runs what, and that nobody takes more than he has.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use stint_tests::api::name;
use stint_tests::{Api, Shape, World, job, until};

use super::STINT;

/// A small worker, a large one with a label and devices, and a tainted one.
async fn fleet() -> World {
    let world = World::start(STINT, Shape { workers: 0, ..Shape::default() }).await;
    for (name, arguments) in [
        ("worker-small", &["--slots", "2", "--memory", "100Mi"][..]),
        (
            "worker-large",
            &["--slots", "4", "--label", "size=large", "--resource", "example.com/gpu=2:GPUS"],
        ),
        (
            "worker-tainted",
            &["--slots", "2", "--taint", "only=mine:NoSchedule", "--label", "size=own"],
        ),
    ] {
        world.play_with(name, arguments);
    }
    world.await_workers().await;
    world
}

async fn nodes(api: &Api, job: &str) -> Vec<String> {
    let pods = api.pods(job).await;
    pods.iter().map(|pod| pod["spec"]["nodeName"].as_str().unwrap_or("").to_owned()).collect()
}

/// The Events about a Job, as they are stored.
async fn events(world: &World, reason: &str) -> Vec<Value> {
    let jet = async_nats::jetstream::new(world.client().clone());
    let stream = jet.get_stream("STINT_EVENTS").await.unwrap();
    let consumer = stream
        .create_consumer(async_nats::jetstream::consumer::pull::OrderedConfig::default())
        .await
        .unwrap();
    let pending = stream.get_info().await.unwrap().state.messages;
    let mut messages = consumer.messages().await.unwrap();
    let mut found = Vec::new();
    for _ in 0..pending {
        let message = messages.next().await.unwrap().unwrap();
        let event: Value = serde_json::from_slice(&message.payload).unwrap();
        if event["reason"] == reason {
            found.push(event);
        }
    }
    found
}

#[tokio::test]
async fn pods_go_where_they_may_and_nowhere_else() {
    let world = fleet().await;
    let api = world.api("placing");
    let large =
        job("labelled").completions(3).pod_spec(&json!({"nodeSelector": {"size": "large"}}));
    api.complete(&large.build()).await;
    assert_eq!(nodes(&api, "labelled").await, ["worker-large"; 3]);
    let named = job("named").pod_spec(&json!({"nodeName": "worker-small"}));
    api.complete(&named.build()).await;
    assert_eq!(nodes(&api, "named").await, ["worker-small"]);
    let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchExpressions": [
            {"key": "size", "operator": "In", "values": ["own", "none"]},
        ]}],
    }}});
    let tolerations = json!([{"key": "only", "operator": "Equal", "value": "mine"}]);
    let tolerating =
        job("tolerating").pod_spec(&json!({"affinity": affinity, "tolerations": tolerations}));
    api.complete(&tolerating.build()).await;
    assert_eq!(nodes(&api, "tolerating").await, ["worker-tainted"]);
    // Who tolerates nothing is never there.
    api.complete(&job("plain").completions(20).build()).await;
    let plain = nodes(&api, "plain").await;
    assert!(plain.iter().all(|node| node != "worker-tainted"), "{plain:?}");
    let memory = json!({"resources": {"requests": {"memory": "200Mi"}}});
    api.complete(&job("memory").container(&memory).build()).await;
    assert_ne!(nodes(&api, "memory").await, ["worker-small"]);
}

#[tokio::test]
async fn who_is_preferred_has_the_pods_as_long_as_there_is_room() {
    let world = fleet().await;
    let api = world.api("preferred");
    let affinity = json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{
        "weight": 10,
        "preference": {"matchExpressions": [
            {"key": "size", "operator": "In", "values": ["large"]},
        ]},
    }]}});
    let prefers = |name: &str| job(name).pod_spec(&json!({"affinity": affinity}));
    // Until both workers know this kind of pods, who knows it takes them.
    api.complete(&prefers("first").completions(8).build()).await;
    let one_by_one = prefers("few").completions(10).spec(&json!({"parallelism": 1}));
    api.complete(&one_by_one.build()).await;
    assert_eq!(nodes(&api, "few").await, ["worker-large"; 10]);
    // Six that end only once all run: two have to go elsewhere.
    let place = world.path().join("met");
    std::fs::create_dir(&place).unwrap();
    let script = format!(
        "cd {}; touch $HOSTNAME; until [ $(ls | wc -l) = 6 ]; do sleep 0.02; done",
        place.display()
    );
    api.complete(&prefers("many").completions(6).script(&script).build()).await;
    let mut many = nodes(&api, "many").await;
    many.sort();
    assert_eq!(many[..4], ["worker-large"; 4]);
    assert_eq!(many[4..], ["worker-small"; 2]);
}

/// Each pod notes when it began and ended; no worker had more at a time than it has room for.
#[tokio::test]
async fn nobody_takes_more_than_there_is() {
    let world = fleet().await;
    let api = world.api("room");
    let log = world.path().join("log");
    let script = format!(
        "echo + $NODE $CPU $GPUS >> {0}; sleep 0.2; echo - $NODE $CPU $GPUS >> {0}",
        log.display()
    );
    let env = |cpu: &str| {
        json!([
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "CPU", "value": cpu},
        ])
    };
    let manifest = |name: &str, cpu: &str, resources: Value| {
        job(name)
            .completions(12)
            .script(&script)
            .container(&json!({"env": env(cpu), "resources": resources}))
            .build()
    };
    let jobs = [
        manifest("default", "1000", json!({})),
        manifest("half", "500", json!({"requests": {"cpu": "500m"}})),
        manifest("three", "3000", json!({"requests": {"cpu": 3}})),
        manifest("gpu", "1000", json!({"limits": {"example.com/gpu": 1}})),
    ];
    for job in &jobs {
        api.create(job).await;
    }
    for job in &jobs {
        let (outcome, ended) = api.ended(name(job)).await;
        assert_eq!(outcome, "Complete", "{ended}");
    }
    assert_eq!(nodes(&api, "three").await, ["worker-large"; 12]);
    check_log(&log);
}

/// Two pods that end only once both run, so that neither can have had its device from the other.
#[tokio::test]
async fn pods_side_by_side_have_a_device_each() {
    let world = fleet().await;
    let api = world.api("devices");
    let script = format!(
        "cd {}; touch met-$GPUS; until [ -e met-0 ] && [ -e met-1 ]; do sleep 0.05; done",
        world.path().display()
    );
    let resources = json!({"resources": {"limits": {"example.com/gpu": 1}}});
    let both = job("both").completions(2).script(&script).container(&resources);
    api.complete(&both.build()).await;
    assert_eq!(nodes(&api, "both").await, ["worker-large"; 2]);
}

fn check_log(log: &Path) {
    let room = BTreeMap::from([("worker-small", 2000), ("worker-large", 4000)]);
    let mut used: BTreeMap<String, i64> = BTreeMap::new();
    let mut devices: BTreeMap<String, i32> = BTreeMap::new();
    let mut lines = 0;
    for line in std::fs::read_to_string(log).unwrap().lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let sign = if words[0] == "+" { 1 } else { -1 };
        let all = used.entry(words[1].to_owned()).or_default();
        *all += sign * words[2].parse::<i64>().unwrap();
        assert!(*all <= room[words[1]], "{line}: {used:?}");
        if let Some(device) = words.get(3).filter(|device| !device.is_empty()) {
            let count = devices.entry((*device).to_owned()).or_default();
            *count += if sign > 0 { 1 } else { -1 };
            assert!((0..=1).contains(count), "device {device} is given twice");
        }
        lines += 1;
    }
    assert_eq!(lines, 96);
    assert!(devices.keys().all(|device| ["0", "1"].contains(&device.as_str())), "{devices:?}");
    assert!(!devices.is_empty(), "no pod was told its device");
}

#[tokio::test]
async fn what_nobody_can_run_says_so_and_runs_when_somebody_can() {
    let world = fleet().await;
    let api = world.api("nobody");
    let pod = json!({"nodeSelector": {"color": "blue"}});
    api.create(&job("blue").pod_spec(&pod).build()).await;
    let why = "0/3 nodes are available: 1 node(s) had untolerated taint {only: mine}, 2 node(s) \
               didn't match Pod's node affinity/selector.";
    until("the pod says why", Duration::from_secs(20), || async {
        let pods = api.pods("blue").await;
        let conditions = pods.first()?["status"]["conditions"].as_array()?;
        let scheduled = conditions.iter().find(|it| it["type"] == "PodScheduled")?;
        assert_eq!(
            (&scheduled["status"], &scheduled["reason"]),
            (&json!("False"), &json!("Unschedulable"))
        );
        (scheduled["message"] == why).then_some(())
    })
    .await;
    let event = until("an Event says why", Duration::from_secs(20), || async {
        events(&world, "FailedScheduling").await.pop()
    })
    .await;
    assert_eq!((&event["type"], &event["message"]), (&json!("Warning"), &json!(why)));
    assert_eq!(event["involvedObject"]["name"], "blue");
    world.play_with("worker-blue", &["--slots", "1", "--label", "color=blue"]);
    let (outcome, ended) = api.ended("blue").await;
    assert_eq!(outcome, "Complete", "{ended}");
    assert_eq!(nodes(&api, "blue").await, ["worker-blue"]);
}

#[tokio::test]
async fn the_more_urgent_goes_first() {
    let world = World::start(STINT, Shape { workers: 0, ..Shape::default() }).await;
    let api = world.api("urgent");
    let log = world.path().join("order");
    let script = |text: &str| format!("echo {text} >> {}; sleep 0.05", log.display());
    api.create(&job("low").completions(10).script(&script("low")).build()).await;
    let high = job("high").completions(10).script(&script("high"));
    api.create(&high.pod_spec(&json!({"priority": 10})).build()).await;
    // The classes of both, and no others.
    until("both can be pulled", Duration::from_secs(20), || async {
        let jet = async_nats::jetstream::new(world.client().clone());
        let stream = jet.get_stream("STINT_WORK").await.ok()?;
        let info = stream.get_info().await.ok()?;
        (info.state.consumer_count == 2).then_some(())
    })
    .await;
    world.play_with("worker-one", &["--slots", "1"]);
    for job in ["high", "low"] {
        assert_eq!(api.ended(job).await.0, "Complete");
    }
    let order = std::fs::read_to_string(&log).unwrap();
    let order: Vec<&str> = order.lines().collect();
    let late = order.iter().position(|word| *word == "low").unwrap();
    assert_eq!(order.len(), 20);
    // The first pull of each class is on its way before it is known that there is more.
    let after_first: Vec<&&str> = order.iter().skip(2).take(9).collect();
    let in_order = late == 10 || after_first.iter().all(|word| **word == "high");
    assert!(late <= 1 || in_order, "{order:?}");
    assert!(order[..11].iter().filter(|word| **word == "high").count() >= 9, "{order:?}");
}

#[tokio::test]
async fn limits_are_kept_and_what_exceeds_memory_is_told_apart() {
    let world = fleet().await;
    let api = world.api("limits");
    let log = world.log("worker-large");
    if !nix::unistd::geteuid().is_root() || !Path::new("/sys/fs/cgroup").exists() {
        println!("skipped: no cgroups for this user\n{log}");
        return;
    }
    let limits = json!({"resources": {"limits": {"memory": "32Mi", "cpu": "500m"}}});
    let script = "x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo ${#x}";
    let manifest =
        job("hungry").spec(&json!({"backoffLimit": 0})).script(script).container(&limits);
    api.failed(&manifest.build()).await;
    let pods = api.pods("hungry").await;
    let status = &pods[0]["status"];
    let ended = &status["containerStatuses"][0]["state"]["terminated"];
    assert_eq!(ended["reason"], "OOMKilled", "{status}");
    assert_eq!(status["qosClass"], "Guaranteed", "{status}");
    let env = json!([{"name": "MEM", "valueFrom": {"resourceFieldRef": {
        "resource": "limits.memory", "divisor": "1Mi"}}}]);
    let modest =
        job("modest").script("echo $MEM").container(&limits).container(&json!({"env": env}));
    api.complete(&modest.build()).await;
    let pods = api.pods("modest").await;
    assert_eq!(api.log(name(&pods[0]), &[]).await, b"32\n");
}
