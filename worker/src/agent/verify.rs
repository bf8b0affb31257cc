//! Between the claim and the start: a pod that is over already must not run again.
//!
//! Its record may have been removed, and then an old work item, delivered once more, meets an empty
//! subject and is claimed. Its Job's seal says so; see [`super::templates`].

use stint_common::id::PodId;
use stint_common::wire::{End, EndedBy, NOT_STARTED, Outcome};

use super::outbox::Outbox;
use super::pods::Stage;
use super::run::Agent;
use super::templates::{Known, Name};
use crate::runtime::Runtime;

impl<R: Runtime> Agent<R> {
    /// Claimed pods of a template go on: to a place, or to their end if they are over. They wait
    /// where what is known may be too old.
    pub(super) fn verify(&mut self, name: &Name, out: &mut Outbox) {
        if self.verifying.is_empty() {
            return;
        }
        let known = self.templates.get(name);
        for id in self.take_verifying(name) {
            match &known {
                Some(Known::Ready(ready)) if ready.is_over(id) => {
                    self.refuse(id, "it was over before", out);
                }
                Some(Known::Ready(ready)) if ready.is_fresh() => {
                    if let Some(pod) = self.pods.get_mut(&id) {
                        pod.stage = Stage::Waiting;
                        self.configure(id);
                        // Its deadline may come before its place.
                        self.set_wake(id);
                    }
                }
                Some(Known::Ready(_) | Known::Fetching) | None => {
                    self.verifying.push(id);
                    out.fetches.extend(self.templates.read_again(name));
                }
            }
        }
    }

    /// The Job of claimed pods is gone or has finished.
    pub(super) fn refuse_all(&mut self, name: &Name, out: &mut Outbox) {
        for id in self.take_verifying(name) {
            self.refuse(id, "its Job is gone or has finished", out);
        }
    }

    fn take_verifying(&mut self, name: &Name) -> Vec<PodId> {
        let pods = &self.pods;
        let (mut ours, others) =
            std::mem::take(&mut self.verifying).into_iter().partition::<Vec<PodId>, _>(|id| {
                id.job == name.0 && pods.get(id).is_none_or(|pod| pod.template == name.1)
            });
        self.verifying = others;
        ours.retain(|id| pods.get(id).is_some_and(|pod| pod.stage == Stage::Verifying));
        ours
    }

    /// Ends a claimed pod without starting it. Nobody counts it: it was counted before.
    fn refuse(&mut self, id: PodId, why: &str, out: &mut Outbox) {
        tracing::warn!(pod = %id, "claimed by an old work item, not started: {why}");
        self.vacate(id);
        let Some(pod) = self.pods.get_mut(&id) else { return };
        pod.end = Some(Box::new(End {
            outcome: Outcome::Failed,
            by: EndedBy::Worker,
            reason: NOT_STARTED.to_owned(),
            message: format!("Pod was not started: {why}"),
            started_at: None,
            finished_at: self.wall.now(),
            containers: Vec::new(),
            initialized: None,
            conditions: Vec::new(),
        }));
        self.write_end(id, out);
    }
}
