//! From manifests to what is executed.

use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use serde_json::{Value, json};
use stint_common::id::{Attempt, JobUid, PodId, Slot};
use stint_common::wire::{Template, TraceContext};
use uuid::Uuid;

use super::{Endpoint, Handler, Host, LaunchSpec, PrepareError, PreparedJob, RunFacts};
use crate::pod::{ActionKind, Hook, ProbeKind, Role};

const JOB: JobUid = JobUid(Uuid::from_u128(1));

fn host() -> Host {
    let environment = [("PATH", "/bin"), ("HOME", "/root"), ("SECRET", "x")];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Host::new("vm-1", "10.0.0.7", "/srv", environment)
}

fn prepare(indexed: bool, pod_template: &Value) -> Result<PreparedJob, PrepareError> {
    let template = Template {
        v: 1,
        namespace: "team".to_owned(),
        job_name: "pi".to_owned(),
        job_uid: JOB,
        indexed,
        pod_template: RawValue::from_string(pod_template.to_string()).unwrap(),
        trace: None,
        changed: false,
    };
    PreparedJob::new(&template, &host())
}

fn pod(slot: u32, attempt: u32) -> PodId {
    PodId { job: JOB, slot: Slot(slot), attempt: Attempt(attempt) }
}

fn launch(indexed: bool, container: Value) -> LaunchSpec {
    let template = json!({
        "metadata": {"labels": {"app": "x"}, "annotations": {"note": "y"}},
        "spec": {"restartPolicy": "Never", "containers": [container]},
    });
    prepare(indexed, &template).unwrap().launch(pod(3, 2), None, 0, &RunFacts::default()).unwrap()
}

#[test]
fn command_and_args_are_expanded_from_the_containers_environment_only() {
    let spec = launch(
        true,
        json!({
            "name": "c",
            "command": ["echo", "$(A)"],
            "args": ["$(B)-$(JOB_COMPLETION_INDEX)", "$(PATH)", "$$(A)", "$(STINT_ATTEMPT)"],
            "env": [{"name": "A", "value": "a"}, {"name": "B", "value": "<$(A)$(C)>"}, {"name": "C"}],
        }),
    );
    let argv: Vec<&str> = spec.argv.iter().map(|argument| &**argument).collect();
    assert_eq!(argv, ["echo", "a", "<a$(C)>-3", "$(PATH)", "$(A)", "2"]);
    assert_eq!(spec.variable("C"), Some(""));
}

#[test]
fn a_name_defined_twice_has_its_last_value_and_may_build_on_the_first() {
    let env = json!([{"name": "A", "value": "1"}, {"name": "A", "value": "$(A)2"}]);
    let spec = launch(false, json!({"name": "c", "command": ["$(A)"], "env": env}));
    assert_eq!((&*spec.argv[0], spec.variable("A")), ("12", Some("12")));
    assert_eq!(spec.env.iter().filter(|(name, _)| &**name == "A").count(), 1);
}

#[test]
fn field_references_lead_to_the_pod_and_its_machine() {
    let paths = [
        "metadata.namespace",
        "metadata.uid",
        "metadata.labels['app']",
        "metadata.labels['batch.kubernetes.io/job-completion-index']",
        "metadata.annotations['note']",
        "metadata.annotations['none']",
        "spec.nodeName",
        "spec.serviceAccountName",
        "status.hostIP",
        "status.podIPs",
    ];
    let env: Vec<Value> = paths.iter().enumerate().map(|(place, path)| {
        json!({"name": format!("V{place}"), "valueFrom": {"fieldRef": {"fieldPath": path}}})
    }).collect();
    let spec = launch(true, json!({"name": "c", "command": ["x"], "env": env}));
    let values: Vec<&str> =
        (0..paths.len()).map(|place| spec.variable(&format!("V{place}")).unwrap()).collect();
    let uid = pod(3, 2).uid().to_string();
    let expect = ["team", &uid, "x", "3", "y", "", "vm-1", "default", "10.0.0.7", "10.0.0.7"];
    assert_eq!(values, expect);
}

