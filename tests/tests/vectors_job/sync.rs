//! Vectors of one whole pass of Kubernetes' controller.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use stint_coordinator::job::{Change, Job, JobStatus, condition, plan};

use super::pods::{Refusal, counted_a_pass_later, job, status, timestamp};
use super::{Verdict, compare, oracle};

/// One pass must store the status, create and stop the pods that Kubernetes' pass did.
pub(crate) fn check(case: &Value) -> Verdict {
    if let Some(reason) = refuse(case) {
        return Verdict::NotApplicable(reason);
    }
    match job(&case["input"]) {
        Ok(job) => compare(pass(case, job)),
        Err(reason) => Verdict::NotApplicable(reason),
    }
}

fn refuse(case: &Value) -> Option<Refusal> {
    let input = &case["input"];
    if !case["injects"].is_null() {
        Some("an API error in the middle of a pass: a plan is stored whole or not at all")
    } else if !input["expectations"].is_null() {
        Some("expectations: there is no cache that could be behind")
    } else if deleted_with_active_pods(input) {
        Some("stopping a deleted Job's pods is the decision's work, not a garbage collector's")
    } else {
        None
    }
}

fn deleted_with_active_pods(input: &Value) -> bool {
    let active =
        |pod: &Value| matches!(pod["status"]["phase"].as_str(), Some("Running" | "Pending"));
    let mut pods = input["pods"].as_array().into_iter().flatten();
    input["job"]["metadata"]["deletionTimestamp"].is_string() && pods.any(active)
}

/// Plans once, then writes what that leaves to be counted; gives the differences.
fn pass(case: &Value, mut job: Job) -> Vec<String> {
    let now = timestamp(&case["input"]["now"]).unwrap();
    let expect = oracle(case);
    let stopping_before: BTreeSet<_> = job.stopping().map(|pod| (pod.slot, pod.attempt)).collect();
    let first = plan(&job, now);
    let mut wake_at = first.wake_at;
    let issues = first.change.as_ref().map_or_else(Vec::new, |change| change.issues.clone());
    if let Some(change) = &first.change {
        job.apply(change);
        while let Some(change) = plan(&job, now).change.filter(|change| follows(&job, change)) {
            job.apply(&change);
        }
        wake_at = if issues.is_empty() { plan(&job, now).wake_at } else { None };
    }
    let stopped =
        job.stopping().filter(|pod| !stopping_before.contains(&(pod.slot, pod.attempt))).count();
    let mut differences = status_differences(case, &job);
    let mut check = |what: &str, expect: Value, found: Value| {
        if expect != found {
            differences.push(format!("{what}: expected {expect}, found {found}"));
        }
    };
    check("created", expect["created"].clone(), json!(issues.len()));
    check("deleted", expect["deleted"].clone(), json!(stopped));
    if job.spec().indexed {
        let created = expect["createdPods"].as_array().into_iter().flatten();
        let expect: Vec<_> = created.map(|pod| pod["completionIndex"].clone()).collect();
        let mut found: Vec<u32> = issues.iter().map(|(slot, _)| slot.0).collect();
        found.sort_unstable();
        check("created indexes", json!(expect), json!(found));
    }
    if job.spec().backoff_limit_per_index.is_some() {
        let failures = "batch.kubernetes.io/job-index-failure-count";
        let ignored = "batch.kubernetes.io/job-index-ignored-failure-count";
        let created = expect["createdPods"].as_array().into_iter().flatten();
        let expect: Vec<Value> = created
            .map(|pod| &pod["template"]["metadata"]["annotations"])
            .map(|annotations| json!([annotations[failures], annotations[ignored]]))
            .collect();
        let found: Vec<Value> = issues
            .iter()
            .map(|(slot, _)| job.ledger().slot(*slot))
            .map(|slot| {
                let ignored = (slot.ignored > 0).then(|| slot.ignored.to_string());
                json!([slot.failures.to_string(), ignored])
            })
            .collect();
        check("failure counts of created pods", json!(expect), json!(found));
    }
    let requeue = expect["requeueAfterMs"].as_array().and_then(|all| all.first()).cloned();
    let wake = wake_at.map(|at| json!(at.duration_since(now).as_millis()));
    if requeue.is_some() {
        check("requeue", json!(requeue), json!(wake));
    }
    differences
}

/// Whether a change belongs to the same pass: it counts what was taken in, or adds the terminal
/// condition.
fn follows(job: &Job, change: &Change) -> bool {
    let terminal = change.status.finished().is_some();
    change.issues.is_empty() && (job.status().uncounted() > 0 || terminal)
}

