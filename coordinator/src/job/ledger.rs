//! Which attempts of which slots were issued, taken in, and have durably ended.
//!
//! Small however large the Job: slots below the cursor are issued once and running, or succeeded (a
//! bitmap); only slots that went another way have an entry, and entries that are alike are stored
//! together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stint_common::id::{Attempt, Slot};
use stint_common::index_set::IndexSet;

use super::backoff::BackoffRecord;
use super::pod::Stop;

/// The durable account of a Job's attempts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ledger {
    /// Slots below it were issued at least once (or have an entry that says otherwise).
    pub cursor: u32,
    /// Slots that are done: `completedIndexes` of an Indexed Job.
    #[serde(skip_serializing_if = "IndexSet::is_empty")]
    pub succeeded: IndexSet,
    /// Slots below the cursor that are not as [`Ledger::slot`] would say without an entry.
    #[serde(with = "groups", skip_serializing_if = "BTreeMap::is_empty")]
    pub slots: BTreeMap<Slot, SlotState>,
    /// Failures since the last success.
    #[serde(skip_serializing_if = "BackoffRecord::is_clear")]
    pub backoff: BackoffRecord,
}

/// Attempts of one slot: those below `ended` are over, those below `closed` are taken in, those
/// below `issued` exist. `ended <= closed <= issued <= closed + 1`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SlotState {
    /// How many attempts exist.
    pub issued: u32,
    /// How many attempts the Job's record has taken in: their ends never count again.
    pub closed: u32,
    /// How many attempts are known to have durably ended: nothing of them runs.
    pub ended: u32,
    /// What the attempts between `ended` and `closed` are told. The first of them is the only one
    /// that anybody can have claimed (I5), so one word is enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
}

impl SlotState {
    /// The attempt that is issued and not taken in.
    #[must_use]
    pub fn open(&self) -> Option<Attempt> {
        (self.closed < self.issued).then_some(Attempt(self.closed))
    }

    /// `count` attempts, all of them over.
    fn over(count: u32) -> Self {
        Self { issued: count, closed: count, ended: count, stop: None }
    }
}

impl Ledger {
    /// The attempts of a slot.
    #[must_use]
    pub fn slot(&self, slot: Slot) -> SlotState {
        self.slots.get(&slot).copied().unwrap_or_else(|| self.implied(slot))
    }

    /// Slots below the cursor that are not done, ascending. Costs what it yields, not the cursor.
    pub fn unfinished(&self) -> impl Iterator<Item = Slot> + '_ {
        let ends = std::iter::once((self.cursor, self.cursor));
        let mut next = 0;
        self.succeeded.runs().chain(ends).flat_map(move |(first, last)| {
            let gap = next..first.min(self.cursor);
            next = last.saturating_add(1);
            gap.map(Slot)
        })
    }

    /// What a slot without an entry stands for.
    fn implied(&self, slot: Slot) -> SlotState {
        if self.succeeded.contains(slot.0) {
            SlotState::over(1)
        } else if slot.0 < self.cursor {
            SlotState { issued: 1, ..SlotState::default() }
        } else {
            SlotState::default()
        }
    }

    /// Writes a slot's attempts down, as an entry only if that is needed.
    pub(super) fn set(&mut self, slot: Slot, state: SlotState) {
        if state == self.implied(slot) {
            self.slots.remove(&slot);
        } else {
            self.slots.insert(slot, state);
        }
    }

    /// Whether the slot needs no more attempts.
    #[must_use]
    pub fn is_done(&self, slot: Slot) -> bool {
        self.succeeded.contains(slot.0)
    }

    /// An attempt exists: it is in the account before anybody hears of it.
    pub(super) fn issue(&mut self, slot: Slot) {
        let state = self.slot(slot);
        debug_assert!(slot.0 <= self.cursor, "slots are issued in order");
        self.cursor = self.cursor.max(slot.0.saturating_add(1));
        self.set(slot, SlotState { issued: state.closed.saturating_add(1), ..state });
    }

    /// Takes the open attempt of a slot in; `stop` is what it is told if it has not ended.
    pub(super) fn close(&mut self, slot: Slot, stop: Option<Stop>) {
        let state = self.slot(slot);
        let stop = state.stop.or(stop);
        self.set(slot, SlotState { closed: state.issued, stop, ..state });
    }

    /// A slot is done.
    pub(super) fn succeed(&mut self, slot: Slot) {
        let state = self.slot(slot);
        self.succeeded.insert(slot.0);
        self.set(slot, state);
    }

    /// Closed attempts of a slot below `ended` are over.
    pub(super) fn end(&mut self, slot: Slot, ended: u32) {
        let state = self.slot(slot);
        let stop = state.stop.filter(|_| ended < state.closed);
        self.set(slot, SlotState { ended, stop, ..state });
    }

    /// `completions` was lowered: indexes at or above it did not succeed after all (SEMANTICS 12).
    /// Returns the slots that this concerns; their attempts stay in the account.
    pub(super) fn cut(&mut self, completions: u32) -> Vec<Slot> {
        let above: Vec<Slot> = self
            .succeeded
            .runs()
            .filter(|(_, last)| *last >= completions)
            .flat_map(|(first, last)| first.max(completions)..=last)
            .map(Slot)
            .collect();
        for slot in &above {
            let state = self.slot(*slot);
            self.succeeded.remove(slot.0);
            self.set(*slot, state);
        }
        above
    }
}

