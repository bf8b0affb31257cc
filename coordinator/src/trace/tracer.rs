//! The owner's handle: takes what to say, never waits. Sampled-out pods cost one hash, and when
//! traces are off there is no handle at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;

use jiff::Timestamp;
use stint_common::id::{JobUid, ObjectRef, PodId};
use stint_common::trace::keeps;
use stint_common::wire::{Outcome, PodRecord, PodState, TraceContext};

use super::facts::{Fact, JobEnd, JobFacts, PodEnd};
use super::sample::Settings;
use crate::job::{JobSpec, JobStatus, Stop, StopReason};

/// Where facts go.
#[derive(Clone, Debug)]
pub struct Tracer {
    queue: SyncSender<Fact>,
    dropped: Arc<AtomicU64>,
    settings: Settings,
}

impl Tracer {
    pub(super) fn new(
        queue: SyncSender<Fact>,
        dropped: Arc<AtomicU64>,
        settings: Settings,
    ) -> Self {
        Self { queue, dropped, settings }
    }

    /// The handle of one Job; `None` if its submitter said that the trace is not to be sampled.
    #[must_use]
    pub fn job(
        &self,
        uid: JobUid,
        name: &ObjectRef,
        spec: &JobSpec,
        created_at: Timestamp,
        submitted: Option<&TraceContext>,
    ) -> Option<JobTrace> {
        let mut facts = JobFacts::new(uid, name, spec.indexed, created_at, submitted);
        facts.limits = facts.limits.or_else(|| self.settings.of_unlimited(spec));
        let wanted = facts.wanted();
        wanted.then(|| JobTrace { tracer: self.clone(), facts: Arc::new(facts), ended: false })
    }

    fn say(&self, fact: Fact) {
        if self.queue.try_send(fact).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// One Job's part in a trace.
#[derive(Debug)]
pub struct JobTrace {
    tracer: Tracer,
    facts: Arc<JobFacts>,
    ended: bool,
}

impl JobTrace {
    /// The Job was seen before anything was decided about it: a sign that it is there, long before
    /// its own span can be sent.
    pub fn accepted(&self) {
        self.tracer.say(Fact::Accepted(Arc::clone(&self.facts)));
    }

    /// A pod has ended; nothing is said of one that no worker ever had. `stop` is the Job's wish
    /// that it should.
    pub fn pod_ended(&self, pod: PodId, record: &PodRecord, stop: Option<&Stop>) {
        let (PodState::Terminated(end), Some(claim)) = (&record.state, &record.claim) else {
            return;
        };
        let of_job =
            |stop: &Stop| !matches!(stop.reason, StopReason::PodDeleted | StopReason::PodEvicted);
        let cancelled = stop.is_some_and(of_job);
        let failure = end.outcome == Outcome::Failed && !cancelled;
        if failure || keeps(pod, self.facts.limits) {
            let end = PodEnd::new(pod, record.created_at, claim, end, cancelled);
            self.tracer.say(Fact::Pod(Arc::clone(&self.facts), Box::new(end)));
        }
    }

    /// The Job has ended long ago: nothing is said of that again.
    pub fn has_ended(&mut self) {
        self.ended = true;
    }

    /// The Job's terminal condition stands, or the Job is gone. Said once.
    pub fn job_ended(&mut self, status: &JobStatus, spec: &JobSpec, now: Timestamp) {
        if !std::mem::replace(&mut self.ended, true) {
            let end = JobEnd::new(status, spec, self.facts.limits, now);
            self.tracer.say(Fact::Job(Arc::clone(&self.facts), Box::new(end)));
        }
    }
}
