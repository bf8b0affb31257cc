//! What a pod looks like through its life.

use super::*;
use stint_common::id::{Attempt, Incarnation, JobUid, Slot};
use stint_common::wire::{
    Claim, ContainerEnd, ContainerNow, ContainerState, Detail, End, EndedBy, Exit, Initialized,
    LogSummary, Outcome, PodCondition, PodState, Running, VERSION, WaitsFor,
};
use uuid::Uuid;

const T0: &str = "2026-01-15T12:00:00Z";
const T1: &str = "2026-01-15T12:00:05Z";
const T2: &str = "2026-01-15T12:00:09Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn template() -> Value {
    json!({
        "metadata": {"labels": {"job-name": "pi"}},
        "spec": {"containers": [{"name": "main", "image": "i"}], "restartPolicy": "Never"},
    })
}

fn pod() -> PodId {
    PodId { job: JobUid(Uuid::from_u128(9)), slot: Slot(2), attempt: Attempt(0) }
}

fn record(state: PodState) -> PodRecord {
    let incarnation = Incarnation(Uuid::from_u128(1));
    PodRecord {
        address: Some("10.0.0.7".to_owned()),
        v: VERSION,
        writer: incarnation,
        nonce: 1,
        template: "t".to_owned(),
        created_at: at(T0),
        index_failures: None,
        claim: Some(Claim { worker: "vm-1".to_owned(), incarnation, claimed_at: at(T0) }),
        state,
        waiting: None,
    }
}

fn show(record: Option<&PodRecord>, deletion: Option<Deletion>) -> Value {
    show_of(&template(), record, deletion)
}

fn show_of(template: &Value, record: Option<&PodRecord>, deletion: Option<Deletion>) -> Value {
    let source = PodSource { job_name: "pi", indexed: true, template };
    let revision = Some(PodsPosition { jobs: 2, slots: 0, pods: 5 });
    let view = PodView {
        created_at: at(T0),
        record,
        deletion,
        word: None,
        finalizer: true,
        index_failures: record.and_then(|record| record.index_failures),
        revision,
    };
    pod_object("default", source, pod(), &view)
}

fn ended(outcome: Outcome, exit: Exit) -> PodRecord {
    record(PodState::Terminated(Box::new(End {
        outcome,
        by: EndedBy::Worker,
        reason: String::new(),
        message: String::new(),
        started_at: Some(at(T1)),
        finished_at: at(T2),
        containers: vec![ContainerEnd {
            name: "main".to_owned(),
            exit,
            reason: "Error".to_owned(),
            message: String::new(),
            started_at: Some(at(T1)),
            finished_at: at(T2),
            restarts: 3,
            logs: LogSummary::default(),
            before: None,
        }],
        initialized: None,
        conditions: vec![PodCondition {
            kind: "DisruptionTarget".to_owned(),
            reason: "DeletionByNodeLifecycle".to_owned(),
            message: "lost".to_owned(),
            at: at(T2),
        }],
    })))
}

fn condition<'a>(pod: &'a Value, kind: &str) -> &'a Value {
    let all = pod["status"]["conditions"].as_array().unwrap();
    all.iter().find(|condition| condition["type"] == kind).unwrap()
}

/// `containerID` of one run of a container.
fn run(container: &str, restarts: u32) -> Value {
    json!(format!("process://{}/{container}/{restarts}", pod().uid()))
}

#[test]
fn a_new_pod_is_pending_and_owned() {
    let shown = show(None, None);
    assert_eq!(shown["status"], json!({"phase": "Pending", "qosClass": "BestEffort"}));
    let metadata = &shown["metadata"];
    assert_eq!(metadata["ownerReferences"][0]["uid"], json!(pod().job));
    assert_eq!(metadata["ownerReferences"][0]["controller"], true);
    assert_eq!(metadata["finalizers"], json!(["batch.kubernetes.io/job-tracking"]));
    assert_eq!(metadata["labels"]["batch.kubernetes.io/job-completion-index"], "2");
    assert_eq!(metadata["generateName"], "pi-2-");
    assert_eq!(metadata["resourceVersion"], "500000000000020000000000");
    assert_eq!(shown["spec"]["hostname"], "pi-2");
    assert_eq!(shown["spec"]["containers"][0]["env"][0]["name"], "JOB_COMPLETION_INDEX");
    assert_eq!(shown["spec"].get("nodeName"), None);
}

