//! Admission from the outside: tables of Jobs with all that is said of them, and properties of any
//! Job.
//!
//! A case of `tests/admission/*.yaml` is merged over one plain Job; what is expected is exact.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fs;

use serde_json::{Value, json};
use stint_common::id::JobUid;
use stint_coordinator::admission::{
    Admitted, AdmittedStatus, Body, CreateContext, FieldValidation, Rejection, UpdateContext,
    create, decode, update, update_status,
};
use stint_coordinator::registry::merge::merge;
use uuid::Uuid;

#[path = "admission/objects.rs"]
mod objects;
#[path = "admission/properties.rs"]
mod properties;

/// What every Job with an image is told, but for the image `host`.
const NOT_PULLED: &str = "image is not pulled: the process runtime runs command on the host";

fn plain_job() -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "pi"},
        "spec": {"template": {"spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": "perl:5", "command": ["true"]}],
        }}},
    })
}

fn context(field_validation: FieldValidation) -> CreateContext<'static> {
    CreateContext {
        namespace: "default",
        uid: JobUid(Uuid::from_u128(7)),
        now: "2026-01-15T12:00:00.5Z".parse().unwrap(),
        field_validation,
        name_suffix: "xwz42",
    }
}

fn admit(job: Value) -> Result<Admitted, Rejection> {
    create(Body::from(job), &context(FieldValidation::Strict))
}

