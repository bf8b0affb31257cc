//! Starts of containers: asked for, refused, tried again, withdrawn.

use std::sync::Arc;
use std::time::Duration;

use stint_common::id::PodId;
use stint_common::metrics;
use stint_common::time::after;
use stint_common::trace::pod_context;

use super::outbox::Outbox;
use super::pods::{Output, Stage};
use super::run::{Agent, Target};
use crate::launch::RunFacts;
use crate::pod::Event;
use crate::runtime::{RunId, Runtime, StartError};

/// A start that the machine had no room for is tried again after this.
pub(super) const START_AGAIN: Duration = Duration::from_millis(500);

impl<R: Runtime> Agent<R> {
    pub(super) fn start_container(&mut self, id: PodId, index: usize, out: &mut Outbox) {
        self.lines_up(id);
        let again = self.next_run();
        let Some(pod) = self.pods.get_mut(&id) else { return };
        let Some(container) = pod.containers.get_mut(index) else { return };
        // The first run of a pod of one run was named before its claim.
        let run = if pod.tells_itself && container.id.is_none() { pod.first_run } else { again };
        pod.tells_itself &= run == pod.first_run;
        let before = container.id.replace(run);
        container.output = Output::None;
        container.out_of_memory = false;
        self.to_forget.extend(before);
        self.note_anew(id);
        let Some(pod) = self.pods.get_mut(&id) else { return };
        let trace = pod_context(id, pod.ready.trace.as_ref());
        let termination_log = Some(self.terminations.path(run));
        let facts = RunFacts { trace: Some(&trace), termination_log };
        let spec = match &pod.ready.job {
            Ok(job) => job.launch(id, pod.index_failures, index, &facts),
            Err(_) => None,
        };
        let spec = spec.map(|mut spec| {
            spec.env.extend(self.device_variables(id, index));
            spec
        });
        let Some(pod) = self.pods.get_mut(&id) else { return };
        let Some(spec) = spec else {
            let message = match &pod.ready.job {
                Err(message) => message.clone(),
                Ok(_) => "the template has no such container".to_owned(),
            };
            self.pending.push_back((id, Event::StartFailed { index, message }));
            return;
        };
        let lined_up = pod.stage == Stage::LinedUp;
        self.runs.insert(run, id);
        let asked =
            if lined_up { self.runtime.line_up(run, spec) } else { self.runtime.start(run, spec) };
        if let Err(error) = asked {
            self.not_started(run, &error, out);
        }
    }

    /// Which of its pod's devices a container has.
    pub(super) fn device_variables(&self, id: PodId, index: usize) -> Vec<(Arc<str>, Arc<str>)> {
        let pod = self.pods.get(&id).filter(|pod| !pod.devices.is_empty());
        let Some((pod, job)) = pod.and_then(|pod| Some((pod, pod.ready.job.as_ref().ok()?))) else {
            return Vec::new();
        };
        let (before, own) = job.devices(index);
        self.devices.variables(&pod.devices, &before, &own)
    }

    pub(super) fn not_started(&mut self, run: RunId, error: &StartError, out: &mut Outbox) {
        if self.action_not_started(run, error) {
            return;
        }
        let Some((id, index)) = self.place(run) else { return };
        self.runs.remove(&run);
        match error {
            StartError::Container { message } => {
                let message = message.clone();
                self.pending.push_back((id, Event::StartFailed { index, message }));
            }
            StartError::Cancelled => self.step(id, Event::StartCancelled { index }, out),
            StartError::Worker { source, .. } => {
                // The machine's fault and not the pod's: tried again, and nothing more is taken
                // meanwhile.
                tracing::warn!(pod = %id, %error, %source, "no room to start a container; trying again");
                metrics::worker().no_room();
                let target = Target::Container(index);
                self.retries.insert((after(self.wall.now(), START_AGAIN), id, target));
            }
        }
    }

    /// The run of a container that is to end; a start that waits for room is withdrawn instead.
    pub(super) fn run_to_end(&mut self, id: PodId, index: usize) -> Option<RunId> {
        let before = self.retries.len();
        let target = Target::Container(index);
        self.retries.retain(|(_, pod, what)| *pod != id || *what != target);
        if self.retries.len() < before {
            self.pending.push_back((id, Event::StartCancelled { index }));
            return None;
        }
        self.pods.get(&id)?.containers.get(index)?.id
    }
}