#[test]
fn a_claimed_pod_waits_on_its_node() {
    let record = record(PodState::Claimed);
    let shown = show(Some(&record), None);
    assert_eq!(
        (&shown["status"]["phase"], &shown["spec"]["nodeName"]),
        (&json!("Pending"), &json!("vm-1"))
    );
    assert_eq!(condition(&shown, "PodScheduled")["status"], "True");
    let ready = condition(&shown, "Ready");
    assert_eq!(ready["message"], "containers with unready status: [main]");
    let state = &shown["status"]["containerStatuses"][0]["state"];
    assert_eq!(state, &json!({"waiting": {"reason": "ContainerCreating"}}));
    assert_eq!(shown["status"]["containerStatuses"][0].get("containerID"), None);
    assert_eq!(shown["status"]["observedGeneration"], shown["metadata"]["generation"]);
}

#[test]
fn a_pod_has_its_machines_address() {
    let shown = show(Some(&ended(Outcome::Succeeded, Exit::Code(0))), None);
    for one in ["hostIP", "podIP"] {
        assert_eq!(shown["status"][one], "10.0.0.7");
        assert_eq!(shown["status"][format!("{one}s")], json!([{"ip": "10.0.0.7"}]));
    }
}

#[test]
fn a_running_pod_is_ready_when_its_worker_says_so() {
    for ready in [false, true] {
        let running =
            Running { started_at: at(T1), only_tried: false, ready, restarts: 2, detail: None };
        let record = record(PodState::Running(running));
        let shown = show(Some(&record), None);
        assert_eq!(shown["status"]["phase"], "Running");
        let expect = if ready { "True" } else { "False" };
        assert_eq!(condition(&shown, "Ready")["status"], expect);
        let container = &shown["status"]["containerStatuses"][0];
        assert_eq!((&container["restartCount"], &container["ready"]), (&json!(2), &json!(ready)));
        assert_eq!(container["state"], json!({"running": {"startedAt": T1}}));
        assert_eq!(container["containerID"], run("main", 2));
    }
}

#[test]
fn an_ended_pod_tells_how() {
    let record = ended(Outcome::Failed, Exit::Signal(9));
    let shown =
        show(Some(&record), Some(Deletion { at: at(T1), grace_seconds: 30, evicted: false }));
    assert_eq!(shown["status"]["phase"], "Failed");
    assert_eq!(condition(&shown, "Ready")["reason"], "PodFailed");
    assert_eq!(condition(&shown, "DisruptionTarget")["message"], "lost");
    let container = &shown["status"]["containerStatuses"][0];
    assert_eq!(
        container["state"]["terminated"],
        json!({
            "exitCode": 137, "signal": 9, "reason": "Error", "startedAt": T1, "finishedAt": T2,
            "containerID": run("main", 3),
        })
    );
    assert_eq!(container["containerID"], run("main", 3));
    assert_eq!(container["restartCount"], 3);
    assert_eq!(shown["metadata"]["deletionTimestamp"], "2026-01-15T12:00:35Z");
    assert_eq!(shown["metadata"]["deletionGracePeriodSeconds"], 30);
}

#[test]
fn a_pod_that_nobody_claimed_can_end_too() {
    let mut record = ended(Outcome::Failed, Exit::NotStarted);
    record.claim = None;
    let PodState::Terminated(end) = &mut record.state else { unreachable!() };
    end.containers.clear();
    end.reason = "NotStarted".to_owned();
    let shown = show(Some(&record), None);
    assert_eq!(shown["status"]["reason"], "NotStarted");
    assert_eq!(shown["status"].get("containerStatuses"), None);
    assert_eq!(shown["status"]["conditions"].as_array().unwrap().len(), 1);
    let api: k8s_openapi::api::core::v1::Pod = serde_json::from_value(shown).unwrap();
    assert_eq!(api.status.unwrap().phase.as_deref(), Some("Failed"));
}

