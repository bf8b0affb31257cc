//! Hooks and probes, carried out: programs through the runtime, as runs of their own; requests and
//! connections from here.
//!
//! Of each action the pod's machine hears exactly once that it is over, and then nothing of it is
//! left.

use std::sync::Arc;
use std::time::Duration;

use stint_common::id::PodId;
use stint_common::time::after;
use stint_common::trace::pod_context;
use stint_common::wire::Exit;
use tokio::sync::oneshot;

use super::health;
use super::outbox::{Done, Outbox};
use super::probing::{connect, get};
use super::run::{Agent, Target};
use super::starting::START_AGAIN;
use crate::launch::{Handler, RunFacts};
use crate::logs::LogReader;
use crate::pod::{ActionId, ActionKind, ActionOutcome, Event};
use crate::runtime::{RunId, Runtime, StartError};

/// A hook's request has no time limit in Kubernetes; one that hangs for so long is dead.
const LONGEST_HOOK: Duration = Duration::from_secs(3600);

/// An action under way.
#[derive(Debug)]
pub(super) struct Acting {
    pub(super) id: ActionId,
    pub(super) index: usize,
    pub(super) kind: ActionKind,
    how: How,
}

#[derive(Debug)]
enum How {
    /// A run of the runtime, and what it writes.
    Run(RunId, Option<LogReader>),
    /// A task; dropping this ends it.
    Task { _ends: oneshot::Sender<()> },
    /// The machine has no room for it now; or its task is ending.
    Later,
}

impl Acting {
    /// Its run, if it is one.
    pub(super) fn run(&self) -> Option<RunId> {
        match self.how {
            How::Run(run, _) => Some(run),
            How::Task { .. } | How::Later => None,
        }
    }
}

impl<R: Runtime> Agent<R> {
    pub(super) fn run_action(
        &mut self,
        id: PodId,
        action: ActionId,
        index: usize,
        kind: ActionKind,
    ) {
        let Some(pod) = self.pods.get(&id) else { return };
        let handler = pod.ready.job.as_ref().ok().and_then(|job| job.handler(index, kind));
        match handler.cloned() {
            Some(Handler::Exec(argv)) => {
                let acting = Acting { id: action, index, kind, how: How::Later };
                let Some(pod) = self.pods.get_mut(&id) else { return };
                pod.actions.push(acting);
                self.run_exec(id, action, &argv);
            }
            Some(Handler::Http(request)) => {
                let work = async move { get(&request).await };
                self.run_task(id, action, index, kind, work);
            }
            Some(Handler::Tcp(endpoint)) => {
                let work = async move { connect(&endpoint).await };
                self.run_task(id, action, index, kind, work);
            }
            Some(Handler::Grpc(wanted)) => {
                let work = async move { health::check(&wanted).await };
                self.run_task(id, action, index, kind, work);
            }
            Some(Handler::Broken(why)) => {
                tracing::warn!(pod = %id, ?kind, %why, "a hook or probe cannot be carried out");
                let outcome = not_tried(kind);
                self.pending.push_back((id, Event::ActionDone { action, outcome }));
            }
            None => {
                tracing::error!(pod = %id, ?kind, "the template has no such hook or probe");
                let outcome = not_tried(kind);
                self.pending.push_back((id, Event::ActionDone { action, outcome }));
            }
        }
    }

    fn run_task(
        &mut self,
        id: PodId,
        action: ActionId,
        index: usize,
        kind: ActionKind,
        work: impl Future<Output = Result<(), String>> + Send + 'static,
    ) {
        let (ends, ended) = oneshot::channel::<()>();
        let Some(pod) = self.pods.get_mut(&id) else { return };
        pod.actions.push(Acting { id: action, index, kind, how: How::Task { _ends: ends } });
        self.on_their_way.push(Box::pin(async move {
            let result = tokio::select! {
                result = tokio::time::timeout(LONGEST_HOOK, work) => {
                    result.unwrap_or_else(|_| Err("it took too long".to_owned()))
                }
                _ = ended => Err("it was ended".to_owned()),
            };
            Done::Acted(id, action, result)
        }));
    }

