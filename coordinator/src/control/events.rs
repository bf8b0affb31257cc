//! Kubernetes Events about Jobs: best effort, as in Kubernetes; nothing waits for them.

use jiff::Timestamp;
use serde_json::json;
use stint_common::id::{Incarnation, JobUid};
use stint_common::nats::Jet;
use stint_common::time::format_seconds;

use super::owner::Owner;
use crate::job::{Event, EventKind};

/// Events that one round may bring forth for all Jobs; more are said in the log only.
const MOST: usize = 256;

/// One Event, ready to be published.
#[derive(Debug)]
pub(super) struct Message {
    subject: String,
    payload: Vec<u8>,
}

impl Owner {
    /// The round's events as messages.
    pub(super) fn event_messages(
        &self,
        events: Vec<(JobUid, Event)>,
        now: Timestamp,
    ) -> Vec<Message> {
        events
            .into_iter()
            .take(MOST)
            .filter_map(|(uid, event)| self.message(uid, &event, now))
            .collect()
    }

    fn message(&self, uid: JobUid, event: &Event, now: Timestamp) -> Option<Message> {
        let managed = self.jobs.get(&uid)?;
        let time = format_seconds(now);
        let id = Incarnation::random().0.simple().to_string();
        let name = format!("{}.{}", managed.name.name, &id[..16]);
        let kind = match event.kind {
            EventKind::Normal => "Normal",
            EventKind::Warning => "Warning",
        };
        let object = json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": managed.name.namespace, "creationTimestamp": time},
            "involvedObject": {
                "apiVersion": "batch/v1", "kind": "Job", "namespace": managed.name.namespace,
                "name": managed.name.name, "uid": uid.to_string(),
            },
            "type": kind,
            "reason": event.reason,
            "message": event.message,
            "source": {"component": "job-controller"},
            "reportingComponent": "job-controller",
            "firstTimestamp": time,
            "lastTimestamp": time,
            "count": event.count,
        });
        let subject = self.names.event(&managed.name.namespace, "Job", &uid.to_string(), &name);
        Some(Message { subject, payload: object.to_string().into_bytes() })
    }
}

/// Publishes events; what cannot be sent is said in the log.
pub(super) async fn publish(jet: &Jet, messages: Vec<Message>) {
    for message in messages {
        if let Err(error) = jet.publish(message.subject, message.payload.into()).await {
            tracing::debug!(?error, "publishing an event");
        }
    }
}