/// The cases of a file, read by the decoder under test.
fn cases(file: &str) -> Vec<Value> {
    let path = format!("{}/admission/{file}.yaml", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(path).unwrap();
    let body = format!("cases:\n{text}");
    let value = decode(body.as_bytes(), Some("application/yaml")).unwrap().value;
    value["cases"].as_array().unwrap().clone()
}

/// The plain Job with a case's parts in it.
fn job_of(case: &Value, part: &str) -> Value {
    let mut job = plain_job();
    merge(&mut job, case.get(part).unwrap_or(&json!({})));
    for (name, path) in
        [("pod", "/spec/template/spec"), ("containers", "/spec/template/spec/containers")]
    {
        if let Some(value) = case.get(name) {
            merge(job.pointer_mut(path).unwrap(), value);
        }
    }
    job
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().map_or(Vec::new(), |all| all.iter().filter_map(Value::as_str).collect())
}

/// What was said of a Job, in one list.
fn said(answer: &Result<Admitted, Rejection>) -> Vec<String> {
    match answer {
        Ok(_) => Vec::new(),
        Err(Rejection::Invalid { causes, .. }) => {
            causes.iter().map(|cause| format!("{} {cause}", cause.reason)).collect()
        }
        Err(other) => vec![other.to_string()],
    }
}

/// Compares what was said with what a case expects. `starts` and `refused` give beginnings only.
fn compare(case: &Value, answer: &Result<Admitted, Rejection>) -> Result<(), String> {
    let said = said(answer);
    let refused = texts(&case["refused"])
        .into_iter()
        .map(|path| format!("FieldValueForbidden {path}: Forbidden: "));
    let beginnings: Vec<String> =
        refused.chain(texts(&case["starts"]).into_iter().map(ToOwned::to_owned)).collect();
    if !beginnings.is_empty() {
        let fits = said.len() == beginnings.len()
            && said.iter().zip(&beginnings).all(|(text, start)| text.starts_with(start.as_str()));
        return if fits { Ok(()) } else { Err(format!("{said:#?}")) };
    }
    let mut expected = texts(&case["causes"]);
    expected.extend(case["error"].as_str());
    if said == expected { Ok(()) } else { Err(format!("{said:#?}")) }
}

fn check(file: &str, run: impl Fn(&Value) -> Result<(), String>) -> usize {
    let cases = cases(file);
    let run = |case: &Value| run(case).map_err(|why| format!("{file}: {}: {why}", case["name"]));
    let failed: Vec<String> = cases.iter().filter_map(|case| run(case).err()).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    cases.len()
}

fn create_case(case: &Value) -> Result<(), String> {
    let answer = admit(job_of(case, "set"));
    compare(case, &answer)?;
    let Ok(admitted) = answer else { return Ok(()) };
    let mut expected = vec![NOT_PULLED];
    for text in texts(&case["warnings"]) {
        // Kubernetes' come before Stint's own; an owner is Stint's.
        let own = ["metadata.ownerReferences", "spec.template.spec.priorityClassName"];
        let at = if own.iter().any(|own| text.starts_with(own)) {
            expected.len()
        } else {
            expected.len() - 1
        };
        expected.insert(at, text);
    }
    if admitted.warnings != expected {
        return Err(format!("{:#?}", admitted.warnings));
    }
    let stored = case.get("stored").unwrap_or(&Value::Null);
    if stored.is_null() || holds(&admitted.job, stored) {
        Ok(())
    } else {
        Err(format!("{:#}", admitted.job))
    }
}

/// Whether what is expected is part of a value; what is `null` must be absent.
fn holds(value: &Value, expected: &Value) -> bool {
    match expected {
        Value::Object(members) => members
            .iter()
            .all(|(name, expected)| holds(value.get(name).unwrap_or(&Value::Null), expected)),
        Value::Array(items) => {
            let same = value.as_array().filter(|it| it.len() == items.len());
            same.is_some_and(|it| it.iter().zip(items).all(|(one, other)| holds(one, other)))
        }
        _ => value == expected,
    }
}

fn update_case(case: &Value) -> Result<(), String> {
    let mut old = admit(job_of(case, "old")).map_err(|error| format!("{error:?}"))?.job;
    old["metadata"]["resourceVersion"] = json!("3");
    let mut new = old.clone();
    if case["deleted"] == true {
        for object in [&mut old, &mut new] {
            object["metadata"]["deletionTimestamp"] = json!("2026-01-15T12:00:00Z");
        }
    }
    old["status"] = case.get("status").cloned().unwrap_or(json!({}));
    merge(&mut new, &case["set"]);
    let answer = update(&old, Body::from(new), UpdateContext::default());
    compare(case, &answer)?;
    let Ok(Admitted { job, .. }) = answer else { return Ok(()) };
    assert_eq!(job.get("status"), None, "status is not the client's");
    for name in ["uid", "creationTimestamp", "namespace", "resourceVersion"] {
        assert_eq!(job["metadata"][name], old["metadata"][name], "{name}");
    }
    let generation = &job["metadata"]["generation"];
    if *generation == case["generation"] { Ok(()) } else { Err(format!("generation {generation}")) }
}

/// A status is written as a client does it: read, changed, sent back, with a spec that is wrong.
fn status_case(case: &Value) -> Result<(), String> {
    let mut old = admit(job_of(case, "old")).map_err(|error| format!("{error:?}"))?.job;
    old["metadata"]["resourceVersion"] = json!("3");
    old["status"] = case.get("status").cloned().unwrap_or(json!({}));
    let mut new = old.clone();
    merge(&mut new["status"], &case["set"]);
    let expected = new["status"].clone();
    new["spec"]["completions"] = json!(-1);
    new["metadata"]["annotations"] = json!({"example.com/seen": "yes"});
    let answer = update_status(&old, Body::from(new), UpdateContext::default());
    compare(case, &answer.clone().map(|it| Admitted { job: it.job, warnings: it.warnings }))?;
    let Ok(AdmittedStatus { job, status, .. }) = answer else { return Ok(()) };
    assert_eq!(status, expected, "a status is taken as it is");
    assert_eq!(job["spec"], old["spec"], "the spec is not the status' to change");
    assert_eq!(job["metadata"]["generation"], 1);
    assert_eq!(job["metadata"]["annotations"], json!({"example.com/seen": "yes"}));
    Ok(())
}

#[test]
fn new_jobs_are_judged() {
    let files = [
        "numbers",
        "metadata",
        "template",
        "selector",
        "policies",
        "volumes",
        "security",
        "placing",
        "unsupported",
        "extension",
        "defaults",
    ];
    let count: usize = files.into_iter().map(|file| check(file, create_case)).sum();
    assert!(count >= 150, "{count}");
}

#[test]
fn changes_are_judged() {
    assert!(check("update", update_case) >= 48);
    assert!(check("extension-update", update_case) >= 9);
}

#[test]
fn statuses_are_judged() {
    assert!(check("status", status_case) >= 38);
}

#[test]
fn the_stored_job_is_what_was_sent_and_what_was_added() {
    let mut sent = plain_job();
    sent["spec"]["template"]["metadata"] =
        json!({"labels": {"app": "pi"}, "creationTimestamp": null});
    let stored = admit(sent).unwrap().job;
    let uid = "00000000-0000-0000-0000-000000000007";
    let labels = json!({
        "app": "pi",
        "job-name": "pi",
        "batch.kubernetes.io/job-name": "pi",
        "controller-uid": uid,
        "batch.kubernetes.io/controller-uid": uid,
    });
    assert_eq!(
        stored,
        json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": "pi",
                "labels": labels,
                "namespace": "default",
                "uid": uid,
                "creationTimestamp": "2026-01-15T12:00:00Z",
                "generation": 1,
            },
            "spec": {
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "restartPolicy": "Never",
                        "containers": [{
                            "name": "main",
                            "image": "perl:5",
                            "command": ["true"],
                            "resources": {},
                            "terminationMessagePath": "/dev/termination-log",
                            "terminationMessagePolicy": "File",
                            "imagePullPolicy": "IfNotPresent",
                        }],
                        "terminationGracePeriodSeconds": 30,
                        "dnsPolicy": "ClusterFirst",
                        "securityContext": {},
                        "schedulerName": "default-scheduler",
                    },
                },
                "completions": 1,
                "parallelism": 1,
                "backoffLimit": 6,
                "completionMode": "NonIndexed",
                "suspend": false,
                "podReplacementPolicy": "TerminatingOrFailed",
                "manualSelector": false,
                "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}},
            },
        })
    );
}

