//! Columns of pods.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{AGE, Columns, Head, NAME, age, between, name, or_none, parse_time};

pub(super) static COLUMNS: Columns = Columns {
    heads: &[
        NAME,
        Head::text("Ready", "Containers that are ready, of those there are."),
        Head::text("Status", "What the pod's containers are about, in a word."),
        Head::text("Restarts", "How often containers were started again, and when last."),
        AGE,
        Head::wide("IP", "The address at which the pod can be reached."),
        Head::wide("Node", "The worker that runs it."),
        Head::wide("Nominated Node", "The worker that is being made room on for it."),
        Head::wide("Readiness Gates", "Conditions of the pod's own that hold, of all of them."),
    ],
    cells,
    conditions: ended,
};

fn cells(pod: &Value, now: Timestamp) -> Vec<Value> {
    let summary = summary(pod);
    vec![
        name(pod),
        json!(format!("{}/{}", summary.ready, summary.containers)),
        json!(summary.reason),
        json!(restarts(&summary, now)),
        age(pod, now),
        or_none(&pod["status"]["podIP"]),
        or_none(&pod["spec"]["nodeName"]),
        or_none(&pod["status"]["nominatedNodeName"]),
        json!(gates(pod)),
    ]
}

/// That a pod has ended, as clients that hide such pods are told.
fn ended(pod: &Value) -> Option<Value> {
    let (reason, message) = match pod["status"]["phase"].as_str()? {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return None,
    };
    Some(json!({"type": "Completed", "status": "True", "reason": reason, "message": message}))
}

/// What is counted over a pod's containers.
#[derive(Debug, Default)]
struct Summary {
    containers: usize,
    ready: usize,
    reason: String,
    restarts: u64,
    last_restart: Option<Timestamp>,
}

impl Summary {
    fn count_restarts(&mut self, status: &Value) {
        self.restarts += status["restartCount"].as_u64().unwrap_or(0);
        let last = parse_time(&status["lastState"]["terminated"]["finishedAt"]);
        self.last_restart = self.last_restart.max(last);
    }
}

