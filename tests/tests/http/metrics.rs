//! `/metrics` of both roles, and that dashboard and alerts ask for nothing that is not there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use stint_tests::{Http, World, job, until};

use super::shared;

/// What a running system counts is seen within this time.
const LIMIT: Duration = Duration::from_secs(60);

async fn read(http: &Http) -> String {
    let reply = http.get("/metrics").await;
    assert_eq!(reply.code, 200);
    assert!(reply.headers["content-type"].to_str().unwrap().starts_with("text/plain; version="));
    String::from_utf8(reply.bytes.to_vec()).unwrap()
}

/// The sum of a metric's series that have these labels.
fn sum(text: &str, name: &str, labels: &[&str]) -> f64 {
    let of_name = text
        .lines()
        .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
    let meant = of_name.filter(|line| labels.iter().all(|label| line.contains(label)));
    meant.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Names of series, by their first words.
fn names(text: &str) -> BTreeSet<&str> {
    let series = text.lines().filter(|line| !line.starts_with('#'));
    series.filter_map(|line| line.split(['{', ' ']).next()).collect()
}

/// Names that a text asks for.
fn asked_for(text: &str) -> BTreeSet<&str> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with("stint_")).collect()
}

/// A worker that shows what it counts.
async fn measured_worker(world: &World, name: &str) -> Http {
    world.play_with(name, &["--metrics", "127.0.0.1:0"]);
    let address = until("the worker says where", LIMIT, || async {
        let log = world.log(name);
        let said = log.lines().find_map(|line| line.strip_prefix("STINT_METRICS=http://"))?;
        Some(said.trim_end_matches("/metrics").to_owned())
    });
    Http { address: address.await }
}

fn deployed(file: &str) -> String {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
    std::fs::read_to_string(deploy.join(file)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_is_counted_and_dashboards_find_all_they_ask_for() {
    let (world, http, api) = shared("metrics").await;
    let worker = measured_worker(&world, "worker-measured").await;
    // It says where it is looked at before it takes pods.
    until("the worker is ready", LIMIT, || async {
        let answer = http.get("/api/v1/nodes/worker-measured").await;
        let is_ready =
            |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
        let node = answer.body();
        let mut conditions = node["status"]["conditions"].as_array().into_iter().flatten();
        conditions.any(is_ready).then_some(())
    })
    .await;
    let before = read(&http).await;
    // More than the other worker has room for. The failure, which stops the rest, comes last.
    let script = "echo hi; sleep 0.3; [ $JOB_COMPLETION_INDEX != 3 ] || { sleep 10; exit 1; }";
    let mut manifest = job("counted").indexed().completions(60).script(script).build();
    manifest["spec"]["parallelism"] = json!(60);
    manifest["spec"]["backoffLimit"] = json!(0);
    let (reason, _) = api.failed(&manifest).await;
    assert_eq!(reason, "BackoffLimitExceeded");
    let _ = http.get("/apis/batch/v1/namespaces/metrics/jobs/none").await.refused(404);
    let text = until("all of it is counted", LIMIT, || async {
        let text = read(&http).await;
        let more =
            |name: &str, labels: &[&str]| sum(&text, name, labels) - sum(&before, name, labels);
        let failed = more("stint_pods_ended_total", &[r#"outcome="failed""#, r#"reason="Error""#]);
        let done = failed >= 1.0
            && more("stint_pods_claimed_total", &[]) >= 60.0
            && more("stint_jobs_finished_total", &[r#"reason="BackoffLimitExceeded""#]) >= 1.0
            && more("stint_pods_queue_wait_seconds_count", &[]) >= 60.0
            && more("stint_api_refused_total", &[r#"code="404""#, r#"front="http""#]) >= 1.0;
        done.then_some(text)
    })
    .await;
    assert_eq!(sum(&text, "stint_owner", &[]), 1.0);
    let created = [r#"front="nats""#, r#"verb="create""#, r#"resource="jobs""#, r#"code="200""#];
    assert!(sum(&text, "stint_api_request_duration_seconds_count", &created) >= 1.0, "{text}");
    let objects = [r#"stream="STINT_OBJECTS""#];
    assert!(sum(&text, "stint_jetstream_write_duration_seconds_count", &objects) >= 1.0);
    let of_worker = until("the worker had a part in it", LIMIT, || async {
        let text = read(&worker).await;
        let part = sum(&text, "stint_worker_pods_ended_total", &[]) >= 1.0
            && sum(&text, "stint_worker_claims_total", &[r#"outcome="stored""#]) >= 1.0
            && sum(&text, "stint_worker_log_bytes_total", &[]) >= 3.0
            && names(&text).contains("stint_worker_pods");
        part.then_some(text)
    })
    .await;
    assert_eq!(worker.get("/").await.code, 404);
    let there: BTreeSet<&str> = names(&text).union(&names(&of_worker)).copied().collect();
    let mut asked = BTreeMap::new();
    let dashboard: Value = serde_json::from_str(&deployed("grafana-dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let queries = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    let queries: Vec<&str> = queries.map(|target| target["expr"].as_str().unwrap()).collect();
    assert!(queries.len() > 20);
    let variables = dashboard["templating"].to_string();
    let alerts = deployed("prometheus-alerts.yaml");
    let rules: Value = serde_saphyr::from_str(&alerts).unwrap();
    let rules = rules["groups"][0]["rules"].as_array().unwrap();
    let rules = rules.iter().map(|rule| rule["expr"].as_str().unwrap());
    for query in queries.into_iter().chain([variables.as_str()]).chain(rules) {
        let names = asked_for(query);
        assert!(!names.is_empty() || query.contains("datasource"), "{query}");
        asked.extend(names.into_iter().map(|name| (name, query)));
    }
    assert!(asked.len() > 25);
    asked.retain(|name, _| !there.contains(name));
    assert!(asked.is_empty(), "not on /metrics: {asked:#?}");
    world.kill("worker-measured");
}
