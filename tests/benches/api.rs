//! What the API costs, on one machine, in one run.
//!
//! `cargo bench -p stint-tests --bench api [-- JOBS]` starts nats-server, a coordinator and a
//! worker, and prints a table. With JOBS, lists and floods are of so many instead of 10,000 and
//! 5,000. The processes are built as the bench is.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use stint_tests::http::Http;
use stint_tests::{Api, Shape, World, job};

/// The program.
const STINT: &str = env!("CARGO_BIN_EXE_stint-under-test");
/// Requests that are timed one after the other.
const TIMED: usize = 500;
/// Requests under way at a time, where many are made.
const AT_ONCE: usize = 64;
/// The whole flood takes no longer.
const LIMIT: Duration = Duration::from_secs(300);

fn main() -> ExitCode {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let jobs = wanted.map_or(Ok(10_000), |text| text.parse());
    let Ok(jobs) = jobs else {
        eprintln!("how many Jobs must be a number");
        return ExitCode::FAILURE;
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    runtime.block_on(measure(jobs));
    ExitCode::SUCCESS
}

async fn measure(jobs: usize) {
    let world = World::start(STINT, Shape { slots: 4, ..Shape::default() }).await;
    let api = Api { client: world.connect().await, namespace: "bench".to_owned() };
    let http = world.http("coordinator-0");
    println!("| row | median | 99 % |\n| --- | --- | --- |");
    row("create a Job over NATS", creates(|manifest| over_nats(&api, manifest)).await);
    row("create a Job over HTTP", creates(|manifest| over_http(&http, manifest)).await);
    row("a watch event after its write was begun", events(&api).await);
    fill(&api, jobs).await;
    row(&format!("list of {jobs} Jobs over HTTP"), lists(&http).await);
    flood(&api.elsewhere("flood"), jobs / 2).await;
}

/// Prints the median and the 99th percentile.
fn row(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    let text = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1e3);
    println!("| {what} | {} | {} |", text(at(50)), text(at(99)));
}

fn idle(name: &str) -> Value {
    job(name).spec(&json!({"suspend": true})).build()
}

async fn creates<F: Future<Output = ()>>(create: impl Fn(Value) -> F) -> Vec<Duration> {
    let mut times = Vec::new();
    for _ in 0..TIMED {
        let mut manifest = idle("timed-");
        let metadata = manifest["metadata"].as_object_mut().expect("it has metadata");
        let prefix = metadata.remove("name").expect("it has a name");
        metadata.insert("generateName".to_owned(), prefix);
        let begin = Instant::now();
        create(manifest).await;
        times.push(begin.elapsed());
    }
    times
}

async fn over_nats(api: &Api, manifest: Value) {
    api.create(&manifest).await;
}

async fn over_http(http: &Http, manifest: Value) {
    let path = "/apis/batch/v1/namespaces/bench/jobs";
    let answer = http.json("POST", path, &manifest).await;
    assert_eq!(answer.code, 201, "{}", answer.body());
}

async fn events(api: &Api) -> Vec<Duration> {
    let api = api.elsewhere("events");
    let mut watch = api.open("configmaps.watch", &[]).await;
    let mut times = Vec::new();
    for number in 0..TIMED {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": format!("e{number}")}});
        let begin = Instant::now();
        let write = api.send("configmaps.create", &[], object.to_string());
        let event = async {
            loop {
                let (_, object) = watch.event().await;
                if object["metadata"]["name"] == format!("e{number}") {
                    return begin.elapsed();
                }
            }
        };
        let (_, time) = futures_util::future::join(write, event).await;
        times.push(time);
    }
    times
}

async fn fill(api: &Api, jobs: usize) {
    let creates = futures_util::stream::iter(0..jobs).map(|number| {
        let api = api.clone();
        async move { api.create(&idle(&format!("fill-{number}"))).await }
    });
    creates.buffer_unordered(AT_ONCE).for_each(|_| async {}).await;
}

async fn lists(http: &Http) -> Vec<Duration> {
    let mut times = Vec::new();
    for _ in 0..20 {
        let begin = Instant::now();
        let list = http.get("/apis/batch/v1/namespaces/bench/jobs").await;
        times.push(begin.elapsed());
        assert_eq!(list.code, 200);
    }
    times
}

/// Jobs of one pod each, from the first submission to the last completion.
async fn flood(api: &Api, jobs: usize) {
    let mut watch = api.open("jobs.watch", &[]).await;
    let begin = Instant::now();
    let submit = async {
        let creates = futures_util::stream::iter(0..jobs).map(|number| {
            let api = api.clone();
            async move { api.create(&job(&format!("flood-{number}")).script("true").build()).await }
        });
        creates.buffer_unordered(AT_ONCE).for_each(|_| async {}).await;
    };
    let complete = async {
        let mut done = std::collections::HashSet::new();
        while done.len() < jobs {
            let (_, object) = watch.event().await;
            if stint_tests::api::terminal(&object) == Some("Complete") {
                done.insert(stint_tests::api::name(&object).to_owned());
            }
        }
    };
    let both = futures_util::future::join(submit, complete);
    tokio::time::timeout(LIMIT, both).await.expect("all Jobs are complete");
    let time = begin.elapsed();
    let rate =
        f64::from(u32::try_from(jobs).expect("there are not that many")) / time.as_secs_f64();
    println!("| {jobs} Jobs of one pod, {:.1} s | {rate:.0} Jobs/s | |", time.as_secs_f64());
}
