//! Which attempts of which slots were issued, taken in, and have durably ended.
//!
//! Small however large the Job: slots below the cursor are issued once and running, or succeeded (a
//! bitmap); only slots that are on another way have an entry, and entries that are alike are stored
//! together. What was tried how often before it was done is forgotten.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use stint_common::backoff::Backoff;
use stint_common::id::{Attempt, Slot};
use stint_common::index_set::IndexSet;
use stint_common::time;

use super::backoff::BackoffRecord;
use super::pod::Stop;
use super::spec::JobSpec;

/// The durable account of a Job's attempts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ledger {
    /// Slots below it were issued at least once (or have an entry that says otherwise).
    pub cursor: u32,
    /// Slots that are done: `completedIndexes` of an Indexed Job.
    #[serde(skip_serializing_if = "IndexSet::is_empty")]
    pub succeeded: IndexSet,
    /// Indexes that failed for good: `failedIndexes` of a Job with a back-off limit per index.
    #[serde(skip_serializing_if = "IndexSet::is_empty")]
    pub failed: IndexSet,
    /// The most attempts that any slot has had: so many count as over of each slot that is done.
    #[serde(skip_serializing_if = "is_zero")]
    pub tries: u32,
    /// Indexes that were not chosen to run, when others were: as if the Job did not have them.
    #[serde(skip_serializing_if = "IndexSet::is_empty")]
    pub skipped: IndexSet,
    /// Slots below the cursor that are not as [`Ledger::slot`] would say without an entry.
    #[serde(with = "groups", skip_serializing_if = "BTreeMap::is_empty")]
    pub slots: BTreeMap<Slot, SlotState>,
    /// Failures since the last success.
    #[serde(skip_serializing_if = "BackoffRecord::is_clear")]
    pub backoff: BackoffRecord,
}

/// Entries from which on times of failures are kept coarsely.
const MANY: usize = 512;
/// How coarsely, in seconds.
const GRAIN: i64 = 15;
/// How many such times can be waited for at once: no back-off is longer than ten minutes.
pub(super) const GRAINS: usize = 42;

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
    /// With a back-off limit per index: failures that count to it, in a row. What the open attempt,
    /// else the next one, is annotated with (`job-index-failure-count`).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failures: u32,
    /// Failures in between that a failure policy ignores (`job-index-ignored-failure-count`).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub ignored: u32,
    /// When the last of both finished, in whole seconds, while nothing has replaced it yet. Seconds
    /// keep entries alike, and are what Kubernetes' own times have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<Timestamp>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl SlotState {
    /// The attempt that is issued and not taken in.
    #[must_use]
    pub fn open(&self) -> Option<Attempt> {
        (self.closed < self.issued).then_some(Attempt(self.closed))
    }

    /// `count` attempts, all of them over.
    fn over(count: u32) -> Self {
        Self { issued: count, closed: count, ended: count, ..Self::default() }
    }

    /// From when on the last failure may be replaced, by the index's own back-off; `None`: at any
    /// time.
    #[must_use]
    pub fn ready_at(&self, backoff: Backoff) -> Option<Timestamp> {
        let delay = backoff.delay(self.failures.saturating_add(self.ignored));
        self.failed_at.map(|at| time::after(at, delay))
    }

    /// The same attempts, with one more failure in a row, which waits for its back-off.
    pub(super) fn after_failure(self, ignored: bool, at: Option<Timestamp>) -> Self {
        let mut state = Self { failed_at: at, ..self };
        let count = if ignored { &mut state.ignored } else { &mut state.failures };
        *count = count.saturating_add(1);
        state
    }

    /// Whether nothing of it runs or waits.
    fn is_over(&self) -> bool {
        *self == Self::over(self.issued)
    }

    /// The same attempts, with no failures in a row.
    fn without_failures(self) -> Self {
        Self { failures: 0, ignored: 0, failed_at: None, ..self }
    }
}

impl Ledger {
    /// The account of a new Job.
    #[must_use]
    pub fn of(spec: &JobSpec) -> Self {
        let all = spec.completions.filter(|_| spec.indexed).unwrap_or(0);
        let skipped = spec.indexes.as_ref().map(|chosen| chosen.complement_below(all));
        let mut skipped = skipped.unwrap_or_default();
        skipped.optimize();
        Self { skipped, ..Self::default() }
    }

    /// The attempts of a slot.
    #[must_use]
    pub fn slot(&self, slot: Slot) -> SlotState {
        self.slots.get(&slot).copied().unwrap_or_else(|| self.implied(slot))
    }

