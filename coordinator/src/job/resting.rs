//! Indexes that wait for their own back-off, in both orders that decisions need.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use stint_common::id::Slot;

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
    pub(super) fn ripe(&self, now: Timestamp) -> BTreeSet<Slot> {
        self.by_time.range(..=(now, Slot(u32::MAX))).map(|(_, slot)| *slot).collect()
    }

    /// Those whose time is yet to come, the next first.
    pub(super) fn unripe(&self, now: Timestamp) -> impl Iterator<Item = (Timestamp, Slot)> + '_ {
        let after = (std::ops::Bound::Excluded((now, Slot(u32::MAX))), std::ops::Bound::Unbounded);
        self.by_time.range(after).copied()
    }
}
