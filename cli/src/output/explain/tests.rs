//! Jobs that do not go on, for every reason there is.

use super::*;
use serde_json::json;
use stint_common::annotations::{BACKOFF_BASE, TIMES};
use stint_common::id::{Attempt, JobUid, PodId, Slot};
use stint_common::names::pod_name;

fn now() -> Timestamp {
    "2026-01-01T00:01:00Z".parse().unwrap()
}

fn job(spec: Value, status: Value) -> Value {
    let mut status = status;
    if status["startTime"].is_null() {
        status["startTime"] = json!("2026-01-01T00:00:00Z");
    }
    json!({
        "metadata": {"name": "pi", "namespace": "default",
            "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": spec, "status": status,
    })
}

fn condition(kind: &str, message: &str) -> Value {
    json!([{"type": kind, "status": "True", "reason": "R", "message": message}])
}

fn first(facts: &Facts) -> Reason {
    reasons(facts, now()).into_iter().next().unwrap_or_default()
}

fn node(name: &str, ready: &str, cordoned: bool) -> Value {
    json!({
        "metadata": {"name": name}, "spec": {"unschedulable": cordoned},
        "status": {"capacity": {"pods": "2"},
            "conditions": [{"type": "Ready", "status": ready, "message": "its lease ran out"}]},
    })
}

fn pending() -> Value {
    json!({"metadata": {"name": "pi-x"}, "status": {"phase": "Pending"}})
}

#[test]
fn what_the_job_says_of_itself_comes_first() {
    let parallel = json!({"parallelism": 1, "completions": 1});
    let facts = |job: Value| Facts { job, ..Facts::default() };
    let suspended = facts(job(json!({"suspend": true}), json!({"terminating": 2})));
    assert_eq!(first(&suspended).what, "it is suspended; 2 pods still to end");
    assert_eq!(first(&suspended).next.as_deref(), Some("stint resume pi"));
    let failing = json!({"conditions": condition("FailureTarget", "M"), "terminating": 1});
    let failing = facts(job(parallel.clone(), failing));
    assert_eq!(first(&failing).what, "it will be Failed when 1 pod has ended: R: M");
    let over = facts(job(parallel.clone(), json!({"conditions": condition("Failed", "M")})));
    assert_eq!(first(&over).what, "it has failed: R: M");
    let mut new = job(parallel, json!({}));
    new["status"] = json!({});
    assert!(first(&facts(new)).what.starts_with("no coordinator has taken it up"));
    let none = facts(job(json!({"parallelism": 0}), json!({})));
    assert!(first(&none).what.starts_with("spec.parallelism is 0"));
}

#[test]
fn jobs_that_it_waits_for_are_told() {
    let waiting = json!({"conditions": condition(WAITING_CONDITION, "waits for a, b")});
    let facts = Facts {
        job: job(json!({}), waiting),
        dependencies: vec![
            ("a".to_owned(), None),
            ("b".to_owned(), Some(job(json!({"completions": 4}), json!({"succeeded": 1})))),
        ],
        ..Facts::default()
    };
    let reason = first(&facts);
    assert_eq!(reason.what, "it has not started: waits for a, b");
    assert_eq!(reason.details[1], "b: Running, 1/4 complete");
    assert_eq!(reason.next.as_deref(), Some("stint explain b"));
}

#[test]
fn pods_that_nobody_takes_say_so_and_full_workers_too() {
    let busy = job(json!({"parallelism": 3, "completions": 9}), json!({"active": 3}));
    let mut facts = Facts { job: busy, open: vec![pending(), pending()], ..Facts::default() };
    assert_eq!(first(&facts).what, "2 pods wait, and there is no worker");
    facts.open.truncate(1);
    assert_eq!(first(&facts).what, "1 pod waits, and there is no worker");
    facts.open.push(pending());
    facts.nodes = vec![node("w-1", "True", false), node("w-2", "Unknown", false)];
    facts.running = vec![("w-1".to_owned(), 2)];
    let reason = first(&facts);
    assert_eq!(reason.what, "2 pods wait for a place: all workers are full");
    let lines = ["w-1: 2 of 2 places taken", "w-2: not ready, its lease ran out"];
    assert_eq!(reason.details, lines);
    facts.nodes = vec![node("w-1", "True", true)];
    assert_eq!(first(&facts).what, "2 pods wait, and no worker takes pods");
    facts.open[0]["status"]["conditions"] = json!([{"type": "PodScheduled", "status": "False",
        "reason": "Unschedulable", "message": "w-1: no label gpu; w-2: too little memory"}]);
    let reason = first(&facts);
    assert_eq!(reason.what, "no worker takes 2 waiting pods");
    assert_eq!(reason.details, ["w-1: no label gpu", "w-2: too little memory"]);
    facts.open = vec![json!({"metadata": {"name": "x"}, "spec": {"nodeName": "w-1"}, "status": {
        "phase": "Pending", "containerStatuses": [{"state": {"waiting": {
            "reason": "CreateContainerConfigError", "message": "configmap \"c\" not found"}}}]}})];
    let reason = first(&facts);
    assert_eq!(reason.what, "1 claimed pod cannot start");
    let line = "1 × CreateContainerConfigError: configmap \"c\" not found";
    assert_eq!(reason.details, [line]);
    let containers = facts.open[0]["status"]["containerStatuses"].as_array_mut().unwrap();
    containers.push(json!({"state": {"running": {}}}));
    let reason = first(&facts);
    assert_eq!(reason.what, "1 claimed pod cannot start all containers");
    assert_eq!(reason.details, [line]);
    let missing = json!({"waiting": {"reason": "ContainerCreating", "message": "no volume"}});
    let pod = &mut facts.open[0]["status"];
    pod["containerStatuses"] = json!([{"state": missing}, {"state": missing}]);
    let reason = first(&facts);
    assert_eq!(reason.what, "1 claimed pod cannot start");
    assert_eq!(reason.details, ["1 × ContainerCreating: no volume"]);
}

#[test]
fn a_back_off_says_until_when() {
    let failed = |at: &str| {
        json!({"metadata": {"name": "pi-x", "creationTimestamp": "2026-01-01T00:00:00Z",
            "annotations": {TIMES: format!("finished=2026-01-01T{at}Z")}},
            "status": {"phase": "Failed"}})
    };
    let mut facts = Facts {
        job: job(json!({"parallelism": 1, "completions": 1}), json!({"failed": 2})),
        failed: vec![failed("00:00:20"), failed("00:00:50")],
        ..Facts::default()
    };
    let what = "it backs off until 2026-01-01T00:01:10Z, in 10s: 2 failures since the last success";
    assert_eq!(first(&facts).what, what);
    facts.last_success = Some("2026-01-01T00:00:30Z".parse().unwrap());
    assert_eq!(reasons(&facts, now()), []);
    facts.job["metadata"]["annotations"] = json!({BACKOFF_BASE: "30s"});
    assert!(first(&facts).what.contains("in 20s: 1 failure since"), "{:?}", first(&facts));
    facts.job["spec"]["backoffLimitPerIndex"] = json!(3);
    facts.failed.iter_mut().for_each(|pod| {
        pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"] = json!("4");
    });
    let reason = first(&facts);
    assert_eq!(reason.details[0], "index 4: 2 failures, until 2026-01-01T00:01:50Z");
}

#[test]
fn the_whole_is_readable() {
    let busy = job(json!({"parallelism": 1, "completions": 2}), json!({"active": 1, "ready": 1}));
    let warning = json!({"type": "Warning", "reason": "BackOff", "message": "m",
        "lastTimestamp": "2026-01-01T00:00:30Z"});
    let facts = Facts { job: busy, events: vec![warning], ..Facts::default() };
    let expect = "\
job default/pi  Running, 0/2 complete, 1 active (1 ready), 0 failed; 60s old
• nothing holds it up: it runs
last warnings:
    30s ago  BackOff: m
";
    assert_eq!(render(&facts, now(), Style::Plain), expect);
}

#[test]
fn a_pod_that_replaces_one_that_ends_waits_for_it() {
    let uid = JobUid(uuid::Uuid::from_u128(5));
    let mut job = job(json!({"parallelism": 2, "completions": 2}), json!({"active": 1}));
    job["metadata"]["uid"] = json!(uid.to_string());
    let pod = |slot, attempt| PodId { job: uid, slot: Slot(slot), attempt: Attempt(attempt) };
    let shown = |id: PodId, phase: &str, going: bool| {
        let mut pod = json!({
            "metadata": {"name": pod_name("pi", false, id)}, "status": {"phase": phase},
        });
        if going {
            pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:30Z");
        }
        pod
    };
    let open = vec![shown(pod(0, 1), "Running", true), shown(pod(0, 2), "Pending", false)];
    let mut facts = Facts { job, open, nodes: vec![node("a", "True", false)], ..Facts::default() };
    let said = |facts: &Facts| {
        reasons(facts, now()).into_iter().map(|reason| reason.what).collect::<Vec<_>>()
    };
    let ends = "1 pod was told to end and has not yet";
    let follows = "1 pod starts when the one that it replaces has ended";
    assert_eq!(said(&facts), [ends, follows]);
    // One of another place waits for something else.
    facts.open.push(shown(pod(1, 0), "Pending", false));
    let room = "1 pod waits for a worker with room (unless one is taking more just now)";
    assert_eq!(said(&facts), [ends, follows, room]);
}
