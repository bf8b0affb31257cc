//! The messages between coordinator and worker, and the records that both keep in JetStream.
//!
//! Plain structs with a version; separate from the core's types. Unknown members are passed over,
//! so that an older reader lives with a newer writer.

mod class;
mod entries;
mod lease;
mod node;
mod order;
mod pod;
mod seal;
mod template;
mod word;
mod work;

pub use class::{
    Allocatable, Class, Expression, Need, Offer, Preference, Request, Taint, Term, Toleration,
};
pub use entries::{Content, Entries, NoEntries, read_entries};
pub use lease::{Horizon, Machine, OwnerLease, WorkerLease, WorkerState};
pub use node::NodeWord;
pub use order::{Nudge, NudgedPod, Order, OrderKind};
pub use pod::{
    Claim, ContainerEnd, ContainerNow, ContainerState, Detail, ENDED_CONDITIONS, End, EndedBy,
    Exit, Initialized, InlineOutput, LogSummary, NOT_STARTED, Outcome, PodCondition, PodRecord,
    PodState, Running, STATUS_UNKNOWN, WORKER_LOST, Waiting, WaitsFor,
};
pub use seal::{Over, Seal};
pub use template::{Template, TraceContext, TraceLimits};
pub use word::PodWord;
pub use work::{IndexFailures, WorkItem};

/// The version that this build writes into each record.
pub const VERSION: u8 = 1;
