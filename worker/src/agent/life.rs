//! What happens to a claimed pod: synchronous, one event at a time; decides nothing about
//! containers.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use stint_common::id::PodId;
use stint_common::metrics;
use stint_common::time::{after, since};
use stint_common::trace::{pod_span_id, pod_trace_id, span_text, trace_text};
use stint_common::wire::{self, End, EndedBy, Exit, LogSummary, OrderKind, PodCondition};

use super::actions::Acting;
use super::intake::clock;
use super::outbox::{Done, Outbox};
use super::pods::{Output, Stage};
use super::run::Agent;
use super::shipping::{Destination, Shipped, Told};
use super::tapping::tell;
use super::termination::fit;
use crate::launch::PreparedJob;
use crate::pod::{Awaits, Effect, Event};
use crate::runtime::{RunId, Runtime, RuntimeEvent};

/// A pod that ends within this time never writes that it runs.
pub(super) const REPORT_AFTER: Duration = Duration::from_millis(100);
/// Output is looked at by a task of its own when its container has run for so long.
pub(super) const SHIP_AFTER: Duration = Duration::from_millis(250);

/// What an ended run has said.
#[derive(Debug, Default)]
struct Said {
    logs: LogSummary,
    last_words: String,
}

impl<R: Runtime> Agent<R> {
    /// An event for a pod's machine; what it wants done is done.
    pub(super) fn step(&mut self, id: PodId, event: Event, out: &mut Outbox) {
        self.will_note(id, &event);
        let Some(pod) = self.pods.get_mut(&id) else { return };
        let mut effects = std::mem::take(&mut self.effects);
        if let Err(error) = pod.machine.step(event, self.wall.now(), &mut effects) {
            // A bug: said, and the pod goes on as its machine has it.
            tracing::error!(pod = %id, %error, "an impossible event");
            debug_assert!(false, "{error}");
        }
        for effect in effects.drain(..) {
            self.carry_out(id, effect, out);
        }
        self.effects = effects;
        self.set_wake(id);
    }

    fn carry_out(&mut self, id: PodId, effect: Effect, out: &mut Outbox) {
        match effect {
            Effect::Configure { index } => self.ask_for_variables(id, index),
            Effect::StartContainer { index } => self.start_container(id, index, out),
            Effect::SignalTerm { index } => {
                if let Some(run) = self.run_to_end(id, index) {
                    self.runtime.terminate(run);
                }
            }
            Effect::Kill { index } => {
                if let Some(run) = self.run_to_end(id, index) {
                    self.runtime.kill(run);
                }
            }
            Effect::RunAction { action, index, kind } => {
                self.run_action(id, action, index, kind);
            }
            Effect::CancelAction { action } => self.cancel_action(id, action),
            Effect::ReportRunning(running) => {
                let Some(pod) = self.pods.get_mut(&id) else { return };
                if pod.report.replace(running).is_none() {
                    self.reports.insert((after(self.wall.now(), REPORT_AFTER), id));
                }
            }
            Effect::Ended(end) => self.ended(id, end, out),
        }
    }

    /// Something that the runtime says.
    pub(super) fn heard(&mut self, event: RuntimeEvent, out: &mut Outbox) {
        match event {
            RuntimeEvent::Started { run, at, logs } => {
                let Some(mut logs) = self.action_started(run, logs) else { return };
                let Some((id, index)) = self.place(run) else { return };
                if let Some(pod) = self.pods.get_mut(&id) {
                    if pod.ready.job.as_ref().is_ok_and(|job| job.falls_back_to_logs(index)) {
                        logs.keep_last_words();
                    }
                    pod.containers[index].output = Output::Captured(logs, clock());
                }
                self.takes_its_place(id);
                let at = self.wall.not_to_come(at);
                self.step(id, Event::ContainerStarted { index, at }, out);
            }
            RuntimeEvent::Overfull { pod, message } => self.evict(&pod, message, out),
            RuntimeEvent::OutOfMemory { run } => {
                let Some((id, index)) = self.place(run) else { return };
                if let Some(pod) = self.pods.get_mut(&id) {
                    pod.containers[index].out_of_memory = true;
                }
            }
            RuntimeEvent::Died => {
                tracing::error!("what ran the pods of this worker is gone, and they with it");
                self.died = true;
            }
            RuntimeEvent::NotStarted { run, error } => self.not_started(run, &error, out),
            RuntimeEvent::Exited { run, exit, at } => self.exited(run, exit, at, out),
        }
    }

    /// A pod takes up more of this machine than it may: it ends without grace, as kubelet has it.
    fn evict(&mut self, uid: &str, message: String, out: &mut Outbox) {
        let id = self.pods.keys().copied().find(|id| id.uid().to_string() == uid);
        let Some((id, pod)) = id.and_then(|id| Some((id, self.pods.get_mut(&id)?))) else { return };
        if pod.evicted.is_none() {
            pod.evicted = Some(message.clone());
            let at = self.wall.now();
            let order = Event::StopOrdered { grace_seconds: 0, reason: message, at };
            self.step(id, order, out);
        }
    }

