//! Nodes: workers as Kubernetes shows them, and cordoning one.

use std::cell::Cell;
use std::collections::HashSet;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use stint_common::time::{format_seconds, now};
use stint_tests::api::{condition, name};
use stint_tests::{Api, Shape, World, eventually, job, until};

use super::STINT;
use super::cli::check;

const LIMIT: Duration = Duration::from_secs(60);

async fn nodes(api: &Api, headers: &[(&str, &str)]) -> Vec<Value> {
    let list = api.send("nodes.list", headers, "").await.object();
    list["items"].as_array().cloned().unwrap_or_default()
}

fn revision(node: &Value) -> u64 {
    node["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

/// Where the pods of a new Job ran.
async fn ran_on(api: &Api, name: &str) -> HashSet<String> {
    let spec = json!({"completions": 6, "parallelism": 6});
    api.complete(&job(name).spec(&spec).build()).await;
    let pods = api.pods(name).await;
    pods.iter().filter_map(|pod| pod["spec"]["nodeName"].as_str()).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_cordoned_worker_takes_nothing_new() {
    let world = World::start(STINT, Shape { workers: 2, ..Shape::default() }).await;
    let client = world.connect().await;
    let all = Api { client: client.clone(), namespace: "_all".to_owned() };
    let api = Api { client, namespace: "default".to_owned() };
    let both = until("both workers show as nodes", LIMIT, || async {
        let both = nodes(&all, &[]).await;
        (both.len() == 2).then_some(both)
    })
    .await;
    let node = &both[0];
    assert!(condition(node, "Ready").is_some(), "{node}");
    let labels = &node["metadata"]["labels"];
    assert_eq!(labels["kubernetes.io/hostname"], node["metadata"]["name"]);
    assert_eq!(labels["kubernetes.io/os"], "linux");
    let capacity = &node["status"]["capacity"];
    assert!(capacity["cpu"].is_string() && capacity["memory"].is_string(), "{capacity}");
    assert_eq!(node["status"]["addresses"][0]["type"], "InternalIP");
    let usable = [("fieldSelector", "spec.unschedulable=false"), ("resourceVersion", "0")];
    assert_eq!(nodes(&all, &usable).await.len(), 2);
    let mut watch = all.open("nodes.watch", &[]).await;
    assert_eq!(watch.event().await.0, "ADDED");
    assert_eq!(watch.event().await.0, "ADDED");

    let what = format!("nodes.patch.{}", name(node));
    let headers = [("Content-Type", "application/strategic-merge-patch+json")];
    let patch = r#"{"spec": {"unschedulable": true}}"#;
    let cordoned = all.send(&what, &headers, patch).await.object();
    assert_eq!(cordoned["spec"]["taints"][0]["key"], "node.kubernetes.io/unschedulable");
    let (kind, seen) = watch.event().await;
    assert_eq!((kind.as_str(), name(&seen)), ("MODIFIED", name(node)));
    assert_eq!(seen["spec"]["unschedulable"], true);
    assert_eq!(nodes(&all, &usable).await.len(), 1);
    let other = HashSet::from([name(&both[1]).to_owned()]);
    assert_eq!(ran_on(&api, "without-it").await, other);
    // The word outlives the worker, and so does the Node.
    let created = &node["metadata"]["creationTimestamp"];
    until("times in whole seconds can tell two lives apart", LIMIT, || async {
        (json!(format_seconds(now())) != *created).then_some(())
    })
    .await;
    world.kill_with_supervisor(name(node));
    world.play(name(node));
    let again = until("the worker began again", LIMIT, || async {
        let again = nodes(&all, &[]).await.into_iter().find(|it| name(it) == name(node))?;
        let ready = condition(&again, "Ready")?["lastTransitionTime"].clone();
        (revision(&again) > revision(&cordoned) && ready != *created).then_some(again)
    })
    .await;
    assert_eq!(again["metadata"]["uid"], node["metadata"]["uid"]);
    assert_eq!(again["metadata"]["creationTimestamp"], *created);
    assert_eq!(ran_on(&api, "still-without-it").await, other);

    let patch = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"unschedulable": null}});
    let headers = [("Content-Type", "application/merge-patch+json")];
    let free = all.send(&what, &headers, patch.to_string()).await.object();
    assert_eq!((&free["metadata"]["labels"]["a"], &free["spec"]), (&json!("b"), &json!({})));
    let patch = r#"{"spec": {"unschedulable": true}}"#;
    all.send(&format!("nodes.patch.{}", name(&both[1])), &headers, patch).await.object();
    let first = HashSet::from([name(node).to_owned()]);
    assert_eq!(ran_on(&api, "with-it").await, first);
    let patch = json!({"spec": {"podCIDR": "10.0.0.0/8"}}).to_string();
    let status = all.send(&what, &headers, patch).await.refused(422);
    assert_eq!(status["details"]["causes"][0]["field"], "spec.podCIDR");
}

