//! That a `Status` reads as Kubernetes writes it.

use super::*;
use crate::admission::CauseReason;

fn fault(field: &str) -> Cause {
    let message = "Required value".to_owned();
    Cause { reason: CauseReason::Required, field: field.to_owned(), message }
}

#[test]
fn a_missing_job_reads_as_in_kubernetes() {
    let error = Error::NotFound { resource: JOBS, name: "pi".to_owned() };
    assert_eq!(
        error.to_status(),
        json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": "jobs.batch \"pi\" not found",
            "reason": "NotFound",
            "details": {"name": "pi", "group": "batch", "kind": "jobs"},
            "code": 404,
        })
    );
    let error = Error::NotFound { resource: PODS, name: "pi-x".to_owned() };
    assert_eq!(error.to_string(), "pods \"pi-x\" not found");
    assert_eq!(error.to_status()["details"], json!({"name": "pi-x", "kind": "pods"}));
}

#[test]
fn faults_are_listed_once_each() {
    let name = "pi".to_owned();
    let causes = vec![fault("a"), fault("b"), fault("a")];
    let error = Error::Invalid { resource: JOBS, name: name.clone(), causes };
    let text = "Job.batch \"pi\" is invalid: [a: Required value, b: Required value]";
    assert_eq!(error.to_string(), text);
    let status = error.to_status();
    assert_eq!(status["details"]["causes"].as_array().unwrap().len(), 3);
    assert_eq!(
        status["details"]["causes"][0],
        json!({"reason": "FieldValueRequired", "message": "Required value", "field": "a"})
    );
    assert_eq!((&status["details"]["kind"], &status["code"]), (&json!("Job"), &json!(422)));
    let one = Error::Invalid { resource: JOBS, name, causes: vec![fault("a")] };
    assert_eq!(one.to_string(), "Job.batch \"pi\" is invalid: a: Required value");
}

#[test]
fn messages_are_kubernetes() {
    let name = || "pi".to_owned();
    let reason = MODIFIED.to_owned();
    for (error, code, text) in [
        (
            Error::AlreadyExists { resource: JOBS, name: name() },
            409,
            "jobs.batch \"pi\" already exists",
        ),
        (
            Error::Conflict { resource: JOBS, name: name(), reason },
            409,
            "Operation cannot be fulfilled on jobs.batch \"pi\": the object has been modified; \
             please apply your changes to the latest version and try again",
        ),
        (
            Error::MethodNotAllowed { resource: PODS, verb: "create".to_owned() },
            405,
            "create is not supported on resources of kind \"pods\"",
        ),
        (
            Error::RequestEntityTooLarge { limit: 1_048_576 },
            413,
            "Request entity too large: limit is 1048576",
        ),
        (
            Error::Timeout("request did not complete".to_owned()),
            504,
            "Timeout: request did not complete",
        ),
    ] {
        assert_eq!((error.code(), error.to_string().as_str()), (code, text));
        assert_eq!(error.to_status()["code"], code);
    }
}