fn status_differences(case: &Value, job: &Job) -> Vec<String> {
    let expect = &oracle(case)["status"];
    // No write: the status stays as it came.
    let expect = if expect.is_null() { &case["input"]["job"]["status"] } else { expect };
    let found = job.status();
    let indexed = job.spec().indexed;
    let completed = if indexed { job.ledger().succeeded.to_string() } else { String::new() };
    let mut differences = Vec::new();
    let mut check = |what: &str, expect: Value, found: Value| {
        if expect != found {
            differences.push(format!("{what}: expected {expect}, found {found}"));
        }
    };
    let completed_text = expect["completedIndexes"].as_str().unwrap_or_default();
    check("completedIndexes", json!(completed_text), json!(completed));
    let uncounted = &expect["uncountedTerminatedPods"];
    let length = |list: &Value| list.as_array().map_or(0, Vec::len);
    let uncounted = length(&uncounted["succeeded"]) + length(&uncounted["failed"]);
    check("uncounted", json!(uncounted), json!(found.uncounted()));
    if job.spec().backoff_limit_per_index.is_some() {
        let failed = job.ledger().failed.to_string();
        check("failedIndexes", expect["failedIndexes"].clone(), json!(failed));
    }
    let mut expect = status(expect);
    expect.failed += counted_a_pass_later(case, job.spec());
    for (what, expect, found) in numbers(&expect, found) {
        check(what, json!(expect), json!(found));
    }
    check("startTime", json!(expect.start_time), json!(found.start_time));
    check("completionTime", json!(expect.completion_time), json!(found.completion_time));
    check("conditions", conditions(&expect), conditions(found));
    differences
}

fn numbers(expect: &JobStatus, found: &JobStatus) -> [(&'static str, u32, u32); 5] {
    [
        ("active", expect.active, found.active),
        ("ready", expect.ready, found.ready),
        ("terminating", expect.terminating, found.terminating),
        ("succeeded", expect.succeeded, found.succeeded),
        ("failed", expect.failed, found.failed),
    ]
}

fn conditions(status: &JobStatus) -> Value {
    let one = |found: &stint_coordinator::job::Condition| {
        json!([found.kind, found.status, found.reason, without_pod(&found.message)])
    };
    status.conditions.iter().map(one).collect()
}

/// A message without the name of a pod, which Stint derives.
fn without_pod(message: &str) -> String {
    let words = message.split(' ');
    let words = words.map(|word| if word.starts_with("default/") { "default/POD" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

/// Vectors of Kubernetes' accounting alone: counters, and whether the Job is finished.
pub(crate) fn check_accounting(case: &Value) -> Verdict {
    if let Some(reason) = refuse(case) {
        return Verdict::NotApplicable(reason);
    }
    if case["input"]["pods"].as_array().is_some_and(|pods| pods.len() > 500) {
        return Verdict::NotApplicable("a batch holds 2000 terminations, not 500");
    }
    let mut input = case["input"].clone();
    let finished = input["finishedCondition"].clone();
    if !finished.is_null() {
        let kind = if finished["type"] == "SuccessCriteriaMet" || finished["type"] == "Complete" {
            condition::SUCCESS_CRITERIA_MET
        } else {
            condition::FAILURE_TARGET
        };
        let interim = json!({
            "type": kind, "status": "True",
            "reason": finished["reason"], "message": finished["message"],
        });
        let list = &mut input["job"]["status"]["conditions"];
        let mut conditions = list.as_array().cloned().unwrap_or_default();
        conditions.push(interim);
        *list = json!(conditions);
    }
    // Only the accounting: nothing new is started.
    input["job"]["spec"]["parallelism"] = json!(0);
    let mut job = match job(&input) {
        Ok(job) => job,
        Err(reason) => return Verdict::NotApplicable(reason),
    };
    let now = timestamp(&input["now"]).unwrap();
    let (before, expect) = (input["job"]["status"].clone(), oracle(case));
    for _ in 0..4 {
        let Some(change) = plan(&job, now).change else { break };
        job.apply(&change);
    }
    let last = expect["statusUpdates"].as_array().and_then(|all| all.last()).cloned();
    let expect = last.unwrap_or(before);
    let completed = expect["completedIndexes"].as_str().unwrap_or_default().to_owned();
    let mut expect = status(&expect);
    expect.failed += counted_a_pass_later(case, job.spec());
    let found = job.status();
    let mut differences = Vec::new();
    let mut check = |what: &str, expect: Value, found: Value| {
        if expect != found {
            differences.push(format!("{what}: expected {expect}, found {found}"));
        }
    };
    check("succeeded", json!(expect.succeeded), json!(found.succeeded));
    check("failed", json!(expect.failed), json!(found.failed));
    if job.spec().indexed {
        check("completedIndexes", json!(completed), json!(job.ledger().succeeded.to_string()));
    }
    compare(differences)
}
