//! `status` of a pod, from what its worker has reported: phase and conditions.

mod containers;

use std::fmt;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use stint_common::time::format_seconds;
use stint_common::wire::{
    Claim, ContainerState, Detail, End, Initialized, Outcome, PodRecord, PodState, Running,
};

use super::pod_object::PodView;
use super::scheduling::qos_class;
use containers::{init_statuses, main_statuses};

/// How the runtime is called in ids of containers, and by nodes.
pub(super) const RUNTIME: &str = "process";

/// What a pod is called in messages: `name_namespace(uid)`.
#[derive(Clone, Copy, Debug)]
pub(super) struct PodName<'a> {
    pub(super) name: &'a str,
    pub(super) namespace: &'a str,
    pub(super) uid: uuid::Uuid,
}

impl fmt::Display for PodName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}({})", self.name, self.namespace, self.uid)
    }
}

/// `status` of the pod with this spec.
pub(super) fn status(spec: &Value, view: &PodView<'_>, name: PodName<'_>) -> Value {
    let mut status = Map::new();
    let mut put = |name: &str, value: Value| {
        status.insert(name.to_owned(), value);
    };
    let Some(record) = view.record else {
        // As right after its creation: nobody has looked at it yet.
        put("phase", json!("Pending"));
        put("qosClass", json!(qos_class(spec)));
        return Value::Object(status);
    };
    put("phase", json!(phase(spec, &record.state)));
    let main = main_statuses(spec, &record.state, name);
    let init = init_statuses(spec, &record.state, name);
    let mut conditions = conditions(spec, record, &main, &init);
    conditions.extend(eviction(view));
    put("conditions", Value::Array(conditions));
    if let PodState::Terminated(end) = &record.state {
        for (name, text) in [("reason", &end.reason), ("message", &end.message)] {
            if !text.is_empty() {
                put(name, json!(text));
            }
        }
    }
    if let Some(claim) = &record.claim {
        // Specs of pods never change.
        put("observedGeneration", json!(1));
        put("startTime", time(claim.claimed_at));
    }
    if let Some(address) = &record.address {
        // A pod has its machine's network.
        let list = json!([{"ip": address}]);
        put("hostIP", json!(address));
        put("hostIPs", list.clone());
        put("podIP", json!(address));
        put("podIPs", list);
    }
    for (name, list) in [("initContainerStatuses", init), ("containerStatuses", main)] {
        if !list.is_empty() {
            put(name, Value::Array(list));
        }
    }
    put("qosClass", json!(qos_class(spec)));
    Value::Object(status)
}

fn phase(spec: &Value, state: &PodState) -> &'static str {
    match state {
        PodState::Claimed => "Pending",
        PodState::Running(running) => match &running.detail {
            Some(detail) if is_pending(spec, detail) => "Pending",
            Some(_) | None => "Running",
        },
        PodState::Terminated(end) => match end.outcome {
            Outcome::Succeeded => "Succeeded",
            Outcome::Failed => "Failed",
        },
    }
}

/// Some container's first run is still to come.
fn is_pending(spec: &Value, detail: &Detail) -> bool {
    let main = container_specs(spec).count();
    let mut main = detail.containers.iter().take(main);
    let to_come = main.any(|it| it.state == ContainerState::Waiting && it.last.is_none());
    to_come || detail.initialized == Some(Initialized::Not)
}

fn time(time: Timestamp) -> Value {
    Value::from(format_seconds(time))
}

/// The conditions in kubelet's order: why the pod is or is not ready, then what disturbed it.
fn conditions(spec: &Value, record: &PodRecord, main: &[Value], init: &[Value]) -> Vec<Value> {
    let Some(claim) = &record.claim else { return disruptions(record) };
    let (can_start, since) = match &record.state {
        PodState::Claimed => (false, claim.claimed_at),
        PodState::Running(running) => (true, running.started_at),
        PodState::Terminated(end) => (false, end.finished_at),
    };
    let mut list = vec![
        condition("PodReadyToStartContainers", can_start, ("", ""), since),
        initialized(spec, claim, &record.state, init),
    ];
    list.extend(ready(spec, claim, &record.state, main, init));
    list.push(condition("PodScheduled", true, ("", ""), claim.claimed_at));
    list.extend(disruptions(record));
    list
}