#[test]
fn unknown_members_are_refused_told_or_dropped() {
    let text = r#"{"metadata": {"name": "pi"}, "spec": {
        "foo": 1, "backoffLimit": 1, "backoffLimit": 2,
        "template": {"spec": {"restartPolicy": "Never", "containers": [
            {"name": "a", "image": "i", "command": ["x"], "comand": ["y"]}]}}}}"#;
    let body = decode(text.as_bytes(), Some("application/json; charset=utf-8")).unwrap();
    let complaints = [
        "unknown field \"spec.foo\"",
        "unknown field \"spec.template.spec.containers[0].comand\"",
        "duplicate field \"spec.backoffLimit\"",
    ];
    let refused = create(body.clone(), &context(FieldValidation::Strict)).unwrap_err();
    let expected = format!(
        "Job in version \"v1\" cannot be handled as a Job: strict decoding error: {}",
        complaints.join(", ")
    );
    assert_eq!(refused, Rejection::NoJob(expected));
    let told = create(body.clone(), &context(FieldValidation::Warn)).unwrap();
    assert_eq!(told.warnings[..3], complaints);
    let dropped = create(body, &context(FieldValidation::Ignore)).unwrap();
    assert_eq!(dropped.warnings, [NOT_PULLED]);
    assert_eq!(dropped.job, told.job);
    assert_eq!(dropped.job["spec"].get("foo"), None);
    assert_eq!(dropped.job["spec"]["backoffLimit"], 2);
}

/// Too long for a table.
#[test]
fn indexes_of_a_success_policy_have_64_kib() {
    let indexes = |count: usize| {
        let indexes: Vec<String> = (0..count).map(|index| (index * 2).to_string()).collect();
        let mut job = plain_job();
        job["spec"]["completionMode"] = json!("Indexed");
        job["spec"]["completions"] = json!(100_000);
        job["spec"]["successPolicy"] = json!({"rules": [{"succeededIndexes": indexes.join(",")}]});
        said(&admit(job))
    };
    assert_eq!(indexes(10_000), [""; 0]);
    let path = "spec.successPolicy.rules[0].succeededIndexes";
    let expected = format!("FieldValueTooLong {path}: Too long: may not be more than 65536 bytes");
    assert_eq!(indexes(20_000), [expected]);
}

#[test]
fn an_image_that_says_host_needs_no_warning() {
    let mut job = plain_job();
    job["spec"]["template"]["spec"]["containers"][0]["image"] = "host".into();
    let body = decode(job.to_string().as_bytes(), None).unwrap();
    let admitted = create(body, &context(FieldValidation::Strict)).unwrap();
    assert_eq!(admitted.warnings, [""; 0]);
}

#[test]
fn bodies_are_json_or_yaml() {
    let yaml =
        "metadata:\n  name: pi\nspec:\n  suspend: true\n  suspend: false\n  parallelism: 3\n";
    let body = decode(yaml.as_bytes(), None).unwrap();
    assert_eq!(body.value["spec"], json!({"suspend": false, "parallelism": 3}));
    assert_eq!(body.duplicates, ["spec.suspend"]);
    assert_eq!(decode(b" {\"a\": 1}", None).unwrap().value, json!({"a": 1}));
    for (bytes, content_type) in [
        (&b"{"[..], None),
        (b"[1]", None),
        (b"", None),
        (b"a: b", Some("application/json")),
        (b"--- {}\n--- {}\n", Some("application/yaml")),
        (b"\xff", None),
        (b"a: &a [*a]", None),
    ] {
        let answer = decode(bytes, content_type);
        assert!(matches!(answer, Err(Rejection::BadRequest(_))), "{bytes:?}: {answer:?}");
    }
    let answer = decode(b"{}", Some("application/vnd.kubernetes.protobuf"));
    assert_eq!(answer.unwrap_err(), Rejection::UnsupportedMediaType);
    let large = vec![b' '; 1024 * 1024 + 1];
    assert!(matches!(decode(&large, None), Err(Rejection::TooLarge { .. })));
    let deep = format!("{}1{}", "{\"a\":".repeat(200), "}".repeat(200));
    assert!(matches!(decode(deep.as_bytes(), None), Err(Rejection::BadRequest(_))));
}
