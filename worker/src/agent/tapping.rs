//! Output for whoever wants it besides the logs' stream: whose it is.

use bytes::Bytes;
use stint_common::id::PodId;
use stint_common::trace::{parse_traceparent, pod_context, pod_span_id, pod_trace_id};
use stint_common::wire::InlineOutput;

use super::run::Agent;
use crate::forward::{Origin, Tap};
use crate::logs::StreamName;
use crate::runtime::Runtime;

impl<R: Runtime> Agent<R> {
    /// Takes the output of a container's current run, if somebody wants it.
    pub(super) fn tap(&self, id: PodId, index: usize) -> Option<Tap> {
        let outlet = self.settings.outlet.as_ref()?;
        let pod = self.pods.get(&id)?;
        let job = pod.ready.job.as_ref().ok()?;
        let container = pod.machine.settings().containers.get(index)?;
        let trace = pod.ready.trace.as_ref();
        let flags = parse_traceparent(&pod_context(id, trace).traceparent);
        Some(outlet.tap(Origin {
            namespace: pod.ready.namespace.clone(),
            job_name: job.name().to_owned(),
            job_uid: id.job.to_string(),
            index: job.completion_index(id),
            pod_name: job.pod_name(id),
            pod_uid: id.uid().to_string(),
            container: container.name.to_string(),
            restarts: pod.machine.restarts(index),
            node: self.settings.name.clone(),
            trace_id: pod_trace_id(id, trace),
            span_id: pod_span_id(id),
            flags: flags.map_or(0, |parent| parent.flags),
        }))
    }
}

/// Output that rides in the pod's record.
pub(super) fn tell(tap: Option<Tap>, inline: Option<&InlineOutput>) {
    let (Some(mut tap), Some(inline)) = (tap, inline) else { return };
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    tap.take(StreamName::Stdout, 0, bytes(&inline.stdout));
    tap.take(StreamName::Stderr, 0, bytes(&inline.stderr));
}
