//! What one round of decisions wants done, and how it is carried out: decides nothing.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use stint_common::id::{JobUid, PodId};
use stint_common::names::Names;
use stint_common::nats::{Committer, Expect, Jet, Outcome, Write};
use stint_common::wire::{Nudge, NudgedPod, PodRecord, Seal, VERSION, WorkItem};

use super::graves::{Burial, bury};
use super::kept::Retiring;
use super::mend::{Mend, mend};
use super::retire::{remove, write_seals};
use super::strays::{Listed, list_templates};
use crate::job::Event;

/// Everything that one round wants written and said.
#[derive(Debug, Default)]
pub(super) struct Round {
    jobs: Vec<(JobUid, Write)>,
    items: Vec<(PodId, Write)>,
    ends: Vec<(PodId, Write)>,
    orders: Vec<(PodId, Write)>,
    leases: Vec<(String, Write)>,
    mends: Vec<Mend>,
    /// By worker, and so are the questions: there may be a hundred thousand of either.
    nudges: BTreeMap<String, Vec<NudgedPod>>,
    questions: BTreeMap<String, Vec<PodId>>,
    purges: Vec<Purge>,
    seals: Vec<(JobUid, Seal)>,
    removals: Vec<Retiring>,
    burials: Vec<Burial>,
    lists_templates: bool,
    pub(super) events: Vec<(JobUid, Event)>,
}

/// Messages to be removed from a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Purge {
    pub(super) stream: String,
    pub(super) subject: String,
}

/// What became of a part of a round.
#[derive(Debug)]
pub(super) enum Done {
    Jobs(Vec<(JobUid, Outcome)>),
    Items(Vec<(PodId, Outcome)>),
    Ends(Vec<(PodId, Outcome)>),
    Orders(Vec<(PodId, Outcome)>),
    Leases(Vec<(String, Outcome)>),
    /// Of the seals that were asked for, some are durable.
    Sealed {
        asked: Vec<JobUid>,
        sealed: Vec<JobUid>,
    },
    /// These records are gone.
    Removed(Vec<Retiring>),
    /// These tombstones were to be removed; those that were not are tried again.
    Buried(Vec<u64>),
    /// All templates that there are, if they could be listed.
    Listed(Option<Listed>),
    Said,
}

/// A part of a round on its way.
pub(super) type OnItsWay = Pin<Box<dyn Future<Output = Done> + Send>>;

/// The writers of the streams.
#[derive(Clone, Debug)]
pub(super) struct Writers {
    pub(super) jet: Jet,
    pub(super) objects: Committer,
    pub(super) work: Committer,
    pub(super) pods: Committer,
}

impl Round {
    pub(super) fn record(&mut self, uid: JobUid, subject: String, payload: Bytes, expect: u64) {
        self.jobs.push((uid, Write { subject, payload, expect: Expect::Sequence(expect) }));
    }

    pub(super) fn item(&mut self, names: &Names, class: &str, pod: PodId, item: &WorkItem) {
        let payload = serde_json::to_vec(item).expect("an item has only string keys");
        let subject = names.work(class, pod);
        let write = Write { subject, payload: payload.into(), expect: Expect::Sequence(0) };
        self.items.push((pod, write));
    }

    pub(super) fn end(&mut self, names: &Names, pod: PodId, record: &PodRecord, expect: u64) {
        let payload = serde_json::to_vec(record).expect("a pod's record has only string keys");
        let expect = Expect::Sequence(expect);
        self.ends.push((pod, Write { subject: names.pod(pod), payload: payload.into(), expect }));
    }

    pub(super) fn order(&mut self, names: &Names, pod: PodId, payload: Bytes) {
        let expect = Expect::Sequence(0);
        self.orders.push((pod, Write { subject: names.order(pod), payload, expect }));
    }

    pub(super) fn mend(&mut self, mend: Mend) {
        self.mends.push(mend);
    }

    pub(super) fn lease(&mut self, worker: String, write: Write) {
        self.leases.push((worker, write));
    }

    pub(super) fn nudge(&mut self, worker: &str, pod: NudgedPod) {
        add(&mut self.nudges, worker, pod);
    }

    /// Does the worker have this pod that it claimed?
    pub(super) fn ask(&mut self, worker: &str, pod: PodId) {
        add(&mut self.questions, worker, pod);
    }

    pub(super) fn purge(&mut self, stream: String, subject: String) {
        self.purges.push(Purge { stream, subject });
    }

    pub(super) fn seal(&mut self, job: JobUid, seal: Seal) {
        self.seals.push((job, seal));
    }

    pub(super) fn remove(&mut self, retiring: Vec<Retiring>) {
        self.removals.extend(retiring);
    }

    pub(super) fn bury(&mut self, burial: Burial) {
        self.burials.push(burial);
    }

