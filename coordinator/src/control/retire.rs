//! Removing records of pods that are over, when there are more than are to be kept.
//!
//! An empty subject takes a claim, so an old work item that comes once more would bring a second
//! run. What stops it is the Job's seal: it is durable first, then the records wait until no worker
//! can be without knowing it, then they go. See `stint_common::wire::Seal`.
//!
//! ```text
//! too many ──▶ seals written ──▶ Seal::WAIT_MS ──▶ records removed ──▶ counted anew
//! ```
//!
//! A crash in between leaves a seal that is true anyway; the next owner begins anew, also with
//! orders and words whose records are gone. What a client holds by a finalizer until the removal
//! begins stays; later than that it is as if it had come after.

use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use stint_common::collections::HashSet;
use stint_common::id::{JobUid, PodId};
use stint_common::names::Names;
use stint_common::nats::{Expect, Jet, Outcome, RemoveError, Write};
use stint_common::time::Instant;
use stint_common::wire::{Over, Seal, VERSION};

use super::carry::{Done, Round, Writers};
use super::kept::{Chosen, Retiring};
use super::owner::Owner;

/// How long records wait once their Job's seal is durable.
pub(super) const WAIT: Duration = Duration::from_millis(Seal::WAIT_MS);
/// Removals on their way at once.
const AT_ONCE: usize = 64;

/// A round of removals.
#[derive(Debug)]
pub(super) struct Retirement {
    chosen: Vec<Chosen>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Sealing,
    Sealed(Instant),
    Removing,
}

impl Owner {
    /// Every tick: the next step of a round of removals, or the first of a new one.
    pub(super) fn retire(&mut self, now: Instant, round: &mut Round) {
        match &mut self.retirement {
            None => self.begin_to_retire(round),
            Some(Retirement { chosen, phase: phase @ Phase::Sealed(_) }) => {
                if matches!(phase, Phase::Sealed(since) if now.duration_since(*since) >= WAIT) {
                    let retiring = self.kept.may_still_go(chosen);
                    *phase = Phase::Removing;
                    if retiring.is_empty() {
                        self.retirement = None;
                    }
                    round.remove(retiring);
                }
            }
            Some(_) => {}
        }
    }

    fn begin_to_retire(&mut self, round: &mut Round) {
        if !self.kept.may_have_to_go() {
            return;
        }
        let (jobs, claims) = (&self.jobs, &self.claims);
        let chosen = self.kept.choose(|job, (slot, attempt)| {
            // While a write is under way, what is in memory is not known to be durable.
            let durable = || jobs.get(&job).filter(|managed| managed.is_durable());
            !claims.contains_key(&PodId { job, slot, attempt })
                && durable().is_some_and(|managed| managed.job.is_over(slot, attempt))
        });
        for chosen in &chosen {
            let seal = self.seal(chosen.job, chosen.finished);
            round.seal(chosen.job, seal);
        }
        if !chosen.is_empty() {
            self.retirement = Some(Retirement { chosen, phase: Phase::Sealing });
        }
    }

    /// What is over of a Job: all of one that has finished or is gone.
    pub(super) fn seal(&mut self, job: JobUid, all: bool) -> Seal {
        let ledger = self.jobs.get(&job).filter(|_| !all).map(|managed| managed.job.ledger());
        let over = ledger.map_or_else(Vec::new, |ledger| {
            let groups = ledger.over().into_iter();
            groups.map(|(attempts, slots)| Over { attempts, slots }).collect()
        });
        Seal { v: VERSION, writer: self.me, nonce: self.next_nonce(), all, over }
    }

    /// Of the seals that were asked for, these are durable.
    pub(super) fn sealed(&mut self, asked: &[JobUid], sealed: &[JobUid], now: Instant) {
        for job in sealed {
            if let Some(orphan) = self.orphans.get_mut(job) {
                orphan.sealed = Some(now);
            }
        }
        if let Some(Retirement { chosen, phase: phase @ Phase::Sealing }) = &mut self.retirement {
            let (asked, sealed): (HashSet<_>, HashSet<_>) =
                (asked.iter().collect(), sealed.iter().collect());
            if !chosen.iter().any(|chosen| asked.contains(&chosen.job)) {
                return;
            }
            chosen.retain(|chosen| sealed.contains(&chosen.job));
            *phase = Phase::Sealed(now);
            if chosen.is_empty() {
                self.retirement = None;
            }
        }
    }

