//! Kubernetes Events about Jobs, and about pods that cannot start: best effort, as in Kubernetes;
//! nothing waits for them.

use jiff::Timestamp;
use serde_json::json;
use stint_common::id::{Incarnation, JobUid, PodId};
use stint_common::nats::Jet;
use stint_common::time::format_seconds;
use stint_common::wire::{PodRecord, PodState, Waiting, WaitsFor};

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

/// What an Event is about, and who says it.
struct About<'a> {
    api_version: &'a str,
    kind: &'a str,
    namespace: &'a str,
    name: &'a str,
    uid: String,
    component: &'a str,
    host: Option<&'a str>,
}

impl Owner {
    /// The round's events as messages, and those about pods that were heard of since the last.
    pub(super) fn event_messages(
        &mut self,
        events: Vec<(JobUid, Event)>,
        now: Timestamp,
    ) -> Vec<Message> {
        let waits = std::mem::take(&mut self.waits);
        let of_pods = waits
            .iter()
            .filter_map(|(pod, worker, waiting)| self.message_of_pod(*pod, worker, waiting, now));
        let of_jobs = events.iter().filter_map(|(uid, event)| self.message(*uid, event, now));
        of_jobs.chain(of_pods).take(MOST).collect()
    }

    /// A worker has written down what a pod of it waits for: what is new of it is told.
    pub(super) fn tell_of_waits(&mut self, pod: PodId, worker: &str, waits: &[Waiting]) {
        // What was there before this owner was told by another.
        if !self.rebuilt {
            return;
        }
        let known = self.claims.get(&pod).map_or(&[][..], |known| &known.waits);
        for waiting in waits.iter().filter(|waiting| !known.contains(waiting)) {
            if self.waits.len() < MOST {
                self.waits.push((pod, worker.to_owned(), waiting.clone()));
            }
        }
    }

    fn message_of_pod(
        &self,
        pod: PodId,
        worker: &str,
        waiting: &Waiting,
        now: Timestamp,
    ) -> Option<Message> {
        let managed = self.jobs.get(&pod.job)?;
        let event = if waiting.container.is_empty() {
            Event::warning("FailedMount", &waiting.message)
        } else {
            Event::warning("Failed", &format!("Error: {}", waiting.message))
        };
        let about = About {
            api_version: "v1",
            kind: "Pod",
            namespace: &managed.name.namespace,
            name: &managed.job.pod_name(pod.slot, pod.attempt),
            uid: pod.uid().to_string(),
            component: "kubelet",
            host: Some(worker),
        };
        Some(self.message_about(&about, &event, now))
    }

    fn message(&self, uid: JobUid, event: &Event, now: Timestamp) -> Option<Message> {
        let managed = self.jobs.get(&uid)?;
        let about = About {
            api_version: "batch/v1",
            kind: "Job",
            namespace: &managed.name.namespace,
            name: &managed.name.name,
            uid: uid.to_string(),
            component: "job-controller",
            host: None,
        };
        Some(self.message_about(&about, event, now))
    }

    fn message_about(&self, about: &About<'_>, event: &Event, now: Timestamp) -> Message {
        let About { api_version, kind: object_kind, namespace, uid, component, .. } = about;
        let time = format_seconds(now);
        let id = Incarnation::random().0.simple().to_string();
        let name = format!("{}.{}", about.name, &id[..16]);
        let kind = match event.kind {
            EventKind::Normal => "Normal",
            EventKind::Warning => "Warning",
        };
        let mut object = json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace, "creationTimestamp": time},
            "involvedObject": {
                "apiVersion": api_version, "kind": object_kind, "namespace": namespace,
                "name": about.name, "uid": uid,
            },
            "type": kind,
            "reason": event.reason,
            "message": event.message,
            "source": {"component": component},
            "reportingComponent": component,
            "firstTimestamp": time,
            "lastTimestamp": time,
            "count": event.count,
        });
        if let Some(host) = about.host {
            object["source"]["host"] = json!(host);
            object["reportingInstance"] = json!(host);
        }
        let subject = self.names.event(namespace, object_kind, uid, &name);
        Message { subject, payload: object.to_string().into_bytes() }
    }
}

/// What a pod waits for, as its record says: all of it for its files, or containers each for
/// itself.
pub(super) fn waits_of(record: &PodRecord) -> Vec<Waiting> {
    let containers = match &record.state {
        PodState::Running(running) => running.detail.as_ref().map(|detail| &detail.containers),
        PodState::Claimed | PodState::Terminated(_) => None,
    };
    let each = containers.into_iter().flatten().filter_map(|container| {
        let WaitsFor { reason, message } = (**container.waits_for.as_ref()?).clone();
        Some(Waiting { container: container.name.clone(), reason, message })
    });
    record.waiting.iter().cloned().chain(each).collect()
}

/// Publishes events; what cannot be sent is said in the log.
pub(super) async fn publish(jet: &Jet, messages: Vec<Message>) {
    for message in messages {
        if let Err(error) = jet.publish(message.subject, message.payload.into()).await {
            tracing::debug!(?error, "publishing an event");
        }
    }
}
