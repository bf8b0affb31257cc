//! Leases of nodes, which are read and never written.

use serde_json::{Value, json};

use super::{name, revision, shared};

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";

/// The shared world's own worker; others come and go.
const ONE: &str = "?fieldSelector=metadata.name%3Dworker-0";

#[tokio::test(flavor = "multi_thread")]
async fn leases_show_what_workers_renew() {
    let (_world, http, _) = shared("http-leases").await;
    let group = http.get("/apis/coordination.k8s.io/v1").await.object(200);
    assert_eq!(group["resources"][0]["verbs"], json!(["get", "list", "watch"]));
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
async fn leases_are_nobodys_to_write() {
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
