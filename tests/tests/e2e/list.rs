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

/// Who asks for none that has ended is answered from what is open, and not from all that is kept:
/// it must be the same.
#[tokio::test]
async fn pods_that_have_not_ended_are_those_of_the_whole_list() {
    let (_world, api) = shared("not-ended").await;
    // Indexes that have ended, that failed and were replaced, and that run.
    let script = "case $JOB_COMPLETION_INDEX.$STINT_ATTEMPT in 0.*) ;; 1.0) exit 3 ;; \
                  *) sleep 600 ;; esac";
    let mixed = job("mixed").indexed().completions(4).script(script);
    let mixed = mixed.spec(&json!({"parallelism": 4, "backoffLimitPerIndex": 3}));
    let mixed = mixed.pod_spec(&json!({"terminationGracePeriodSeconds": 60}));
    let at_once = |mut job: Value| {
        job["metadata"]["annotations"] = json!({"stint.internal/backoff-base": "0s"});
        job
    };
    api.create(&at_once(mixed.build())).await;
    // One whose end is counted, and that still runs, while its replacement waits for it.
    let stubborn = "trap '' TERM; sleep 600 & while :; do wait; done";
    let stubborn = job("stubborn").script(stubborn);
    let stubborn = stubborn.pod_spec(&json!({"terminationGracePeriodSeconds": 60}));
    api.create(&at_once(stubborn.build())).await;
    // And one that nobody takes.
    let nowhere = json!({"nodeSelector": {"zone": "nowhere"}});
    api.create(&job("waits").script("true").pod_spec(&nowhere).build()).await;
    api.until_job("mixed", "index 1 runs again", |job| job["status"]["ready"] == 3).await;
    api.until_job("stubborn", "it runs", |job| job["status"]["ready"] == 1).await;
    let pod = name(&api.pods("stubborn").await[0]).to_owned();
    let _ = api.send(&format!("pods.delete.{pod}"), &[], "").await.object();
    api.until_job("stubborn", "it is replaced", |job| {
        job["status"]["terminating"] == 1 && job["status"]["active"] == 1
    })
    .await;

    let whole = api.send("pods.list", &[], "").await.object();
    let phase = |pod: &Value| pod["status"]["phase"].as_str().unwrap_or_default().to_owned();
    let of = |keep: &dyn Fn(&str) -> bool| {
        let items = whole["items"].as_array().unwrap().iter();
        items.filter(|pod| keep(&phase(pod))).map(|pod| name(pod).to_owned()).collect::<Vec<_>>()
    };
    let found = async |selector: &str| {
        names(&api.send("pods.list", &[("fieldSelector", selector)], "").await.object())
    };
    let running = of(&|phase| phase == "Running");
    assert_eq!(running.len(), 4, "{whole}");
    assert_eq!(found("status.phase=Running").await, running);
    assert_eq!(found("status.phase=Pending").await, of(&|phase| phase == "Pending"));
    let selector = "status.phase!=Succeeded,status.phase!=Failed";
    assert_eq!(found(selector).await, of(&|phase| phase == "Running" || phase == "Pending"));
    assert_eq!(of(&|_| true).len(), 8, "{whole}");
    for name in ["mixed", "stubborn", "waits"] {
        let _ = api.send(&format!("jobs.delete.{name}"), &[], "").await.object();
    }
    let pods = found("status.phase=Running,metadata.namespace=not-ended").await;
    for pod in pods {
        let now = [("gracePeriodSeconds", "0")];
        let _ = api.send(&format!("pods.delete.{pod}"), &now, "").await;
    }
}