#[test]
fn the_environment_holds_what_is_promised_and_nothing_else_of_the_worker() {
    let spec = launch(true, json!({"name": "c", "command": ["x"]}));
    let mut names: Vec<&str> = spec.env.iter().map(|(name, _)| &**name).collect();
    names.sort_unstable();
    let expect =
        ["HOME", "HOSTNAME", "JOB_COMPLETION_INDEX", "PATH", "STINT_ATTEMPT", "STINT_JOB_UID"];
    assert_eq!(names[..6], expect);
    assert_eq!(names[6..], ["STINT_POD_UID"]);
    assert_eq!(spec.variable("HOSTNAME"), Some("pi-3"));
    assert_eq!(spec.variable("JOB_COMPLETION_INDEX"), Some("3"));
}

#[test]
fn the_manifests_own_variables_win() {
    let env = json!([{"name": "PATH", "value": "/opt"}, {"name": "TRACEPARENT", "value": "mine"}]);
    let template = json!({"spec": {"containers": [{"name": "c", "command": ["x"], "env": env}]}});
    let job = prepare(false, &template).unwrap();
    let trace = TraceContext {
        traceparent: "tp".to_owned(),
        tracestate: Some("ts".to_owned()),
        baggage: Some("b=c".to_owned()),
        limits: None,
    };
    let facts = RunFacts { trace: Some(&trace), termination_log: Some(Arc::from("/x/1")) };
    let spec = job.launch(pod(0, 0), None, 0, &facts).unwrap();
    assert_eq!(spec.variable("STINT_TERMINATION_LOG"), Some("/x/1"));
    assert_eq!(spec.variable("PATH"), Some("/opt"));
    assert_eq!(spec.variable("TRACEPARENT"), Some("mine"));
    assert_eq!(spec.variable("TRACESTATE"), Some("ts"));
    assert_eq!(spec.variable("BAGGAGE"), Some("b=c"));
}

#[test]
fn a_relative_working_directory_starts_at_the_workers() {
    let at = |dir: Value| launch(false, json!({"name": "c", "command": ["x"], "workingDir": dir}));
    assert_eq!(&*at(json!("/tmp")).working_dir, "/tmp");
    assert_eq!(&*at(json!("sub/dir")).working_dir, "/srv/sub/dir");
    assert_eq!(&*at(Value::Null).working_dir, "/srv");
}

