//! Patches of the three kinds, applied to a Job as it is stored.
//!
//! The first byte says which kind it is, the rest is the body.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use stint_common::id::JobUid;
use stint_coordinator::admission::{
    Body, CreateContext, FieldValidation, UpdateContext, create, update, update_status,
};
use stint_coordinator::registry::patch::Patch;
use stint_coordinator::registry::patch::schema::JOB;

const KINDS: [&str; 3] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

fn stored() -> Value {
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": "pi", "labels": {"a": "b"}, "finalizers": ["example.com/x"]},
        "spec": {"completionMode": "Indexed", "completions": 3, "parallelism": 3, "suspend": true,
            "podFailurePolicy": {"rules": [
                {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [1, 42]}}]},
            "template": {"spec": {"restartPolicy": "Never", "containers": [
                {"name": "main", "image": "host", "command": ["true"],
                 "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}]}}},
    });
    let context = CreateContext {
        namespace: "default",
        uid: JobUid(uuid::Uuid::from_u128(7)),
        now: "2026-01-15T12:00:00Z".parse().expect("a time"),
        field_validation: FieldValidation::Strict,
        name_suffix: "xwz42",
    };
    let mut job = create(Body::from(job), &context).expect("a plain Job is admitted").job;
    job["metadata"]["resourceVersion"] = json!("5");
    job["status"] = json!({"conditions": [{"type": "Suspended", "status": "True"}]});
    job
}

fuzz_target!(|data: &[u8]| {
    let Some((what, bytes)) = data.split_first() else { return };
    let kind = KINDS[usize::from(*what) % KINDS.len()];
    let Ok(patch) = Patch::read(bytes, Some(kind)) else { return };
    let old = stored();
    let Ok(new) = patch.apply(&old, &JOB) else { return };
    let context = UpdateContext { field_validation: FieldValidation::Warn };
    let status = update_status(&old, new.clone(), context);
    if let Ok(admitted) = status {
        assert_eq!(admitted.job["spec"], old["spec"]);
    }
    let Ok(admitted) = update(&old, new, context) else { return };
    assert_eq!(admitted.job["metadata"]["uid"], old["metadata"]["uid"]);
    // A merge patch that is applied again changes nothing more.
    if kind == KINDS[1] {
        let mut once = admitted.job;
        once["status"] = old["status"].clone();
        if let Ok(twice) = patch.apply(&once, &JOB)
            && let Ok(again) = update(&once, twice, context)
        {
            assert_eq!(again.job["spec"], once["spec"], "a merge patch is idempotent");
        }
    }
});
