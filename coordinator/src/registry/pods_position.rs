//! How far a reader of pods has come: the resourceVersion of pods.

use std::fmt;

use stint_common::id::Slot;

/// A position is a number in decimal: the pods' part, 13 digits for the Jobs', 10 for slots.
const JOBS: u128 = 10_u128.pow(13);
const SLOTS: u128 = 10_u128.pow(10);

/// A place in the two streams that tell of pods: a Job's record says which pods there are, the
/// pods' stream what they do. Along any reader's way the number only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PodsPosition {
    /// Every Job's record up to this revision is known.
    pub(super) jobs: u64,
    /// Of the record after that, what it tells of slots below this.
    pub(super) slots: u64,
    /// Every entry of the pods' stream up to this sequence is.
    pub(super) pods: u64,
}

/// What has happened, by the entry that tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// A Job's record of this revision.
    Job(u64),
    /// An entry of the pods' stream.
    Pod(u64),
}

impl PodsPosition {
    /// The position that a client names.
    pub(super) fn read(number: u128) -> Self {
        let part = |part: u128| u64::try_from(part).unwrap_or(u64::MAX);
        let (rest, slots) = (number / SLOTS, number % SLOTS);
        Self { jobs: part(rest % JOBS), slots: part(slots), pods: part(rest / JOBS) }
    }

    /// Whether one who has come so far knows what was told of a slot.
    pub(super) fn knows(self, cause: Cause, slot: Slot) -> bool {
        match cause {
            Cause::Job(revision) => {
                revision <= self.jobs
                    || (revision == self.jobs + 1 && u64::from(slot.0) < self.slots)
            }
            Cause::Pod(sequence) => sequence <= self.pods,
        }
    }

    /// Whether one who has come so far does not know all that one at another place does.
    pub(super) fn is_behind(self, other: Self) -> bool {
        self.told() < other.told() || self.pods < other.pods
    }

    /// The place of one who knows what both know.
    pub(super) fn join(self, other: Self) -> Self {
        let (jobs, slots) = self.told().max(other.told());
        Self { jobs, slots, pods: self.pods.max(other.pods) }
    }

    fn told(self) -> (u64, u64) {
        (self.jobs, self.slots)
    }
}

impl fmt::Display for PodsPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ((u128::from(self.pods) * JOBS + u128::from(self.jobs)) * SLOTS + u128::from(self.slots))
            .fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lead_back_and_grow() {
        let at = |jobs, pods| PodsPosition { jobs, slots: 0, pods };
        let half = PodsPosition { slots: 4_294_967_296, ..at(7, 3) };
        for place in [at(0, 0), at(7, 3), half, at(9_999_999_999_999, 999_999_999_999_999)] {
            assert_eq!(PodsPosition::read(place.to_string().parse().unwrap()), place);
        }
        let number = |place: PodsPosition| place.to_string().parse::<u128>().unwrap();
        let way = [at(7, 3), half, at(8, 3), at(8, 4)];
        assert!(way.is_sorted_by_key(|place| number(*place)));
    }

    #[test]
    fn each_side_is_known_by_itself() {
        let here = PodsPosition { jobs: 7, slots: 5, pods: 3 };
        let knows = |cause, slot| here.knows(cause, Slot(slot));
        assert!(knows(Cause::Job(7), 9) && knows(Cause::Job(8), 4) && !knows(Cause::Job(8), 5));
        assert!(knows(Cause::Pod(3), 0) && !knows(Cause::Pod(4), 0));
        let other = PodsPosition { jobs: 2, slots: 0, pods: 9 };
        assert!(here.is_behind(other) && other.is_behind(here) && !here.is_behind(here));
        assert_eq!(here.join(other), PodsPosition { jobs: 7, slots: 5, pods: 9 });
    }
}