    /// Slots below the cursor of which something may still run or come, ascending: those that are
    /// not done, and failed indexes whose last pod has not ended. Costs what it yields and what
    /// failed, not the cursor.
    pub fn unfinished(&self) -> impl Iterator<Item = Slot> + '_ {
        let some_skipped = !self.skipped.is_empty();
        let without = some_skipped.then(|| self.succeeded.union(&self.skipped));
        let runs: Box<dyn Iterator<Item = (u32, u32)> + '_> = match without {
            Some(done) => Box::new(done.runs().collect::<Vec<_>>().into_iter()),
            None => Box::new(self.succeeded.runs()),
        };
        gaps(runs, 0, self.cursor).filter(|slot| {
            let ended = |state: SlotState| state.ended >= state.closed;
            !self.failed.contains(slot.0) || !ended(self.slot(*slot))
        })
    }

    /// How many attempts of which slots are over: closed, and durably ended. None of them may ever
    /// run again, and their records are no longer needed.
    #[must_use]
    pub fn over(&self) -> Vec<(u32, IndexSet)> {
        let mut groups: BTreeMap<u32, IndexSet> = BTreeMap::new();
        let mut done = self.succeeded.clone();
        done.union_with(&self.failed);
        for (slot, state) in &self.slots {
            done.remove(slot.0);
            groups.entry(state.ended).or_default().insert(slot.0);
        }
        if let Some(first) = done.runs().next() {
            let ended = self.implied(Slot(first.0)).ended;
            groups.entry(ended).or_default().union_with(&done);
        }
        groups.remove(&0);
        groups.values_mut().for_each(IndexSet::optimize);
        groups.into_iter().collect()
    }

    /// Slots below `limit` that never had an attempt, ascending.
    pub fn fresh(&self, limit: u32) -> impl Iterator<Item = Slot> + '_ {
        gaps(self.skipped.runs_from(self.cursor), self.cursor, limit)
    }

    /// What a slot without an entry stands for.
    fn implied(&self, slot: Slot) -> SlotState {
        if self.skipped.contains(slot.0) {
            SlotState::default()
        } else if self.is_done(slot) {
            SlotState::over(self.tries.max(1))
        } else if slot.0 < self.cursor {
            SlotState { issued: 1, ..SlotState::default() }
        } else {
            SlotState::default()
        }
    }

    /// Writes a slot's attempts down, as an entry only if that is needed.
    pub(super) fn set(&mut self, slot: Slot, state: SlotState) {
        if state == self.implied(slot) || (self.is_done(slot) && state.is_over()) {
            self.slots.remove(&slot);
        } else {
            self.slots.insert(slot, state);
        }
    }

    /// Whether the slot needs no more attempts.
    #[must_use]
    pub fn is_done(&self, slot: Slot) -> bool {
        self.succeeded.contains(slot.0)
            || self.failed.contains(slot.0)
            || self.skipped.contains(slot.0)
    }

    /// How many indexes below `limit` run.
    #[must_use]
    pub fn chosen_below(&self, limit: u32) -> u32 {
        limit - self.skipped.count_below(limit)
    }

    /// An attempt exists: it is in the account before anybody hears of it.
    pub(super) fn issue(&mut self, slot: Slot) {
        let state = self.slot(slot);
        debug_assert!(self.fresh(slot.0).next().is_none(), "slots are issued in order");
        self.cursor = self.cursor.max(slot.0.saturating_add(1));
        let issued = state.closed.saturating_add(1);
        self.tries = self.tries.max(issued);
        self.set(slot, SlotState { issued, failed_at: None, ..state });
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
        self.set(slot, state.without_failures());
    }

    /// An index is given up.
    pub(super) fn fail(&mut self, slot: Slot) {
        let state = self.slot(slot);
        self.failed.insert(slot.0);
        self.set(slot, state.without_failures());
    }

    /// When a failure counts as having happened: in whole seconds, and where many indexes wait for
    /// their back-off, up to a quarter of a minute later, so that those that wait are alike.
    pub(super) fn grained(&self, at: Timestamp) -> Timestamp {
        let at = time::whole_seconds(at);
        if self.slots.len() < MANY {
            return at;
        }
        let later = at.as_second().div_euclid(GRAIN).saturating_add(1).saturating_mul(GRAIN);
        Timestamp::from_second(later).unwrap_or(at)
    }

    /// No index waits until after this, unless the clock was set back since it failed.
    pub(super) fn latest(&self, now: Timestamp, backoff: Backoff) -> Timestamp {
        let grain = Duration::from_secs(GRAIN.unsigned_abs());
        time::after(now, backoff.cap.saturating_add(grain))
    }

    /// One more failure of an index in a row, which waits for its back-off.
    pub(super) fn add_failure(&mut self, slot: Slot, ignored: bool, at: Option<Timestamp>) {
        let state = self.slot(slot).after_failure(ignored, at);
        self.set(slot, state);
    }

    /// The index begins anew: in Kubernetes no failed pod is left that the next one could inherit
    /// from.
    pub(super) fn forget_failures(&mut self, slot: Slot) {
        let state = self.slot(slot);
        self.set(slot, state.without_failures());
    }

    /// Closed attempts of a slot below `ended` are over.
    pub(super) fn end(&mut self, slot: Slot, ended: u32) {
        let state = self.slot(slot);
        let stop = state.stop.filter(|_| ended < state.closed);
        self.set(slot, SlotState { ended, stop, ..state });
    }

    /// `completions` was lowered: indexes at or above it neither succeeded nor failed after all,
    /// and begin anew should they come back (SEMANTICS 12). Their attempts stay in the account.
    pub(super) fn cut(&mut self, completions: u32) {
        for slot in above(&self.succeeded, completions) {
            let state = self.slot(slot);
            self.succeeded.remove(slot.0);
            self.set(slot, state);
        }
        for slot in above(&self.failed, completions) {
            let state = self.slot(slot);
            self.failed.remove(slot.0);
            self.set(slot, state);
        }
        let entries = self.slots.range(Slot(completions)..);
        let entries: Vec<Slot> = entries.map(|(slot, _)| *slot).collect();
        entries.into_iter().for_each(|slot| self.forget_failures(slot));
    }

    /// Whether there is anything to [cut](Self::cut).
    pub(super) fn has_above(&self, completions: u32) -> bool {
        let beyond = |set: &IndexSet| set.len() > set.count_below(completions);
        beyond(&self.succeeded) || beyond(&self.failed)
    }

    /// Whether an index at or above `completions` has failures in a row. Costs what is up there.
    pub(super) fn has_failures_above(&self, completions: u32) -> bool {
        let mut above = self.slots.range(Slot(completions)..);
        above.any(|(_, state)| *state != state.without_failures())
    }
}

