//! What admission of a typical Job costs: from the bytes of a request to what is stored.
//!
//! `cargo bench -p stint-coordinator --bench admission`. Prints one row of a table for each case:
//! the median, and the 99th percentile, of single runs.

#![expect(clippy::unwrap_used, reason = "a bench that cannot run has nothing to say")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stint_common::id::JobUid;
use stint_coordinator::admission::{
    Body, CreateContext, FieldValidation, UpdateContext, create, decode, update, update_status,
};
use stint_coordinator::registry::patch::Patch;
use stint_coordinator::registry::patch::schema::JOB;
use uuid::Uuid;

/// What admission of a typical Job may take.
const GOAL: Duration = Duration::from_micros(200);
/// Runs before those that count.
const WARM_UP: usize = 500;
/// Runs that count.
const RUNS: usize = 5_000;

/// A Job as people write them: an index, a few variables, limits, labels, a suspended start.
fn typical() -> Value {
    let env: Vec<Value> = (0..10)
        .map(|number| json!({"name": format!("SETTING_{number}"), "value": "some value"}))
        .chain([json!({
            "name": "POD",
            "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}},
        })])
        .collect();
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": "render-frames",
            "labels": {"app": "render", "team": "film"},
            "annotations": {"example.com/ticket": "4711"},
        },
        "spec": {
            "completionMode": "Indexed",
            "completions": 1000,
            "parallelism": 50,
            "backoffLimit": 20,
            "activeDeadlineSeconds": 86400,
            "ttlSecondsAfterFinished": 3600,
            "suspend": true,
            "template": {
                "metadata": {"labels": {"app": "render"}, "annotations": {"example.com/a": "b"}},
                "spec": {
                    "restartPolicy": "Never",
                    "terminationGracePeriodSeconds": 60,
                    "containers": [{
                        "name": "main",
                        "image": "registry.example.com/film/render:4.2",
                        "command": ["/opt/render/bin/render"],
                        "args": ["--frame", "$(JOB_COMPLETION_INDEX)", "--scene", "/data/scene"],
                        "workingDir": "/var/tmp",
                        "env": env,
                    }],
                },
            },
        },
    })
}

fn context() -> CreateContext<'static> {
    CreateContext {
        namespace: "default",
        uid: JobUid(Uuid::from_u128(7)),
        now: "2026-01-15T12:00:00Z".parse().unwrap(),
        field_validation: FieldValidation::Strict,
        name_suffix: "xwz42",
    }
}

/// Runs `work` many times, prints its row, gives the median.
fn measure(name: &str, mut work: impl FnMut()) -> Duration {
    (0..WARM_UP).for_each(|_| work());
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let begin = Instant::now();
            work();
            begin.elapsed()
        })
        .collect();
    times.sort_unstable();
    let (median, late) = (times[RUNS / 2], times[RUNS * 99 / 100]);
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    println!("| {name} | {:.0} µs | {:.0} µs |", micros(median), micros(late));
    median
}

fn main() {
    let job = typical();
    let json = serde_json::to_vec(&job).unwrap();
    let yaml = serde_saphyr::to_string(&job).unwrap();
    let mut stored = create(Body::from(job), &context()).unwrap().job;
    stored["metadata"]["resourceVersion"] = json!("5");
    stored["status"] = json!({"active": 0});
    let put = serde_json::to_vec(&stored).unwrap();
    let patch = json!({"spec": {"template": {"metadata": {"labels": {"app": "other"}}}}});
    let patch = patch.to_string();
    println!("| case ({} bytes as JSON) | median | 99 % |\n| --- | --- | --- |", json.len());
    let created = measure("create, JSON", || {
        let body = decode(black_box(&json), Some("application/json")).unwrap();
        black_box(create(body, &context()).unwrap());
    });
    measure("create, YAML", || {
        let body = decode(black_box(yaml.as_bytes()), Some("application/yaml")).unwrap();
        black_box(create(body, &context()).unwrap());
    });
    measure("update", || {
        let body = decode(black_box(&put), None).unwrap();
        black_box(update(&stored, body, UpdateContext::default()).unwrap());
    });
    measure("strategic merge patch", || {
        let kind = Some("application/strategic-merge-patch+json");
        let patch = Patch::read(black_box(patch.as_bytes()), kind).unwrap();
        let body = patch.apply(&stored, &JOB).unwrap();
        black_box(update(&stored, body, UpdateContext::default()).unwrap());
    });
    measure("update of the status", || {
        let body = decode(black_box(&put), None).unwrap();
        black_box(update_status(&stored, body, UpdateContext::default()).unwrap());
    });
    assert!(created < GOAL, "admission of a typical Job took {created:?}, more than {GOAL:?}");
}
