//! What a Job means: `batch/v1` semantics as one pure decision.
//!
//! ```text
//! record (spec, JobStatus, Ledger) --restore--+
//! facts of pods ---------------------observe-> Job --plan(now)--> Plan { change, wake_at, … }
//! stored changes --------------------apply----+
//! ```
//!
//! No I/O, no clock, no randomness, no logging. A plan reads: totals, verdict, terminations taken
//! in, pods that come and go, status. Everything is level triggered: after a crash, the record and
//! the facts lead to the same plan, the same pods to publish and the same pods to stop.

mod backoff;
mod bound;
mod change;
mod dependency;
mod failure_policy;
mod findings;
mod intake;
mod ledger;
mod next;
mod note;
mod observe;
mod placing;
mod plan;
mod pod;
mod pods;
mod publish;
mod record;
mod resting;
mod spec;
mod status;
mod success_policy;
mod tally;
#[cfg(test)]
mod tests;
mod told;
mod totals;
mod ttl;
mod verdict;
mod view;

pub use backoff::BackoffRecord;
pub use bound::Extent;
pub use change::{Change, Close, CloseOutcome};
pub use dependency::Dependency;
pub use failure_policy::{
    ExitOperator, FailureAction, FailureMatch, FailurePolicy, FailureRule, Matched, MatchedBy,
};
pub use intake::MAX_BATCH;
pub use ledger::{Ledger, SlotState};
pub use note::{Event, EventKind, Note};
pub use observe::Observed;
pub use placing::class;
pub use plan::{Dispose, Plan, plan};
pub use pod::{
    ConditionStatus, ContainerExit, EndFact, PodCondition, PodFact, Stage, Stop, StopReason,
};
pub use pods::MAX_ISSUES;
pub use record::{Condition, JobStatus, Key, Told, condition, ensure_condition};
pub use spec::JobSpec;
pub use success_policy::{SuccessPolicy, SuccessRule};
pub use ttl::expires_at;
pub use view::{Deletion, Job, LivePod, Stopping};