/// Entries that are alike, stored as one entry with a set of slots: suspending a Job of 10^5 pods
/// writes one entry, not 10^5.
mod groups {
    use super::{BTreeMap, Deserialize, IndexSet, Serialize, Slot, SlotState};
    use serde::{Deserializer, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Group {
        state: SlotState,
        slots: IndexSet,
    }

    pub(super) fn serialize<S: Serializer>(
        slots: &BTreeMap<Slot, SlotState>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut groups: BTreeMap<&SlotState, IndexSet> = BTreeMap::new();
        for (slot, state) in slots {
            groups.entry(state).or_default().insert(slot.0);
        }
        serializer.collect_seq(groups.into_iter().map(|(state, mut slots)| {
            slots.optimize();
            Group { state: *state, slots }
        }))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<Slot, SlotState>, D::Error> {
        let groups = Vec::<Group>::deserialize(deserializer)?;
        let pairs = groups.iter().flat_map(|group| {
            let state = group.state;
            group.slots.iter().map(move |slot| (Slot(slot), state))
        });
        Ok(pairs.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issue_to(count: u32) -> Ledger {
        let mut ledger = Ledger::default();
        (0..count).for_each(|slot| ledger.issue(Slot(slot)));
        ledger
    }

    #[test]
    fn ordinary_slots_take_no_entry() {
        let mut ledger = issue_to(1000);
        for slot in (0..1000).map(Slot) {
            ledger.close(slot, None);
            ledger.end(slot, 1);
            ledger.succeed(slot);
        }
        assert!(ledger.slots.is_empty());
        assert_eq!(ledger.slot(Slot(7)), SlotState::over(1));
        assert_eq!(ledger.unfinished().count(), 0);
    }

    #[test]
    fn unfinished_slots_are_those_between_the_done() {
        let mut ledger = issue_to(6);
        for slot in [1, 2, 4] {
            ledger.succeed(Slot(slot));
        }
        assert_eq!(ledger.unfinished().map(|slot| slot.0).collect::<Vec<_>>(), [0, 3, 5]);
    }

    #[test]
    fn entries_alike_are_stored_once() {
        let mut ledger = issue_to(100_000);
        for slot in (0..100_000).map(Slot) {
            ledger.close(slot, None);
        }
        let text = serde_json::to_string(&ledger).unwrap();
        assert!(text.len() < 300, "{} bytes", text.len());
        assert_eq!(serde_json::from_str::<Ledger>(&text).unwrap(), ledger);
    }

    #[test]
    fn a_cut_remembers_how_often_an_index_was_tried() {
        let mut ledger = issue_to(3);
        for _ in 0..2 {
            ledger.close(Slot(2), None);
            ledger.end(Slot(2), ledger.slot(Slot(2)).closed);
            ledger.issue(Slot(2));
        }
        ledger.close(Slot(2), None);
        ledger.end(Slot(2), 3);
        ledger.succeed(Slot(2));
        assert_eq!(ledger.cut(2), [Slot(2)]);
        assert_eq!(ledger.slot(Slot(2)), SlotState::over(3));
        assert!(!ledger.is_done(Slot(2)));
    }
}