#[test]
fn what_cannot_be_had_is_refused_by_name() {
    let refused = |container: Value| {
        let template = json!({"spec": {"containers": [container]}});
        prepare(false, &template).unwrap_err().to_string()
    };
    assert_eq!(
        refused(json!({"name": "c", "args": ["x"]})),
        "spec.containers[0].command: a container without command cannot run as a host process"
    );
    let env = json!([{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]);
    assert_eq!(
        refused(json!({"name": "c", "command": ["x"], "env": env})),
        "spec.containers[0].env[0].valueFrom is not supported by the process runtime"
    );
    let env = json!([{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.hostname"}}}]);
    assert!(refused(json!({"name": "c", "command": ["x"], "env": env})).contains("spec.hostname"));
}

#[test]
fn init_containers_come_behind_the_main_ones() {
    let template = json!({"spec": {
        "containers": [{"name": "main", "command": ["m"]}],
        "initContainers": [
            {"name": "init", "command": ["i"]},
            {"name": "side", "command": ["s", "$(JOB_COMPLETION_INDEX)"], "restartPolicy": "Always"},
        ],
    }});
    let job = prepare(true, &template).unwrap();
    let roles: Vec<(&str, Role)> =
        job.settings().containers.iter().map(|it| (&*it.name, it.role)).collect();
    assert_eq!(roles, [("main", Role::Main), ("init", Role::Init), ("side", Role::Sidecar)]);
    let side = job.launch(pod(3, 0), None, 2, &RunFacts::default()).unwrap();
    assert_eq!(&*side.argv[1], "3");
    let wrong = json!({"spec": {
        "containers": [{"name": "main", "command": ["m"]}],
        "initContainers": [{"name": "init"}],
    }});
    let error = prepare(false, &wrong).unwrap_err().to_string();
    assert!(error.starts_with("spec.initContainers[0].command: "), "{error}");
}

#[test]
fn init_containers_are_set_up_as_the_others_are() {
    let container = |name: &str, devices: u32| {
        json!({
            "name": name,
            "command": ["x"],
            "resources": {"limits": {"example.com/gpu": devices}},
            "volumeMounts": [{"name": "v", "mountPath": "/v"}],
        })
    };
    let mut side = container("side", 1);
    side["restartPolicy"] = json!("Always");
    let template = json!({"spec": {
        "securityContext": {"runAsUser": 7},
        "volumes": [{"name": "v", "emptyDir": {}}],
        "containers": [container("a", 2), container("b", 1)],
        "initContainers": [container("early", 3), side, container("late", 1)],
    }});
    let job = prepare(false, &template).unwrap();
    let before = |index| job.devices(index).0.values().next().copied().unwrap_or_default();
    // a, b, early, side, late: one sidecar is beside all but those before it.
    assert_eq!([0, 1, 2, 3, 4].map(before), [1, 3, 0, 0, 1]);
    for index in 0..5 {
        let facts = RunFacts { termination_log: Some(Arc::from("/t/1")), ..RunFacts::default() };
        let setup = job.launch(pod(0, 0), None, index, &facts).unwrap().setup.unwrap();
        assert_eq!((setup.mounts.len(), setup.security.user), (1, Some(7)), "{index}");
        assert_eq!((setup.leaves_in.as_deref(), setup.leaves_at), (Some("/t"), None));
    }
}

#[test]
fn a_sub_path_expression_needs_a_value_for_each_of_its_variables() {
    for (expression, path, missing) in [
        ("$(FULL)/x", "f/x", None),
        ("$$(NONE)", "$(NONE)", None),
        ("$(NONE)", "$(NONE)", Some("NONE")),
        ("$(NONE)-$(EMPTY)-$(FULL)", "$(NONE)--f", Some("EMPTY, NONE")),
    ] {
        let template = json!({"spec": {
            "volumes": [{"name": "v", "emptyDir": {}}],
            "containers": [{
                "name": "main",
                "command": ["x"],
                "env": [{"name": "FULL", "value": "f"}, {"name": "EMPTY", "value": ""}],
                "volumeMounts": [{"name": "v", "mountPath": "/v", "subPathExpr": expression}],
            }],
        }});
        let job = prepare(false, &template).unwrap();
        let setup = job.launch(pod(0, 0), None, 0, &RunFacts::default()).unwrap().setup.unwrap();
        let mount = &setup.mounts[0];
        assert_eq!((&*mount.sub_path, mount.missing.as_deref()), (path, missing), "{expression}");
    }
}

#[test]
fn hooks_and_probes_are_worked_out_once() {
    let job = prepare(
        false,
        &json!({"spec": {"containers": [{
            "name": "c",
            "command": ["x"],
            "env": [
                {"name": "A", "value": "a"},
                {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            ],
            "ports": [{"name": "web", "containerPort": 8080}],
            "lifecycle": {
                "postStart": {"exec": {"command": ["say", "$(A)"]}},
                "preStop": {"sleep": {"seconds": 5}},
            },
            "startupProbe": {"exec": {"command": ["say", "$(A)-$(B)-$(C)"]}, "failureThreshold": 0},
            "livenessProbe": {"httpGet": {"path": "healthz", "port": "web", "scheme": "HTTPS"}},
            "readinessProbe": {"tcpSocket": {"host": "db", "port": "none"}, "periodSeconds": 2},
        }]}}),
    );
    let job = job.unwrap();
    let handler = |kind| job.handler(0, kind).unwrap();
    let exec = |argv: [&str; 2]| Handler::Exec(argv.map(Arc::from).to_vec());
    // As in the kubelet, hooks expand nothing, and probes what is written in the template only.
    assert_eq!(*handler(ActionKind::PostStart), exec(["say", "$(A)"]));
    assert_eq!(*handler(ActionKind::Probe(ProbeKind::Startup)), exec(["say", "a--$(C)"]));
    assert_eq!(job.handler(0, ActionKind::PreStop), None);
    let Handler::Http(request) = handler(ActionKind::Probe(ProbeKind::Liveness)) else {
        panic!("it asks over HTTP");
    };
    let endpoint = Endpoint { host: "10.0.0.7".to_owned(), port: 8080 };
    assert_eq!((&request.endpoint, &*request.path, request.tls), (&endpoint, "/healthz", true));
    let readiness = handler(ActionKind::Probe(ProbeKind::Readiness));
    assert!(matches!(readiness, Handler::Broken(why) if why.contains("none")), "{readiness:?}");
    let settings = &job.settings().containers[0];
    assert_eq!(settings.post_start, Some(Hook::Run));
    assert_eq!(settings.pre_stop, Some(Hook::Sleep(Duration::from_secs(5))));
    assert_eq!(settings.startup.unwrap().failure_threshold, 3);
    assert_eq!(settings.readiness.unwrap().period, Duration::from_secs(2));
}
