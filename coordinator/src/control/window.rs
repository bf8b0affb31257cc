//! The window of published work items: bounded, and filled round robin over the Jobs.
//!
//! A Job of a million indexes does not hold up a Job of one, and the queue stays small. Pure: takes
//! the time as an argument, publishes nothing itself.

use std::collections::VecDeque;
use std::time::Duration;

use stint_common::collections::{HashMap, HashSet};
use stint_common::id::{JobUid, PodId};
use stint_common::time::Instant;

/// The window is never smaller: a first worker finds work at once.
const LEAST: usize = 64;
/// Nor larger, whatever the workers say of themselves.
const MOST: usize = 16_384;
/// Items that wait for each free place of a worker.
const PER_SLOT: usize = 4;
/// The window also holds what was claimed in this time, so that a fast fleet never runs dry.
const LOOK_AHEAD: Duration = Duration::from_millis(200);
/// How many pods one Job puts in before the next has its turn.
const TURN: usize = 32;
/// An item that nobody claimed for this long is published again; harmless when it is still queued.
const UNCLAIMED: Duration = Duration::from_secs(30);

/// Which pods' items are in the queue, and whose turn is next.
#[derive(Debug)]
pub(super) struct Window {
    published: HashMap<PodId, Instant>,
    turns: VecDeque<JobUid>,
    waiting: HashSet<JobUid>,
    limit: usize,
    claims: u32,
    since: Instant,
    rate: f64,
}

impl Window {
    /// An empty window.
    #[must_use]
    pub(super) fn new(now: Instant) -> Self {
        Self {
            published: HashMap::default(),
            turns: VecDeque::new(),
            waiting: HashSet::default(),
            limit: LEAST,
            claims: 0,
            since: now,
            rate: 0.0,
        }
    }

    /// Puts a Job that has pods to publish into the round; once, however often it is said.
    pub(super) fn join(&mut self, job: JobUid) {
        if self.waiting.insert(job) {
            self.turns.push_back(job);
        }
    }

    /// A Job is gone: its items no longer count.
    pub(super) fn forget_job(&mut self, job: JobUid) {
        self.waiting.remove(&job);
        self.turns.retain(|turn| *turn != job);
        self.published.retain(|pod, _| pod.job != job);
    }

    /// A pod was claimed or ended: its place is free, if it had one here.
    pub(super) fn settle(&mut self, pod: PodId) -> bool {
        let was_here = self.published.remove(&pod).is_some();
        self.claims += u32::from(was_here);
        was_here
    }

    /// Jobs that have pods here, or wait for their turn.
    pub(super) fn jobs(&self) -> HashSet<JobUid> {
        let published = self.published.keys().map(|pod| pod.job);
        published.chain(self.turns.iter().copied()).collect()
    }

    /// Fits the window to the workers' places and to how fast they claim.
    pub(super) fn adapt(&mut self, slots: usize, now: Instant) {
        let elapsed = now.duration_since(self.since);
        if elapsed >= LOOK_AHEAD {
            let rate = f64::from(self.claims) / elapsed.as_secs_f64();
            self.rate = rate.max(self.rate / 2.0);
            (self.claims, self.since) = (0, now);
        }
        let ahead = (self.rate * LOOK_AHEAD.as_secs_f64()).min(16_384.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 16384"
        )]
        let ahead = ahead as usize;
        self.limit = (slots * PER_SLOT).max(ahead).clamp(LEAST, MOST);
    }

    /// How many more items may be published.
    #[must_use]
    pub(super) fn room(&self) -> usize {
        self.limit.saturating_sub(self.published.len())
    }

    /// Fills the room, a turn a Job. `take(job, max, out)` appends pods of a Job and says whether
    /// it has more.
    pub(super) fn fill(
        &mut self,
        now: Instant,
        mut take: impl FnMut(JobUid, usize, &mut Vec<PodId>) -> bool,
    ) -> Vec<PodId> {
        let mut pods = Vec::new();
        while self.room() > 0 {
            let Some(job) = self.turns.pop_front() else { break };
            let before = pods.len();
            let more = take(job, self.room().min(TURN), &mut pods);
            self.published.extend(pods[before..].iter().map(|pod| (*pod, now)));
            if more {
                self.turns.push_back(job);
            } else {
                self.waiting.remove(&job);
            }
        }
        pods
    }

    /// Items that nobody has claimed for too long; they count as published again from `now`.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<PodId> {
        let mut pods = Vec::new();
        for (pod, since) in &mut self.published {
            if now.duration_since(*since) >= UNCLAIMED {
                *since = now;
                pods.push(*pod);
            }
        }
        pods
    }

    /// How many items are here, and for how long the oldest has been.
    pub(super) fn depth(&self, now: Instant) -> (u64, Duration) {
        let oldest = self.published.values().min();
        let age = oldest.map_or(Duration::ZERO, |since| now.duration_since(*since));
        (u64::try_from(self.published.len()).unwrap_or(u64::MAX), age)
    }

    /// Publishing failed: the pod gives its place back, and is published again when its Job joins
    /// anew.
    pub(super) fn give_back(&mut self, pod: PodId) {
        self.published.remove(&pod);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stint_common::id::{Attempt, Slot};
    use uuid::Uuid;

    fn job(number: u128) -> JobUid {
        JobUid(Uuid::from_u128(number))
    }

    fn fill(window: &mut Window, left: &mut HashMap<JobUid, u32>, now: Instant) -> Vec<PodId> {
        window.fill(now, |job, max, pods| {
            let rest = left.get_mut(&job).unwrap();
            for _ in 0..max.min(*rest as usize) {
                *rest -= 1;
                pods.push(PodId { job, slot: Slot(*rest), attempt: Attempt(0) });
            }
            *rest > 0
        })
    }

    #[test]
    fn a_small_job_gets_its_turn_beside_a_huge_one() {
        let now = Instant::now();
        let mut window = Window::new(now);
        let mut left = HashMap::from_iter([(job(1), 1_000_000), (job(2), 1)]);
        window.join(job(1));
        window.join(job(2));
        window.join(job(2));
        let pods = fill(&mut window, &mut left, now);
        assert_eq!(pods.len(), LEAST);
        assert_eq!(pods.iter().filter(|pod| pod.job == job(2)).count(), 1);
        assert_eq!(window.room(), 0);
        window.settle(pods[0]);
        window.settle(pods[0]);
        assert_eq!(window.room(), 1);
    }

    #[test]
    fn the_window_grows_with_the_fleet_and_with_its_speed() {
        let start = Instant::now();
        let mut window = Window::new(start);
        window.adapt(100, start);
        assert_eq!(window.room(), 400);
        window.claims = 4000;
        window.adapt(2, start + LOOK_AHEAD);
        assert_eq!(window.room(), 4000);
        window.adapt(1_000_000, start + LOOK_AHEAD);
        assert_eq!(window.room(), MOST);
    }

    #[test]
    fn what_nobody_claims_is_published_again_once_a_while() {
        let start = Instant::now();
        let mut window = Window::new(start);
        let mut left = HashMap::from_iter([(job(1), 1)]);
        window.join(job(1));
        let pods = fill(&mut window, &mut left, start);
        assert!(window.overdue(start + Duration::from_secs(29)).is_empty());
        assert_eq!(window.overdue(start + UNCLAIMED), pods);
        assert!(window.overdue(start + UNCLAIMED).is_empty());
        window.forget_job(job(1));
        assert_eq!(window.room(), LEAST);
    }
}
