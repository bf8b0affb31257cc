//! The end of a worker: its pods end before it.

use stint_common::id::PodId;
use stint_common::time::now;

use super::outbox::Outbox;
use super::pods::Stage;
use super::run::Agent;
use crate::pod::Event;
use crate::runtime::Runtime;

impl<R: Runtime> Agent<R> {
    /// No more work is taken; pods get TERM, then KILL, and their ends are written.
    pub(super) fn shut_down(&mut self, out: &mut Outbox) {
        self.shutting_down = true;
        out.answers.extend(self.pulled.drain(..).map(|pulled| (pulled.reply, &b"-NAK"[..])));
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
        self.step(id, Event::StopOrdered { grace_seconds, reason, at: now() }, out);
        self.settle_pending(out);
    }
}
