//! Lists: selectors, pages, all namespaces.

use serde_json::{Value, json};
use stint_tests::api::name;
use stint_tests::{Api, job};

use super::shared;

fn names(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().cloned().unwrap_or_default();
    items.iter().map(|item| name(item).to_owned()).collect()
}

async fn create_suspended(api: &Api, name: &str, labels: Value) {
    api.create(&job(name).labels(&labels).spec(&json!({"suspend": true})).build()).await;
}

#[tokio::test]
async fn labels_select() {
    let (_world, api) = shared("labels").await;
    create_suspended(&api, "a", json!({"app": "x", "tier": "web"})).await;
    create_suspended(&api, "b", json!({"app": "x"})).await;
    create_suspended(&api, "c", json!({"app": "y"})).await;
    for (selector, expected) in [
        ("app=x", vec!["a", "b"]),
        ("app=x,tier!=web", vec!["b"]),
        ("app in (x,y),!tier", vec!["b", "c"]),
        ("app=z", vec![]),
    ] {
        let list = api.send("jobs.list", &[("labelSelector", selector)], "").await.object();
        assert_eq!(names(&list), expected, "{selector}");
        assert_eq!(list["kind"], "JobList");
    }
}

#[tokio::test]
async fn a_long_list_comes_in_pages() {
    let (_world, api) = shared("pages").await;
    for number in 0..5 {
        create_suspended(&api, &format!("page-{number}"), json!({})).await;
    }
    let mut seen = Vec::new();
    let mut more = String::new();
    loop {
        let headers = [("limit", "2"), ("continue", more.as_str())];
        let list = api.send("jobs.list", &headers, "").await.object();
        assert!(names(&list).len() <= 2);
        seen.extend(names(&list));
        match list["metadata"]["continue"].as_str() {
            Some(next) => more = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, ["page-0", "page-1", "page-2", "page-3", "page-4"]);
}

#[tokio::test]
async fn all_namespaces_are_listed_at_once() {
    let (_world, one) = shared("every-one").await;
    let two = one.elsewhere("every-two");
    let labels = json!({"every": "yes"});
    create_suspended(&one, "same", labels.clone()).await;
    create_suspended(&two, "same", labels).await;
    let all = one.elsewhere("_all");
    let list = all.send("jobs.list", &[("labelSelector", "every=yes")], "").await.object();
    let items = list["items"].as_array().unwrap();
    let namespaces: Vec<&str> =
        items.iter().map(|job| job["metadata"]["namespace"].as_str().unwrap()).collect();
    assert_eq!(namespaces, ["every-one", "every-two"]);
    all.send("jobs.create", &[], job("nowhere").build().to_string()).await.refused(400);
}
