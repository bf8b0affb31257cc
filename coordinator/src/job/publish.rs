//! Which issued pods still have to be brought to the workers: the dispatcher's view of a Job.

use stint_common::id::{Attempt, Slot};

use super::pod::Stage;
use super::record::Key;
use super::view::Job;

impl Job {
    /// How many pods are issued, unheard of, and held back by no earlier attempt (I5).
    #[must_use]
    pub fn publishable(&self) -> usize {
        usize::try_from(self.tally.queued).unwrap_or(usize::MAX)
    }

    /// Takes up to `max` of them, oldest first, to be published as work items. Only to be called
    /// when the change that issued them is durable.
    pub fn take_publishable(&mut self, max: usize, out: &mut Vec<Key>) {
        let full = out.len().saturating_add(max);
        while out.len() < full {
            let Some(key) = self.queue.pop_front() else {
                return;
            };
            if self.is_queued(key) {
                self.alter(key, |pod| pod.stage = Stage::Published);
                out.push(key);
            }
        }
    }

    /// Puts pods back that were taken and not published; they are the next to be taken.
    pub fn put_back(&mut self, keys: &[Key]) {
        for key in keys.iter().rev() {
            let published = self.pods.get(key).is_some_and(|pod| pod.stage == Stage::Published);
            if published {
                self.alter(*key, |pod| pod.stage = Stage::Queued);
                self.queue.push_front(*key);
            }
        }
    }

    /// Whether the attempt is wanted and no worker is known to have it: worth publishing (again).
    #[must_use]
    pub fn awaits_claim(&self, slot: Slot, attempt: Attempt) -> bool {
        self.pods.get(&(slot, attempt)).is_some_and(|pod| {
            pod.is_active() && matches!(pod.stage, Stage::Queued | Stage::Published)
        })
    }

    /// Pods that were taken to be published and that no worker is known to have claimed.
    pub fn unclaimed(&self) -> impl Iterator<Item = Key> + '_ {
        self.pods
            .iter()
            .filter(|(_, pod)| pod.is_active() && pod.stage == Stage::Published)
            .map(|(key, _)| *key)
    }

    pub(super) fn is_queued(&self, key: Key) -> bool {
        self.pods.get(&key).is_some_and(|pod| pod.is_active() && pod.stage == Stage::Queued)
    }
}