    /// These records are gone.
    pub(super) fn removed(&mut self, removed: &[Retiring]) {
        removed.iter().for_each(|retired| self.kept.removed(retired));
        self.retirement = None;
    }
}

/// Writes seals. Says which of them are durable; the others are asked for again.
pub(super) async fn write_seals(writers: Writers, seals: Vec<(JobUid, Seal)>) -> Done {
    let names = &writers.jet.names;
    let writes = seals.iter().map(|(job, seal)| write(names, *job, seal, 0)).collect();
    let outcomes = writers.objects.write_all(writes).await;
    let asked: Vec<JobUid> = seals.iter().map(|(job, _)| *job).collect();
    let mut sealed = Vec::new();
    for ((job, mut seal), mut outcome) in seals.into_iter().zip(outcomes) {
        // Another seal stands: this one says all that it does.
        while let Outcome::Lost(Some(current)) = outcome {
            match serde_json::from_slice::<Seal>(&current.payload) {
                Ok(there) => seal.merge(&there),
                Err(error) => {
                    tracing::error!(%job, %error, "a seal cannot be read; its Job's records stay");
                    outcome = Outcome::Lost(None);
                    break;
                }
            }
            outcome = writers.objects.write(write(names, job, &seal, current.sequence)).await;
        }
        match outcome {
            Outcome::Stored(_) => sealed.push(job),
            Outcome::Lost(_) => {}
            Outcome::Refused(reason) => tracing::warn!(%job, reason, "a seal was refused"),
        }
    }
    Done::Sealed { asked, sealed }
}

fn write(names: &Names, job: JobUid, seal: &Seal, expect: u64) -> Write {
    let payload = serde_json::to_vec(seal).expect("a seal has only string keys");
    let expect = Expect::Sequence(expect);
    Write { subject: names.seal(job), payload: payload.into(), expect }
}

/// Removes records: by subject where all of a Job go, else one by one, by their sequences. What
/// could not be removed stays on the account and is tried again.
pub(super) async fn remove(jet: Jet, retiring: Vec<Retiring>) -> Done {
    let mut removed = Vec::new();
    for some in retiring.chunks(AT_ONCE) {
        let done = join_all(some.iter().map(|one| remove_one(&jet, one))).await;
        let gone = some.iter().zip(done).filter(|(_, done)| *done);
        removed.extend(gone.map(|(one, _)| one.clone()));
    }
    let records: usize = removed.iter().map(|one| one.records.len()).sum();
    tracing::info!(jobs = removed.len(), records, "removed the oldest records of ended pods");
    Done::Removed(removed)
}

async fn remove_one(jet: &Jet, retiring: &Retiring) -> bool {
    let removed = if retiring.whole {
        remove_all(jet, retiring).await
    } else {
        remove_some(jet, retiring).await
    };
    if let Err(error) = &removed {
        tracing::debug!(job = %retiring.job, ?error, "removing records");
    }
    removed.is_ok()
}

async fn remove_all(jet: &Jet, retiring: &Retiring) -> Result<(), RemoveError> {
    let (stream, job) = (jet.names.pods_stream(), Some(retiring.job));
    jet.purge(&stream, &jet.names.pods(job)).await?;
    if !(retiring.orders.is_empty() && retiring.words.is_empty()) {
        jet.purge(&stream, &jet.names.orders(job)).await?;
    }
    Ok(())
}

/// Records first: an order or a word without one is shown to nobody, a record without its order or
/// word is. What is said anew meanwhile has another sequence, and stays.
async fn remove_some(jet: &Jet, retiring: &Retiring) -> Result<(), RemoveError> {
    let stream = jet.names.pods_stream();
    for sequences in [&retiring.records, &retiring.orders, &retiring.words] {
        for some in sequences.chunks(AT_ONCE) {
            let removals = some.iter().map(|sequence| jet.remove(&stream, *sequence));
            try_join_all(removals).await?;
        }
    }
    Ok(())
}
