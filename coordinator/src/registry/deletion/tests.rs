//! Deletes, finalizers that hold a Job, and how they come off.

use serde_json::json;
use stint_common::id::JobUid;
use uuid::Uuid;

use super::*;
use crate::store::JobRecord;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn job(names: &Value) -> StoredJob {
    let uid = JobUid(Uuid::from_u128(7));
    let object =
        json!({"metadata": {"uid": uid, "generation": 1, "finalizers": names}, "spec": {}});
    let record = JobRecord::of(&object);
    StoredJob { uid, record, object, revision: 5 }
}

/// The finalizers that a client sees, and whether the Job is gone.
fn seen(job: &StoredJob) -> (Value, bool) {
    let view = job.view();
    (view["metadata"]["finalizers"].clone(), job.record.gone)
}

const BACKGROUND: Option<Propagation> = Some(Propagation::Background);

#[test]
fn the_policy_decides_or_else_the_finalizers() {
    for (names, policy, expect, gone) in [
        (json!([]), BACKGROUND, Value::Null, true),
        (json!([]), None, Value::Null, true),
        (json!([]), Some(Propagation::Foreground), json!(["foregroundDeletion"]), false),
        (json!([]), Some(Propagation::Orphan), json!(["orphan"]), false),
        (json!(["orphan", "a/b"]), None, json!(["a/b", "orphan"]), false),
        (json!(["foregroundDeletion"]), None, json!(["foregroundDeletion"]), false),
        (json!(["orphan"]), Some(Propagation::Foreground), json!(["foregroundDeletion"]), false),
    ] {
        let mut job = job(&names);
        delete(&mut job, policy, at(9));
        let (shown, is_gone) = seen(&job);
        assert_eq!(is_gone, gone, "{names} {policy:?}");
        if !gone {
            assert_eq!(shown, expect, "{names} {policy:?}");
            let metadata = &job.view()["metadata"];
            assert_eq!(metadata["deletionTimestamp"], "1970-01-01T00:00:09Z");
            assert_eq!(
                (&metadata["generation"], &metadata["deletionGracePeriodSeconds"]),
                (&json!(2), &json!(0))
            );
        }
    }
    let mut held = job(&json!(["a/b"]));
    delete(&mut held, BACKGROUND, at(9));
    assert_eq!(seen(&held), (json!(["a/b"]), false));
    assert_eq!(
        held.record.deletion.map(|it| (it.foreground, it.orphan, it.held)),
        Some((false, false, true))
    );
}

#[test]
fn a_second_delete_changes_the_policy_and_not_the_time() {
    let mut job = job(&json!([]));
    delete(&mut job, Some(Propagation::Foreground), at(9));
    delete(&mut job, None, at(10));
    assert_eq!(seen(&job), (json!(["foregroundDeletion"]), false));
    assert_eq!(job.record.deletion, Some(Deletion::foreground(at(9))));
    assert_eq!(job.object["metadata"]["generation"], 2);
    delete(&mut job, BACKGROUND, at(11));
    assert!(job.record.gone);
}

#[test]
fn the_last_finalizer_that_comes_off_lets_the_job_go() {
    let mut job = job(&json!(["a/b", "c/d"]));
    delete(&mut job, Some(Propagation::Foreground), at(9));
    assert_eq!(seen(&job).0, json!(["a/b", "c/d", "foregroundDeletion"]));
    for (names, gone) in [
        (json!(["a/b", "foregroundDeletion"]), false),
        (json!(["foregroundDeletion"]), false),
        (json!([]), true),
    ] {
        let mut object = job.view();
        object["metadata"]["finalizers"] = names.clone();
        job.set_object(object);
        assert_eq!(job.record.gone, gone, "{names}");
        assert_eq!(job.object["metadata"].get("deletionTimestamp"), None);
    }
    assert_eq!(job.record.deletion.map(|deletion| deletion.waits()), Some(false));
}
