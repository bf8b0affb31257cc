//! Coordinator to worker: which pods of a Job are over for good. Written before their records are
//! removed, since an empty subject would take a claim again.

use serde::{Deserialize, Serialize};

use crate::id::{Attempt, Incarnation, Slot};
use crate::index_set::IndexSet;

/// The value at a Job's seal. It only ever grows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seal {
    /// Format version.
    pub v: u8,
    /// Who wrote this.
    pub writer: Incarnation,
    /// Counts the writer's writes.
    pub nonce: u64,
    /// No pod of the Job may start any more: it has finished, or is gone.
    #[serde(default)]
    pub all: bool,
    /// Pods that are over, of a Job that goes on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub over: Vec<Over>,
}

/// Slots of which equally many attempts are over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Over {
    /// Attempts below this number are over.
    pub attempts: u32,
    /// Of these slots.
    pub slots: IndexSet,
}

impl Seal {
    /// How old a worker's knowledge of a seal may be when a claim of its is confirmed, in
    /// milliseconds of a clock that goes on while the machine sleeps.
    pub const FRESH_MS: i64 = 5_000;
    /// How long after a seal is durable the records wait. A claim that finds its subject empty
    /// comes later than this, so whoever made it knows the seal. Twice [`Seal::FRESH_MS`]: no two
    /// clocks' rates differ by so much.
    pub const WAIT_MS: u64 = 10_000;

    /// Takes in what another seal of the same Job says.
    pub fn merge(&mut self, other: &Self) {
        self.all |= other.all;
        for Over { attempts, slots } in &other.over {
            let mut missing = slots.clone();
            for known in self.over.iter().filter(|known| known.attempts >= *attempts) {
                missing.subtract(&known.slots);
            }
            if !missing.is_empty() {
                self.over.push(Over { attempts: *attempts, slots: missing });
            }
        }
    }

    /// Whether the pod is over.
    #[must_use]
    pub fn covers(&self, slot: Slot, attempt: Attempt) -> bool {
        self.all
            || self.over.iter().any(|over| attempt.0 < over.attempts && over.slots.contains(slot.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::VERSION;

    #[test]
    fn a_seal_covers_attempts_below_a_number_slot_by_slot() {
        let over =
            |attempts, slots: &[u32]| Over { attempts, slots: slots.iter().copied().collect() };
        let me = Incarnation(uuid::Uuid::nil());
        let empty = Seal { v: VERSION, writer: me, nonce: 1, all: false, over: Vec::new() };
        let seal = Seal { over: vec![over(1, &[0, 2]), over(3, &[5])], ..empty };
        let covers = |slot, attempt| seal.covers(Slot(slot), Attempt(attempt));
        assert!(covers(0, 0) && covers(2, 0) && covers(5, 2));
        assert!(!covers(0, 1) && !covers(1, 0) && !covers(5, 3));
        assert!(Seal { all: true, over: Vec::new(), ..seal.clone() }.covers(Slot(9), Attempt(9)));
        let mut later = Seal { over: vec![over(3, &[0, 1, 2, 5])], ..seal.clone() };
        later.merge(&seal);
        assert_eq!(later.over, [over(3, &[0, 1, 2, 5])], "nothing was missing");
        later.merge(&Seal { over: vec![over(4, &[1, 7])], ..seal });
        assert_eq!(later.over, [over(3, &[0, 1, 2, 5]), over(4, &[1, 7])]);
    }
}