fn initialized(spec: &Value, claim: &Claim, state: &PodState, init: &[Value]) -> Value {
    let known = match state {
        PodState::Claimed => init_specs(spec).next().is_some().then_some(Initialized::Not),
        PodState::Running(running) => running.detail.as_ref().and_then(|detail| detail.initialized),
        PodState::Terminated(end) => end.initialized,
    };
    let kind = "Initialized";
    let at = match known {
        None => claim.claimed_at,
        Some(Initialized::At(at)) => at,
        Some(Initialized::Not) => {
            let names = init_specs(spec).filter_map(|it| {
                let status = init.iter().find(|status| status["name"] == it["name"]);
                let part = if is_sidecar(it) { "started" } else { "ready" };
                let done = status.is_some_and(|status| status[part] == true);
                (!done).then(|| it["name"].as_str().unwrap_or_default())
            });
            let names: Vec<&str> = names.collect();
            let message = format!("containers with incomplete status: [{}]", names.join(" "));
            let reason = ("ContainersNotInitialized", &*message);
            return condition(kind, false, reason, claim.claimed_at);
        }
    };
    let reason = match state {
        PodState::Terminated(end) if end.outcome == Outcome::Succeeded => "PodCompleted",
        PodState::Terminated(_) | PodState::Claimed | PodState::Running(_) => "",
    };
    condition(kind, true, (reason, ""), at)
}

/// Ready and `ContainersReady`: there are no readiness gates, so they are the same.
fn ready(
    spec: &Value,
    claim: &Claim,
    state: &PodState,
    main: &[Value],
    init: &[Value],
) -> [Value; 2] {
    let unready = || {
        let sidecars = init.iter().zip(init_specs(spec)).filter(|(_, spec)| is_sidecar(spec));
        let all = sidecars.map(|(status, _)| status).chain(main);
        let names = all.filter(|status| status["ready"] != true);
        let names: Vec<&str> = names.map(|it| it["name"].as_str().unwrap_or_default()).collect();
        format!("containers with unready status: [{}]", names.join(" "))
    };
    let not_ready = "ContainersNotReady";
    let (holds, reason, message, at) = match state {
        PodState::Claimed => (false, not_ready, unready(), claim.claimed_at),
        PodState::Running(running) if running.ready => {
            (true, "", String::new(), changed_at(running).unwrap_or(running.started_at))
        }
        PodState::Running(running) => {
            (false, not_ready, unready(), changed_at(running).unwrap_or(claim.claimed_at))
        }
        PodState::Terminated(end) => (false, over(end), String::new(), end.finished_at),
    };
    ["Ready", "ContainersReady"].map(|kind| condition(kind, holds, (reason, &*message), at))
}

fn changed_at(running: &Running) -> Option<Timestamp> {
    running.detail.as_ref()?.ready_changed_at
}

fn over(end: &End) -> &'static str {
    match end.outcome {
        Outcome::Succeeded => "PodCompleted",
        Outcome::Failed => "PodFailed",
    }
}

fn disruptions(record: &PodRecord) -> Vec<Value> {
    let PodState::Terminated(end) = &record.state else { return Vec::new() };
    let each = end.conditions.iter();
    each.map(|it| condition(&it.kind, true, (&it.reason, &it.message), it.at)).collect()
}

/// As the API server notes it down when it takes an eviction.
fn eviction(view: &PodView<'_>) -> Option<Value> {
    let deletion = view.deletion.filter(|deletion| deletion.evicted)?;
    let reason = ("EvictionByEvictionAPI", "Eviction API: evicting");
    Some(condition("DisruptionTarget", true, reason, deletion.at))
}

fn condition(kind: &str, holds: bool, (reason, message): (&str, &str), at: Timestamp) -> Value {
    let mut value = json!({
        "type": kind,
        "status": if holds { "True" } else { "False" },
        "lastProbeTime": null,
        "lastTransitionTime": time(at),
    });
    for (name, text) in [("reason", reason), ("message", message)] {
        if !text.is_empty() {
            value[name] = json!(text);
        }
    }
    value
}

fn container_specs(spec: &Value) -> impl Iterator<Item = &Value> {
    spec["containers"].as_array().into_iter().flatten()
}

fn init_specs(spec: &Value) -> impl Iterator<Item = &Value> {
    spec["initContainers"].as_array().into_iter().flatten()
}

fn is_sidecar(spec: &Value) -> bool {
    spec["restartPolicy"] == "Always"
}