/// What lies between runs, from `first` on and below `limit`, ascending.
fn gaps(
    runs: impl Iterator<Item = (u32, u32)>,
    first: u32,
    limit: u32,
) -> impl Iterator<Item = Slot> {
    let mut next = first;
    runs.chain(std::iter::once((limit, limit))).flat_map(move |(begin, end)| {
        let gap = next..begin.min(limit);
        next = next.max(end.saturating_add(1));
        gap.map(Slot)
    })
}

fn above(set: &IndexSet, limit: u32) -> Vec<Slot> {
    let runs = set.runs().filter(|(_, last)| *last >= limit);
    runs.flat_map(|(first, last)| first.max(limit)..=last).map(Slot).collect()
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
        assert!(ledger.has_above(2) && !ledger.has_above(3));
        ledger.cut(2);
        assert_eq!(ledger.slot(Slot(2)), SlotState::over(3));
        assert!(!ledger.is_done(Slot(2)) && !ledger.has_above(2));
    }

    #[test]
    fn an_index_counts_its_failures_until_it_is_done() {
        let at = |second| Some(Timestamp::from_second(second).unwrap());
        let mut ledger = issue_to(2);
        ledger.close(Slot(0), None);
        ledger.end(Slot(0), 1);
        ledger.add_failure(Slot(0), false, at(100));
        assert_eq!(ledger.slot(Slot(0)).ready_at(Backoff::POD_FAILURE), at(110));
        ledger.issue(Slot(0));
        assert_eq!(ledger.slot(Slot(0)).failures, 1);
        assert_eq!(ledger.slot(Slot(0)).ready_at(Backoff::POD_FAILURE), None);
        ledger.close(Slot(0), None);
        ledger.end(Slot(0), 2);
        ledger.add_failure(Slot(0), true, at(200));
        let state = ledger.slot(Slot(0));
        assert_eq!(
            (state.failures, state.ignored, state.ready_at(Backoff::POD_FAILURE)),
            (1, 1, at(220))
        );
        assert!(ledger.has_failures_above(0) && !ledger.has_failures_above(1));
        ledger.fail(Slot(0));
        assert_eq!(ledger.slot(Slot(0)), SlotState::over(2));
        assert!(ledger.is_done(Slot(0)));
        assert_eq!(ledger.unfinished().collect::<Vec<_>>(), [Slot(1)]);
    }

    #[test]
    fn failures_of_one_second_are_stored_together() {
        let mut ledger = issue_to(100_000);
        for slot in (0..100_000).map(Slot) {
            ledger.close(slot, None);
            ledger.end(slot, 1);
            let second = i64::from(slot.0 / 1000);
            ledger.add_failure(slot, false, Timestamp::from_second(second).ok());
        }
        let text = serde_json::to_string(&ledger).unwrap();
        assert!(text.len() < 20_000, "{} bytes", text.len());
        assert_eq!(serde_json::from_str::<Ledger>(&text).unwrap(), ledger);
        (0..100_000).for_each(|slot| ledger.fail(Slot(slot)));
        assert!(ledger.slots.is_empty());
    }
}