    fn run_exec(&mut self, id: PodId, action: ActionId, argv: &[Arc<str>]) {
        let run = self.next_run();
        let Some(pod) = self.pods.get_mut(&id) else { return };
        let trace = pod_context(id, pod.ready.trace.as_ref());
        let Some(acting) = pod.actions.iter_mut().find(|it| it.id == action) else { return };
        acting.how = How::Run(run, None);
        let index = acting.index;
        let job = pod.ready.job.as_ref().ok();
        let facts = RunFacts { trace: Some(&trace), termination_log: None };
        let spec = job.and_then(|job| job.launch(id, pod.index_failures, index, &facts));
        let Some(mut spec) = spec else {
            return self.action_over(id, action, ActionOutcome::Failed);
        };
        spec.argv = argv.to_vec();
        spec.env.extend(self.device_variables(id, index));
        self.runs.insert(run, id);
        if let Err(error) = self.runtime.start(run, spec) {
            self.action_not_started(run, &error);
        }
    }

    /// Goes on with an action of an earlier agent: its run, if it was one that the runtime knows. A
    /// hook that was a request is made again, since nobody knows what came of it.
    pub(super) fn take_up_action(
        &mut self,
        id: PodId,
        (action, index, kind): (ActionId, usize, ActionKind),
        run: Option<(RunId, Option<LogReader>)>,
    ) {
        match run {
            Some((run, logs)) => {
                let Some(pod) = self.pods.get_mut(&id) else { return };
                pod.actions.push(Acting { id: action, index, kind, how: How::Run(run, logs) });
                self.runs.insert(run, id);
            }
            None if matches!(kind, ActionKind::Probe(_)) => {
                let outcome = ActionOutcome::Unknown;
                self.pending.push_back((id, Event::ActionDone { action, outcome }));
            }
            None => self.run_action(id, action, index, kind),
        }
    }

    /// An action that the machine had no room for is tried again.
    pub(super) fn act_again(&mut self, id: PodId, action: ActionId) {
        let Some(pod) = self.pods.get(&id) else { return };
        let Some(acting) = pod.actions.iter().find(|it| it.id == action) else { return };
        let job = pod.ready.job.as_ref().ok();
        let handler = job.and_then(|job| job.handler(acting.index, acting.kind));
        if let Some(Handler::Exec(argv)) = handler.cloned() {
            self.run_exec(id, action, &argv);
        }
    }

    pub(super) fn cancel_action(&mut self, id: PodId, action: ActionId) {
        let Some(pod) = self.pods.get_mut(&id) else { return };
        let Some(place) = pod.actions.iter().position(|it| it.id == action) else { return };
        match &pod.actions[place].how {
            // Its exit is heard of.
            How::Run(run, _) => self.runtime.kill(*run),
            // Its task ends, and says so.
            How::Task { .. } => pod.actions[place].how = How::Later,
            How::Later => {
                self.retries
                    .retain(|(_, other, what)| *other != id || *what != Target::Action(action));
                self.action_over(id, action, ActionOutcome::Failed);
            }
        }
    }

    fn acting(&mut self, run: RunId) -> Option<(PodId, &mut Acting)> {
        let id = *self.runs.get(&run)?;
        let actions = &mut self.pods.get_mut(&id)?.actions;
        Some((id, actions.iter_mut().find(|acting| acting.run() == Some(run))?))
    }

    /// Keeps what an action writes, to tell it when it fails; whether the run is one.
    pub(super) fn action_started(&mut self, run: RunId, logs: LogReader) -> Option<LogReader> {
        match self.acting(run) {
            Some((_, acting)) => {
                acting.how = How::Run(run, Some(logs));
                None
            }
            None => Some(logs),
        }
    }

