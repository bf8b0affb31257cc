//! `containerStatuses` and `initContainerStatuses`.

use serde_json::{Map, Value, json};
use stint_common::wire::{ContainerEnd, ContainerNow, ContainerState, Exit, PodState, Running};

use super::{PodName, RUNTIME, container_specs, init_specs, is_sidecar, time};

/// One status for each main container; none for a pod that ended before any was started.
pub(super) fn main_statuses(spec: &Value, state: &PodState, pod: PodName<'_>) -> Vec<Value> {
    let initializes = init_specs(spec).next().is_some();
    let first = std::iter::once(true).chain(std::iter::repeat(false));
    let each = container_specs(spec).zip(first);
    each.filter_map(|(it, first)| match state {
        PodState::Running(running) if running.detail.is_none() => {
            Some(show(it, &Facts::running(it, running, first, pod)))
        }
        PodState::Claimed | PodState::Running(_) | PodState::Terminated(_) => {
            known(it, state, List::Main { initializes }, pod)
        }
    })
    .collect()
}

/// One status for each init container.
pub(super) fn init_statuses(spec: &Value, state: &PodState, pod: PodName<'_>) -> Vec<Value> {
    init_specs(spec).filter_map(|it| known(it, state, List::Init, pod)).collect()
}

/// Which of a pod's lists a container stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum List {
    Main {
        /// The pod has init containers.
        initializes: bool,
    },
    Init,
}

fn known(spec: &Value, state: &PodState, list: List, pod: PodName<'_>) -> Option<Value> {
    let initializes = list != List::Main { initializes: false };
    let waiting = if initializes { "PodInitializing" } else { "ContainerCreating" };
    let facts = match state {
        PodState::Claimed => Facts::waiting(waiting),
        PodState::Running(running) => {
            let all = running.detail.as_ref().map_or(&[][..], |detail| &detail.containers);
            match all.iter().find(|now| spec["name"] == *now.name) {
                Some(now) => Facts::now(now, waiting, pod),
                None => Facts::waiting(waiting),
            }
        }
        PodState::Terminated(end) => {
            let found = end.containers.iter().find(|ended| spec["name"] == *ended.name);
            match found {
                Some(found) => {
                    // An init container that has succeeded is ready for ever.
                    let done = found.exit == Exit::Code(0) && !is_sidecar(spec);
                    Facts { ready: list == List::Init && done, ..Facts::ended(found, pod) }
                }
                // Its turn never came, because of an init container.
                None if initializes && !end.containers.is_empty() => Facts::waiting(waiting),
                None => return None,
            }
        }
    };
    Some(show(spec, &facts))
}

/// What a container's status says beside its name and image.
struct Facts {
    /// The run that `state` tells of; while it waits, the one before.
    id: Option<String>,
    state: Value,
    last_state: Value,
    ready: bool,
    started: bool,
    restarts: u32,
}

impl Facts {
    fn waiting(reason: &str) -> Self {
        Self {
            id: None,
            state: json!({"waiting": {"reason": reason}}),
            last_state: json!({}),
            ready: false,
            started: false,
            restarts: 0,
        }
    }

    /// The one container of a pod that has nothing else to say.
    fn running(spec: &Value, running: &Running, first: bool, pod: PodName<'_>) -> Self {
        let restarts = if first { running.restarts } else { 0 };
        Self {
            id: Some(run_id(pod, spec["name"].as_str().unwrap_or_default(), restarts)),
            state: json!({"running": {"startedAt": time(running.started_at)}}),
            ready: running.ready,
            started: true,
            restarts,
            ..Self::waiting("")
        }
    }

    fn now(now: &ContainerNow, waiting: &str, pod: PodName<'_>) -> Self {
        let state = match &now.state {
            ContainerState::Waiting => match &now.waits_for {
                Some(it) => json!({"waiting": {"reason": it.reason, "message": it.message}}),
                None => json!({"waiting": {"reason": waiting}}),
            },
            ContainerState::BackingOff { delay_seconds } => {
                let name = &now.name;
                let message = format!(
                    "back-off {} restarting failed container={name} pod={pod}",
                    go_seconds(*delay_seconds)
                );
                json!({"waiting": {"reason": "CrashLoopBackOff", "message": message}})
            }
            ContainerState::Running { since } => json!({"running": {"startedAt": time(*since)}}),
            ContainerState::Terminated(end) => json!({"terminated": terminated(end, pod)}),
        };
        let id = match &now.state {
            ContainerState::Running { .. } => Some(run_id(pod, &now.name, now.restarts)),
            ContainerState::Terminated(end) => ended_id(end, pod),
            ContainerState::Waiting | ContainerState::BackingOff { .. } => {
                now.last.as_ref().and_then(|end| ended_id(end, pod))
            }
        };
        let ended = match &now.state {
            ContainerState::Terminated(end) => end.before.as_ref(),
            ContainerState::Waiting
            | ContainerState::BackingOff { .. }
            | ContainerState::Running { .. } => now.last.as_ref(),
        };
        Self {
            id,
            state,
            last_state: last_state(ended.map(|end| &**end), pod),
            ready: now.ready,
            started: now.started,
            restarts: now.restarts,
        }
    }

    fn ended(end: &ContainerEnd, pod: PodName<'_>) -> Self {
        Self {
            id: ended_id(end, pod),
            state: json!({"terminated": terminated(end, pod)}),
            last_state: last_state(end.before.as_deref(), pod),
            ready: false,
            started: false,
            restarts: end.restarts,
        }
    }
}

/// `containerID` of one run of a container: what the node says that runs it, then what no other run
/// of any pod is called.
fn run_id(pod: PodName<'_>, container: &str, restarts: u32) -> String {
    format!("{RUNTIME}://{}/{container}/{restarts}", pod.uid)
}

/// The same of a run that has ended; none if there was none.
fn ended_id(end: &ContainerEnd, pod: PodName<'_>) -> Option<String> {
    let tried = end.started_at.is_some() || end.exit == Exit::NotStarted;
    tried.then(|| run_id(pod, &end.name, end.restarts))
}

fn last_state(end: Option<&ContainerEnd>, pod: PodName<'_>) -> Value {
    end.map_or_else(|| json!({}), |end| json!({"terminated": terminated(end, pod)}))
}

fn terminated(end: &ContainerEnd, pod: PodName<'_>) -> Value {
    let mut state = Map::new();
    state.insert("exitCode".to_owned(), json!(end.exit_code()));
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
    if let Some(id) = ended_id(end, pod) {
        state.insert("containerID".to_owned(), json!(id));
    }
    Value::Object(state)
}

/// Whole seconds as Go writes a duration: `10s`, `1m20s`, `5m0s`.
fn go_seconds(seconds: u32) -> String {
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
    }
}

fn show(spec: &Value, facts: &Facts) -> Value {
    let mut status = json!({
        "name": spec["name"],
        "state": facts.state,
        "lastState": facts.last_state,
        "ready": facts.ready,
        "restartCount": facts.restarts,
        "image": spec["image"],
        "imageID": "",
        "started": facts.started,
    });
    if let Some(id) = &facts.id {
        status["containerID"] = json!(id);
    }
    status
}
