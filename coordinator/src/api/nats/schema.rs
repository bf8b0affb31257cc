//! What the service says of itself (ADR-32 endpoint metadata): each verb's subject, and where the
//! JSON schemas of its request and answer are.

use std::collections::HashMap;

/// Kubernetes' own description of its API, of the version whose fields are known here.
const SCHEMAS: &str =
    "https://raw.githubusercontent.com/kubernetes/kubernetes/release-1.37/api/openapi-spec/v3";
const BATCH: &str = "apis__batch__v1_openapi.json#/components/schemas/io.k8s.api.batch.v1.";
const CORE: &str = "api__v1_openapi.json#/components/schemas/io.k8s.api.core.v1.";
const META: &str = "api__v1_openapi.json#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.";

/// A document, and the name of an object in it.
type Schema = (&'static str, &'static str);

const JOB: Schema = (BATCH, "Job");
const JOBS: Schema = (BATCH, "JobList");
const POD: Schema = (CORE, "Pod");
const PODS: Schema = (CORE, "PodList");
const EVENT: Schema = (META, "WatchEvent");
const STATUS: Schema = (META, "Status");
const PATCH: Schema = (META, "Patch");
const DELETE: Schema = (META, "DeleteOptions");

/// Whether a verb is of one object, whose name then ends the subject.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    One,
    All,
}

/// Resource, verb, what is sent, what is answered.
type Verb = (&'static str, &'static str, Of, Option<Schema>, Option<Schema>);

/// A log is answered with its bytes.
const VERBS: [Verb; 16] = [
    ("jobs", "create", Of::All, Some(JOB), Some(JOB)),
    ("jobs", "get", Of::One, None, Some(JOB)),
    ("jobs", "list", Of::All, None, Some(JOBS)),
    ("jobs", "watch", Of::All, None, Some(EVENT)),
    ("jobs", "update", Of::One, Some(JOB), Some(JOB)),
    ("jobs", "patch", Of::One, Some(PATCH), Some(JOB)),
    ("jobs", "delete", Of::One, Some(DELETE), Some(STATUS)),
    ("jobs", "deletecollection", Of::All, Some(DELETE), Some(JOBS)),
    ("jobs/status", "get", Of::One, None, Some(JOB)),
    ("jobs/status", "update", Of::One, Some(JOB), Some(JOB)),
    ("jobs/status", "patch", Of::One, Some(PATCH), Some(JOB)),
    ("pods", "get", Of::One, None, Some(POD)),
    ("pods", "list", Of::All, None, Some(PODS)),
    ("pods", "watch", Of::All, None, Some(EVENT)),
    ("pods", "delete", Of::One, Some(DELETE), Some(POD)),
    ("pods/log", "get", Of::One, None, None),
];

/// The metadata of the endpoint that answers below `root`.
///
/// There is one endpoint for all verbs: a request that no verb's own subscription took would be
/// answered by nobody, and so its client would not hear what is wrong with it.
pub(super) fn metadata(root: &str) -> HashMap<String, String> {
    let url = |(document, name): Schema| format!("{SCHEMAS}/{document}{name}");
    let mut metadata = HashMap::from([
        ("subjects".to_owned(), format!("{root}.<namespace>.<resource>.<verb>[.<name>]")),
        ("format".to_owned(), "application/json, application/yaml".to_owned()),
        ("error".to_owned(), url(STATUS)),
    ]);
    for (resource, verb, of, request, response) in VERBS {
        let name = if of == Of::One { ".<name>" } else { "" };
        let key = |what: &str| format!("{resource}.{verb}.{what}");
        metadata.insert(key("subject"), format!("{root}.<namespace>.{resource}.{verb}{name}"));
        metadata.extend(request.map(|schema| (key("request"), url(schema))));
        metadata.extend(response.map(|schema| (key("response"), url(schema))));
    }
    metadata
}
