//! Objects that are kept as they are sent: ConfigMaps, Secrets, service accounts.

use serde_json::{Value, json};
use stint_tests::Api;
use stint_tests::api::name;

use super::shared;

fn config_map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

fn revision(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

async fn create(api: &Api, resource: &str, object: &Value) -> Value {
    api.send(&format!("{resource}.create"), &[], object.to_string()).await.object()
}

#[tokio::test]
async fn a_config_map_lives() {
    let (_world, api) = shared("objects-life").await;
    let made = create(&api, "configmaps", &config_map("a.b", json!({"x": "1"}))).await;
    assert_eq!(made["metadata"]["namespace"], "objects-life");
    assert!(
        made["metadata"]["uid"].is_string() && made["metadata"]["creationTimestamp"].is_string()
    );
    let again = config_map("a.b", json!({})).to_string();
    let status = api.send("configmaps.create", &[], again).await.refused(409);
    assert_eq!(status["message"], "configmaps \"a.b\" already exists");
    assert_eq!(api.send("configmaps.get.a.b", &[], "").await.object(), made);

    let mut changed = made.clone();
    changed["data"]["y"] = json!("2");
    let updated = api.send("configmaps.update.a.b", &[], changed.to_string()).await.object();
    assert!(revision(&updated) > revision(&made));
    assert_eq!(updated["metadata"]["uid"], made["metadata"]["uid"]);
    // The revision of before means another object.
    let status = api.send("configmaps.update.a.b", &[], changed.to_string()).await.refused(409);
    assert_eq!(status["reason"], "Conflict");
    let same = api.send("configmaps.update.a.b", &[], updated.to_string()).await.object();
    assert_eq!(same, updated, "what changes nothing is not written");

    for (content_type, patch, expected) in [
        ("application/merge-patch+json", json!({"data": {"x": null}}), json!({"y": "2"})),
        (
            "application/json-patch+json",
            json!([{"op": "add", "path": "/data/z", "value": "3"}]),
            json!({"y": "2", "z": "3"}),
        ),
        (
            "application/strategic-merge-patch+json",
            json!({"data": {"$patch": "replace", "w": "4"}}),
            json!({"w": "4"}),
        ),
    ] {
        let headers = [("Content-Type", content_type)];
        let patched = api.send("configmaps.patch.a.b", &headers, patch.to_string()).await.object();
        assert_eq!(patched["data"], expected, "{content_type}");
    }
    let headers = [("Content-Type", "text/plain")];
    api.send("configmaps.patch.a.b", &headers, "{}").await.refused(415);

    let headers = [("uid", "00000000-0000-0000-0000-000000000000")];
    api.send("configmaps.delete.a.b", &headers, "").await.refused(409);
    let headers = [("dryRun", "All")];
    api.send("configmaps.delete.a.b", &headers, "").await.object();
    let status = api.send("configmaps.delete.a.b", &[], "").await.object();
    assert_eq!(
        (&status["status"], &status["details"]["kind"]),
        (&json!("Success"), &json!("configmaps"))
    );
    api.send("configmaps.get.a.b", &[], "").await.refused(404);
    let anew = create(&api, "configmaps", &config_map("a.b", json!({}))).await;
    assert_ne!(anew["metadata"]["uid"], made["metadata"]["uid"]);
}

#[tokio::test]
async fn lists_select_and_come_in_pages() {
    let (_world, api) = shared("objects-list").await;
    for number in 0..4 {
        let mut object = config_map(&format!("m-{number}"), json!({}));
        object["metadata"]["labels"] =
            json!({"even": (number % 2 == 0).to_string(), "mine": "yes"});
        create(&api, "configmaps", &object).await;
    }
    let names = |list: &Value| -> Vec<String> {
        list["items"].as_array().unwrap().iter().map(|item| name(item).to_owned()).collect()
    };
    let headers = [("labelSelector", "even=true")];
    let list = api.send("configmaps.list", &headers, "").await.object();
    assert_eq!(names(&list), ["m-0", "m-2"]);
    assert_eq!((&list["kind"], &list["apiVersion"]), (&json!("ConfigMapList"), &json!("v1")));
    let headers = [("fieldSelector", "metadata.name=m-3")];
    assert_eq!(names(&api.send("configmaps.list", &headers, "").await.object()), ["m-3"]);
    let headers = [("fieldSelector", "data.x=1")];
    api.send("configmaps.list", &headers, "").await.refused(400);
    let (mut seen, mut more) = (Vec::new(), String::new());
    loop {
        let headers = [("limit", "3"), ("labelSelector", "mine=yes"), ("continue", more.as_str())];
        let page = api.send("configmaps.list", &headers, "").await.object();
        seen.extend(names(&page));
        match page["metadata"]["continue"].as_str() {
            Some(next) => more = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, ["m-0", "m-1", "m-2", "m-3"]);
    let headers = [("labelSelector", "even=true")];
    let gone = api.send("configmaps.deletecollection", &headers, "").await.object();
    assert_eq!(names(&gone), ["m-0", "m-2"]);
    let headers = [("labelSelector", "mine=yes")];
    assert_eq!(names(&api.send("configmaps.list", &headers, "").await.object()), ["m-1", "m-3"]);
    let all = api.elsewhere("_all");
    assert_eq!(names(&all.send("configmaps.list", &headers, "").await.object()), ["m-1", "m-3"]);
}

#[tokio::test]
async fn a_watch_misses_nothing() {
    let (_world, api) = shared("objects-watch").await;
    let mut object = config_map("w", json!({"x": "0"}));
    object["metadata"]["labels"] = json!({"on": "yes"});
    let first = create(&api, "configmaps", &object).await;
    let from = first["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let headers = [
        ("sendInitialEvents", "true"),
        ("resourceVersionMatch", "NotOlderThan"),
        ("allowWatchBookmarks", "true"),
        ("labelSelector", "on=yes"),
    ];
    let mut begun = api.open("configmaps.watch", &headers).await;
    assert_eq!(begun.event().await, ("ADDED".to_owned(), first));
    let (kind, bookmark) = begun.event().await;
    assert_eq!((kind.as_str(), &bookmark["kind"]), ("BOOKMARK", &json!("ConfigMap")));
    let told = &bookmark["metadata"]["annotations"]["k8s.io/initial-events-end"];
    assert_eq!(told, "true");
    let patch = |patch: Value| {
        let api = api.clone();
        async move { api.send("configmaps.patch.w", &[], patch.to_string()).await.object() }
    };
    patch(json!({"data": {"x": "1"}})).await;
    patch(json!({"metadata": {"labels": {"on": "no"}}})).await;
    patch(json!({"metadata": {"labels": {"on": "yes"}}})).await;
    api.send("configmaps.delete.w", &[], "").await.object();
    let headers = [("resourceVersion", from.as_str()), ("labelSelector", "on=yes")];
    let mut later = api.open("configmaps.watch", &headers).await;
    for watch in [&mut begun, &mut later] {
        let mut kinds = Vec::new();
        let mut last = revision(&bookmark);
        for _ in 0..4 {
            let (kind, object) = watch.event().await;
            if kind != "MODIFIED" {
                assert!(revision(&object) > last, "{object}");
            }
            last = revision(&object);
            assert_eq!(object["metadata"]["labels"]["on"], "yes");
            kinds.push(kind);
        }
        assert_eq!(kinds, ["MODIFIED", "DELETED", "ADDED", "DELETED"]);
    }
}

#[tokio::test]
async fn secrets_are_bytes_and_may_be_unchangeable() {
    let (_world, api) = shared("objects-secrets").await;
    let object = json!({
        "kind": "Secret", "metadata": {"generateName": "s-"},
        "data": {"a": "aGk="}, "stringData": {"b": "hello"},
    });
    let made = create(&api, "secrets", &object).await;
    assert!(name(&made).starts_with("s-") && name(&made).len() == 7, "{made}");
    assert_eq!(made["data"], json!({"a": "aGk=", "b": "aGVsbG8="}));
    assert_eq!((&made["type"], made.get("stringData")), (&json!("Opaque"), None));
    let what = format!("secrets.patch.{}", name(&made));
    api.send(&what, &[], r#"{"immutable": true}"#).await.object();
    let status = api.send(&what, &[], r#"{"stringData": {"b": "other-value"}}"#).await.refused(422);
    let message = status["message"].as_str().unwrap();
    assert!(message.ends_with("data: Forbidden: field is immutable when `immutable` is set"));
    assert!(!status.to_string().contains("other-value"), "{status}");
    let headers = [("fieldSelector", "type=Opaque")];
    let list = api.send("secrets.list", &headers, "").await.object();
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    let bad = json!({"kind": "Secret", "metadata": {"name": "x"}, "data": {"a": "%%"}});
    let status = api.send("secrets.create", &[], bad.to_string()).await.refused(400);
    assert!(status["message"].as_str().unwrap().contains("illegal base64 data at input byte 0"));
    // A name that would be a pattern to the stream is no name.
    let got = api.raw("stint.v1.objects-secrets.secrets.get.*".to_owned(), &[], "".into()).await;
    if let Ok(message) = got {
        stint_tests::api::read(&message).refused(404);
    }
}

#[tokio::test]
async fn finalizers_hold_an_object() {
    let (_world, api) = shared("objects-finalizers").await;
    let mut object = config_map("held", json!({}));
    object["metadata"]["finalizers"] = json!(["example.com/hold"]);
    create(&api, "configmaps", &object).await;
    let held = api.send("configmaps.delete.held", &[], "").await.object();
    assert!(held["metadata"]["deletionTimestamp"].is_string(), "{held}");
    let patch = json!({"metadata": {"finalizers": null}}).to_string();
    api.send("configmaps.patch.held", &[], patch).await.object();
    api.send("configmaps.get.held", &[], "").await.refused(404);
}