/// A main container behind an init container and a sidecar.
fn initialized_template() -> Value {
    let mut template = template();
    template["spec"]["initContainers"] = json!([
        {"name": "init", "image": "i"},
        {"name": "side", "image": "i", "restartPolicy": "Always"},
    ]);
    template
}

fn end_of(name: &str, exit: Exit) -> ContainerEnd {
    let PodState::Terminated(end) = ended(Outcome::Failed, exit).state else { unreachable!() };
    let first = end.containers.into_iter().next().unwrap();
    ContainerEnd { name: name.to_owned(), restarts: 0, ..first }
}

fn now(name: &str, state: ContainerState, up: bool) -> ContainerNow {
    let name = name.to_owned();
    ContainerNow { name, state, ready: up, started: up, restarts: 0, last: None, waits_for: None }
}

fn running(initialized: Initialized, containers: Vec<ContainerNow>) -> PodRecord {
    let ready = containers[0].ready;
    let changed = ready.then(|| at(T2));
    let detail = Detail { initialized: Some(initialized), ready_changed_at: changed, containers };
    let detail = Some(Box::new(detail));
    record(PodState::Running(Running {
        started_at: at(T1),
        only_tried: false,
        ready,
        restarts: 0,
        detail,
    }))
}

#[test]
fn a_pod_is_pending_while_it_initializes() {
    let template = initialized_template();
    let shown = show_of(&template, Some(&record(PodState::Claimed)), None);
    let waiting = json!({"waiting": {"reason": "PodInitializing"}});
    assert_eq!(shown["status"]["initContainerStatuses"][1]["state"], waiting);
    assert_eq!(shown["status"]["containerStatuses"][0]["state"], waiting);
    assert_eq!(condition(&shown, "Initialized")["status"], "False");
    assert_eq!(condition(&shown, "PodReadyToStartContainers")["status"], "False");

    let done = ContainerState::Terminated(Box::new(end_of("init", Exit::Code(0))));
    let since = ContainerState::Running { since: at(T1) };
    let record = running(
        Initialized::Not,
        vec![
            now("main", ContainerState::Waiting, false),
            ContainerNow { ready: true, ..now("init", done, false) },
            now("side", since, false),
        ],
    );
    let shown = show_of(&template, Some(&record), None);
    assert_eq!(shown["status"]["phase"], "Pending");
    let initialized = condition(&shown, "Initialized");
    assert_eq!(initialized["reason"], "ContainersNotInitialized");
    assert_eq!(initialized["message"], "containers with incomplete status: [side]");
    let ready = condition(&shown, "Ready");
    assert_eq!(ready["message"], "containers with unready status: [side main]");
    assert_eq!(condition(&shown, "PodReadyToStartContainers")["status"], "True");
    let init = &shown["status"]["initContainerStatuses"];
    assert_eq!(init[0]["state"]["terminated"]["exitCode"], 0);
    assert_eq!((&init[0]["ready"], &init[1]["started"]), (&json!(true), &json!(false)));
    let api: k8s_openapi::api::core::v1::Pod = serde_json::from_value(shown).unwrap();
    assert_eq!(api.status.unwrap().init_container_statuses.unwrap().len(), 2);
}

#[test]
fn a_container_that_lacks_variables_says_so_beside_others_that_run() {
    let since = at("2026-01-01T00:00:01Z");
    let waits_for = WaitsFor {
        reason: "CreateContainerConfigError".to_owned(),
        message: "secret \"late\" not found".to_owned(),
    };
    let lacks = ContainerNow {
        waits_for: Some(Box::new(waits_for)),
        ..now("main", ContainerState::Waiting, false)
    };
    let done = ContainerState::Terminated(Box::new(end_of("init", Exit::Code(0))));
    let containers = vec![
        lacks,
        now("side", ContainerState::Running { since }, true),
        ContainerNow { ready: true, ..now("init", done, false) },
    ];
    let pod = show_of(
        &initialized_template(),
        Some(&running(Initialized::At(since), containers.clone())),
        None,
    );
    assert!(pod["metadata"]["annotations"][TIMES].as_str().unwrap().contains("started="), "{pod}");
    // Kubelet's word while a main container was never started.
    assert_eq!(pod["status"]["phase"], "Pending");
    assert_eq!(condition(&pod, "Initialized")["status"], "True");
    assert_eq!(condition(&pod, "PodReadyToStartContainers")["status"], "True");
    assert_eq!(
        pod["status"]["containerStatuses"][0]["state"],
        json!({"waiting": {
            "reason": "CreateContainerConfigError", "message": "secret \"late\" not found",
        }})
    );
    let mut nothing_ran = running(Initialized::Not, containers);
    if let PodState::Running(running) = &mut nothing_ran.state {
        running.only_tried = true;
    }
    let pod = show_of(&initialized_template(), Some(&nothing_ran), None);
    let times = pod["metadata"]["annotations"][TIMES].as_str().unwrap();
    assert!(times.contains("claimed=") && !times.contains("started="), "{times}");
}

