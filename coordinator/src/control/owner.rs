//! What the owner holds in memory: all of it from the streams, none of it needed to survive.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use stint_common::collections::{HashMap, HashSet};
use stint_common::id::{Incarnation, JobUid, PodId};
use stint_common::metrics;
use stint_common::names::Names;
use stint_common::nats::Entry;
use stint_common::time::{self, Instant};
use stint_common::wire::{Claim, IndexFailures, VERSION, Waiting, WorkItem};

use super::ask::Asking;
use super::carry::Round;
use super::classes::Classes;
use super::dependents::Dependents;
use super::graves::Graves;
use super::kept::Kept;
use super::managed::Managed;
use super::retire::Retirement;
use super::run::Keep;
use super::stops::Stops;
use super::strays::Strays;
use super::workers::Workers;
use crate::job::{self, Deletion, Dispose};
use crate::trace::Tracer;

/// Records larger than this are written less often, so that a Job of 10^6 indexes does not write
/// its bitmap a hundred times a second.
const LARGE_RECORD: usize = 48 << 10;
/// What large records may write a second.
const LARGE_BYTES_PER_SECOND: f64 = 8e6;
/// While workers have plenty to claim, a Job's record is written no more often than this.
const PACE: Duration = Duration::from_millis(20);
/// A change of nothing but the numbers of active and ready pods waits this long for company.
const LAZY: Duration = Duration::from_millis(100);

/// A claimed pod that has not ended.
#[derive(Clone, Debug)]
pub(super) struct Claimed {
    /// Sequence of its latest record.
    pub(super) sequence: u64,
    pub(super) claim: Claim,
    pub(super) template: String,
    pub(super) created_at: Timestamp,
    pub(super) index_failures: Option<IndexFailures>,
    /// When its worker was last asked whether it has it; at first, when the claim became known.
    pub(super) asked: Instant,
    /// What its containers were last known to wait for: that is told once.
    pub(super) waits: Vec<Waiting>,
}

/// A Job that is gone while pods of it may still run, or records of it may still be kept.
#[derive(Debug)]
pub(super) struct Orphan {
    pub(super) grace_seconds: u32,
    /// Pods of it that are claimed and have not ended.
    pub(super) running: HashSet<PodId>,
    /// When its last pod was seen to have ended; its records are purged later than lease + grace
    /// after.
    pub(super) quiet_since: Option<Instant>,
    pub(super) items_purged: bool,
    /// Its seal was asked for then.
    pub(super) sealing: Option<Instant>,
    /// Since when its seal is durable.
    pub(super) sealed: Option<Instant>,
}

/// The owner.
pub(super) struct Owner {
    pub(super) names: Names,
    pub(super) me: Incarnation,
    pub(super) tracer: Option<Tracer>,
    nonce: u64,
    pub(super) jobs: HashMap<JobUid, Managed>,
    pub(super) by_subject: HashMap<String, JobUid>,
    pub(super) dependents: Dependents,
    pub(super) dirty: VecDeque<JobUid>,
    pub(super) timers: BTreeSet<(Timestamp, JobUid)>,
    pub(super) claims: HashMap<PodId, Claimed>,
    pub(super) workers: Workers,
    pub(super) classes: Classes,
    /// Jobs for whose class there is no room among the others.
    pub(super) crowded: HashSet<JobUid>,
    pub(super) stops: Stops,
    pub(super) orphans: HashMap<JobUid, Orphan>,
    /// Records of Jobs that were not known when they were read: the two tails are not in step.
    pub(super) strangers: HashMap<JobUid, (Instant, Vec<Entry>)>,
    /// Whether both streams were read to their end: before that nothing is decided.
    pub(super) rebuilt: bool,
    pub(super) ending: HashSet<PodId>,
    /// Claims that are open for long.
    pub(super) asking: Asking,
    /// What pods wait for on their workers, and nobody was told of yet.
    pub(super) waits: Vec<(PodId, String, Waiting)>,
    /// Records of ended pods.
    pub(super) kept: Kept,
    /// A round of removals of them.
    pub(super) retirement: Option<Retirement>,
    /// Tombstones of deleted objects.
    pub(super) graves: Graves,
    /// Templates whose Job is not known.
    pub(super) strays: Strays,
    /// The last message of the objects' stream that was taken in.
    pub(super) objects_seen: u64,
    /// When the metrics' board was last written.
    pub(super) board: Option<Instant>,
}