/// Two workers, one with a label and one with a taint; and their nodes.
async fn two_workers() -> (World, Vec<Value>) {
    let world = World::start(STINT, Shape { workers: 0, ..Shape::default() }).await;
    world.play_with("worker-one", &["--slots", "2", "--label", "zone=a"]);
    world.play_with("worker-two", &["--slots", "2", "--taint", "own=x:NoSchedule"]);
    let all = world.api("_all");
    let both = until("both workers show as nodes", LIMIT, || async {
        let both = nodes(&all, &[]).await;
        (both.len() == 2).then_some(both)
    })
    .await;
    (world, both)
}

/// What a client makes of a node.
async fn change(world: &World, node: &str, patch: Value) -> Value {
    let merge = [("Content-Type", "application/merge-patch+json")];
    let what = format!("nodes.patch.{node}");
    world.api("_all").send(&what, &merge, patch.to_string()).await.object()
}

#[tokio::test]
async fn a_node_shows_what_its_worker_offers() {
    let (world, both) = two_workers().await;
    let of = |wanted: &str| both.iter().find(|node| name(node) == wanted).unwrap();
    assert_eq!(of("worker-one")["metadata"]["labels"]["zone"], "a");
    assert_eq!(
        of("worker-two")["spec"]["taints"],
        json!([{"key": "own", "value": "x", "effect": "NoSchedule"}])
    );
    let places = &of("worker-one")["metadata"]["annotations"]["stint.internal/places"];
    assert_eq!(
        (places, &of("worker-one")["status"]["allocatable"]["cpu"]),
        (&json!("2"), &json!("2"))
    );
    assert_eq!(of("worker-one")["status"]["capacity"]["pods"], "110");
    // Its own labels stay its own.
    let free =
        change(&world, "worker-one", json!({"metadata": {"labels": {"disk": null, "zone": null}}}))
            .await;
    assert_eq!(
        (&free["metadata"]["labels"]["disk"], &free["metadata"]["labels"]["zone"]),
        (&json!(null), &json!("a"))
    );
    let merge = [("Content-Type", "application/merge-patch+json")];
    let never = json!({"key": "k", "effect": "Never"});
    let bad = json!({"spec": {"taints": [never, never]}});
    let status = world
        .api("_all")
        .send("nodes.patch.worker-one", &merge, bad.to_string())
        .await
        .refused(422);
    let causes = status["details"]["causes"].as_array().unwrap();
    let fields: Vec<&str> = causes.iter().filter_map(|cause| cause["field"].as_str()).collect();
    assert_eq!(fields, ["spec.taints[0].effect", "spec.taints[1].effect", "spec.taints[1]"]);
}