#[test]
fn an_initialized_pod_runs_and_tells_what_failed_before() {
    let template = initialized_template();
    let done = ContainerState::Terminated(Box::new(end_of("init", Exit::Code(0))));
    let since = ContainerState::Running { since: at(T1) };
    let last = ContainerEnd { restarts: 3, ..end_of("side", Exit::Code(3)) };
    let last = Some(Box::new(last));
    let backing_off = ContainerState::BackingOff { delay_seconds: 80 };
    let record = running(
        Initialized::At(at(T1)),
        vec![
            now("main", since, true),
            now("init", done, false),
            ContainerNow { restarts: 4, last, ..now("side", backing_off, false) },
        ],
    );
    let shown = show_of(&template, Some(&record), None);
    assert_eq!(shown["status"]["phase"], "Running");
    let initialized = condition(&shown, "Initialized");
    assert_eq!(
        (&initialized["status"], &initialized["lastTransitionTime"]),
        (&json!("True"), &json!(T1))
    );
    assert_eq!(condition(&shown, "Ready")["lastTransitionTime"], T2);
    let side = &shown["status"]["initContainerStatuses"][1];
    let waiting = &side["state"]["waiting"];
    assert_eq!(waiting["reason"], "CrashLoopBackOff");
    let name = shown["metadata"]["name"].as_str().unwrap();
    let uid = shown["metadata"]["uid"].as_str().unwrap();
    let message =
        format!("back-off 1m20s restarting failed container=side pod={name}_default({uid})");
    assert_eq!(waiting["message"], json!(message));
    assert_eq!(side["lastState"]["terminated"]["exitCode"], 3);
    assert_eq!(side["restartCount"], 4);
    // It waits: the id is that of the run before.
    assert_eq!(side["containerID"], run("side", 3));
    assert_eq!(side["lastState"]["terminated"]["containerID"], run("side", 3));
    assert_eq!(shown["status"]["containerStatuses"][0]["containerID"], run("main", 0));
}

#[test]
fn a_pod_that_never_initialized_has_main_containers_that_wait() {
    let mut record = ended(Outcome::Failed, Exit::Code(1));
    let PodState::Terminated(end) = &mut record.state else { unreachable!() };
    end.containers = vec![end_of("init", Exit::Code(1))];
    end.initialized = Some(Initialized::Not);
    let shown = show_of(&initialized_template(), Some(&record), None);
    assert_eq!(shown["status"]["phase"], "Failed");
    assert_eq!(condition(&shown, "Initialized")["status"], "False");
    let message = &condition(&shown, "Initialized")["message"];
    assert_eq!(message, "containers with incomplete status: [init side]");
    let waiting = json!({"waiting": {"reason": "PodInitializing"}});
    assert_eq!(shown["status"]["containerStatuses"][0]["state"], waiting);
    let init = &shown["status"]["initContainerStatuses"];
    assert_eq!(init[0]["state"]["terminated"]["exitCode"], 1);
    assert_eq!(init[1]["state"], waiting);
}

#[test]
fn an_ended_container_tells_of_its_run_before() {
    let mut record = ended(Outcome::Succeeded, Exit::Code(0));
    let PodState::Terminated(end) = &mut record.state else { unreachable!() };
    end.containers[0].before = Some(Box::new(end_of("main", Exit::Signal(11))));
    let shown = show(Some(&record), None);
    let container = &shown["status"]["containerStatuses"][0];
    assert_eq!(container["lastState"]["terminated"]["signal"], 11);
}
