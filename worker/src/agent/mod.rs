//! The agent: pulls work, claims it, has it run, and says how it ended.
//!
//! ```text
//! pull ──▶ pulled ──claim (expect 0)──▶ ready ──slot free──▶ running ──▶ ended (expect own last)
//!            │ 100 ms: given back                              ▲
//! nudges ────┼─────────────────────────── stop ────────────────┘
//! lease ─────┴─ no proof: nothing is claimed or started, the fence freezes what runs
//! ```
//!
//! One task owns all of it; decisions about a pod's containers are its machine's. What it would
//! take another agent to go on is noted with each round (`notes`), and taken up by the next
//! (`take_up`).

mod actions;
mod ahead;
mod arrivals;
mod claim;
mod config;
mod devices;
mod disk;
mod disown;
mod feed;
mod fence;
mod health;
mod identity;
mod intake;
mod lease;
mod leave;
mod life;
mod notes;
mod outbox;
mod places;
mod pods;
mod probing;
mod room;
mod run;
mod set_clock;
mod shipping;
mod standing;
mod starting;
mod take_up;
mod tapping;
mod templates;
mod termination;
mod verify;
mod writes;

pub use devices::DeviceKind;
pub use fence::{Fence, LOOK};
pub use identity::{Home, HomeError};
pub use lease::{Hello, HelloError, Keeper};
pub use leave::{going_on, leave_untaken};
pub use run::{Agent, Ending, Orders, Settings};
