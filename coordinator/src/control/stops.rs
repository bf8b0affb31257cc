//! Bringing pods to their end: orders to those that a worker has, tombstones for those that none
//! has.
//!
//! Level triggered: what must stop is asked of the core again and again, until the end is durable.
//! The order is durable, the nudge that carries it is repeated, and doing either twice changes
//! nothing.

use std::time::Duration;

use jiff::Timestamp;
use stint_common::collections::{HashMap, HashSet};
use stint_common::id::{JobUid, PodId};
use stint_common::time::Instant;
use stint_common::wire::{NudgedPod, Order, OrderKind, VERSION};

use super::carry::Round;
use super::ends::{self, Author};
use super::owner::Owner;
use super::retire::WAIT;
use crate::job::Stop;

/// How often a worker is nudged about a pod that has not ended.
const NUDGE_AGAIN: Duration = Duration::from_secs(1);
/// How long an attempt may be unknown to its Job's record before its pod is stopped: a
/// predecessor's last write may still be on its way, and what it says be read later than the claim
/// that followed it.
const UNKNOWN: Duration = Duration::from_secs(60);
/// Records of a Job that is gone are kept this long after its last pod ended: no claim that was on
/// its way meanwhile may find its subject empty. Longer than lease + grace.
const QUIET: Duration = Duration::from_secs(90);

/// After this a seal of which nothing was heard is written again.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// What is under way to bring pods to their end.
#[derive(Debug, Default)]
pub(super) struct Stops {
    look_at: HashSet<JobUid>,
    orders: HashMap<PodId, Ordered>,
    /// Ends of ours on their way.
    ends: HashSet<PodId>,
    unknown: HashMap<PodId, Instant>,
    /// Claimed pods of attempts that are over, or that their Job's record never knew: nothing in
    /// the core leads to them.
    unwanted: HashSet<PodId>,
}

#[derive(Debug, Default)]
struct Ordered {
    written: bool,
    stands: bool,
    nudged: Option<Instant>,
}

impl Stops {
    pub(super) fn look_at(&mut self, job: JobUid) {
        self.look_at.insert(job);
    }

    pub(super) fn ended(&mut self, pod: PodId) {
        self.orders.remove(&pod);
        self.ends.remove(&pod);
        self.unknown.remove(&pod);
        self.unwanted.remove(&pod);
    }

    /// A worker has it, and must not.
    pub(super) fn unwanted(&mut self, pod: PodId) {
        self.unwanted.insert(pod);
        self.look_at.insert(pod.job);
    }

    /// How many pods are waited for that were told to end.
    #[cfg(test)]
    pub(super) fn waits_for(&self) -> usize {
        self.orders.len()
    }

    /// It is written again when the pod is looked at next.
    pub(super) fn order_refused(&mut self, pod: PodId) {
        if let Some(ordered) = self.orders.get_mut(&pod) {
            ordered.written = false;
        }
    }

    pub(super) fn end_written(&mut self, pod: PodId) {
        self.ends.remove(&pod);
    }

    pub(super) fn unknown(&mut self, pod: PodId, now: Instant) {
        self.unknown.entry(pod).or_insert(now);
    }

    fn take_overdue_unknown(&mut self, now: Instant) -> Vec<PodId> {
        let overdue =
            self.unknown.iter().filter(|(_, since)| now.duration_since(**since) >= UNKNOWN);
        overdue.map(|(pod, _)| *pod).collect()
    }
}

impl Owner {
    /// An order to this pod is durable. To one that has ended by now it says nothing any more.
    pub(super) fn order_stands(&mut self, pod: PodId) {
        let job = self.jobs.get(&pod.job).map(|managed| &managed.job);
        let is_over = self.kept.has_ended(pod)
            || job.is_some_and(|job| pod.attempt.0 < job.ledger().slot(pod.slot).ended);
        if is_over && !self.claims.contains_key(&pod) {
            return;
        }
        self.stops.orders.entry(pod).or_default().stands = true;
        self.stops.look_at(pod.job);
    }

    /// After a round of news: pods of Jobs that were touched.
    pub(super) fn stop_what_must(&mut self, now: Timestamp, instant: Instant, round: &mut Round) {
        for uid in std::mem::take(&mut self.stops.look_at) {
            self.stop_pods_of(uid, now, instant, round);
        }
        self.end_what_is_lost(now, round);
    }

    /// Every tick: pods that have still not ended.
    pub(super) fn press_on(&mut self, instant: Instant) {
        let waiting = self.stops.orders.keys().map(|pod| pod.job);
        let unended =
            self.jobs.iter().filter(|(_, managed)| managed.job.stopping().next().is_some());
        let jobs: Vec<JobUid> = waiting.chain(unended.map(|(uid, _)| *uid)).collect();
        self.stops.look_at.extend(jobs);
        self.stops.look_at.extend(self.orphans.keys());
        for pod in self.stops.take_overdue_unknown(instant) {
            self.stops.unknown.remove(&pod);
            let managed = self.jobs.get(&pod.job);
            let issued = managed.map(|managed| managed.job.ledger().slot(pod.slot).issued);
            if issued.is_some_and(|issued| issued <= pod.attempt.0) {
                self.stops.unwanted(pod);
            }
        }
    }

