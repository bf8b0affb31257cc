//! What has come for the agent, from whatever side, is taken in before the next decision.

use futures_util::{FutureExt as _, StreamExt as _};
use stint_common::metrics;
use stint_common::nats::Subscription;
use stint_common::wire::Nudge;
use tokio::sync::mpsc;

use super::intake::{Intake, MOST, News, Pulled, clock};
use super::outbox::{Done, Outbox};
use super::run::Agent;
use super::templates::{Fetched, Name};
use crate::runtime::{Runtime, RuntimeEvent};

/// Events taken in before the next decision.
const EVENTS_A_ROUND: usize = 4096;

impl<R: Runtime> Agent<R> {
    /// What has come meanwhile is taken in before the next decision: a flood makes large groups.
    pub(super) fn take_what_is_there(
        &mut self,
        intake: &mut Intake,
        heard: &mut mpsc::UnboundedReceiver<RuntimeEvent>,
        nudges: &mut Subscription,
        out: &mut Outbox,
    ) {
        for _ in 0..EVENTS_A_ROUND {
            let Ok(event) = heard.try_recv() else { break };
            self.heard(event, out);
        }
        while let Some(Some(done)) = self.on_their_way.next().now_or_never() {
            self.arrived(done, out);
        }
        while let Some(Some(message)) = nudges.next().now_or_never() {
            self.nudged(&message.payload, out);
        }
        if !self.shutting_down {
            for _ in 0..MOST {
                let Some(news) = intake.try_next() else { break };
                self.pulled_news(news);
            }
        }
        intake.forget_silent(clock());
    }

    /// Items that are not claimed.
    pub(super) fn take_pulled(&mut self) -> impl Iterator<Item = Pulled> {
        self.pulled.drain(..)
    }

    pub(super) fn pulled_news(&mut self, news: News) {
        match news {
            News::Item(pulled) => self.pulled.push_back(pulled),
            News::Less | News::Refit => {}
        }
    }

    pub(super) fn arrived(&mut self, done: Done, out: &mut Outbox) {
        self.goes_on();
        match done {
            Done::Claims(outcomes, took) => {
                self.ahead.claimed(took);
                for (id, outcome) in outcomes {
                    self.claim_done(id, &outcome, out);
                }
            }
            Done::Reports(outcomes) => {
                for (id, outcome) in outcomes {
                    self.report_written(id, &outcome, out);
                }
            }
            Done::Ends(outcomes) => {
                for (id, outcome) in outcomes {
                    self.end_written(id, &outcome, out);
                }
            }
            Done::Template(name, fetched) => {
                if matches!(fetched, Fetched::Gone) {
                    self.drop_items_of(&name, out);
                    self.refuse_all(&name, out);
                }
                self.templates.fetched(&name, &fetched);
                self.verify(&name, out);
            }
            Done::Files(id, read, ahead) => self.files_read(id, read, ahead, out),
            Done::Variables(id, index, read) => self.variables_read(id, index, read, out),
            Done::Shipped(id, index, run, shipped) => self.shipped(id, index, run, shipped, out),
            Done::Looked(records) => self.looked(records, out),
            Done::Forgotten(records) => self.disown(records),
            Done::Acted(id, action, result) => self.acted(id, action, &result),
            Done::LogsClosed(id) => self.write_end(id, out),
            Done::Said => {}
        }
    }

    /// Items of classes that this worker does not fit any more are for others.
    pub(super) fn give_back_strange(&mut self, intake: &Intake, out: &mut Outbox) {
        self.pulled.retain(|pulled| {
            let takes = intake.takes(&pulled.kind);
            if !takes {
                metrics::worker().gave_back();
                out.answers.push((pulled.reply.clone(), b"-NAK"));
            }
            takes
        });
    }

    /// Items of a Job that is gone leave the queue.
    fn drop_items_of(&mut self, name: &Name, out: &mut Outbox) {
        self.pulled.retain(|pulled| {
            let gone = pulled.pod.job == name.0 && pulled.item.template == name.1;
            if gone {
                out.answers.push((pulled.reply.clone(), b"+ACK"));
            }
            !gone
        });
    }

    pub(super) fn nudged(&mut self, payload: &[u8], out: &mut Outbox) {
        match serde_json::from_slice::<Nudge>(payload) {
            Ok(nudge) => {
                if let Some(cordoned) = nudge.cordoned {
                    self.fence.cordon(cordoned);
                    // There may be more than that.
                    self.fence.nudge();
                }
                self.asked_for(&nudge.claims);
                for nudged in nudge.pods {
                    self.ordered(nudged.pod, nudged.order, out);
                    self.settle_pending(out);
                }
            }
            Err(error) => tracing::error!(%error, "a nudge cannot be read"),
        }
    }
}
