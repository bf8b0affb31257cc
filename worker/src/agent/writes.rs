//! What is written of a claimed pod, and what becomes of it: its claim, that it runs, its end.

use stint_common::id::PodId;
use stint_common::metrics;
use stint_common::nats::{Outcome, Write};
use stint_common::time::after;
use stint_common::trace::{pod_span_id, pod_trace_id, span_text, trace_text};
use stint_common::wire::{End, PodState};

use super::life::REPORT_AFTER;
use super::outbox::Outbox;
use super::pods::Stage;
use super::run::Agent;
use crate::pod::Event;
use crate::runtime::Runtime;

impl<R: Runtime> Agent<R> {
    /// Writes a pod's end, when no other write of its record is under way.
    pub(super) fn write_end(&mut self, id: PodId, out: &mut Outbox) {
        let Some(pod) = self.pods.get(&id).filter(|pod| !pod.writing) else { return };
        let Some(end) = pod.end.clone() else { return };
        out.ends.extend(self.write_record(id, PodState::Terminated(end)));
    }

    /// A write of a pod's record behind the last one; until it has arrived there is no other.
    pub(super) fn write_record(&mut self, id: PodId, state: PodState) -> Option<(PodId, Write)> {
        let nonce = self.next_nonce();
        let pod = self.pods.get_mut(&id)?;
        pod.writing = true;
        let payload = pod.record(&self.settings.name, self.me, nonce, &self.post.host.ip, state);
        Some((id, Outbox::write(self.post.jet.names.pod(id), payload, pod.sequence)))
    }

    pub(super) fn end_written(&mut self, id: PodId, outcome: &Outcome, out: &mut Outbox) {
        if let Outcome::Refused(reason) = outcome {
            tracing::error!(pod = %id, reason, "an end was refused; trying again with less in it");
            if let Some(pod) = self.pods.get_mut(&id) {
                pod.writing = false;
                if let Some(end) = &mut pod.end {
                    shorten(end);
                }
            }
            self.write_end(id, out);
            return;
        }
        if let Outcome::Lost(_) = outcome {
            tracing::warn!(pod = %id, "another's end of this pod stands; this run is discarded");
        }
        self.forget(id);
    }

    /// A pod that runs says so, once it has done so for a moment.
    pub(super) fn write_report(&mut self, id: PodId, out: &mut Outbox) {
        let Some(pod) = self.pods.get_mut(&id) else { return };
        if pod.writing {
            // Said when the write under way has arrived.
            self.reports.insert((after(self.wall.now(), REPORT_AFTER), id));
            return;
        }
        if pod.end.is_some() {
            return;
        }
        let Some(running) = pod.report.take() else { return };
        out.reports.extend(self.write_record(id, PodState::Running(running)));
    }

    pub(super) fn report_written(&mut self, id: PodId, outcome: &Outcome, out: &mut Outbox) {
        let Some(pod) = self.pods.get_mut(&id) else { return };
        pod.writing = false;
        match outcome {
            Outcome::Stored(sequence) => pod.sequence = *sequence,
            Outcome::Lost(_) => {
                tracing::warn!(pod = %id, "another's end of this pod stands; it is killed");
                self.step(id, Event::Kill, out);
            }
            Outcome::Refused(reason) => tracing::warn!(pod = %id, reason, "a report was refused"),
        }
        self.write_end(id, out);
    }

    /// A claim was confirmed or lost.
    pub(super) fn claim_done(&mut self, id: PodId, outcome: &Outcome, out: &mut Outbox) {
        let Some(pod) = self.pods.get_mut(&id) else { return };
        pod.writing = false;
        let reply = self.replies.remove(&id);
        metrics::worker().claimed(word(outcome));
        match outcome {
            Outcome::Stored(sequence) => {
                pod.sequence = *sequence;
                tracing::debug!(
                    pod = %id,
                    job = %id.job,
                    trace_id = trace_text(pod_trace_id(id, pod.ready.trace.as_ref())),
                    span_id = span_text(pod_span_id(id)),
                    "a pod is ours"
                );
                pod.stage = Stage::Verifying;
                out.answers.extend(reply.map(|reply| (reply, &b"+ACK"[..])));
                if self.shutting_down {
                    self.stop_for_shutdown(id, out);
                    return;
                }
                let name = (id.job, pod.template.clone());
                self.verifying.push(id);
                self.verify(&name, out);
            }
            Outcome::Lost(_) => {
                // Another runs it, or it is over: the item has done its work.
                out.answers.extend(reply.map(|reply| (reply, &b"+ACK"[..])));
                self.forget(id);
            }
            Outcome::Refused(reason) => {
                tracing::warn!(pod = %id, reason, "a claim was refused");
                out.answers.extend(reply.map(|reply| (reply, &b"-NAK"[..])));
                self.forget(id);
            }
        }
    }
}

/// Makes an end's record smaller: the output goes first, which is on this machine, too; then what
/// the programs said.
fn shorten(end: &mut End) {
    let outputs = end.containers.iter_mut().filter_map(|container| container.logs.inline.take());
    if outputs.count() == 0 {
        end.containers.iter_mut().for_each(|container| container.message.clear());
    }
}

/// What became of a write, as metrics have it.
pub(super) const fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Stored(_) => "stored",
        Outcome::Lost(_) => "lost",
        Outcome::Refused(_) => "refused",
    }
}
