//! Documents by which clients find out what there is.

use super::shared;

#[tokio::test(flavor = "multi_thread")]
async fn the_api_says_what_it_is() {
    let (_world, http, _) = shared("http-discovery").await;
    let version = http.get("/version").await.object(200);
    assert!(version["gitVersion"].as_str().unwrap().contains("stint"), "{version}");
    for check in ["/healthz", "/livez", "/readyz", "/readyz/nats"] {
        let reply = http.get(check).await;
        assert_eq!((reply.code, &reply.bytes[..]), (200, &b"ok"[..]), "{check}");
    }
    let verbose = http.get("/readyz?verbose").await;
    assert!(verbose.bytes.ends_with(b"readyz check passed\n"), "{verbose:?}");
    let paths = http.get("/").await.object(200);
    let paths = paths["paths"].as_array().unwrap().clone();
    for path in paths {
        let reply = http.get(path.as_str().unwrap()).await;
        assert_eq!(reply.code, 200, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn resources_are_found_in_both_forms() {
    let (_world, http, _) = shared("http-discovery").await;
    assert_eq!(http.get("/api").await.object(200)["versions"][0], "v1");
    let groups = http.get("/apis").await.object(200);
    let groups = groups["groups"].as_array().expect("groups come as a list");
    let preferred =
        |group: &serde_json::Value| group["preferredVersion"]["groupVersion"] == "batch/v1";
    assert!(groups.iter().any(preferred), "{groups:?}");
    let batch = http.get("/apis/batch/v1").await.object(200);
    let names: Vec<&str> = batch["resources"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|resource| resource["name"].as_str())
        .collect();
    assert!(names.contains(&"jobs") && names.contains(&"jobs/status"), "{names:?}");
    let aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let reply = http.send("GET", "/apis", &[("accept", aggregated)], "").await;
    assert!(reply.headers["content-type"].to_str().unwrap().contains("as=APIGroupDiscoveryList"));
    assert_eq!(reply.object(200)["kind"], "APIGroupDiscoveryList");
}

#[tokio::test(flavor = "multi_thread")]
async fn types_are_described() {
    let (_world, http, _) = shared("http-discovery").await;
    let index = http.get("/openapi/v3").await.object(200);
    let url = index["paths"]["apis/batch/v1"]["serverRelativeURL"].as_str().unwrap().to_owned();
    let first = http.get(&url).await;
    let tag = first.headers["etag"].to_str().unwrap().to_owned();
    let document = first.object(200);
    assert!(document["components"]["schemas"]["io.k8s.api.batch.v1.PodFailurePolicy"].is_object());
    let again = http.send("GET", &url, &[("if-none-match", &tag)], "").await;
    assert_eq!((again.code, again.bytes.len()), (304, 0));
    assert_eq!(http.get("/openapi/v2").await.object(200)["swagger"], "2.0");
    let go = [("accept", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf")];
    let _ = http.send("GET", "/openapi/v2", &go, "").await.refused(406);
    let either = [("accept", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf,*/*")];
    let _ = http.send("GET", "/openapi/v2", &either, "").await.object(200);
    let _ = http.get("/openapi/v3/apis/cats/v1").await.refused(404);
}
