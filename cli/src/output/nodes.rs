//! A worker as its Node says that it is.

use jiff::Timestamp;
use serde_json::Value;
use stint_common::annotations::PLACES;

use super::age::age;

/// Columns of a list of nodes.
pub const COLUMNS: [&str; 5] = ["NAME", "STATUS", "PLACES", "AGE", "VERSION"];
/// Columns that `wide` adds.
pub const WIDE: [&str; 6] = ["CPU", "MEMORY", "ADDRESS", "OS", "KERNEL", "LABELS"];

/// Selects the pods that workers have, and that have not ended: a short one is never seen to run.
pub const TAKEN: &str = "status.phase!=Succeeded,status.phase!=Failed,spec.nodeName!=";

/// A node, read.
#[derive(Clone, Copy, Debug)]
pub struct NodeView<'a>(pub &'a Value);

impl<'a> NodeView<'a> {
    /// `metadata.name`.
    #[must_use]
    pub fn name(self) -> &'a str {
        self.0["metadata"]["name"].as_str().unwrap_or_default()
    }

    fn ready(self) -> &'a Value {
        let conditions = self.0["status"]["conditions"].as_array();
        let mut conditions = conditions.into_iter().flatten();
        conditions.find(|it| it["type"] == "Ready").unwrap_or(&Value::Null)
    }

    /// Whether its lease runs.
    #[must_use]
    pub fn is_ready(self) -> bool {
        self.ready()["status"] == "True"
    }

    /// Why it is not ready.
    #[must_use]
    pub fn why_not_ready(self) -> &'a str {
        self.ready()["message"].as_str().unwrap_or("nobody knows why")
    }

    /// Whether it is to take no more pods.
    #[must_use]
    pub fn is_cordoned(self) -> bool {
        self.0["spec"]["unschedulable"] == true
    }

    /// How many pods that ask for nothing it runs at a time.
    #[must_use]
    pub fn slots(self) -> u64 {
        let number = |value: &Value| value.as_str().and_then(|text| text.parse().ok());
        let places = number(&self.0["metadata"]["annotations"][PLACES]);
        places.or_else(|| number(&self.0["status"]["capacity"]["pods"])).unwrap_or(0)
    }

    /// How many of these run on it.
    #[must_use]
    pub fn running(self, running: &[(String, u64)]) -> u64 {
        running.iter().find(|(name, _)| name == self.name()).map_or(0, |(_, count)| *count)
    }

    /// `kubectl`'s word for how it is.
    #[must_use]
    pub fn status(self) -> String {
        let ready = match self.ready()["status"].as_str() {
            Some("True") => "Ready",
            Some("Unknown") => "Lost",
            _ => "NotReady",
        };
        let cordoned = if self.is_cordoned() { ",SchedulingDisabled" } else { "" };
        format!("{ready}{cordoned}")
    }

    /// Cells for [`COLUMNS`].
    #[must_use]
    pub fn row(self, now: Timestamp) -> Vec<String> {
        let version = self.0["status"]["nodeInfo"]["kubeletVersion"].as_str().unwrap_or_default();
        vec![
            self.name().to_owned(),
            self.status(),
            self.slots().to_string(),
            age(&self.0["metadata"]["creationTimestamp"], now),
            version.to_owned(),
        ]
    }

    /// Cells for [`WIDE`].
    #[must_use]
    pub fn wide(self) -> Vec<String> {
        let status = &self.0["status"];
        let text = |value: &Value| value.as_str().unwrap_or("<unknown>").to_owned();
        let addresses = status["addresses"].as_array();
        let mut addresses = addresses.into_iter().flatten();
        let address = addresses.find(|it| it["type"] == "InternalIP");
        let labels = self.0["metadata"]["labels"].as_object().into_iter().flatten();
        let labels = labels.filter(|(key, _)| !key.starts_with("kubernetes.io/"));
        let labels: Vec<String> = labels
            .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
            .collect();
        vec![
            text(&status["capacity"]["cpu"]),
            text(&status["capacity"]["memory"]),
            text(address.map_or(&Value::Null, |address| &address["address"])),
            text(&status["nodeInfo"]["osImage"]),
            text(&status["nodeInfo"]["kernelVersion"]),
            if labels.is_empty() { "<none>".to_owned() } else { labels.join(",") },
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_node_is_ready_lost_or_cordoned() {
        let mut node = json!({
            "metadata": {"name": "w", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "status": {"capacity": {"pods": "4"}, "nodeInfo": {"kubeletVersion": "v1"},
                "conditions": [{"type": "Ready", "status": "True"}]},
        });
        let now = "2026-01-01T00:00:09Z".parse().unwrap();
        assert_eq!(NodeView(&node).row(now), ["w", "Ready", "4", "9s", "v1"]);
        node["spec"] = json!({"unschedulable": true});
        assert_eq!(NodeView(&node).status(), "Ready,SchedulingDisabled");
        node["status"]["conditions"][0]["status"] = json!("Unknown");
        assert!(!NodeView(&node).is_ready() && NodeView(&node).status().starts_with("Lost"));
        assert_eq!(NodeView(&node).running(&[("w".to_owned(), 3)]), 3);
    }
}
