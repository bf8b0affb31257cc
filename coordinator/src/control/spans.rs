//! When the owner says something for the traces: what is news, and said neither before it is
//! durable nor again after a rebuild. Each of these is nothing but a look at an `Option` when
//! traces are off.

use stint_common::id::PodId;
use stint_common::time::now;
use stint_common::wire::{PodRecord, PodState};

use super::managed::Managed;
use crate::trace::Tracer;

impl Managed {
    /// The Job is known from now on. One that has ended before is not told of again; one that was
    /// never planned for is new.
    pub(super) fn trace_with(&mut self, tracer: Option<&Tracer>) {
        let Some(tracer) = tracer else { return };
        let created_at = self.created_at.or(self.job.status().start_time).unwrap_or_else(now);
        let submitted = self.trace.as_ref();
        let (uid, spec) = (self.job.uid(), self.job.spec());
        let Some(mut spans) = tracer.job(uid, &self.name, spec, created_at, submitted) else {
            return;
        };
        if self.job.status().finished().is_some() {
            spans.has_ended();
        } else if !self.job.status().observed {
            spans.accepted();
        }
        self.spans = Some(spans);
    }

    /// A pod's record came, and the core has not yet taken it in: an end that is new to the core
    /// makes a span. What a rebuild reads of attempts that are over is not new.
    pub(super) fn trace_pod(&self, pod: PodId, record: &PodRecord) {
        let Some(spans) = &self.spans else { return };
        if !matches!(record.state, PodState::Terminated(_)) {
            return;
        }
        let live = self.job.live_pod(pod.slot, pod.attempt);
        let new = match live {
            Some(live) => live.stage.end().is_none(),
            // Issued by a predecessor's last write, which is still to be read.
            None => pod.attempt.0 >= self.job.attempts(pod.slot),
        };
        if new {
            let stop = live.and_then(|live| live.stop);
            spans.pod_ended(pod, record, stop);
        }
    }

    /// The record that stands may have a terminal condition.
    pub(super) fn trace_end(&mut self) {
        if let Some(spans) = &mut self.spans
            && self.job.status().finished().is_some()
        {
            spans.job_ended(self.job.status(), self.job.spec(), now());
        }
    }

    /// The Job is gone, perhaps before it ended.
    pub(super) fn trace_removal(&mut self) {
        if let Some(spans) = &mut self.spans {
            spans.job_ended(self.job.status(), self.job.spec(), now());
        }
    }
}
