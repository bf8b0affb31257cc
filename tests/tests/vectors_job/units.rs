//! Vectors of single rules.

use std::time::Duration;

use serde_json::{Value, json};
use stint_common::backoff::Backoff;
use stint_common::id::{Attempt, JobUid, ObjectRef, Slot};
use stint_common::index_set::IndexSet;
use stint_coordinator::job::{
    BackoffRecord, Condition, FailureAction, Job, JobSpec, JobStatus, Ledger, PodFact, SlotState,
    condition, ensure_condition as ensure, expires_at, plan,
};

use super::pods::{conditions, end, job, timestamp};
use super::{Verdict, compare, oracle};

fn equal(what: &str, expect: &Value, found: &Value) -> Verdict {
    let differs = expect != found;
    compare(
        differs.then(|| format!("{what}: expected {expect}, found {found}")).into_iter().collect(),
    )
}

fn number(value: &Value) -> u32 {
    u32::try_from(value.as_u64().unwrap_or(0)).unwrap()
}

/// The list of conditions, after one was set.
pub(crate) fn ensure_condition(case: &Value) -> Verdict {
    let input = &case["input"];
    let mut list = conditions(&input["conditions"]);
    let text = |name: &str| input[name].as_str().unwrap_or_default();
    let at = timestamp(&input["now"]).unwrap();
    let condition =
        Condition::new(text("type"), text("status") == "True", text("reason"), text("message"), at);
    let updated = ensure(&mut list, condition);
    let found = json!([updated, list == conditions(&oracle(case)["conditions"])]);
    equal("updated, as expected", &json!([oracle(case)["updated"], true]), &found)
}

/// The back-off record after a batch.
pub(crate) fn new_backoff_record(case: &Value) -> Verdict {
    let input = &case["input"];
    let times = |name: &str| -> Vec<_> {
        input[name].as_array().into_iter().flatten().filter_map(timestamp).collect()
    };
    let found = record(&input["stored"])
        .after(&times("newSucceededPodFinishTimes"), &times("newFailedPodFinishTimes"));
    let expect = record(oracle(case));
    equal("record", &json!(expect), &json!(found))
}

fn record(value: &Value) -> BackoffRecord {
    BackoffRecord {
        failures: number(&value["failuresAfterLastSuccess"]),
        last_failure: timestamp(&value["lastFailureTime"]),
    }
}

/// How long until a failed pod may be replaced.
pub(crate) fn remaining_backoff(case: &Value) -> Verdict {
    let input = &case["input"];
    let milliseconds = |name: &str| Duration::from_millis(input[name].as_u64().unwrap());
    let backoff =
        Backoff { base: milliseconds("defaultBackoffMs"), cap: milliseconds("maxBackoffMs") };
    let now = timestamp(&input["now"]).unwrap();
    let found = record(&input["backoffRecord"]).remaining(now, backoff);
    equal("remaining", &oracle(case)["remainingMs"], &json!(found.as_millis()))
}

/// Membership of index sets.
pub(crate) fn index_set_has(case: &Value) -> Verdict {
    let intervals = case["input"]["intervals"].as_array().into_iter().flatten();
    let runs = intervals.map(|run| number(&run["First"])..=number(&run["Last"]));
    let set: IndexSet = runs.flatten().collect();
    equal("has", &oracle(case)["has"], &json!(set.contains(number(&case["input"]["index"]))))
}

/// Completed indexes, after new successes.
pub(crate) fn succeeded_indexes(case: &Value) -> Verdict {
    let input = &case["input"];
    let completions = number(&input["completions"]);
    let stored = input["completedIndexes"].as_str().unwrap_or_default();
    let mut ledger =
        Ledger { succeeded: IndexSet::parse_status(stored, completions), ..Ledger::default() };
    let pods: Vec<(u32, bool)> =
        input["pods"].as_array().into_iter().flatten().filter_map(ended).collect();
    for (index, _) in &pods {
        ledger.cursor = ledger.cursor.max(index + 1);
    }
    for slot in (0..ledger.cursor).map(Slot).filter(|slot| !ledger.succeeded.contains(slot.0)) {
        let issued = u32::from(pods.iter().any(|(index, _)| *index == slot.0));
        ledger.slots.insert(slot, SlotState { issued, ..SlotState::default() });
    }
    let spec = JobSpec {
        completions: Some(completions),
        indexed: true,
        parallelism: 0,
        ..JobSpec::default()
    };
    let mut job = restore(spec, ledger);
    for (index, succeeded) in pods {
        let end = stint_coordinator::job::EndFact {
            succeeded,
            finished_at: jiff::Timestamp::UNIX_EPOCH,
            exits: Vec::new(),
            conditions: Vec::new(),
        };
        if succeeded {
            let _ = job.observe(Slot(index), Attempt(0), PodFact::Ended(end));
        }
    }
    if let Some(change) = plan(&job, jiff::Timestamp::UNIX_EPOCH).change {
        job.apply(&change);
    }
    let expect = oracle(case)["intervalsString"].clone();
    equal("completedIndexes", &expect, &json!(job.ledger().succeeded.to_string()))
}

