//! Vectors of single rules.

use std::time::Duration;

use serde_json::{Value, json};
use stint_common::backoff::Backoff;
use stint_common::id::{Attempt, JobUid, ObjectRef, Slot};
use stint_common::index_set::IndexSet;
use stint_coordinator::job::{
    BackoffRecord, Condition, Job, JobSpec, JobStatus, Ledger, PodFact, SlotState, condition,
    ensure_condition as ensure, expires_at, plan,
};

use super::pods::{conditions, job, timestamp};
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
    if !set("failedIndexes").is_empty() {
        return Verdict::NotApplicable(super::NOT_YET_PER_INDEX);
    }
    let mut ledger = Ledger { succeeded: set("succeededIndexes"), ..Ledger::default() };
    let completions = number(&input["completions"]);
    let pods = input["activePods"].as_array().into_iter().flatten();
    let active: std::collections::BTreeSet<u32> = pods
        .filter_map(|pod| pod["Index"].as_str()?.parse().ok())
        .filter(|index| *index < completions && !ledger.succeeded.contains(*index))
        .collect();
    let highest = active.iter().copied().chain(ledger.succeeded.iter()).max();
    ledger.cursor = highest.map_or(0, |highest| highest + 1);
    for slot in (0..ledger.cursor).map(Slot).filter(|slot| !ledger.succeeded.contains(slot.0)) {
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
    let found = expires_at(&status, job["spec"]["ttlSecondsAfterFinished"].as_u64());
    let expect = oracle(case);
    if expect["error"] == true {
        return equal("expires", &Value::Null, &json!(found));
    }
    let now = timestamp(&case["input"]["now"]).unwrap();
    let left = found.map(|at| json!(at.duration_since(now).as_millis()));
    equal("time left", &expect["timeLeftMs"], &json!(left))
}
