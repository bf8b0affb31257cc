//! How large what is stored of a Job can get, whatever happens to it: reckoned when it is admitted,
//! so that no later write of it meets a server that does not take it.
//!
//! Not the number of indexes tells, but how many of them can be neither untouched nor done at a
//! time, which is what may run at a time.

use super::intake::MAX_BATCH;
use super::ledger::GRAINS;

/// Conditions, counters, times, names of members.
const REST: usize = 8 << 10;
/// One slot and attempt in the lists of uncounted pods.
const UNCOUNTED: usize = 18;
/// One group of slots that are alike, without its slots.
const GROUP: usize = 260;
/// Groups by numbers of attempts, where failures do not differ in their times.
const COUNTS: usize = 64;
/// And where they do, groups of one time.
const ATTEMPTS: usize = 16;
/// Slots of which a bitmap keeps those of 2^16 neighbours together, and what each of these costs.
const NEIGHBOURS: usize = 1 << 16;
const CONTAINER: usize = 12;

/// What of a Job's spec bears on the size of its record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// `completions`, if there are any.
    pub completions: Option<usize>,
    /// `parallelism`.
    pub parallelism: usize,
    /// `backoffLimitPerIndex` is set.
    pub per_index: bool,
    /// `maxFailedIndexes`.
    pub max_failed_indexes: Option<usize>,
}

impl Extent {
    /// The most bytes that status and ledger take in the record.
    #[must_use]
    pub fn largest_state(self) -> usize {
        let slots = self.completions.unwrap_or(self.parallelism).max(1);
        let open = self.parallelism.min(slots);
        let given_up = if self.per_index { self.max_failed_indexes.unwrap_or(slots) } else { 0 };
        let given_up = given_up.min(slots);
        let done = set(slots, open.saturating_add(given_up));
        let failed = if self.per_index { set(slots, given_up) } else { 0 };
        let groups = if self.per_index { GRAINS.saturating_mul(ATTEMPTS) } else { COUNTS };
        let groups = groups.min(open);
        let containers = (slots / NEIGHBOURS + 1).min(open / groups.max(1) + 1);
        let scattered = CONTAINER.saturating_mul(containers);
        let entries = text(open.saturating_mul(2));
        let groups = groups.saturating_mul(GROUP.saturating_add(text(scattered)));
        let uncounted = UNCOUNTED.saturating_mul(open.min(MAX_BATCH)).saturating_mul(2);
        [done, failed, entries, groups, uncounted].into_iter().fold(REST, usize::saturating_add)
    }
}

/// A set of slots of which `odd` are not as their neighbours: as bits, or as runs between them.
fn set(slots: usize, odd: usize) -> usize {
    let containers = (slots / NEIGHBOURS + 1).saturating_mul(CONTAINER);
    let runs = odd.saturating_add(1).saturating_mul(4);
    text((slots / 8).min(runs).saturating_add(containers).saturating_add(16))
}

/// Bytes in base64.
fn text(bytes: usize) -> usize {
    bytes.saturating_mul(4) / 3 + 4
}