/// Index and success of a pod that has ended and is not counted.
fn ended(pod: &Value) -> Option<(u32, bool)> {
    let index =
        pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"].as_str()?;
    let index = index.parse().ok().filter(|index| *index < 100_000)?;
    let tracked = pod["metadata"]["finalizers"].as_array().is_some_and(|all| !all.is_empty());
    Some((index, tracked && pod["status"]["phase"] == "Succeeded"))
}

fn restore(spec: JobSpec, ledger: Ledger) -> Job {
    let object = ObjectRef { namespace: "default".to_owned(), name: "job".to_owned() };
    let uid = JobUid(uuid::Uuid::from_u128(1));
    Job::restore(uid, object, spec, JobStatus::default(), ledger, None)
}

/// Which indexes get pods next.
pub(crate) fn first_pending_indexes(case: &Value) -> Verdict {
    let input = &case["input"];
    let set = |name: &str| -> IndexSet {
        let runs = input[name].as_array().into_iter().flatten();
        runs.flat_map(|run| number(&run["First"])..=number(&run["Last"])).collect()
    };
    let (succeeded, failed) = (set("succeededIndexes"), set("failedIndexes"));
    let mut ledger = Ledger { succeeded, failed, ..Ledger::default() };
    let completions = number(&input["completions"]);
    let pods = input["activePods"].as_array().into_iter().flatten();
    let active: std::collections::BTreeSet<u32> = pods
        .filter_map(|pod| pod["Index"].as_str()?.parse().ok())
        .filter(|index| *index < completions && !ledger.is_done(Slot(*index)))
        .collect();
    let done = ledger.succeeded.iter().chain(ledger.failed.iter());
    let highest = active.iter().copied().chain(done).max();
    ledger.cursor = highest.map_or(0, |highest| highest + 1);
    for slot in (0..ledger.cursor).map(Slot) {
        if ledger.is_done(slot) {
            continue;
        }
        let issued = u32::from(active.contains(&slot.0));
        ledger.slots.insert(slot, SlotState { issued, ..SlotState::default() });
    }
    let job = restore(
        JobSpec {
            completions: Some(completions),
            parallelism: number(&input["count"]) + u32::try_from(active.len()).unwrap(),
            indexed: true,
            ..JobSpec::default()
        },
        ledger,
    );
    let change = plan(&job, jiff::Timestamp::UNIX_EPOCH).change;
    let issues = change.map_or_else(Vec::new, |change| change.issues);
    let found: Vec<u32> = issues.iter().map(|(slot, _)| slot.0).collect();
    let expect = oracle(case)["indexes"].as_array().cloned().unwrap_or_default();
    equal("indexes", &json!(expect), &json!(found))
}

/// Totals of counted, uncounted and new terminations.
pub(crate) fn new_finished_pods(case: &Value) -> Verdict {
    let mut input = case["input"].clone();
    input["job"]["spec"]["parallelism"] = json!(0);
    let mut job = match job(&input) {
        Ok(job) => job,
        Err(reason) => return Verdict::NotApplicable(reason),
    };
    for _ in 0..3 {
        if let Some(change) = plan(&job, jiff::Timestamp::UNIX_EPOCH).change {
            job.apply(&change);
        }
    }
    let expect = oracle(case);
    let found = json!([job.status().succeeded, job.status().failed]);
    equal("succeeded, failed", &json!([expect["succeeded"], expect["failed"]]), &found)
}

/// Whether a Job is finished, and how.
pub(crate) fn finished_condition(case: &Value) -> Verdict {
    let conditions = conditions(&case["input"]["conditions"]);
    let status = JobStatus { conditions, ..JobStatus::default() };
    let kind = status.finished().map_or("", |found| found.kind.as_str());
    let expect = oracle(case);
    let found = json!([status.finished().is_some(), kind]);
    equal("finished", &json!([expect["finished"], expect["type"]]), &found)
}

/// Whether a Job is Complete.
pub(crate) fn is_job_succeeded(case: &Value) -> Verdict {
    let conditions = conditions(&case["input"]["job"]["status"]["conditions"]);
    let status = JobStatus { conditions, ..JobStatus::default() };
    let found = status.condition(condition::COMPLETE).is_some();
    equal("succeeded", &oracle(case)["succeeded"], &json!(found))
}