impl Owner {
    pub(super) fn new(
        names: Names,
        me: Incarnation,
        tracer: Option<Tracer>,
        keep: Keep,
        now: Instant,
    ) -> Self {
        Self {
            names,
            me,
            tracer,
            nonce: 0,
            jobs: HashMap::default(),
            by_subject: HashMap::default(),
            dependents: Dependents::default(),
            dirty: VecDeque::new(),
            timers: BTreeSet::new(),
            claims: HashMap::default(),
            workers: Workers::default(),
            classes: Classes::new(now),
            crowded: HashSet::default(),
            stops: Stops::default(),
            orphans: HashMap::default(),
            strangers: HashMap::default(),
            rebuilt: false,
            ending: HashSet::default(),
            asking: Asking::new(keep.claims, now),
            waits: Vec::new(),
            kept: Kept::new(keep.pods),
            retirement: None,
            graves: Graves::new(keep.deleted),
            strays: Strays::new(keep.strays),
            objects_seen: 0,
            board: None,
        }
    }

    pub(super) fn next_nonce(&mut self) -> u64 {
        self.nonce += 1;
        self.nonce
    }

    /// A Job that has pods to publish has its turn among those of its class.
    pub(super) fn join(&mut self, uid: JobUid) {
        let Some(managed) = self.jobs.get(&uid) else { return };
        let (name, class) = &managed.class;
        if !self.classes.join(uid, name, class) {
            self.crowded.insert(uid);
        }
    }

    /// Something happened to a Job: it is planned for in the next round.
    pub(super) fn touch(&mut self, uid: JobUid) {
        if let Some(managed) = self.jobs.get_mut(&uid)
            && !managed.dirty
        {
            managed.dirty = true;
            self.dirty.push_back(uid);
        }
    }

    /// Plans for every Job to which something happened, and gathers what is to be done.
    pub(super) fn decide(&mut self, mut round: Round, now: Timestamp, instant: Instant) -> Round {
        if !self.rebuilt {
            return round;
        }
        self.ring_timers(now);
        // Before planning: what the last writes made durable goes out even if the next writes
        // follow at once.
        self.classes.adapt(instant);
        self.fill_window(now, instant, &mut round);
        for uid in std::mem::take(&mut self.dirty) {
            self.plan_one(uid, now, instant, &mut round);
        }
        round
    }

    fn ring_timers(&mut self, now: Timestamp) {
        while let Some((at, uid)) = self.timers.first().copied() {
            if at > now {
                break;
            }
            self.timers.pop_first();
            if let Some(managed) = self.jobs.get_mut(&uid) {
                managed.wake_at = None;
            }
            self.touch(uid);
        }
    }

    /// The clock was set: what timers wait for is decided anew, by the new one.
    pub(super) fn ring_all(&mut self) {
        for (_, uid) in std::mem::take(&mut self.timers) {
            if let Some(managed) = self.jobs.get_mut(&uid) {
                managed.wake_at = None;
            }
            self.touch(uid);
        }
    }

