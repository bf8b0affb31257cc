//! What holds when processes are killed, paused, or cut off: nothing acknowledged is lost, no
//! attempt runs twice, counters equal the durable records, and in the end the Job is done.
//!
//! `STINT_CRASH_SEED` repeats a storm; `STINT_CRASH_ROUNDS` runs so many of them.

#![cfg(test)]

#[path = "crash/agent.rs"]
mod agent;
#[path = "crash/away.rs"]
mod away;
#[path = "crash/clock.rs"]
mod clock;
#[path = "crash/configuring.rs"]
mod configuring;
#[path = "crash/deletion.rs"]
mod deletion;
#[path = "crash/dev.rs"]
mod dev;
#[path = "crash/failover.rs"]
mod failover;
#[path = "crash/lasting.rs"]
mod lasting;
#[path = "crash/partition.rs"]
mod partition;
#[path = "crash/paused.rs"]
mod paused;
#[path = "crash/put_back.rs"]
mod put_back;
#[path = "crash/redelivered.rs"]
mod redelivered;
#[path = "crash/removed.rs"]
mod removed;
#[path = "crash/slow_disk.rs"]
mod slow_disk;
#[path = "crash/standstill.rs"]
mod standstill;
#[path = "crash/starting.rs"]
mod starting;
#[path = "crash/storm.rs"]
mod storm;
#[path = "crash/tombstones.rs"]
mod tombstones;
#[path = "crash/versions.rs"]
mod versions;

/// The program under test.
const STINT: &str = env!("CARGO_BIN_EXE_stint-under-test");