    fn stop_pods_of(&mut self, uid: JobUid, now: Timestamp, instant: Instant, round: &mut Round) {
        let Some(managed) = self.jobs.get(&uid) else {
            self.stop_orphans(uid, now, instant, round);
            return;
        };
        if !managed.is_durable() {
            // What was closed is acted on when that is durable; the outcome looks here again.
            return;
        }
        let grace_seconds = managed.job.spec().grace_seconds;
        let stopping: Vec<(PodId, Stop, bool)> = managed
            .job
            .stopping()
            .map(|pod| (managed.pod((pod.slot, pod.attempt)), *pod.stop, pod.claimed))
            .collect();
        let unwanted = self.stops.unwanted.iter().filter(|pod| pod.job == uid).copied();
        let mut unwanted: Vec<PodId> = unwanted.collect();
        unwanted.retain(|pod| stopping.iter().all(|(other, _, _)| other != pod));
        for pod in unwanted {
            self.order(pod, "its Job does not want it", grace_seconds, now, instant, round);
        }
        for (pod, stop, claimed) in stopping {
            if claimed {
                self.order(
                    pod,
                    &stop.reason.to_string(),
                    stop.grace_seconds,
                    stop.at,
                    instant,
                    round,
                );
            } else {
                self.write_tombstone(pod, &stop.reason.to_string(), now, round);
            }
        }
    }

    /// A pod that no worker has must not start: the record that says so refuses every claim.
    fn write_tombstone(&mut self, pod: PodId, reason: &str, now: Timestamp, round: &mut Round) {
        if !self.stops.ends.insert(pod) {
            return;
        }
        let Some(managed) = self.jobs.get(&pod.job) else { return };
        let template = managed.template.clone();
        let index_failures = managed.index_failures(pod.slot);
        let nonce = self.next_nonce();
        let author = Author { writer: self.me, nonce, template, created_at: now, index_failures };
        round.end(&self.names, pod, &ends::not_started(author, reason, now), 0);
    }

    fn order(
        &mut self,
        pod: PodId,
        reason: &str,
        grace_seconds: u32,
        at: Timestamp,
        now: Instant,
        round: &mut Round,
    ) {
        let nonce = self.next_nonce();
        let kind = OrderKind::Stop { grace_seconds, at, reason: reason.to_owned() };
        let ordered = self.stops.orders.entry(pod).or_default();
        if !ordered.written && !ordered.stands {
            ordered.written = true;
            let order = Order {
                v: VERSION,
                writer: self.me,
                nonce,
                kind: kind.clone(),
                evicted: false,
                deleted: false,
            };
            let payload = serde_json::to_vec(&order).expect("an order has only string keys");
            round.order(&self.names, pod, payload.into());
        }
        let due = ordered.nudged.is_none_or(|nudged| now.duration_since(nudged) >= NUDGE_AGAIN);
        if due && let Some(claimed) = self.claims.get(&pod) {
            ordered.nudged = Some(now);
            round.nudge(&claimed.claim.worker, NudgedPod { pod, order: kind });
        }
    }

    fn stop_orphans(&mut self, uid: JobUid, now: Timestamp, instant: Instant, round: &mut Round) {
        let Some(orphan) = self.orphans.get(&uid) else { return };
        let grace_seconds = orphan.grace_seconds;
        let running: Vec<PodId> = orphan.running.iter().copied().collect();
        for pod in &running {
            self.order(*pod, "Job was deleted", grace_seconds, now, instant, round);
        }
        let names = self.names.clone();
        let Some(orphan) = self.orphans.get_mut(&uid) else { return };
        if !orphan.items_purged {
            orphan.items_purged = true;
            round.purge(names.work_stream(), names.work_of_job(uid));
        }
        if !running.is_empty() {
            orphan.quiet_since = None;
            return;
        }
        let since = *orphan.quiet_since.get_or_insert(instant);
        if instant.duration_since(since) < QUIET {
            return;
        }
        let waited = orphan.sealed.is_some_and(|sealed| instant.duration_since(sealed) >= WAIT);
        let asked = orphan.sealing.is_some_and(|asked| instant.duration_since(asked) < ASK_AGAIN);
        if orphan.sealed.is_none() && !asked {
            orphan.sealing = Some(instant);
            let seal = self.seal(uid, true);
            round.seal(uid, seal);
        } else if waited {
            self.orphans.remove(&uid);
            self.kept.forget(uid);
            round.purge(names.pods_stream(), names.pods(Some(uid)));
            round.purge(names.pods_stream(), names.orders(Some(uid)));
            round.purge(names.objects_stream(), names.templates(uid));
        }
    }

    /// Pods whose worker is recorded as lost, or has begun a new life without them.
    fn end_what_is_lost(&mut self, now: Timestamp, round: &mut Round) {
        for pod in std::mem::take(&mut self.ending) {
            let Some(claimed) = self.claims.get(&pod).cloned() else { continue };
            if self.workers.lives(&claimed.claim.worker, claimed.claim.incarnation)
                || !self.stops.ends.insert(pod)
            {
                continue;
            }
            let author = Author {
                writer: self.me,
                nonce: self.next_nonce(),
                template: claimed.template,
                created_at: claimed.created_at,
                index_failures: claimed.index_failures,
            };
            let record = ends::lost(author, claimed.claim, "was lost or started anew", now);
            round.end(&self.names, pod, &record, claimed.sequence);
        }
    }
}
