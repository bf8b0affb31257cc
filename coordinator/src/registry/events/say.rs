//! What the coordinator itself tells of objects besides Jobs: best effort, as in Kubernetes.

use serde_json::{Value, json};
use stint_common::id::JobUid;
use stint_common::time::{format_seconds, now};

use crate::registry::Registry;

/// What happened to an object.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// Whether a person should look at it.
    pub warning: bool,
    /// `reason`.
    pub reason: &'a str,
    /// `message`.
    pub message: &'a str,
    /// Who says so.
    pub component: &'a str,
}

impl Registry {
    /// Publishes an Event about an object; what cannot be sent is said in the log.
    pub async fn say(&self, object: &Value, said: Said<'_>) {
        let metadata = &object["metadata"];
        let id = JobUid::random();
        let short = id.0.simple().to_string();
        let name = format!("{}.{}", metadata["name"].as_str().unwrap_or_default(), &short[..16]);
        let time = format_seconds(now());
        let event = json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": name, "namespace": metadata["namespace"], "uid": id,
                "creationTimestamp": time,
            },
            "involvedObject": {
                "apiVersion": object["apiVersion"], "kind": object["kind"],
                "namespace": metadata["namespace"], "name": metadata["name"],
                "uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"],
            },
            "type": if said.warning { "Warning" } else { "Normal" },
            "reason": said.reason,
            "message": said.message,
            "source": {"component": said.component},
            "reportingComponent": said.component,
            "reportingInstance": "",
            "firstTimestamp": time,
            "lastTimestamp": time,
            "count": 1,
        });
        let subject = self.event_subject(&event);
        if let Err(error) = self.jet.publish(subject, event.to_string().into()).await {
            tracing::debug!(?error, "publishing an event");
        }
    }
}