/// Labels and taints that a client gives a node: its worker goes by them, with its own.
#[tokio::test]
async fn clients_labels_and_taints_place_pods() {
    let (world, _) = two_workers().await;
    let api = world.api("default");
    let only = |node: &str| HashSet::from([node.to_owned()]);
    // Its own taint goes as it would with Kubernetes, and pods choose by a client's label.
    let two = change(
        &world,
        "worker-two",
        json!({"metadata": {"labels": {"disk": "ssd"}}, "spec": {"taints": null}}),
    );
    assert_eq!(two.await["spec"], json!({}));
    let chosen = |name: &str| {
        let spec = json!({"completions": 6, "parallelism": 6});
        job(name).pod_spec(&json!({"nodeSelector": {"disk": "ssd"}})).spec(&spec).build()
    };
    api.complete(&chosen("chosen")).await;
    let ran = async |name: &str| -> HashSet<String> {
        let pods = api.pods(name).await;
        pods.iter().map(|pod| pod["spec"]["nodeName"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ran("chosen").await, only("worker-two"));
    // The word outlives the worker.
    world.kill("worker-two");
    world.play_with("worker-two", &["--slots", "2", "--taint", "own=x:NoSchedule"]);
    api.complete(&chosen("chosen-again")).await;
    assert_eq!(ran("chosen-again").await, only("worker-two"));
    change(
        &world,
        "worker-two",
        json!({"spec": {"taints": [{"key": "mine", "effect": "NoSchedule"}]}}),
    )
    .await;
    // One that was pulled before the worker heard may still run.
    let refused = "0/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, \
                   1 node(s) had untolerated taint {mine: }.";
    let tries = Cell::new(0);
    until("nobody takes what the taint keeps away", LIMIT, || async {
        tries.set(tries.get() + 1);
        let probe = format!("probe-{}", tries.get());
        api.create(&chosen(&probe)).await;
        until("it ran, or says why it does not", LIMIT, || async {
            let first = api.pods(&probe).await.into_iter().next()?;
            let conditions = first["status"]["conditions"].as_array().cloned();
            let mut conditions = conditions.into_iter().flatten();
            let kept = conditions.any(|it| it["message"] == refused);
            (kept || first["status"]["phase"] == "Succeeded").then_some(kept)
        })
        .await
        .then_some(())
    })
    .await;
    assert_eq!(ran_on(&api, "untainted").await, only("worker-one"));
    change(&world, "worker-one", json!({"metadata": {"labels": {"disk": "ssd"}}})).await;
    api.complete(&chosen("elsewhere")).await;
    assert_eq!(ran("elsewhere").await, only("worker-one"));
}

/// Whoever is started first: a worker does not end because nobody has made the streams yet.
#[tokio::test]
async fn a_worker_waits_for_the_first_coordinator() {
    let shape = Shape { coordinators: 0, workers: 0, ..Shape::default() };
    let world = World::start(STINT, shape).await;
    world.play("worker-0");
    eventually("the worker says what it waits for", || {
        world.log("worker-0").contains("no coordinator has ever run on this server")
    })
    .await;
    world.play("coordinator-0");
    world.await_workers().await;
    world.api("default").complete(&job("first").build()).await;
}

#[tokio::test]
async fn pods_have_their_grace_at_a_shutdown() {
    let world = World::start(STINT, Shape { workers: 0, slots: 3, ..Shape::default() }).await;
    world.play_with("worker-0", &["--shutdown-seconds", "8"]);
    let api = world.api("default");
    let mark = |name: &str| world.path().join(name);
    let pods = [
        ("patient", "sleep 6; exit 7", 100),
        ("stubborn", ":", 1),
        // It has no more than the worker has.
        ("endless", ":", 100),
    ];
    for (name, handler, grace) in pods {
        let mark = mark(name).display().to_string();
        let script = format!("trap '{handler}' TERM; : > {mark}; while :; do sleep 0.1; done");
        let manifest = job(name)
            .script(&script)
            .spec(&json!({"backoffLimit": 0}))
            .pod_spec(&json!({"terminationGracePeriodSeconds": grace}));
        api.create(&manifest.build()).await;
    }
    let all = || pods.iter().all(|(name, ..)| mark(name).exists());
    until("all run", LIMIT, || async { all().then_some(()) }).await;
    world.signal("worker-0", Signal::SIGTERM);
    let mut ends = Vec::new();
    for (name, ..) in pods {
        assert_eq!(api.ended(name).await.0, "Failed");
        let pod = api.pods(name).await.remove(0);
        let disrupted = condition(&pod, "DisruptionTarget").expect("it was disrupted");
        assert_eq!(disrupted["reason"], "TerminationByKubelet");
        let end = pod["status"]["containerStatuses"][0]["state"]["terminated"].clone();
        let at: jiff::Timestamp = end["finishedAt"].as_str().unwrap().parse().unwrap();
        ends.push((end["exitCode"].as_u64().unwrap(), at.as_second()));
    }
    assert_eq!(ends.iter().map(|end| end.0).collect::<Vec<_>>(), [7, 137, 137]);
    let (patient, stubborn, endless) = (ends[0].1, ends[1].1, ends[2].1);
    assert!(patient - stubborn >= 4 && endless - patient >= 1, "{ends:?}");
}

#[tokio::test]
async fn a_drained_worker_is_left_by_its_pods() {
    let world = World::start(STINT, Shape::default()).await;
    let api = world.api("default");
    let mark = |name: &str| world.path().join(name).display().to_string();
    let ignore = json!({"rules": [{
        "action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}],
    }]});
    let spec = json!({"backoffLimit": 0, "podFailurePolicy": ignore});
    let once = format!("[ -e {0} ] && exit; : > {0}; sleep 1000", mark("once"));
    let ends = format!(": > {}; until [ -e {} ]; do sleep 0.05; done", mark("runs"), mark("go"));
    for (name, script) in [("stays", &once), ("ends", &ends)] {
        api.create(&job(name).script(script).spec(&spec).build()).await;
        api.until_job(name, "runs", |job| job["status"]["ready"] == 1).await;
    }
    let missing = json!({"envFrom": [{"configMapRef": {"name": "never"}}]});
    api.create(&job("waits").container(&missing).spec(&spec).build()).await;
    let waiting = |on: &'static str| {
        let api = &api;
        until("it waits", LIMIT, move || async move {
            let pods = api.pods("waits").await;
            let mut there = pods.iter().filter(|pod| pod["spec"]["nodeName"] == on);
            there.any(|pod| pod["status"]["phase"] == "Pending").then_some(())
        })
    };
    waiting("worker-0").await;
    world.play("worker-1");
    std::fs::write(mark("go"), "").unwrap();
    let drain = ["drain", "worker-0", "--timeout", "4s", "--grace-period", "1"];
    let said = check(&world, "default", &drain, 0).await;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let evicted = |name: &str| said.contains(&format!("evicting pod default/{name}-"));
    assert!(evicted("stays") && evicted("waits") && !evicted("ends"), "{said}");
    assert!(said.contains("node/worker-0 drained"), "{said}");
    // Nothing of it counted as failed, and it went on elsewhere.
    for name in ["stays", "ends"] {
        let (end, ended) = api.ended(name).await;
        assert_eq!((end.as_str(), &ended["status"]["failed"]), ("Complete", &Value::Null));
    }
    waiting("worker-1").await;
    check(&world, "default", &["drain", "worker-0", "--timeout", "0"], 0).await;
    check(&world, "default", &["cordon", "worker-1"], 0).await;
    check(&world, "default", &["uncordon", "worker-0"], 0).await;
    assert_eq!(ran_on(&api, "again").await, HashSet::from(["worker-0".to_owned()]));
    check(&world, "default", &["drain", "nobody"], 3).await;
}
