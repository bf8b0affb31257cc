//! Tombstones of deleted objects, and their removal when they are old enough.
//!
//! A reader of the stream that was away while a tombstone came and went would keep the object
//! for ever. So how far tombstones have been removed is written down first (the horizon): whoever
//! finds that it went past where his reading was interrupted reads everything anew.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use stint_common::nats::{Expect, Outcome, Write};
use stint_common::time::after;
use stint_common::wire::{Horizon, VERSION};

use super::carry::{Done, Round, Writers};
use super::owner::Owner;

/// Tombstones removed at a time.
const MOST: usize = 1000;
/// Removals on their way at once.
const AT_ONCE: usize = 64;

/// Tombstones by sequence, which is also by age.
#[derive(Debug)]
pub(super) struct Graves {
    keep: Duration,
    dug: BTreeMap<u64, Timestamp>,
    /// Some are being removed.
    busy: bool,
}

/// Tombstones that are to be removed, and what is written before.
#[derive(Debug)]
pub(super) struct Burial {
    sequences: Vec<u64>,
    horizon: Horizon,
}

impl Graves {
    pub(super) fn new(keep: Duration) -> Self {
        Self { keep, dug: BTreeMap::new(), busy: false }
    }

    /// A tombstone was read.
    pub(super) fn dig(&mut self, sequence: u64, at: Timestamp) {
        self.dug.insert(sequence, at);
    }

    /// These are gone, be it because a new object took the name.
    pub(super) fn buried(&mut self, sequences: &[u64]) {
        self.busy = false;
        for sequence in sequences {
            self.dug.remove(sequence);
        }
    }

    /// Those that are old enough, if none are on their way.
    fn ripe(&self, now: Timestamp) -> Vec<u64> {
        let ripe = self.dug.iter().take_while(|(_, at)| after(**at, self.keep) <= now);
        ripe.take(if self.busy { 0 } else { MOST }).map(|(sequence, _)| *sequence).collect()
    }
}

impl Owner {
    /// Every tick: removes tombstones that are old enough.
    pub(super) fn bury(&mut self, now: Timestamp, round: &mut Round) {
        let sequences = self.graves.ripe(now);
        let Some(last) = sequences.last().copied() else { return };
        self.graves.busy = true;
        let nonce = self.next_nonce();
        let horizon = Horizon { v: VERSION, writer: self.me, nonce, removed: last };
        round.bury(Burial { sequences, horizon });
    }
}

/// Writes the horizon, then removes. What was not removed is tried again.
pub(super) async fn bury(writers: Writers, burial: Burial) -> Done {
    let Burial { sequences, horizon } = burial;
    if !write_horizon(&writers, &horizon).await {
        return Done::Buried(Vec::new());
    }
    let stream = writers.jet.names.objects_stream();
    let mut gone = Vec::new();
    for some in sequences.chunks(AT_ONCE) {
        let removals = some.iter().map(|sequence| writers.jet.remove(&stream, *sequence));
        for (sequence, removed) in some.iter().zip(join_all(removals).await) {
            match removed {
                Ok(()) => gone.push(*sequence),
                Err(error) => tracing::debug!(?error, "removing a tombstone"),
            }
        }
    }
    tracing::debug!(tombstones = gone.len(), up_to = horizon.removed, "removed");
    Done::Buried(gone)
}

/// The horizon only ever rises.
async fn write_horizon(writers: &Writers, horizon: &Horizon) -> bool {
    let (names, stream) = (&writers.jet.names, writers.jet.names.objects_stream());
    let Ok(stored) = writers.jet.read_last(&stream, &names.horizon()).await else { return false };
    let there = stored.as_ref().and_then(|there| serde_json::from_slice(&there.payload).ok());
    if there.is_some_and(|there: Horizon| there.removed >= horizon.removed) {
        return true;
    }
    let payload = serde_json::to_vec(horizon).expect("a horizon has only string keys");
    let outcome = writers.objects.write(Write {
        subject: names.horizon(),
        payload: payload.into(),
        expect: Expect::Sequence(stored.map_or(0, |stored| stored.sequence)),
    });
    match outcome.await {
        Outcome::Stored(_) => true,
        Outcome::Lost(_) => false,
        Outcome::Refused(reason) => {
            tracing::warn!(reason, "the horizon was refused");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tombstones_go_when_they_are_old_enough_and_not_twice() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut graves = Graves::new(Duration::from_secs(3600));
        graves.dig(5, at(0));
        graves.dig(7, at(10));
        assert_eq!(graves.ripe(at(3599)), Vec::<u64>::new());
        assert_eq!(graves.ripe(at(3600)), [5]);
        assert_eq!(graves.ripe(at(9999)), [5, 7]);
        graves.busy = true;
        assert_eq!(graves.ripe(at(9999)), Vec::<u64>::new());
        graves.buried(&[5]);
        assert_eq!(graves.ripe(at(9999)), [7], "what failed is tried again");
    }
}