    /// Whether the run is an action's.
    pub(super) fn action_exited(&mut self, run: RunId, exit: Exit) -> bool {
        let Some((id, acting)) = self.acting(run) else { return false };
        let (action, kind) = (acting.id, acting.kind);
        if exit != Exit::Code(0)
            && let How::Run(_, Some(logs)) = &mut acting.how
        {
            let said = logs.finish(exit).inline.unwrap_or_default();
            let (code, said) = (exit.code(), format!("{}{}", said.stdout, said.stderr));
            tracing::debug!(pod = %id, ?kind, code, said, "a hook or probe failed");
        }
        self.runs.remove(&run);
        self.to_forget.push(run);
        let good = exit == Exit::Code(0);
        let outcome = if good { ActionOutcome::Succeeded } else { ActionOutcome::Failed };
        self.action_over(id, action, outcome);
        true
    }

    /// Whether the run is an action's.
    pub(super) fn action_not_started(&mut self, run: RunId, error: &StartError) -> bool {
        let Some((id, acting)) = self.acting(run) else { return false };
        let (action, kind) = (acting.id, acting.kind);
        acting.how = How::Later;
        self.runs.remove(&run);
        self.to_forget.push(run);
        self.note_anew(id);
        match error {
            StartError::Worker { .. } if !matches!(kind, ActionKind::Probe(_)) => {
                self.retries.insert((
                    after(self.wall.now(), START_AGAIN),
                    id,
                    Target::Action(action),
                ));
            }
            StartError::Worker { .. } => {
                tracing::warn!(pod = %id, ?kind, %error, "no room for a probe");
                self.action_over(id, action, ActionOutcome::Unknown);
            }
            StartError::Container { .. } => {
                tracing::warn!(pod = %id, ?kind, %error, "a hook or probe cannot be started");
                self.action_over(id, action, ActionOutcome::Failed);
            }
            StartError::Cancelled => self.action_over(id, action, ActionOutcome::Failed),
        }
        true
    }

    /// What came of a request or a connection.
    pub(super) fn acted(&mut self, id: PodId, action: ActionId, result: &Result<(), String>) {
        if let Err(why) = result {
            tracing::debug!(pod = %id, why, "a hook or probe failed");
        }
        let good = result.is_ok();
        let outcome = if good { ActionOutcome::Succeeded } else { ActionOutcome::Failed };
        self.action_over(id, action, outcome);
    }

    /// The machine hears of it when nothing else is being carried out.
    fn action_over(&mut self, id: PodId, action: ActionId, outcome: ActionOutcome) {
        let Some(pod) = self.pods.get_mut(&id) else { return };
        let before = pod.actions.len();
        pod.actions.retain(|acting| acting.id != action);
        if pod.actions.len() < before {
            self.pending.push_back((id, Event::ActionDone { action, outcome }));
        }
    }

    /// Gives the disk back what actions flood it with.
    pub(super) fn tend_actions(&mut self) {
        for acting in self.pods.values_mut().flat_map(|pod| &mut pod.actions) {
            if let How::Run(_, Some(logs)) = &mut acting.how {
                logs.tend();
            }
        }
    }

    /// While the fence is closed, processes may stand still, and probes prove nothing.
    pub(super) fn tell_pauses(&mut self, out: &mut Outbox) {
        let paused = !self.fence.is_open();
        if paused == self.paused {
            return;
        }
        self.paused = paused;
        let probed = self.pods.iter().filter(|(_, pod)| pod.machine.has_probes());
        let probed: Vec<PodId> = probed.map(|(id, _)| *id).collect();
        for id in probed {
            let event = if paused { Event::Paused } else { Event::Resumed };
            self.step(id, event, out);
        }
        self.settle_pending(out);
    }
}

/// What a hook or probe comes to that cannot even be tried.
fn not_tried(kind: ActionKind) -> ActionOutcome {
    match kind {
        ActionKind::Probe(_) => ActionOutcome::Unknown,
        ActionKind::PostStart | ActionKind::PreStop => ActionOutcome::Failed,
    }
}