    pub(super) fn place(&self, run: RunId) -> Option<(PodId, usize)> {
        let id = *self.runs.get(&run)?;
        Some((id, self.pods.get(&id)?.container_of(run)?))
    }

    fn exited(&mut self, run: RunId, exit: Exit, at: Timestamp, out: &mut Outbox) {
        if self.action_exited(run, exit) {
            return;
        }
        let Some((id, index)) = self.place(run) else { return };
        self.runs.remove(&run);
        let destination = self.destination(id, index, run);
        let tap = self.tap(id, index);
        let Some(pod) = self.pods.get_mut(&id) else { return };
        let container = &mut pod.containers[index];
        self.exits.insert(run, (exit, self.wall.not_to_come(at)));
        match std::mem::take(&mut container.output) {
            Output::None => self.run_over(id, index, run, Said::default(), out),
            Output::Captured(mut reader, _) => {
                if pod.machine.would_restart(index, exit) {
                    reader.never_inline();
                }
                let summary = reader.finish(exit);
                if summary.bytes == 0 {
                    self.to_release.push(run);
                }
                if summary.inline.is_some() || summary.bytes == 0 {
                    tell(tap, summary.inline.as_ref());
                    let said = Said { logs: summary, last_words: reader.last_words() };
                    self.run_over(id, index, run, said, out);
                } else if let Some(mut destination) = destination {
                    destination.tap = tap;
                    self.on_their_way.push(Box::pin(async move {
                        Done::Shipped(id, index, run, destination.finish(reader, summary).await)
                    }));
                }
            }
            // Its task says when everything is shipped.
            Output::Shipping(told) => drop(told.send(exit)),
        }
    }

    fn destination(&self, id: PodId, index: usize, run: RunId) -> Option<Destination> {
        let pod = self.pods.get(&id)?;
        let container = pod.machine.settings().containers.get(index)?;
        let subject = self.post.jet.names.log(&pod.ready.namespace, id, &container.name);
        let runtime = Arc::clone(&self.runtime);
        let told = Told(Arc::new(move |progress| runtime.progress(run, progress)));
        let restarts = pod.machine.restarts(index);
        Some(Destination { logs: self.logs.clone(), subject, restarts, told, tap: None })
    }

    /// Output of containers that have run for a while is shipped by a task each.
    pub(super) fn ship_long_runners(&mut self) {
        let at = clock();
        let due: Vec<(PodId, usize, RunId)> = self
            .pods
            .iter()
            .flat_map(|(id, pod)| {
                pod.containers.iter().enumerate().map(move |container| (*id, container))
            })
            .filter_map(|(id, (index, container))| match &container.output {
                Output::Captured(_, since) if at.duration_since(*since) >= SHIP_AFTER => {
                    container.id.map(|run| (id, index, run))
                }
                Output::Captured(..) | Output::None | Output::Shipping(_) => None,
            })
            .collect();
        for (id, index, run) in due {
            let Some(mut destination) = self.destination(id, index, run) else { continue };
            destination.tap = self.tap(id, index);
            let Some(pod) = self.pods.get_mut(&id) else { continue };
            let (told, exit) = tokio::sync::oneshot::channel();
            let output =
                std::mem::replace(&mut pod.containers[index].output, Output::Shipping(told));
            if let Output::Captured(reader, _) = output {
                self.on_their_way.push(Box::pin(async move {
                    Done::Shipped(id, index, run, destination.follow(reader, exit).await)
                }));
            }
        }
    }

    pub(super) fn shipped(
        &mut self,
        id: PodId,
        index: usize,
        run: RunId,
        shipped: Shipped,
        out: &mut Outbox,
    ) {
        if let Some(pod) = self.pods.get_mut(&id) {
            let container = &mut pod.containers[index];
            container.shipped |= shipped.last > 0;
            container.log_sequence = container.log_sequence.max(shipped.last);
        }
        let said = Said { logs: shipped.summary, last_words: shipped.last_words };
        self.run_over(id, index, run, said, out);
    }

    fn run_over(&mut self, id: PodId, index: usize, run: RunId, said: Said, out: &mut Outbox) {
        let Some((exit, at)) = self.exits.remove(&run) else { return };
        let Said { logs, last_words } = said;
        if logs.bytes > 0 {
            metrics::worker().wrote(logs.bytes, logs.dropped);
        }
        let left = self.terminations.take(run);
        let message = if left.is_empty() { last_words } else { left };
        let pod = self.pods.get(&id);
        let message = fit(message, pod.map_or(1, |pod| pod.containers.len()));
        let out_of_memory = pod.is_some_and(|pod| pod.containers[index].out_of_memory);
        let event = Event::ContainerExited { index, exit, at, out_of_memory, logs, message };
        self.step(id, event, out);
        self.run_is_done(id, run);
    }

