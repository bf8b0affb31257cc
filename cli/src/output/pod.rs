//! A pod as its status says it is.

use jiff::Timestamp;
use serde_json::Value;
use stint_common::id::PodId;
use stint_common::names::parse_pod_name;
use stint_common::pod_meta::COMPLETION_INDEX;

use super::age::age;

/// Columns of a list of pods.
pub const COLUMNS: [&str; 5] = ["NAME", "READY", "STATUS", "RESTARTS", "AGE"];
/// Columns that `wide` adds.
pub const WIDE: [&str; 3] = ["NODE", "INDEX", "ATTEMPT"];
/// Attempts among which a pod's own is looked for; its name does not show it, but leads to it.
const MAX_ATTEMPTS: u32 = 256;

/// A pod, read.
#[derive(Clone, Copy, Debug)]
pub struct PodView<'a>(pub &'a Value);

impl<'a> PodView<'a> {
    /// `metadata.name`.
    #[must_use]
    pub fn name(self) -> &'a str {
        self.0["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// `metadata.uid`.
    #[must_use]
    pub fn uid(self) -> &'a str {
        self.0["metadata"]["uid"].as_str().unwrap_or_default()
    }

    /// `status.phase`.
    #[must_use]
    pub fn phase(self) -> &'a str {
        self.0["status"]["phase"].as_str().unwrap_or("Unknown")
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self.phase(), "Succeeded" | "Failed")
    }

    /// The worker that runs it.
    #[must_use]
    pub fn node(self) -> Option<&'a str> {
        self.0["spec"]["nodeName"].as_str()
    }

    /// The completion index of an Indexed Job's pod.
    #[must_use]
    pub fn index(self) -> Option<u32> {
        self.0["metadata"]["annotations"][COMPLETION_INDEX].as_str()?.parse().ok()
    }

    /// Which attempt of its slot it is.
    #[must_use]
    pub fn attempt(self) -> Option<u32> {
        Some(self.id()?.attempt.0)
    }

    /// What its name leads to.
    #[must_use]
    pub fn id(self) -> Option<PodId> {
        let owner = &self.0["metadata"]["ownerReferences"][0];
        let (name, job) = (owner["name"].as_str()?, owner["uid"].as_str()?.parse().ok()?);
        let indexed = self.index().is_some();
        parse_pod_name(self.name(), name, indexed, job, |_| MAX_ATTEMPTS)
    }

    /// Its containers' states, as `containerStatuses` holds them.
    pub fn containers(self) -> impl Iterator<Item = &'a Value> {
        self.0["status"]["containerStatuses"].as_array().into_iter().flatten()
    }

    /// The states of its init containers, as `initContainerStatuses` holds them.
    pub fn init_containers(self) -> impl Iterator<Item = &'a Value> {
        self.0["status"]["initContainerStatuses"].as_array().into_iter().flatten()
    }

    /// `kubectl`'s word for where it is: the phase, or what a container says instead.
    #[must_use]
    pub fn status(self) -> String {
        if self.0["metadata"]["deletionTimestamp"].is_string() && !self.is_over() {
            return "Terminating".to_owned();
        }
        if let Some(reason) = self.0["status"]["reason"].as_str().filter(|text| !text.is_empty()) {
            return reason.to_owned();
        }
        if let Some(word) = self.initializing() {
            return word;
        }
        let mut word = self.phase().to_owned();
        for container in self.containers() {
            let state = &container["state"];
            let reason = state["waiting"]["reason"].as_str();
            match reason.or_else(|| state["terminated"]["reason"].as_str()) {
                Some(reason) if !reason.is_empty() => reason.clone_into(&mut word),
                _ if state["terminated"].is_object() => word = exit_text(&state["terminated"]),
                _ => {}
            }
        }
        word
    }

    /// `Init:1/2`, `Init:Error`: which init container holds the pod up, and how.
    fn initializing(self) -> Option<String> {
        if self.is_initialized() {
            return None;
        }
        let all = self.init_specs().count();
        let statuses = self.init_containers().zip(self.init_specs());
        for (index, (status, spec)) in statuses.enumerate() {
            let state = &status["state"];
            let done = if is_sidecar(spec) {
                status["started"] == true
            } else {
                state["terminated"]["exitCode"] == 0
            };
            if done {
                continue;
            }
            let terminated = &state["terminated"];
            let said = terminated["reason"].as_str().or_else(|| {
                let waiting = state["waiting"]["reason"].as_str();
                waiting.filter(|reason| *reason != "PodInitializing")
            });
            return Some(match said.filter(|reason| !reason.is_empty()) {
                Some(reason) => format!("Init:{reason}"),
                None if terminated.is_object() => format!("Init:{}", exit_text(terminated)),
                None => format!("Init:{index}/{all}"),
            });
        }
        None
    }

    fn is_initialized(self) -> bool {
        let conditions = self.0["status"]["conditions"].as_array();
        let mut conditions = conditions.into_iter().flatten();
        conditions.any(|it| it["type"] == "Initialized" && it["status"] == "True")
    }

    fn init_specs(self) -> impl Iterator<Item = &'a Value> {
        self.0["spec"]["initContainers"].as_array().into_iter().flatten()
    }

    /// The states of sidecars, which count as the main containers do.
    fn sidecars(self) -> impl Iterator<Item = &'a Value> {
        let statuses = self.init_containers().zip(self.init_specs());
        statuses.filter(|(_, spec)| is_sidecar(spec)).map(|(status, _)| status)
    }

    fn ready(self) -> String {
        let all = self.containers().chain(self.sidecars());
        let ready = all.filter(|container| container["ready"] == true).count();
        let sidecars = self.init_specs().filter(|spec| is_sidecar(spec)).count();
        let all = self.0["spec"]["containers"].as_array().map_or(0, Vec::len) + sidecars;
        format!("{ready}/{all}")
    }

    fn restarts(self) -> u64 {
        let restarts = |status: &Value| status["restartCount"].as_u64();
        if self.initializing().is_none() {
            return self.containers().chain(self.sidecars()).filter_map(restarts).sum();
        }
        self.init_containers().filter_map(restarts).sum()
    }

    /// Cells for [`COLUMNS`].
    #[must_use]
    pub fn row(self, now: Timestamp) -> Vec<String> {
        vec![
            self.name().to_owned(),
            self.ready(),
            self.status(),
            self.restarts().to_string(),
            age(&self.0["metadata"]["creationTimestamp"], now),
        ]
    }

    /// Cells for [`WIDE`].
    #[must_use]
    pub fn wide(self) -> Vec<String> {
        let number = |number: Option<u32>| number.map_or("<none>".to_owned(), |n| n.to_string());
        let node = self.node().unwrap_or("<none>").to_owned();
        vec![node, number(self.index()), number(self.attempt())]
    }
}

