//! `containerStatuses` and `initContainerStatuses`.

use serde_json::{Map, Value, json};
use stint_common::wire::{ContainerEnd, ContainerNow, ContainerState, Exit, PodState, Running};

use super::{PodName, container_specs, init_specs, is_sidecar, time};

/// One status for each main container; none for a pod that ended before any was started.
pub(super) fn main_statuses(spec: &Value, state: &PodState, pod: PodName<'_>) -> Vec<Value> {
    let initializes = init_specs(spec).next().is_some();
    let first = std::iter::once(true).chain(std::iter::repeat(false));
    let each = container_specs(spec).zip(first);
    each.filter_map(|(it, first)| match state {
        PodState::Running(running) if running.detail.is_none() => {
            Some(show(it, &Facts::running(running, first)))
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
                    Facts { ready: list == List::Init && done, ..Facts::ended(found) }
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
    state: Value,
    last_state: Value,
    ready: bool,
    started: bool,
    restarts: u32,
}

impl Facts {
    fn waiting(reason: &str) -> Self {
        Self {
            state: json!({"waiting": {"reason": reason}}),
            last_state: json!({}),
            ready: false,
            started: false,
            restarts: 0,
        }
    }

    /// The one container of a pod that has nothing else to say.
    fn running(running: &Running, first: bool) -> Self {
        Self {
            state: json!({"running": {"startedAt": time(running.started_at)}}),
            ready: running.ready,
            started: true,
            restarts: if first { running.restarts } else { 0 },
            ..Self::waiting("")
        }
    }

    fn now(now: &ContainerNow, waiting: &str, pod: PodName<'_>) -> Self {
        let state = match &now.state {
            ContainerState::Waiting => json!({"waiting": {"reason": waiting}}),
            ContainerState::BackingOff { delay_seconds } => {
                let name = &now.name;
                let message = format!(
                    "back-off {} restarting failed container={name} pod={pod}",
                    go_seconds(*delay_seconds)
                );
                json!({"waiting": {"reason": "CrashLoopBackOff", "message": message}})
            }
            ContainerState::Running { since } => json!({"running": {"startedAt": time(*since)}}),
            ContainerState::Terminated(end) => json!({"terminated": terminated(end)}),
        };
        let ended = match &now.state {
            ContainerState::Terminated(end) => end.before.as_ref(),
            ContainerState::Waiting
            | ContainerState::BackingOff { .. }
            | ContainerState::Running { .. } => now.last.as_ref(),
        };
        Self {
            state,
            last_state: last_state(ended.map(|end| &**end)),
            ready: now.ready,
            started: now.started,
            restarts: now.restarts,
        }
    }

    fn ended(end: &ContainerEnd) -> Self {
        Self {
            state: json!({"terminated": terminated(end)}),
            last_state: last_state(end.before.as_deref()),
            ready: false,
            started: false,
            restarts: end.restarts,
        }
    }
}

fn last_state(end: Option<&ContainerEnd>) -> Value {
    end.map_or_else(|| json!({}), |end| json!({"terminated": terminated(end)}))
}

fn terminated(end: &ContainerEnd) -> Value {
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
    json!({
        "name": spec["name"],
        "state": facts.state,
        "lastState": facts.last_state,
        "ready": facts.ready,
        "restartCount": facts.restarts,
        "image": spec["image"],
        "imageID": "",
        "started": facts.started,
    })
}
