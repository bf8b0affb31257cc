//! The ends that the owner writes: of pods that must not start, and of pods whose worker is lost.
//! Pure.

use jiff::Timestamp;
use stint_common::id::Incarnation;
use stint_common::wire::{
    Claim, ENDED_CONDITIONS, End, EndedBy, IndexFailures, NOT_STARTED, Outcome, PodCondition,
    PodRecord, PodState, VERSION, WORKER_LOST,
};

use crate::job::{self, ConditionStatus, ContainerExit, EndFact};

/// Who writes, which template the pod has, when it was issued.
#[derive(Clone, Debug)]
pub(super) struct Author {
    pub(super) writer: Incarnation,
    pub(super) nonce: u64,
    pub(super) template: String,
    pub(super) created_at: Timestamp,
    pub(super) index_failures: Option<IndexFailures>,
}

/// The tombstone that a late item or a late claim meets: the pod must not start.
pub(super) fn not_started(author: Author, reason: &str, now: Timestamp) -> PodRecord {
    ended(author, None, NOT_STARTED, format!("Pod was not started: {reason}"), Vec::new(), now)
}

/// The end of a pod whose worker is recorded as lost, or began a new life without it.
pub(super) fn lost(author: Author, claim: Claim, why: &str, now: Timestamp) -> PodRecord {
    let message = format!("Worker {} {why}", claim.worker);
    let disruption = PodCondition {
        kind: "DisruptionTarget".to_owned(),
        reason: "DeletionByTaintManager".to_owned(),
        message: message.clone(),
        at: now,
    };
    ended(author, Some(claim), WORKER_LOST, message, vec![disruption], now)
}

fn ended(
    author: Author,
    claim: Option<Claim>,
    reason: &str,
    message: String,
    conditions: Vec<PodCondition>,
    now: Timestamp,
) -> PodRecord {
    PodRecord {
        address: None,
        v: VERSION,
        writer: author.writer,
        nonce: author.nonce,
        template: author.template,
        created_at: author.created_at,
        index_failures: author.index_failures,
        claim,
        state: PodState::Terminated(Box::new(End {
            outcome: Outcome::Failed,
            by: EndedBy::Coordinator,
            reason: reason.to_owned(),
            message,
            started_at: None,
            finished_at: now,
            containers: Vec::new(),
            initialized: None,
            conditions,
        })),
        waiting: None,
    }
}

/// What the core is told of an end. Decisions use the earlier of the worker's clock and the
/// record's own time, so that a wrong clock on a worker delays nothing. `claimed`: a worker had the
/// pod.
pub(super) fn fact(end: &End, claimed: bool, stored_at: Timestamp) -> EndFact {
    let succeeded = end.outcome == Outcome::Succeeded;
    // Nobody asks how a pod succeeded.
    let exits = end.containers.iter().filter(|_| !succeeded);
    let initialized = ("Initialized", end.is_initialized());
    let usual = ENDED_CONDITIONS.into_iter().chain([initialized]);
    let usual = usual.filter(|_| claimed && !succeeded).map(|(kind, holds)| job::PodCondition {
        kind: kind.into(),
        status: if holds { ConditionStatus::True } else { ConditionStatus::False },
    });
    let own = end.conditions.iter().map(|condition| job::PodCondition {
        kind: condition.kind.clone().into(),
        status: ConditionStatus::True,
    });
    EndFact {
        succeeded,
        finished_at: end.finished_at.min(stored_at),
        exits: exits
            .map(|container| ContainerExit {
                container: container.name.clone(),
                code: container.exit_code(),
            })
            .collect(),
        conditions: usual.chain(own).collect(),
    }
}
