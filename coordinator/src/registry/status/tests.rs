//! What becomes of a client's status: of a Job that Stint manages, and of another's.

use stint_common::id::{Attempt, JobUid, Slot};
use uuid::Uuid;

use super::*;
use crate::admission::{Body, UpdateContext, update_status};
use crate::job::{JobStatus, Ledger};
use crate::store::JobRecord;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn job(manager: Option<&str>, status: JobStatus) -> StoredJob {
    let uid = JobUid(Uuid::from_u128(7));
    let object = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "pi", "namespace": "default", "uid": uid, "generation": 1},
        "spec": {"completions": 3, "parallelism": 2, "managedBy": manager,
                 "template": {"spec": {"containers": []}}},
    });
    let ledger = Ledger { cursor: 3, ..Ledger::default() };
    let record = JobRecord { status, ledger, ..JobRecord::of(&object) };
    StoredJob { uid, record, object, revision: 5 }
}

fn running() -> JobStatus {
    JobStatus {
        start_time: Some(at(100)),
        active: 2,
        failed: 1,
        uncounted_failed: vec![(Slot(0), Attempt(0))],
        observed: true,
        ..JobStatus::default()
    }
}

/// Writes a status as a client does: reads the Job, changes it, sends it back.
fn write(job: &mut StoredJob, change: impl Fn(&mut Value)) -> Result<Vec<String>, Error> {
    let old = job.view();
    let mut new = old.clone();
    change(&mut new);
    let admitted = update_status(&old, Body::from(new), UpdateContext::default());
    take_status(job, admitted.map_err(Error::from_rejection)?, at(200))
}

fn causes(error: Error) -> Vec<String> {
    match error {
        Error::Invalid { causes, .. } => causes.iter().map(ToString::to_string).collect(),
        other => vec![other.to_string()],
    }
}

#[test]
fn foreign_conditions_and_metadata_survive_and_the_account_is_untouched() {
    let mut job = job(None, running());
    let before = (job.record.ledger.clone(), job.record.status.clone());
    let foreign = json!({"type": "example.com/Seen", "status": "Unknown", "reason": "R"});
    let warnings = write(&mut job, |new| {
        new["metadata"]["annotations"] = json!({"a": "b"});
        new["metadata"]["finalizers"] = json!(["a/b"]);
        new["spec"]["completions"] = json!(99);
        new["status"]["conditions"] = json!([foreign]);
    });
    assert_eq!(warnings, Ok(Vec::new()));
    assert_eq!((job.record.ledger.clone(), job.record.status.clone()), before);
    let view = job.view();
    assert_eq!(view["status"]["conditions"], json!([foreign]));
    assert_eq!(view["metadata"]["annotations"], json!({"a": "b"}));
    assert_eq!(view["metadata"]["finalizers"], json!(["a/b"]));
    assert_eq!(
        (&view["spec"]["completions"], &view["metadata"]["generation"]),
        (&json!(3), &json!(1))
    );
    // The owner's conditions come first, the others stay until a client takes them out.
    job.record.status.conditions = vec![Condition::new("Suspended", false, "", "", at(150))];
    assert_eq!(job.view()["status"]["conditions"][1], foreign);
    write(&mut job, |new| new["status"]["conditions"] = json!([])).unwrap();
    assert_eq!(job.view()["status"].get("conditions"), None);
}

#[test]
fn counters_are_not_the_clients() {
    let mut job = job(None, running());
    let warnings = write(&mut job, |new| {
        new["status"]["active"] = json!(0);
        new["status"]["succeeded"] = json!(3);
        new["status"]["uncountedTerminatedPods"] = json!({});
    });
    let expect = ["active", "succeeded"]
        .map(|name| format!("status.{name}: kept by Stint; what was sent is not taken over"));
    assert_eq!(warnings.unwrap(), expect);
    assert_eq!(job.record.status, running());
}

