//! Leases: those of nodes, which are read and never written, and those that clients hold.

use serde_json::{Value, json};

use super::{name, revision, shared};

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";

/// The shared world's own worker; others come and go.
const ONE: &str = "?fieldSelector=metadata.name%3Dworker-0";

#[tokio::test(flavor = "multi_thread")]
async fn leases_show_what_workers_renew() {
    let (_world, http, _) = shared("http-leases").await;
    let group = http.get("/apis/coordination.k8s.io/v1").await.object(200);
    assert_eq!(group["resources"][0]["verbs"].as_array().map(Vec::len), Some(8));
    let list = http.get(&format!("{LEASES}{ONE}")).await.object(200);
    assert_eq!((&list["kind"], name(&list["items"][0])), (&json!("LeaseList"), "worker-0"));
    let lease = http.get(&format!("{LEASES}/worker-0")).await.object(200);
    let node = http.get("/api/v1/nodes/worker-0").await.object(200);
    assert_eq!(lease["metadata"]["ownerReferences"][0]["uid"], node["metadata"]["uid"]);
    let spec = &lease["spec"];
    assert_eq!(
        (&spec["holderIdentity"], &spec["leaseDurationSeconds"]),
        (&json!("worker-0"), &json!(60))
    );
    // `metav1.MicroTime`: Go's clients take no other number of digits.
    let renewed = spec["renewTime"].as_str().expect("it was renewed");
    let fraction = renewed.strip_suffix('Z').and_then(|text| text.split_once('.')).map(|it| it.1);
    assert_eq!(fraction.map(str::len), Some(6), "{renewed}");

    let from = revision(&list);
    let path = format!("{LEASES}{ONE}&watch=1&resourceVersion={from}&timeoutSeconds=60");
    let (kind, next) = http.open(&path, &[]).await.event().await;
    assert_eq!((kind.as_str(), name(&next)), ("MODIFIED", "worker-0"));
    assert!(next["spec"]["renewTime"].as_str() > Some(renewed), "{next}");

    let table = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let table = http.send("GET", &format!("{LEASES}{ONE}"), &table, "").await.object(200);
    assert_eq!(table["rows"][0]["cells"][1], "worker-0");
    let everywhere = "/apis/coordination.k8s.io/v1/leases";
    let everywhere = http.get(&format!("{everywhere}{ONE}")).await.object(200);
    assert_eq!(everywhere["items"].as_array().map(Vec::len), Some(1));
    let elsewhere = LEASES.replace("kube-node-lease", "default");
    let elsewhere = http.get(&elsewhere).await.object(200);
    assert_eq!(elsewhere["items"], json!([]));
    let missing = http.get(&format!("{LEASES}/nope")).await.refused(404);
    assert_eq!(missing["message"], "leases.coordination.k8s.io \"nope\" not found");
    let schema = http.get("/openapi/v3/apis/coordination.k8s.io/v1").await.object(200);
    assert!(schema["components"]["schemas"]["io.k8s.api.coordination.v1.Lease"].is_object());
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_of_nodes_are_nobodys_to_write() {
    let (_world, http, _) = shared("http-leases").await;
    let one = format!("{LEASES}/worker-0");
    let body: Value = http.get(&one).await.object(200);
    for (method, path) in [("POST", LEASES), ("PUT", &one), ("DELETE", &one), ("DELETE", LEASES)] {
        let refused = http.json(method, path, &body).await.refused(405);
        assert_eq!(refused["reason"], "MethodNotAllowed", "{method} {path}");
    }
    let merge = [("content-type", "application/merge-patch+json")];
    let refused = http.send("PATCH", &one, &merge, "{}").await.refused(405);
    assert!(refused["message"].as_str().unwrap().contains("the workers' own"), "{refused}");
}

const TEAM: &str = "/apis/coordination.k8s.io/v1/namespaces/http-leases/leases";

fn held_by(holder: &str) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "leader"},
        "spec": {
            "holderIdentity": holder, "leaseDurationSeconds": 15, "leaseTransitions": 0,
            "acquireTime": "2026-01-15T12:00:00.000001Z",
            "renewTime": "2026-01-15T12:00:00.000001Z",
        },
    })
}

/// As client-go's `LeaseLock` goes about it: who writes first upon what both have read leads.
#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_clients_holds_a_lease() {
    let (_world, http, _) = shared("http-leases").await;
    let made = http.json("POST", TEAM, &held_by("a")).await.object(201);
    assert_eq!(made["spec"], held_by("a")["spec"]);
    let _ = http.json("POST", TEAM, &held_by("b")).await.refused(409);
    let one = format!("{TEAM}/leader");
    let (mut renewed, mut taken) = (made.clone(), made.clone());
    renewed["spec"]["renewTime"] = json!("2026-01-15T12:00:02.000000Z");
    taken["spec"]["holderIdentity"] = json!("b");
    let renewed = http.json("PUT", &one, &renewed).await.object(200);
    let _ = http.json("PUT", &one, &taken).await.refused(409);
    assert_eq!(http.get(&one).await.object(200), renewed);

    let from = revision(&made);
    let watch = format!("{TEAM}?watch=1&resourceVersion={from}&timeoutSeconds=60");
    let mut watch = http.open(&watch, &[]).await;
    assert_eq!(watch.event().await, ("MODIFIED".to_owned(), renewed));
    let merge = [("content-type", "application/merge-patch+json")];
    let released = r#"{"spec": {"holderIdentity": ""}}"#;
    let released = http.send("PATCH", &one, &merge, released).await.object(200);
    assert_eq!(watch.event().await, ("MODIFIED".to_owned(), released));

    let never = json!({"metadata": {"name": "never"}, "spec": {"leaseDurationSeconds": 0}});
    let refused = http.json("POST", TEAM, &never).await.refused(422);
    assert_eq!(refused["details"]["causes"][0]["field"], "spec.leaseDurationSeconds");

    // Those of workers and those of clients are one list, in its order, in pages and whole.
    let everywhere = "/apis/coordination.k8s.io/v1/leases";
    let places = |list: &Value| -> Vec<String> {
        let items = list["items"].as_array().expect("a list has items");
        let place =
            |it: &Value| format!("{}/{}", it["metadata"]["namespace"], it["metadata"]["name"]);
        items.iter().map(place).collect()
    };
    let all = places(&http.get(everywhere).await.object(200));
    assert!(all.is_sorted(), "{all:?}");
    assert!(all.contains(&r#""http-leases"/"leader""#.to_owned()), "{all:?}");
    assert!(all.contains(&r#""kube-node-lease"/"worker-0""#.to_owned()), "{all:?}");
    let first = http.get(&format!("{everywhere}?limit=1")).await.object(200);
    let rest = first["metadata"]["continue"].as_str().expect("there are more");
    let rest = http.get(&format!("{everywhere}?limit=500&continue={rest}")).await.object(200);
    assert_eq!(places(&first)[0], all[0]);
    assert!(!places(&rest).contains(&all[0]), "{rest}");

    let _ = http.send("DELETE", &one, &[], "").await.object(200);
    assert_eq!(watch.event().await.0, "DELETED");
    let _ = http.get(&one).await.refused(404);
}
