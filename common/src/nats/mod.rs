//! The JetStream primitives on which the protocol stands.
//!
//! ```text
//! Jet        one connection, what its server can do, and the names under which we live
//! Committer  compare-and-set writes to one stream, group committed, refusals read back
//! Tail       one stream read in order from the start, without acks; survives restarts
//! ```
//!
//! No correctness rests on acks, on consumers or on `Nats-Msg-Id`: only on compare-and-set.

mod commit;
mod connect;
mod delivery;
mod read;
mod remove;
mod streams;
mod tail;

pub use commit::{Committer, Current, Expect, Outcome, Write};
pub use connect::{ConnectError, Jet, MINIMUM_PAYLOAD, MINIMUM_SERVER};
pub use delivery::{Delivery, parse_delivery};
pub use read::{ReadError, Stored};
pub use remove::RemoveError;
pub use streams::{SetUpError, StreamLimits, ensure_class_consumer, ensure_streams};
pub use tail::{Entry, Tail, TailEvent};