#[test]
fn a_job_whose_pods_run_cannot_be_declared_finished() {
    let finish = |new: &mut Value| {
        new["status"]["active"] = json!(0);
        new["status"]["uncountedTerminatedPods"] = json!({});
        new["status"]["completionTime"] = json!("1970-01-01T00:03:00Z");
        new["status"]["conditions"] = json!([
            {"type": "SuccessCriteriaMet", "status": "True"},
            {"type": "Complete", "status": "True"},
        ]);
    };
    let mut busy = job(None, running());
    let refused = causes(write(&mut busy, finish).unwrap_err());
    assert_eq!(
        refused,
        [
            "status.active: Invalid value: 2: active>0 is invalid for finished job",
            "status.uncountedTerminatedPods: Invalid value: {\"failed\":[\"".to_owned().as_str(),
        ]
        .map(|text| refused
            .iter()
            .find(|it| it.starts_with(text))
            .cloned()
            .unwrap_or_default())
    );
    let idle = JobStatus { active: 0, uncounted_failed: Vec::new(), ..running() };
    let mut idle = job(None, idle);
    write(&mut idle, finish).unwrap();
    assert_eq!(idle.record.status.finished().map(|it| it.kind.as_str()), Some("Complete"));
    assert_eq!(idle.record.status.completion_time, Some(at(180)));
    // Without a time of its own a condition is of now.
    assert_eq!(idle.record.status.conditions[0].last_transition, at(200));
}

#[test]
fn an_interim_condition_is_the_owners_to_follow() {
    let mut job = job(None, running());
    write(&mut job, |new| {
        new["status"]["conditions"] = json!([{
            "type": "FailureTarget", "status": "True", "reason": "Stop", "message": "enough",
            "lastTransitionTime": "1970-01-01T00:02:30Z", "lastProbeTime": "1970-01-01T00:02:31Z",
        }]);
    })
    .unwrap();
    let target = job.record.status.condition("FailureTarget").unwrap();
    assert_eq!((target.last_transition, target.last_probe), (at(150), at(151)));
    assert_eq!(job.view()["status"]["conditions"][0]["lastProbeTime"], "1970-01-01T00:02:31Z");
    let refused = write(&mut job, |new| new["status"]["conditions"] = json!([]));
    assert_eq!(
        causes(refused.unwrap_err()),
        [
            "status.conditions: Invalid value: cannot disable the terminal FailureTarget=True condition"
        ]
    );
}

#[test]
fn the_status_of_anothers_job_is_the_clients() {
    let mut job = job(Some("example.com/mine"), JobStatus::default());
    assert_eq!(job.view()["status"], json!({}));
    let status = json!({
        "startTime": "1970-01-01T00:01:40Z", "active": 1, "ready": 1, "succeeded": 2,
        "conditions": [{"type": "X", "status": "True", "lastTransitionTime": null}],
        "uncountedTerminatedPods": {"succeeded": ["u"]},
    });
    let warnings = write(&mut job, |new| new["status"] = status.clone());
    assert_eq!(warnings, Ok(Vec::new()));
    let mut expect = status;
    expect["conditions"][0].as_object_mut().unwrap().shift_remove("lastTransitionTime");
    assert_eq!(job.view()["status"], expect);
    let refused = write(&mut job, |new| new["status"]["succeeded"] = json!(1)).unwrap_err();
    assert_eq!(
        causes(refused),
        ["status.succeeded: Invalid value: 1: cannot decrease the succeeded counter"]
    );
    write(&mut job, |new| {
        new["status"]["active"] = json!(0);
        new["status"]["ready"] = json!(0);
        new["status"]["uncountedTerminatedPods"] = json!({});
        new["status"]["conditions"] = json!([
            {"type": "FailureTarget", "status": "True"}, {"type": "Failed", "status": "True"},
        ]);
    })
    .unwrap();
    // So that its time to live is kept.
    assert!(job.record.status.finished().is_some());
}