fn summary(pod: &Value) -> Summary {
    let (spec, status) = (&pod["spec"], &pod["status"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let phase = text(&status["phase"]);
    let reason = text(&status["reason"]);
    let mut summary = Summary {
        containers: spec["containers"].as_array().map_or(0, Vec::len),
        reason: if reason.is_empty() { phase.clone() } else { reason },
        ..Summary::default()
    };
    let (initializing, sidecars) = initialize(pod, &mut summary);
    if !initializing || holds(status, "Initialized") {
        // From here on only those init containers count that run beside the others.
        summary.restarts = sidecars.restarts;
        summary.last_restart = sidecars.last_restart;
        run(status, &mut summary);
    }
    let deleted = pod["metadata"]["deletionTimestamp"].is_string();
    if deleted && status["reason"] == "NodeLost" {
        "Unknown".clone_into(&mut summary.reason);
    } else if deleted && phase != "Succeeded" && phase != "Failed" {
        "Terminating".clone_into(&mut summary.reason);
    }
    summary
}

/// Looks at init containers: whether one of them is still to end, and the restarts of those that
/// run beside the others.
fn initialize(pod: &Value, summary: &mut Summary) -> (bool, Summary) {
    let specs: Vec<&Value> = list(&pod["spec"]["initContainers"]).collect();
    let is_sidecar = |name: &Value| {
        specs.iter().any(|spec| spec["name"] == *name && spec["restartPolicy"] == "Always")
    };
    summary.containers += specs.iter().filter(|spec| spec["restartPolicy"] == "Always").count();
    let mut sidecars = Summary::default();
    for (index, status) in list(&pod["status"]["initContainerStatuses"]).enumerate() {
        summary.count_restarts(status);
        let sidecar = is_sidecar(&status["name"]);
        if sidecar {
            sidecars.count_restarts(status);
        }
        let (waiting, terminated) = (&status["state"]["waiting"], &status["state"]["terminated"]);
        if terminated["exitCode"] == 0 {
            continue;
        }
        if sidecar && status["started"] == true {
            summary.ready += usize::from(status["ready"] == true);
            continue;
        }
        summary.reason = if terminated.is_object() {
            format!("Init:{}", why_terminated(terminated))
        } else {
            match waiting["reason"].as_str() {
                Some(reason) if !reason.is_empty() && reason != "PodInitializing" => {
                    format!("Init:{reason}")
                }
                Some(_) | None => format!("Init:{index}/{}", specs.len()),
            }
        };
        return (true, sidecars);
    }
    (false, sidecars)
}

/// Looks at the containers, the first of which has the last word.
fn run(status: &Value, summary: &mut Summary) {
    let mut running = false;
    let statuses: Vec<&Value> = list(&status["containerStatuses"]).collect();
    for container in statuses.into_iter().rev() {
        summary.count_restarts(container);
        let state = &container["state"];
        match state["waiting"]["reason"].as_str() {
            Some(reason) if !reason.is_empty() => reason.clone_into(&mut summary.reason),
            _ if state["terminated"].is_object() => {
                summary.reason = why_terminated(&state["terminated"]);
            }
            _ if container["ready"] == true && state["running"].is_object() => {
                running = true;
                summary.ready += 1;
            }
            _ => {}
        }
    }
    if summary.reason == "Completed" && running {
        let word = if holds(status, "Ready") { "Running" } else { "NotReady" };
        word.clone_into(&mut summary.reason);
    }
}

fn why_terminated(terminated: &Value) -> String {
    match (terminated["reason"].as_str(), terminated["signal"].as_i64()) {
        (Some(reason), _) if !reason.is_empty() => reason.to_owned(),
        (_, Some(signal)) if signal != 0 => format!("Signal:{signal}"),
        _ => format!("ExitCode:{}", terminated["exitCode"].as_i64().unwrap_or(0)),
    }
}

fn restarts(summary: &Summary, now: Timestamp) -> String {
    match summary.last_restart {
        Some(last) if summary.restarts > 0 => {
            format!("{} ({} ago)", summary.restarts, between(last, now))
        }
        Some(_) | None => summary.restarts.to_string(),
    }
}

fn gates(pod: &Value) -> String {
    let gates: Vec<&Value> = list(&pod["spec"]["readinessGates"]).collect();
    if gates.is_empty() {
        return "<none>".to_owned();
    }
    let kinds = gates.iter().filter_map(|gate| gate["conditionType"].as_str());
    let open = kinds.filter(|kind| holds(&pod["status"], kind)).count();
    format!("{open}/{}", gates.len())
}

fn holds(status: &Value, kind: &str) -> bool {
    list(&status["conditions"])
        .any(|condition| condition["type"] == kind && condition["status"] == "True")
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(pod: &Value) -> Vec<Value> {
        cells(pod, "2026-01-15T12:02:30Z".parse().unwrap())
    }

    fn pod(status: Value) -> Value {
        json!({
            "metadata": {"name": "pi-x", "creationTimestamp": "2026-01-15T12:00:00Z"},
            "spec": {"nodeName": "n", "containers": [{"name": "a"}, {"name": "b"}]},
            "status": status,
        })
    }

    #[test]
    fn a_running_pod() {
        let running = json!({"running": {"startedAt": "2026-01-15T12:00:00Z"}});
        let pod = pod(json!({
            "phase": "Running",
            "podIP": "10.0.0.1",
            "containerStatuses": [
                {"name": "a", "ready": true, "restartCount": 0, "state": running},
                {
                    "name": "b",
                    "ready": false,
                    "restartCount": 3,
                    "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                    "lastState": {"terminated": {"finishedAt": "2026-01-15T12:02:00Z"}},
                },
            ],
        }));
        let wanted = [
            "pi-x",
            "1/2",
            "CrashLoopBackOff",
            "3 (30s ago)",
            "2m30s",
            "10.0.0.1",
            "n",
            "<none>",
            "<none>",
        ];
        assert_eq!(row(&pod), wanted);
    }

    #[test]
    fn ends_and_deletions() {
        let ended = |code: i32, reason: &str| {
            json!({"name": "a", "restartCount": 0, "state": {
                "terminated": {"exitCode": code, "reason": reason},
            }})
        };
        let of = |phase: &str, statuses: Value| {
            pod(json!({"phase": phase, "containerStatuses": statuses}))
        };
        let reason = |pod: &Value| row(pod)[2].clone();
        assert_eq!(reason(&of("Succeeded", json!([ended(0, "Completed")]))), "Completed");
        assert_eq!(reason(&of("Failed", json!([ended(3, "")]))), "ExitCode:3");
        assert_eq!(reason(&of("Pending", json!([]))), "Pending");
        let mut deleted = of("Running", json!([]));
        deleted["metadata"]["deletionTimestamp"] = json!("2026-01-15T12:00:00Z");
        assert_eq!(reason(&deleted), "Terminating");
        deleted["status"]["phase"] = json!("Failed");
        assert_eq!(reason(&deleted), "Failed");
    }

    #[test]
    fn init_containers_come_first() {
        let mut pod = pod(json!({"phase": "Pending", "initContainerStatuses": [
            {"name": "i", "restartCount": 0, "state": {"terminated": {"exitCode": 0}}},
            {"name": "j", "restartCount": 1, "state": {"running": {}}},
        ]}));
        pod["spec"]["initContainers"] = json!([{"name": "i"}, {"name": "j"}]);
        assert_eq!(&row(&pod)[1..4], ["0/2", "Init:1/2", "1"]);
        pod["status"]["initContainerStatuses"][1]["state"] =
            json!({"terminated": {"exitCode": 4, "reason": "Error"}});
        assert_eq!(row(&pod)[2], "Init:Error");
    }
}
