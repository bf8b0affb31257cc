//! The ends of an agent: with its pods, or without them.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt as _;
use stint_common::id::PodId;
use tokio::sync::mpsc;

use super::intake::clock;
use super::outbox::Outbox;
use super::pods::Stage;
use super::run::{Agent, Ending, Orders};
use crate::pod::Event;
use crate::runtime::{Kept, RunId, Runtime, RuntimeEvent};

/// What is on its way when the runtime dies may arrive within this time.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// And what a shutdown has still to write may take so long beyond the pods' grace periods.
const SHUT_DOWN: Duration = Duration::from_secs(8);

impl<R: Runtime> Agent<R> {
    /// No more work is taken; pods get TERM, then KILL, and their ends are written.
    pub(super) fn shut_down(&mut self, out: &mut Outbox) {
        self.shutting_down = true;
        let grace = Duration::from_secs(u64::from(self.settings.shutdown_seconds));
        self.gives_up_at = Some(clock() + grace + SHUT_DOWN);
        self.runtime.is_last();
        out.answers.extend(self.take_pulled().map(|pulled| (pulled.reply, &b"-NAK"[..])));
        let ids: Vec<PodId> = self.pods.keys().copied().collect();
        for id in ids {
            self.stop_for_shutdown(id, out);
        }
    }

    /// The worker ends, so the pod does: within its own grace period, as far as there is time. One
    /// whose claim is on its way is stopped when that has arrived.
    pub(super) fn stop_for_shutdown(&mut self, id: PodId, out: &mut Outbox) {
        let Some(pod) = self.pods.get(&id).filter(|pod| pod.stage != Stage::Claiming) else {
            return;
        };
        let asked = pod.machine.settings().grace_seconds;
        let grace_seconds = asked.min(self.settings.shutdown_seconds);
        let reason = "worker was shut down".to_owned();
        let at = self.wall.now();
        self.step(id, Event::StopOrdered { grace_seconds, reason, at }, out);
        self.settle_pending(out);
    }

    /// Pods go on without this agent. What it has not written yet, the next one finds in its notes;
    /// what it has heard and not taken in yet, the runtime tells again.
    pub(super) async fn hand_over(
        &mut self,
        heard: &mut mpsc::UnboundedReceiver<RuntimeEvent>,
        mut out: Outbox,
    ) {
        heard.close();
        out.answers.extend(self.take_pulled().map(|pulled| (pulled.reply, &b"-NAK"[..])));
        self.note_round();
        // Claims and ends whose answers do not come any more are read back by the next agent.
        let ways = out.carry_out(&self.post);
        self.on_their_way.clear();
        let mut last: futures_util::stream::FuturesUnordered<_> = ways.into_iter().collect();
        let arrive = async { while last.next().await.is_some() {} };
        if tokio::time::timeout(LAST_WORDS, arrive).await.is_err() {
            tracing::warn!("not everything was said before handing over; the next agent says it");
        }
        tracing::info!(pods = self.pods.len(), "handed over: pods go on for the next agent");
    }

    /// Something has arrived: where things get through, the rest is waited for.
    pub(super) fn goes_on(&mut self) {
        let later = clock() + SHUT_DOWN;
        self.gives_up_at = self.gives_up_at.map(|at| at.max(later));
    }

    /// How the shutdown went, once it is through: all ends are written, or cannot be. The owner
    /// ends the pods of those that are not, when the lease has run out or the worker begins anew.
    pub(super) async fn shut_down_as(&mut self) -> Option<Ending> {
        if self.gives_up_at.is_some_and(|at| clock() >= at) {
            let pods = self.pods.len();
            tracing::warn!(pods, "ends of pods could not be written; the coordinator ends them");
            return Some(Ending::GaveUp);
        }
        if !self.shutting_down || !self.pods.is_empty() {
            return None;
        }
        let arrive = async { while self.on_their_way.next().await.is_some() {} };
        if tokio::time::timeout(LAST_WORDS, arrive).await.is_err() {
            tracing::warn!("not everything was said at the end");
        }
        Some(Ending::Shutdown)
    }

    /// Whether this life is over without a word from outside: the runtime is gone, or is to be
    /// replaced.
    pub(super) async fn is_over(&mut self) -> bool {
        if self.died {
            self.write_last_words().await;
        }
        self.died || self.is_outdated()
    }

    /// The runtime is gone: ends that are known are written; all other pods are ended by the owner,
    /// since the worker's next life does not claim them.
    async fn write_last_words(&mut self) {
        let arrive = async {
            while self.pods.values().any(|pod| pod.end.is_some()) {
                let Some(done) = self.on_their_way.next().await else { break };
                let mut out = Outbox::default();
                self.arrived(done, &mut out);
                self.on_their_way.extend(out.carry_out(&self.post));
            }
        };
        if tokio::time::timeout(LAST_WORDS, arrive).await.is_err() {
            tracing::warn!("not everything was written before the next life");
        }
    }

    /// Whether the runtime is of another version and nothing needs it any more.
    fn is_outdated(&self) -> bool {
        !self.runtime.is_current() && self.pods.is_empty() && !self.shutting_down
    }
}

/// Told to stop before anything could be taken up, for want of a server. What runs for an earlier
/// agent's pods is stopped all the same, and the owner ends them; or it stays for the next agent.
pub async fn leave_untaken<R: Runtime>(
    runtime: &R,
    mut left: BTreeSet<RunId>,
    heard: &mut mpsc::UnboundedReceiver<RuntimeEvent>,
    orders: &Orders,
    grace: Duration,
) -> Ending {
    if !orders.shutdown.is_cancelled() {
        tracing::warn!("told to hand over before the server answered: all stays as it was");
        return Ending::HandedOver;
    }
    let runs = left.len();
    tracing::warn!(
        runs,
        "told to stop before the server answered: what runs is stopped, the coordinator ends its pods"
    );
    runtime.is_last();
    left.iter().for_each(|run| runtime.terminate(*run));
    runtime.flush();
    let ended = async {
        while !left.is_empty() {
            match heard.recv().await {
                Some(RuntimeEvent::Exited { run, .. } | RuntimeEvent::NotStarted { run, .. }) => {
                    left.remove(&run);
                }
                None | Some(RuntimeEvent::Died) => break,
                Some(
                    RuntimeEvent::Started { .. }
                    | RuntimeEvent::Overfull { .. }
                    | RuntimeEvent::OutOfMemory { .. },
                ) => {}
            }
        }
    };
    if tokio::time::timeout(grace, ended).await.is_err() {
        tracing::warn!("what is left is killed");
    }
    Ending::GaveUp
}

/// Runs that go on for an earlier agent.
#[must_use]
pub fn going_on(kept: &Kept) -> BTreeSet<RunId> {
    kept.runs.iter().filter(|run| run.end.is_none()).map(|run| run.run).collect()
}