fn is_sidecar(spec: &Value) -> bool {
    spec["restartPolicy"] == "Always"
}

/// `ExitCode:3`, `Signal:9`.
fn exit_text(terminated: &Value) -> String {
    match terminated["signal"].as_u64().filter(|signal| *signal != 0) {
        Some(signal) => format!("Signal:{signal}"),
        None => format!("ExitCode:{}", terminated["exitCode"]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use stint_common::id::{Attempt, JobUid, Slot};
    use stint_common::names::pod_name;

    fn pod(states: &[Value]) -> Value {
        let statuses: Vec<Value> = states
            .iter()
            .map(|state| json!({"ready": state.get("running").is_some(), "restartCount": 1, "state": state}))
            .collect();
        let containers = vec![json!({}); states.len().max(1)];
        json!({
            "metadata": {"name": "pi-0-abcde", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"containers": containers, "nodeName": "vm-1"},
            "status": {"phase": "Running", "containerStatuses": statuses},
        })
    }

    fn row(pod: &Value) -> Vec<String> {
        PodView(pod).row("2026-01-01T00:00:30Z".parse().unwrap())
    }

    #[test]
    fn a_pods_word_is_its_last_containers() {
        let running = json!({"running": {}});
        assert_eq!(row(&pod(&[])), ["pi-0-abcde", "0/1", "Running", "0", "30s"]);
        assert_eq!(row(&pod(&[running.clone(), running]))[1..4], ["2/2", "Running", "2"]);
        let waiting = json!({"waiting": {"reason": "CrashLoopBackOff"}});
        assert_eq!(row(&pod(&[waiting]))[2], "CrashLoopBackOff");
        let ended = |value: Value| row(&pod(&[json!({"terminated": value})]))[2].clone();
        assert_eq!(ended(json!({"reason": "Error", "exitCode": 3})), "Error");
        assert_eq!(ended(json!({"exitCode": 3})), "ExitCode:3");
        assert_eq!(ended(json!({"signal": 9, "exitCode": 137})), "Signal:9");
    }

    #[test]
    fn a_pod_that_initializes_says_how_far_it_is() {
        let mut pod = pod(&[json!({"waiting": {"reason": "PodInitializing"}})]);
        pod["spec"]["initContainers"] =
            json!([{"name": "a"}, {"name": "b", "restartPolicy": "Always"}]);
        let mut with = |first: Value, second: Value| {
            pod["status"]["initContainerStatuses"] = json!([first, second]);
            row(&pod)
        };
        let waits = json!({"state": {"waiting": {"reason": "PodInitializing"}}});
        let runs = json!({"state": {"running": {}}, "restartCount": 2});
        assert_eq!(with(runs, waits.clone())[1..4], ["0/2", "Init:0/2", "2"]);
        let done = json!({"state": {"terminated": {"exitCode": 0}}});
        assert_eq!(with(done.clone(), waits.clone())[2], "Init:1/2");
        let failed = json!({"state": {"terminated": {"exitCode": 3, "reason": "Error"}}});
        assert_eq!(with(failed, waits)[2], "Init:Error");
        let started = json!({"state": {"running": {}}, "started": true, "ready": true});
        assert_eq!(with(done, started)[1..3], ["1/2", "PodInitializing"]);
    }

    #[test]
    fn what_the_pod_says_comes_first() {
        let mut pod = pod(&[json!({"running": {}})]);
        pod["status"]["reason"] = "DeadlineExceeded".into();
        assert_eq!(PodView(&pod).status(), "DeadlineExceeded");
        pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        assert_eq!(PodView(&pod).status(), "Terminating");
    }

    #[test]
    fn the_attempt_is_found_from_the_name() {
        let job = JobUid::random();
        let id = PodId { job, slot: Slot(7), attempt: Attempt(2) };
        let mut pod = pod(&[]);
        pod["metadata"] = json!({
            "name": pod_name("pi", true, id),
            "annotations": {COMPLETION_INDEX: "7"},
            "ownerReferences": [{"name": "pi", "uid": job}],
        });
        assert_eq!(PodView(&pod).wide(), ["vm-1", "7", "2"]);
        assert_eq!(PodView(&json!({})).wide(), ["<none>", "<none>", "<none>"]);
    }
}
