//! `status` of a pod, from what its worker has reported.
//!
//! A record sums restarts over all containers while the pod runs; they are shown at the first one.
//! The end of a pod has them container by container.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use stint_common::time::format_seconds;
use stint_common::wire::{ContainerEnd, End, Exit, Outcome, PodRecord, PodState, Running};

use super::pod_object::PodView;
use super::scheduling::qos_class;

/// `status` of the pod with this spec.
pub(super) fn status(spec: &Value, view: &PodView<'_>) -> Value {
    let mut status = Map::new();
    let Some(record) = view.record else {
        // As right after its creation: nobody has looked at it yet.
        status.insert("phase".to_owned(), json!("Pending"));
        status.insert("qosClass".to_owned(), json!(qos_class(spec)));
        return Value::Object(status);
    };
    let phase = match &record.state {
        PodState::Claimed => "Pending",
        PodState::Running(_) => "Running",
        PodState::Terminated(end) => phase_of(end),
    };
    status.insert("phase".to_owned(), json!(phase));
    status.insert("conditions".to_owned(), Value::Array(conditions(spec, record)));
    if let PodState::Terminated(end) = &record.state {
        for (name, text) in [("reason", &end.reason), ("message", &end.message)] {
            if !text.is_empty() {
                status.insert(name.to_owned(), json!(text));
            }
        }
    }
    if let Some(claim) = &record.claim {
        status.insert("startTime".to_owned(), time(claim.claimed_at));
    }
    let containers = containers(spec, &record.state);
    if !containers.is_empty() {
        status.insert("containerStatuses".to_owned(), Value::Array(containers));
    }
    status.insert("qosClass".to_owned(), json!(qos_class(spec)));
    Value::Object(status)
}

fn phase_of(end: &End) -> &'static str {
    match end.outcome {
        Outcome::Succeeded => "Succeeded",
        Outcome::Failed => "Failed",
    }
}

fn time(time: Timestamp) -> Value {
    Value::from(format_seconds(time))
}

/// The conditions in kubelet's order: why the pod is or is not ready, then what disturbed it.
fn conditions(spec: &Value, record: &PodRecord) -> Vec<Value> {
    let Some(claim) = &record.claim else { return disruptions(record) };
    let scheduled = condition("PodScheduled", true, "", claim.claimed_at);
    let mut list = match &record.state {
        PodState::Claimed => {
            let at = claim.claimed_at;
            unready(
                at,
                "ContainersNotReady",
                &unready_message(spec),
                condition("Initialized", true, "", at),
            )
        }
        PodState::Running(running) if running.ready => vec![
            condition("Initialized", true, "", claim.claimed_at),
            condition("Ready", true, "", running.started_at),
            condition("ContainersReady", true, "", running.started_at),
        ],
        PodState::Running(running) => unready(
            running.started_at,
            "ContainersNotReady",
            &unready_message(spec),
            condition("Initialized", true, "", claim.claimed_at),
        ),
        PodState::Terminated(end) => {
            let (reason, initialized) = match end.outcome {
                Outcome::Succeeded => ("PodCompleted", "PodCompleted"),
                Outcome::Failed => ("PodFailed", ""),
            };
            let initialized = condition("Initialized", true, initialized, claim.claimed_at);
            unready(end.finished_at, reason, "", initialized)
        }
    };
    list.push(scheduled);
    list.extend(disruptions(record));
    list
}

fn unready(at: Timestamp, reason: &str, message: &str, initialized: Value) -> Vec<Value> {
    let mut list = vec![
        initialized,
        condition("Ready", false, reason, at),
        condition("ContainersReady", false, reason, at),
    ];
    if !message.is_empty() {
        list.iter_mut().skip(1).for_each(|condition| condition["message"] = json!(message));
    }
    list
}

fn unready_message(spec: &Value) -> String {
    let names: Vec<&str> =
        container_specs(spec).map(|it| it["name"].as_str().unwrap_or("")).collect();
    format!("containers with unready status: [{}]", names.join(" "))
}

fn disruptions(record: &PodRecord) -> Vec<Value> {
    let PodState::Terminated(end) = &record.state else { return Vec::new() };
    let each = end.conditions.iter().map(|it| {
        let mut value = condition(&it.kind, true, &it.reason, it.at);
        value["message"] = json!(it.message);
        value
    });
    each.collect()
}

fn condition(kind: &str, holds: bool, reason: &str, at: Timestamp) -> Value {
    let mut value = json!({
        "type": kind,
        "status": if holds { "True" } else { "False" },
        "lastProbeTime": null,
        "lastTransitionTime": time(at),
    });
    if !reason.is_empty() {
        value["reason"] = json!(reason);
    }
    value
}

fn container_specs(spec: &Value) -> impl Iterator<Item = &Value> {
    spec["containers"].as_array().into_iter().flatten()
}

/// One status per container; none for a pod that ended before any was started.
fn containers(spec: &Value, state: &PodState) -> Vec<Value> {
    let specs = container_specs(spec);
    match state {
        PodState::Claimed => {
            specs.map(|it| container(it, &Facts::not_started("ContainerCreating"))).collect()
        }
        PodState::Running(running) => {
            let first = std::iter::once(true).chain(std::iter::repeat(false));
            specs
                .zip(first)
                .map(|(it, first)| container(it, &Facts::running(running, first)))
                .collect()
        }
        PodState::Terminated(end) => specs
            .filter_map(|it| {
                let ended = end.containers.iter().find(|ended| it["name"] == *ended.name)?;
                Some(container(it, &Facts::ended(ended)))
            })
            .collect(),
    }
}

/// What a container's status says beside its name and image.
struct Facts {
    state: Value,
    ready: bool,
    started: bool,
    restarts: u32,
}

impl Facts {
    fn not_started(reason: &str) -> Self {
        let state = json!({"waiting": {"reason": reason}});
        Self { state, ready: false, started: false, restarts: 0 }
    }

    fn running(running: &Running, first: bool) -> Self {
        let state = json!({"running": {"startedAt": time(running.started_at)}});
        let restarts = if first { running.restarts } else { 0 };
        Self { state, ready: running.ready, started: true, restarts }
    }

    fn ended(end: &ContainerEnd) -> Self {
        let mut state = Map::new();
        state.insert("exitCode".to_owned(), json!(end.exit.code()));
        if let Exit::Signal(signal) = end.exit {
            state.insert("signal".to_owned(), json!(signal));
        }
        for (name, text) in [("reason", &end.reason), ("message", &end.message)] {
            if !text.is_empty() {
                state.insert(name.to_owned(), json!(text));
            }
        }
        state.insert("startedAt".to_owned(), end.started_at.map_or(Value::Null, time));
        state.insert("finishedAt".to_owned(), time(end.finished_at));
        let state = json!({"terminated": state});
        Self { state, ready: false, started: false, restarts: end.restarts }
    }
}

fn container(spec: &Value, facts: &Facts) -> Value {
    json!({
        "name": spec["name"],
        "state": facts.state,
        "lastState": {},
        "ready": facts.ready,
        "restartCount": facts.restarts,
        "image": spec["image"],
        "imageID": "",
        "started": facts.started,
    })
}
