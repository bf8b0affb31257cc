//! The JetStream primitives on which the protocol stands.
//!
//! ```text
//! Port       what is asked of a NATS client; a simulated server can stand behind it
//! Jet        one connection, what its server can do, and the names under which we live
//! Committer  compare-and-set writes to one stream, group committed, refusals read back
//! Tail       one stream read in order from the start, without acks; survives restarts
//! ```
//!
//! No correctness rests on acks, on consumers or on `Nats-Msg-Id`: only on compare-and-set.

mod api;
mod client;
mod commit;
mod connect;
mod delivery;
mod jet;
mod pattern;
mod port;
mod read;
mod reconnects;
mod remove;
#[cfg(any(test, feature = "test-util"))]
mod shelf;
mod streams;
mod tail;

pub use api::{AskError, Refusal};
pub use commit::{Committer, Current, Expect, Outcome, Unconfirmed, Write};
pub use connect::{
    ConnectError, CredentialsError, MINIMUM_PAYLOAD, MINIMUM_SERVER, as_whom, connect,
    connect_at_start,
};
pub use delivery::{Delivery, parse_delivery};
pub use jet::Jet;
pub use port::{Outgoing, Port, PortError, Subscription};
pub use read::{ReadError, Stored};
pub use reconnects::Reconnects;
pub use remove::RemoveError;
#[cfg(any(test, feature = "test-util"))]
pub use shelf::Shelf;
pub use streams::{
    Restored, SetUpError, StreamLimits, WORK_PRIORITY_GROUP, drop_class_consumer,
    ensure_class_consumer, ensure_streams, restore_streams,
};
pub use tail::{ALL, Entry, Tail, TailEvent};