    pub(super) fn list_templates(&mut self) {
        self.lists_templates = true;
    }

    /// The round as futures, each a group that is committed together.
    pub(super) fn carry_out(self, writers: &Writers) -> Vec<OnItsWay> {
        let mut ways: Vec<OnItsWay> = Vec::new();
        ways.extend(written(&writers.objects, self.jobs, Done::Jobs));
        ways.extend(written(&writers.work, self.items, Done::Items));
        ways.extend(written(&writers.pods, self.ends, Done::Ends));
        ways.extend(written(&writers.pods, self.orders, Done::Orders));
        ways.extend(written(&writers.objects, self.leases, Done::Leases));
        for some in self.mends {
            ways.push(Box::pin(mend(writers.clone(), some)));
        }
        let nudges = messages(&self.nudges, &self.questions);
        if !nudges.is_empty() || !self.purges.is_empty() {
            ways.push(Box::pin(say(writers.jet.clone(), nudges, self.purges)));
        }
        if !self.seals.is_empty() {
            ways.push(Box::pin(write_seals(writers.clone(), self.seals)));
        }
        if !self.removals.is_empty() {
            ways.push(Box::pin(remove(writers.jet.clone(), self.removals)));
        }
        for burial in self.burials {
            ways.push(Box::pin(bury(writers.clone(), burial)));
        }
        if self.lists_templates {
            ways.push(Box::pin(list_templates(writers.jet.clone())));
        }
        ways
    }
}

fn add<T>(to: &mut BTreeMap<String, Vec<T>>, worker: &str, one: T) {
    match to.get_mut(worker) {
        Some(some) => some.push(one),
        None => drop(to.insert(worker.to_owned(), vec![one])),
    }
}

/// Each to a worker, and none with more than a message may hold.
fn messages(
    orders: &BTreeMap<String, Vec<NudgedPod>>,
    questions: &BTreeMap<String, Vec<PodId>>,
) -> Vec<(String, Nudge)> {
    let empty = Nudge { v: VERSION, pods: Vec::new(), cordoned: None, claims: Vec::new() };
    let orders = orders.iter().flat_map(|(worker, pods)| {
        let some = pods.chunks(Nudge::MAX);
        some.map(|pods| (worker.clone(), Nudge { pods: pods.to_vec(), ..empty.clone() }))
    });
    let questions = questions.iter().flat_map(|(worker, claims)| {
        let some = claims.chunks(Nudge::MAX);
        some.map(|claims| (worker.clone(), Nudge { claims: claims.to_vec(), ..empty.clone() }))
    });
    orders.chain(questions).collect()
}

fn written<K: Send + 'static>(
    committer: &Committer,
    group: Vec<(K, Write)>,
    done: fn(Vec<(K, Outcome)>) -> Done,
) -> Option<OnItsWay> {
    if group.is_empty() {
        return None;
    }
    let committer = committer.clone();
    let (keys, writes): (Vec<K>, Vec<Write>) = group.into_iter().unzip();
    Some(Box::pin(async move {
        let outcomes = committer.write_all(writes).await;
        done(keys.into_iter().zip(outcomes).collect())
    }))
}

/// Nudges are said again until they have worked, purges until nothing is left: neither is waited
/// for.
async fn say(jet: Jet, nudges: Vec<(String, Nudge)>, purges: Vec<Purge>) -> Done {
    for (worker, nudge) in nudges {
        let payload = serde_json::to_vec(&nudge).expect("a nudge has only string keys");
        if let Err(error) = jet.publish(jet.names.nudge(&worker), payload.into()).await {
            tracing::debug!(worker, ?error, "nudging");
        }
    }
    for purge in purges {
        if let Err(error) = jet.purge(&purge.stream, &purge.subject).await {
            tracing::debug!(?error, "purging");
        }
    }
    Done::Said
}

#[cfg(test)]
mod tests {
    use super::*;
    use stint_common::id::{Attempt, Slot};

    #[test]
    fn each_worker_is_asked_in_messages_that_are_not_too_large() {
        let mut round = Round::default();
        let most = u32::try_from(Nudge::MAX).unwrap();
        for slot in 0..3 * most {
            let worker = if slot < 2 * most + 1 { "one" } else { "another" };
            let job = JobUid(uuid::Uuid::from_u128(7));
            round.ask(worker, PodId { job, slot: Slot(slot), attempt: Attempt(0) });
        }
        let messages = messages(&round.nudges, &round.questions);
        let sizes: Vec<(&str, usize)> =
            messages.iter().map(|(worker, nudge)| (worker.as_str(), nudge.claims.len())).collect();
        let most = Nudge::MAX;
        assert_eq!(sizes, [("another", most - 1), ("one", most), ("one", most), ("one", 1)]);
        assert!(messages.iter().all(|(_, nudge)| nudge.pods.is_empty()));
    }
}