    /// When the next timer rings.
    pub(super) fn next_timer(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| *at)
    }

    fn set_timer(&mut self, uid: JobUid, at: Option<Timestamp>) {
        let Some(managed) = self.jobs.get_mut(&uid) else { return };
        if managed.wake_at == at {
            return;
        }
        if let Some(before) = managed.wake_at.take() {
            self.timers.remove(&(before, uid));
        }
        if let Some(at) = at {
            managed.wake_at = Some(at);
            self.timers.insert((at, uid));
        }
    }

    fn plan_one(&mut self, uid: JobUid, now: Timestamp, instant: Instant, round: &mut Round) {
        let nonce = self.next_nonce();
        let Some(managed) = self.jobs.get_mut(&uid) else { return };
        managed.dirty = false;
        if managed.writing {
            // Planned again when the write's outcome is known.
            return;
        }
        if let Some(until) = managed.hold_until.filter(|until| *until > instant) {
            let at = time::after(now, until.duration_since(instant));
            self.set_timer(uid, Some(at));
            return;
        }
        if managed.refused {
            // As it was, before anything is planned upon it.
            self.write(uid, nonce, instant, round);
            return;
        }
        let paced = managed.written.map(|written| written + PACE).filter(|until| *until > instant);
        if let Some(until) = paced
            && managed.has_plenty()
        {
            let at = time::after(now, until.duration_since(instant));
            self.set_timer(uid, Some(at));
            return;
        }
        self.look_at_dependencies(uid);
        let Some(managed) = self.jobs.get_mut(&uid) else { return };
        let plan = job::plan(&managed.job, now);
        let Some(change) = plan.change else {
            round.events.extend(plan.events.into_iter().map(|event| (uid, event)));
            self.dispose(uid, plan.dispose, now, nonce, round);
            self.set_timer(uid, plan.wake_at);
            return;
        };
        if change.can_wait {
            let until = *managed.lazy_until.get_or_insert(instant + LAZY);
            if until > instant {
                let at = time::after(now, until.duration_since(instant));
                self.set_timer(uid, Some(plan.wake_at.map_or(at, |wake_at| wake_at.min(at))));
                return;
            }
        }
        managed.lazy_until = None;
        managed.job.apply(&change);
        managed.events = plan.events;
        self.write(uid, nonce, instant, round);
    }

    fn write(&mut self, uid: JobUid, nonce: u64, instant: Instant, round: &mut Round) {
        let Some(managed) = self.jobs.get_mut(&uid) else { return };
        managed.writing = true;
        (managed.written, managed.ended) = (Some(instant), 0);
        let payload = managed.encode(self.me, nonce, false);
        if payload.len() > LARGE_RECORD {
            let bytes = u32::try_from(payload.len()).unwrap_or(u32::MAX);
            let pause = f64::from(bytes) / LARGE_BYTES_PER_SECOND;
            managed.hold_until = Some(instant + Duration::from_secs_f64(pause));
        }
        round.record(uid, managed.subject.clone(), payload, managed.revision);
    }

    fn dispose(
        &mut self,
        uid: JobUid,
        dispose: Option<Dispose>,
        now: Timestamp,
        nonce: u64,
        round: &mut Round,
    ) {
        let Some(managed) = self.jobs.get_mut(&uid) else { return };
        let gone = match dispose {
            None => return,
            Some(Dispose::Remove) => true,
            Some(Dispose::Delete) => {
                // The time to live is over: deleted as by an API client, in the foreground.
                let held = managed.held;
                managed.deletion = Some(Deletion { held, ..Deletion::foreground(now) });
                false
            }
            Some(Dispose::Release) => {
                let released = |deletion| Deletion { foreground: false, orphan: false, ..deletion };
                managed.deletion = managed.deletion.map(released);
                false
            }
        };
        managed.job.set_deletion(managed.deletion);
        managed.removing = gone;
        managed.writing = true;
        let payload = managed.encode(self.me, nonce, gone);
        round.record(uid, managed.subject.clone(), payload, managed.revision);
    }

    /// What was durably issued may be published: joins the fair round.
    fn fill_window(&mut self, now: Timestamp, instant: Instant, round: &mut Round) {
        let jobs = &mut self.jobs;
        let mut keys = Vec::new();
        let pods = self.classes.fill(instant, |uid, max, pods| {
            let Some(managed) = jobs.get_mut(&uid).filter(|managed| managed.is_durable()) else {
                // Joins again when its write has been confirmed.
                return false;
            };
            keys.clear();
            managed.job.take_publishable(max, &mut keys);
            pods.extend(keys.iter().map(|key| managed.pod(*key)));
            managed.job.publishable() > 0
        });
        metrics::coordinator().published(pods.len());
        for pod in pods {
            self.publish(pod, now, round);
        }
    }

    pub(super) fn publish(&self, pod: PodId, now: Timestamp, round: &mut Round) {
        if let Some(managed) = self.jobs.get(&pod.job) {
            let item = WorkItem {
                v: VERSION,
                template: managed.template.clone(),
                created_at: now,
                index_failures: managed.index_failures(pod.slot),
            };
            round.item(&self.names, &managed.class.0, pod, &item);
        }
    }
}
