//! After the connection was made anew, and every minute: do the records of the pods here still
//! stand?
//!
//! A server that comes back with an older copy of its directory has lost records that it had
//! acknowledged. A pod whose claim is lost may be claimed elsewhere, so it is killed here; and one
//! that was ended by an owner who had not noticed yet, which nobody would ever stop.

use std::time::Duration;

use futures_util::future::join_all;
use stint_common::id::{Incarnation, PodId};
use stint_common::nats::Jet;
use stint_common::wire::{EndedBy, PodRecord, PodState};

use super::intake::clock;
use super::outbox::{Done, Outbox, Standing};
use super::pods::Stage;
use super::run::Agent;
use crate::pod::Event;
use crate::runtime::Runtime;

/// Records that are read at once.
const AT_ONCE: usize = 64;
/// How often they are looked at in any case.
const EVERY: Duration = Duration::from_secs(60);
/// What could not be read is read again after this.
const AGAIN: Duration = Duration::from_millis(500);

impl<R: Runtime> Agent<R> {
    /// Looks up the records, if that has not been done for long.
    pub(super) fn look_at_records_in_time(&mut self) {
        if !self.looking && clock().duration_since(self.looked) >= EVERY {
            self.look_at_records();
        }
    }

    /// Looks up the records of all pods that are claimed.
    pub(super) fn look_at_records(&mut self) {
        self.looked = clock();
        let claimed = self.pods.iter().filter(|(_, pod)| pod.stage != Stage::Claiming);
        let pods: Vec<(PodId, u64)> = claimed.map(|(id, pod)| (*id, pod.sequence)).collect();
        self.look_at(pods, Duration::ZERO);
    }

    fn look_at(&mut self, pods: Vec<(PodId, u64)>, wait: Duration) {
        self.looking = !pods.is_empty();
        if pods.is_empty() {
            return;
        }
        let (jet, me) = (self.post.jet.clone(), self.me);
        self.on_their_way.push(Box::pin(async move {
            tokio::time::sleep(wait).await;
            let mut found = Vec::with_capacity(pods.len());
            for some in pods.chunks(AT_ONCE) {
                let standings = join_all(some.iter().map(|(id, _)| read(&jet, me, *id))).await;
                let some = some.iter().zip(standings);
                found.extend(some.map(|((id, sequence), standing)| (*id, *sequence, standing)));
            }
            Done::Looked(found)
        }));
    }

    pub(super) fn looked(
        &mut self,
        records: Vec<(PodId, u64, Option<Standing>)>,
        out: &mut Outbox,
    ) {
        let mut again = Vec::new();
        for (id, sequence, standing) in records {
            let Some(pod) = self.pods.get_mut(&id) else { continue };
            if pod.writing || pod.sequence != sequence {
                // What becomes of that write tells.
                continue;
            }
            match standing {
                Some(Standing::Ours(sequence)) => pod.sequence = sequence,
                Some(standing) => {
                    if standing == Standing::Over {
                        tracing::warn!(pod = %id, "its record says that it is over; it is killed");
                    } else {
                        tracing::error!(
                            pod = %id,
                            "its record is not there any more, or is another's: JetStream has lost \
                             what it had acknowledged; the pod is killed"
                        );
                    }
                    self.step(id, Event::Kill, out);
                    self.settle_pending(out);
                }
                None => again.push((id, sequence)),
            }
        }
        self.look_at(again, AGAIN);
    }
}

async fn read(jet: &Jet, me: Incarnation, id: PodId) -> Option<Standing> {
    let stored = jet.read_last(&jet.names.pods_stream(), &jet.names.pod(id)).await.ok()?;
    let standing = stored.and_then(|stored| {
        let record: PodRecord = serde_json::from_slice(&stored.payload).ok()?;
        let over = matches!(&record.state, PodState::Terminated(end) if end.by != EndedBy::Worker);
        let ours = record.claim.is_some_and(|claim| claim.incarnation == me);
        ours.then_some(if over { Standing::Over } else { Standing::Ours(stored.sequence) })
    });
    Some(standing.unwrap_or(Standing::NotOurs))
}
