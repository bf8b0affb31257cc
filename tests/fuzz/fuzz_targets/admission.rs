//! Bodies of requests that create, change and report on Jobs.
//!
//! The first byte says what is asked for, the rest is the body.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use stint_common::id::{JobUid, ObjectRef};
use stint_coordinator::admission::{
    Body, CreateContext, FieldValidation, UpdateContext, create, decode, defaults, update,
    update_status,
};
use stint_coordinator::job::{Job, JobSpec, JobStatus, Ledger, plan};

fn context(field_validation: FieldValidation) -> CreateContext<'static> {
    CreateContext {
        namespace: "default",
        uid: JobUid(uuid::Uuid::from_u128(7)),
        now: "2026-01-15T12:00:00Z".parse().expect("a time"),
        field_validation,
        name_suffix: "xwz42",
    }
}

/// A Job as it is stored, which is changed.
fn stored() -> Value {
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "pi"},
        "spec": {"completionMode": "Indexed", "completions": 3, "parallelism": 3, "suspend": true,
            "template": {"spec": {"restartPolicy": "Never", "containers": [
                {"name": "main", "image": "host", "command": ["true"]}]}}},
    });
    let admitted = create(Body::from(job), &context(FieldValidation::Strict));
    let mut job = admitted.expect("a plain Job is admitted").job;
    job["metadata"]["resourceVersion"] = json!("5");
    job["status"] = json!({});
    job
}

/// What was admitted is stable, and means something.
fn check(job: &Value) {
    let mut again = job.clone();
    defaults::apply(&mut again);
    assert_eq!(again, *job, "every default stands");
    let mut old = job.clone();
    old["metadata"]["resourceVersion"] = json!("5");
    old["status"] = json!({});
    let same = update(&old, Body::from(old.clone()), UpdateContext::default());
    let same = same.unwrap_or_else(|refused| panic!("admitted, then refused: {refused:?}")).job;
    assert_eq!(same["spec"], job["spec"], "what is sent back unchanged stays so");
    assert_eq!(same["metadata"]["generation"], job["metadata"]["generation"]);
    let typed = serde_json::from_value(job.clone()).expect("an admitted Job is a Job");
    let spec = JobSpec::from_job(&typed);
    if spec.parallelism > 1000 {
        return;
    }
    let object = ObjectRef { namespace: "default".to_owned(), name: "pi".to_owned() };
    let ledger = Ledger::of(&spec);
    let uid = JobUid(uuid::Uuid::from_u128(7));
    let mut core = Job::restore(uid, object, spec, JobStatus::default(), ledger, None);
    let now = "2026-01-15T12:00:00Z".parse().expect("a time");
    for _ in 0..20 {
        let Some(change) = plan(&core, now).change else { return };
        core.apply(&change);
    }
    panic!("no fixpoint");
}

fuzz_target!(|data: &[u8]| {
    let Some((what, bytes)) = data.split_first() else { return };
    let content_type = match what & 3 {
        0 => Some("application/json"),
        1 => Some("application/yaml"),
        _ => None,
    };
    let Ok(body) = decode(bytes, content_type) else { return };
    let validation = match (what >> 2) & 3 {
        0 => FieldValidation::Strict,
        1 => FieldValidation::Warn,
        _ => FieldValidation::Ignore,
    };
    let changes = UpdateContext { field_validation: validation };
    match what >> 6 {
        0 => {
            let old = stored();
            if let Ok(admitted) = update(&old, body, changes) {
                assert_eq!(admitted.job["metadata"]["uid"], old["metadata"]["uid"]);
            }
        }
        1 => {
            let old = stored();
            if let Ok(admitted) = update_status(&old, body, changes) {
                assert_eq!(admitted.job["spec"], old["spec"]);
            }
        }
        _ => {
            if let Ok(admitted) = create(body, &context(validation)) {
                check(&admitted.job);
            }
        }
    }
});
