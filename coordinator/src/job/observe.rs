//! Taking facts in: what is known of a pod only grows, so that order and repetition change nothing.

use stint_common::id::{Attempt, Slot};

use super::pod::{ConditionStatus, Pod, PodCondition, PodFact, Stage, Stop, StopReason};
use super::record::Key;
use super::view::Job;

/// How many attempts that the record does not know are remembered; more than one owner's last
/// writes can have brought about.
const MAX_STRAYS: usize = 10_000;

/// What a fact means to the one who brought it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Observed {
    /// Nothing new.
    Nothing,
    /// Planning again may find something to do.
    Changed,
    /// A worker has a pod that is among those that must end: [`Job::stopping`] says what to do.
    Stopping,
    /// A worker has a pod of an attempt that is over: it has to be ordered stopped, now and until
    /// it has ended.
    Over,
    /// The record does not know this attempt. Read the record again before ordering it stopped: a
    /// predecessor may have issued it in its last write.
    Unknown,
}

impl Job {
    /// Takes news of a pod in. Facts of attempts that were never issued or are over count for
    /// nothing. Order matters only among one pod's `Running` facts: the last one told is what it
    /// does.
    pub fn observe(&mut self, slot: Slot, attempt: Attempt, fact: PodFact) -> Observed {
        let key = (slot, attempt);
        let running = matches!(fact, PodFact::Claimed | PodFact::Running { .. });
        if attempt.0 >= self.ledger.slot(slot).issued {
            return self.observe_stray(key, fact);
        }
        let Some(news) = self.alter(key, |pod| learn(pod, fact)) else {
            return if running { Observed::Over } else { Observed::Nothing };
        };
        match news {
            News::Nothing => Observed::Nothing,
            News::Ended => {
                self.release(slot);
                Observed::Changed
            }
            News::Claimed if self.tally.stopping.contains(&key) => Observed::Stopping,
            News::Claimed | News::Else => Observed::Changed,
        }
    }

    fn observe_stray(&mut self, key: Key, fact: PodFact) -> Observed {
        if self.strays.len() < MAX_STRAYS || self.strays.contains_key(&key) {
            let pod = self.strays.entry(key).or_insert_with(|| Pod::new(Stage::Held));
            learn(pod, fact);
        }
        Observed::Unknown
    }
}

enum News {
    Nothing,
    Claimed,
    Ended,
    Else,
}

/// A pod's stages have an order; a fact that is behind what is known says nothing.
fn learn(pod: &mut Pod, fact: PodFact) -> News {
    let claimed = pod.stage.is_claimed();
    match fact {
        _ if pod.has_ended() => News::Nothing,
        PodFact::Claimed if claimed => News::Nothing,
        PodFact::Claimed => {
            pod.stage = Stage::Claimed;
            News::Claimed
        }
        PodFact::Running { ready, restarts } => {
            let stage = Stage::Running { ready, restarts };
            let same = pod.stage == stage;
            pod.stage = stage;
            match (same, claimed) {
                (true, _) => News::Nothing,
                (false, true) => News::Else,
                (false, false) => News::Claimed,
            }
        }
        PodFact::Ended(mut end) => {
            if !end.succeeded && pod.order.is_some_and(|it| it.reason == StopReason::PodEvicted) {
                end.conditions.push(PodCondition {
                    kind: "DisruptionTarget".into(),
                    status: ConditionStatus::True,
                });
            }
            pod.stage = Stage::Ended(Box::new(end));
            News::Ended
        }
        PodFact::StopOrdered { grace_seconds, .. } if pod.order.is_some() || pod.closed => {
            // Said again: only less grace is news, and that also of a pod that was taken in when it
            // was first told.
            let told = pod.stop().copied();
            match told.filter(|told| grace_seconds < told.grace_seconds) {
                Some(told) => {
                    pod.order = Some(Stop { grace_seconds, ..told });
                    News::Else
                }
                None => News::Nothing,
            }
        }
        PodFact::StopOrdered { grace_seconds, at, evicted } => {
            let reason = if evicted { StopReason::PodEvicted } else { StopReason::PodDeleted };
            pod.order = Some(Stop { at, grace_seconds, reason });
            News::Else
        }
    }
}