    fn ended(&mut self, id: PodId, end: Box<End>, out: &mut Outbox) {
        let shutting_down = self.shutting_down;
        self.vacate(id);
        self.clear_away(id);
        if let Some(started) = end.started_at {
            self.ahead.ran(id.job, since(end.finished_at, started));
            self.recent = Some(id.job);
        }
        let Some(pod) = self.pods.get_mut(&id) else { return };
        let outcome = match end.outcome {
            wire::Outcome::Succeeded => "succeeded",
            wire::Outcome::Failed => "failed",
        };
        let waited = end.started_at.map(|started| since(started, pod.claimed_at));
        metrics::worker().ended(outcome, waited);
        tracing::debug!(
            pod = %id,
            outcome,
            reason = end.reason,
            trace_id = trace_text(pod_trace_id(id, pod.ready.trace.as_ref())),
            span_id = span_text(pod_span_id(id)),
            "a pod has ended"
        );
        let mut end = end;
        if let Some(message) = &pod.evicted
            && end.outcome == wire::Outcome::Failed
        {
            "Evicted".clone_into(&mut end.reason);
            end.message.clone_from(message);
        }
        if shutting_down && end.by == EndedBy::Worker && end.outcome == wire::Outcome::Failed {
            end.conditions.push(PodCondition {
                kind: "DisruptionTarget".to_owned(),
                reason: "TerminationByKubelet".to_owned(),
                message: "The worker was shut down".to_owned(),
                at: end.finished_at,
            });
        }
        pod.end = Some(end);
        self.close_logs(id, out);
    }

    /// Says that there are no more logs of a pod, and then writes its end.
    pub(super) fn close_logs(&mut self, id: PodId, out: &mut Outbox) {
        let Some(pod) = self.pods.get(&id) else { return };
        let logs: Vec<usize> =
            (0..pod.containers.len()).filter(|index| pod.containers[*index].shipped).collect();
        if logs.is_empty() {
            self.write_end(id, out);
            return;
        }
        let closing: Vec<Destination> =
            logs.into_iter().filter_map(|it| self.destination(id, it, RunId(0))).collect();
        self.on_their_way.push(Box::pin(async move {
            for destination in closing {
                destination.end().await;
            }
            Done::LogsClosed(id)
        }));
    }

    /// All processes of a pod are gone.
    fn clear_away(&self, id: PodId) {
        let job = self.pods.get(&id).and_then(|pod| pod.ready.job.as_ref().ok());
        if job.is_some_and(PreparedJob::leaves_something) {
            self.runtime.clear_away(Arc::from(id.uid().to_string()));
        }
    }

    pub(super) fn forget(&mut self, id: PodId) {
        self.vacate(id);
        self.configuring.remove(&id);
        let Some(pod) = self.pods.remove(&id) else { return };
        let containers = pod.containers.iter().filter_map(|container| container.id);
        let runs: Vec<RunId> =
            containers.chain(pod.actions.iter().filter_map(Acting::run)).collect();
        for run in &runs {
            self.runs.remove(run);
            self.exits.remove(run);
        }
        self.forget_note(id, &runs);
        if let Some(at) = pod.wake_at {
            self.wakes.remove(&(at, id));
        }
    }

    /// An order for a pod, by nudge. Orders for pods that are not here were carried out already.
    pub(super) fn ordered(&mut self, id: PodId, order: OrderKind, out: &mut Outbox) {
        let OrderKind::Stop { grace_seconds, at, reason } = order;
        if self.pods.get(&id).is_some_and(|pod| pod.stage != Stage::Claiming) {
            self.step(id, Event::StopOrdered { grace_seconds, reason, at }, out);
        }
    }

    pub(super) fn set_wake(&mut self, id: PodId) {
        let Some(pod) = self.pods.get_mut(&id) else { return };
        let next = pod.machine.next_wake();
        if pod.wake_at == next {
            return;
        }
        if let Some(before) = pod.wake_at.take() {
            self.wakes.remove(&(before, id));
        }
        if let Some(at) = next {
            pod.wake_at = Some(at);
            self.wakes.insert((at, id));
        }
    }

    /// Events that were put off because another was being carried out.
    pub(super) fn settle_pending(&mut self, out: &mut Outbox) {
        while let Some((id, event)) = self.pending.pop_front() {
            // It may have been stopped since it asked.
            let asks = |index| {
                let pod = self.pods.get(&id);
                pod.is_some_and(|pod| pod.machine.awaits(index) == Awaits::Configuration)
            };
            if matches!(event, Event::Configured { index } if !asks(index)) {
                continue;
            }
            self.step(id, event, out);
        }
    }
}