/// When a finished Job's time to live is over.
pub(crate) fn time_left(case: &Value) -> Verdict {
    let job = &case["input"]["job"];
    let conditions = conditions(&job["status"]["conditions"]);
    let status = JobStatus { conditions, ..JobStatus::default() };
    let ttl_seconds_after_finished = job["spec"]["ttlSecondsAfterFinished"].as_u64();
    let spec = JobSpec { ttl_seconds_after_finished, ..JobSpec::default() };
    let found = expires_at(&status, &spec);
    let expect = oracle(case);
    if expect["error"] == true {
        return equal("expires", &Value::Null, &json!(found));
    }
    let now = timestamp(&case["input"]["now"]).unwrap();
    let left = found.map(|at| json!(at.duration_since(now).as_millis()));
    equal("time left", &expect["timeLeftMs"], &json!(left))
}

fn indexed(spec: &Value, completions: u32) -> JobSpec {
    let mut job = json!({"apiVersion": "batch/v1", "kind": "Job", "spec": spec});
    job["spec"]["completionMode"] = json!("Indexed");
    job["spec"]["completions"] = json!(completions);
    JobSpec::from_job(&serde_json::from_value(job).unwrap())
}

fn annotated(pod: &Value, key: &str) -> u32 {
    let text = pod["metadata"]["annotations"][format!("batch.kubernetes.io/{key}")].as_str();
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Failed indexes, after new failures.
pub(crate) fn failed_indexes(case: &Value) -> Verdict {
    let mut input = case["input"].clone();
    input["job"]["spec"]["completionMode"] = json!("Indexed");
    input["job"]["spec"]["parallelism"] = json!(0);
    if input["pods"].is_null() {
        input["pods"] = json!([input["pod"]]);
    }
    let mut job = match job(&input) {
        Ok(job) => job,
        Err(reason) => return Verdict::NotApplicable(reason),
    };
    while let Some(change) = plan(&job, jiff::Timestamp::UNIX_EPOCH).change {
        job.apply(&change);
    }
    let oracle = oracle(case);
    if oracle["failed"].is_boolean() {
        return equal("failed", &oracle["failed"], &json!(!job.ledger().failed.is_empty()));
    }
    equal("failedIndexes", &oracle["intervalsString"], &json!(job.ledger().failed.to_string()))
}

/// What a replacement pod is annotated with.
pub(crate) fn failure_counts(case: &Value) -> Verdict {
    let input = &case["input"];
    let mut spec = input["job"]["spec"].clone();
    spec["backoffLimitPerIndex"] = json!(10);
    let mut ledger = Ledger { cursor: 1, ..Ledger::default() };
    let replaced = &input["replacedPod"];
    if replaced.is_null() {
        ledger.cursor = 0;
    }
    let (failures, ignored) = (
        annotated(replaced, "job-index-failure-count"),
        annotated(replaced, "job-index-ignored-failure-count"),
    );
    if failures + ignored > 0 {
        let state = SlotState { issued: 1, failures, ignored, ..SlotState::default() };
        ledger.slots.insert(Slot(0), state);
    }
    let mut job = restore(indexed(&spec, 1), ledger);
    if !replaced.is_null() {
        let _ = job.observe(Slot(0), Attempt(0), PodFact::Ended(end(replaced)));
    }
    let later = jiff::Timestamp::from_second(10_000).unwrap();
    while let Some(change) = plan(&job, later).change {
        job.apply(&change);
    }
    let slot = job.ledger().slot(Slot(0));
    let expect = oracle(case);
    let expect = json!([expect["failureCount"], expect["ignoredFailureCount"], true]);
    equal("counts", &expect, &json!([slot.failures, slot.ignored, slot.open().is_some()]))
}

/// Which indexes may have a pod now, by their own back-off.
pub(crate) fn independent_indexes(case: &Value) -> Verdict {
    let input = &case["input"];
    let now = timestamp(&input["now"]).unwrap();
    let wanted: Vec<u32> = input["indexesToAdd"].as_array().unwrap().iter().map(number).collect();
    let completions = wanted.iter().max().unwrap() + 1;
    let mut ledger = Ledger { cursor: completions, ..Ledger::default() };
    for index in 0..completions {
        let pod = &input["podsWithDelayedDeletionPerIndex"][index.to_string()];
        let mut state = SlotState { issued: 1, closed: 1, ended: 1, ..SlotState::default() };
        if !wanted.contains(&index) {
            ledger.succeeded.insert(index);
            continue;
        }
        if !pod.is_null() {
            state.failures = annotated(pod, "job-index-failure-count") + 1;
            state.failed_at = timestamp(&pod["metadata"]["deletionTimestamp"]);
        }
        ledger.slots.insert(Slot(index), state);
    }
    let spec = json!({
        "backoffLimitPerIndex": 10, "parallelism": wanted.len(),
        "template": {"spec": {"containers": []}},
    });
    let plan = plan(&restore(indexed(&spec, completions), ledger), now);
    let issues = plan.change.map_or_else(Vec::new, |change| change.issues);
    let found: Vec<u32> = issues.iter().map(|(slot, _)| slot.0).collect();
    let remaining = plan.wake_at.map_or(0, |at| at.duration_since(now).as_millis());
    let expect = oracle(case);
    let indexes = expect["indexesToAdd"].as_array().cloned().unwrap_or_default();
    let expect = json!([indexes, expect["remainingMs"]]);
    equal("indexes and remaining", &expect, &json!([found, remaining]))
}

/// How long one index has to wait.
pub(crate) fn remaining_per_index(case: &Value) -> Verdict {
    let input = &case["input"];
    let milliseconds = |name: &str| Duration::from_millis(input[name].as_u64().unwrap());
    let backoff =
        Backoff { base: milliseconds("defaultBackoffMs"), cap: milliseconds("maxBackoffMs") };
    let pod = &input["lastFailedPod"];
    if pod.is_null() {
        let waits = SlotState::default().ready_at(backoff).is_some();
        return equal("waits", &json!(oracle(case)["remainingMs"] != 0), &json!(waits));
    }
    let state = SlotState {
        failures: annotated(pod, "job-index-failure-count") + 1,
        ignored: annotated(pod, "job-index-ignored-failure-count"),
        failed_at: timestamp(&pod["metadata"]["deletionTimestamp"]),
        ..SlotState::default()
    };
    let now = timestamp(&input["now"]).unwrap();
    let found = state.ready_at(backoff).map(|at| at.duration_since(now).as_millis());
    equal("remaining", &oracle(case)["remainingMs"], &json!(found))
}

/// Which rule of a failure policy a pod matches.
pub(crate) fn match_failure_policy(case: &Value) -> Verdict {
    let spec = json!({
        "podFailurePolicy": case["input"]["podFailurePolicy"],
        "template": {"spec": {"containers": []}},
    });
    let policy = indexed(&spec, 1).failure_policy.unwrap_or_default();
    let end = end(&case["input"]["pod"]);
    let matched = policy.judge(&end);
    let action = matched.map(|matched| format!("{:?}", matched.action));
    let counts = matched.is_none_or(|matched| matched.action != FailureAction::Ignore);
    let fatal = matched.filter(|matched| matched.action == FailureAction::FailJob);
    let message = fatal.map(|matched| matched.message("default/mypod"));
    let expect = oracle(case);
    equal(
        "action, counts, message",
        &json!([expect["action"], expect["countFailed"], expect["jobFailureMessage"]]),
        &json!([action, counts, message]),
    )
}

/// Which rule of a success policy is met.
pub(crate) fn match_success_policy(case: &Value) -> Verdict {
    let input = &case["input"];
    let completions = number(&input["completions"]);
    let text = input["succeededIndexesString"].as_str().unwrap_or_default();
    let succeeded = IndexSet::parse_status(text, u32::MAX);
    let cursor = succeeded.iter().last().map_or(0, |last| last + 1);
    let mut ledger = Ledger { cursor, succeeded, ..Ledger::default() };
    for slot in (0..cursor).map(Slot) {
        if !ledger.is_done(slot) {
            ledger.slots.insert(slot, SlotState::default());
        }
    }
    let spec = json!({
        "parallelism": 0, "successPolicy": input["successPolicy"],
        "template": {"spec": {"containers": []}},
    });
    let job = restore(indexed(&spec, completions), ledger);
    let conditions = plan(&job, jiff::Timestamp::UNIX_EPOCH)
        .change
        .map_or_else(Vec::new, |change| change.status.conditions);
    let met = conditions.iter().find(|found| found.reason == "SuccessPolicy");
    let found = json!([met.is_some(), met.map_or("", |found| found.message.as_str())]);
    let expect = oracle(case);
    equal("met, message", &json!([expect["met"], expect["message"]]), &found)
}

/// What names of an index's pods begin with.
pub(crate) fn generate_name(case: &Value) -> Verdict {
    let input = &case["input"];
    let index = Slot(number(&input["index"]));
    let found =
        stint_common::names::pod_generate_name(input["jobName"].as_str().unwrap(), Some(index));
    equal("generateName", &oracle(case)["generateName"], &json!(found))
}
