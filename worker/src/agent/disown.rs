//! Claims of this life whose pods are not here: they are ended, as lost.
//!
//! That cannot be unless JetStream has lost what it had acknowledged: an older copy of its
//! directory brings back the claim of a pod that has ended since, and nobody else may end it while
//! this life goes on. The owner asks about claims that stay open. What is written expects the
//! record that was read, so asking twice, or dying in between, does no harm.

use futures_util::future::join_all;
use stint_common::id::{Incarnation, PodId};
use stint_common::nats::{Jet, Outcome};
use stint_common::time::now;
use stint_common::wire::{
    self, End, EndedBy, PodCondition, PodRecord, PodState, VERSION, WORKER_LOST,
};

use super::outbox::{Done, Outbox};
use super::run::Agent;
use crate::runtime::Runtime;

/// Records that are read at once.
const AT_ONCE: usize = 64;

impl<R: Runtime> Agent<R> {
    /// The owner asks for pods. What stands at the records of those that are not here is read; what
    /// cannot be read now is asked for again.
    pub(super) fn asked_for(&mut self, claims: &[PodId]) {
        let unknown: Vec<PodId> = claims.iter().copied().filter(|id| self.lacks(*id)).collect();
        if unknown.is_empty() {
            return;
        }
        let (jet, me) = (self.post.jet.clone(), self.me);
        self.on_their_way.push(Box::pin(async move {
            let mut found = Vec::new();
            for some in unknown.chunks(AT_ONCE) {
                let read = join_all(some.iter().map(|id| read(&jet, me, *id))).await;
                found.extend(read.into_iter().flatten());
            }
            Done::Forgotten(found)
        }));
    }

    fn lacks(&self, id: PodId) -> bool {
        !self.pods.contains_key(&id)
    }

    /// Ends those that are still not here.
    pub(super) fn disown(&mut self, records: Vec<(PodId, u64, PodRecord)>) {
        let mut writes = Vec::new();
        for (id, sequence, record) in records {
            if !self.lacks(id) {
                continue;
            }
            tracing::error!(
                pod = %id,
                "it is claimed by this worker, which does not know it: JetStream has lost what it had \
                 acknowledged; the pod is recorded as lost"
            );
            let nonce = self.next_nonce();
            let end = PodState::Terminated(Box::new(lost(&self.settings.name)));
            let record = PodRecord {
                address: None,
                v: VERSION,
                writer: self.me,
                nonce,
                state: end,
                waiting: None,
                ..record
            };
            let payload = serde_json::to_vec(&record).expect("a pod's record has only string keys");
            writes.push(Outbox::write(self.post.jet.names.pod(id), payload, sequence));
        }
        if writes.is_empty() {
            return;
        }
        let pods = self.post.pods.clone();
        self.on_their_way.push(Box::pin(async move {
            for outcome in pods.write_all(writes).await {
                if let Outcome::Refused(reason) = outcome {
                    tracing::warn!(
                        reason,
                        "the end of a lost pod was refused; it is asked for again"
                    );
                }
            }
            Done::Said
        }));
    }
}

/// The end of a pod that its worker does not know. What became of it nobody knows either, so it
/// counts as one of a worker that was lost.
fn lost(worker: &str) -> End {
    let message = format!("Worker {worker} does not know this pod any more");
    let disruption = PodCondition {
        kind: "DisruptionTarget".to_owned(),
        reason: "DeletionByTaintManager".to_owned(),
        message: message.clone(),
        at: now(),
    };
    End {
        outcome: wire::Outcome::Failed,
        by: EndedBy::Worker,
        reason: WORKER_LOST.to_owned(),
        message,
        started_at: None,
        finished_at: now(),
        containers: Vec::new(),
        initialized: None,
        conditions: vec![disruption],
    }
}

/// The record of a pod, if this life has claimed it and it has not ended.
async fn read(jet: &Jet, me: Incarnation, id: PodId) -> Option<(PodId, u64, PodRecord)> {
    let stored = jet.read_last(&jet.names.pods_stream(), &jet.names.pod(id)).await.ok()??;
    let record: PodRecord = serde_json::from_slice(&stored.payload).ok()?;
    let open = !matches!(record.state, PodState::Terminated(_));
    let ours = record.claim.as_ref().is_some_and(|claim| claim.incarnation == me);
    (open && ours).then_some((id, stored.sequence, record))
}

#[cfg(test)]
mod tests;
