//! Indexes that wait for their own back-off, in both orders that decisions need.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Included, Unbounded};

use jiff::Timestamp;
use stint_common::id::Slot;

/// A time, and the longest wait that can be left then: what would wait for longer does so because
/// the clock was set back since, and waits no more.
#[derive(Clone, Copy, Debug)]
pub(super) struct When {
    /// The time.
    pub(super) now: Timestamp,
    /// Nothing waits until after this.
    pub(super) latest: Timestamp,
}

impl When {
    /// Whether a wait until `at` is over.
    pub(super) fn is_over(self, at: Timestamp) -> bool {
        at <= self.now || at > self.latest
    }
}

/// Slots, each with the time from which on it may have a pod again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Resting {
    by_slot: BTreeMap<Slot, Timestamp>,
    by_time: BTreeSet<(Timestamp, Slot)>,
}

impl Resting {
    pub(super) fn insert(&mut self, slot: Slot, ready_at: Timestamp) {
        self.remove(slot);
        self.by_slot.insert(slot, ready_at);
        self.by_time.insert((ready_at, slot));
    }

    pub(super) fn remove(&mut self, slot: Slot) {
        if let Some(ready_at) = self.by_slot.remove(&slot) {
            self.by_time.remove(&(ready_at, slot));
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn len(&self) -> usize {
        self.by_slot.len()
    }

    /// Until when a slot waits.
    pub(super) fn until(&self, slot: Slot) -> Option<Timestamp> {
        self.by_slot.get(&slot).copied()
    }

    /// All of them, ascending.
    pub(super) fn by_slot(&self) -> impl Iterator<Item = (Slot, Timestamp)> + '_ {
        self.by_slot.iter().map(|(slot, ready_at)| (*slot, *ready_at))
    }

    /// Those whose time has come, ascending. Costs what it gives.
    pub(super) fn ripe(&self, when: When) -> BTreeSet<Slot> {
        let due = self.by_time.range(..=last(when.now));
        let stale = self.by_time.range((Excluded(last(when.latest)), Unbounded));
        due.chain(stale).map(|(_, slot)| *slot).collect()
    }

    /// Those whose time is yet to come, the next first.
    pub(super) fn unripe(&self, when: When) -> impl Iterator<Item = (Timestamp, Slot)> + '_ {
        self.by_time.range((Excluded(last(when.now)), Included(last(when.latest)))).copied()
    }
}

fn last(at: Timestamp) -> (Timestamp, Slot) {
    (at, Slot(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_wait_for_longer_than_any_back_off_is_ripe() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut resting = Resting::default();
        for (slot, ready_at) in [(0, 100), (1, 105), (2, 110), (3, 3700)] {
            resting.insert(Slot(slot), at(ready_at));
        }
        let when = When { now: at(100), latest: at(110) };
        let ripe: Vec<u32> = resting.ripe(when).into_iter().map(|slot| slot.0).collect();
        let unripe: Vec<u32> = resting.unripe(when).map(|(_, slot)| slot.0).collect();
        assert_eq!((ripe, unripe), (vec![0, 3], vec![1, 2]));
        assert!(when.is_over(at(3700)) && !when.is_over(at(110)));
    }
}
