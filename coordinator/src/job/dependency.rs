//! Waiting for other Jobs: a Job that is annotated with names starts when these are complete.
//!
//! Differs from Kubernetes, which knows no such thing. Level triggered: what was seen to be
//! complete is written into the waiting Job's status, so that it counts after the other is gone;
//! everything else is looked up anew at each plan. A Job that cannot start any more fails, and says
//! why.

use std::collections::BTreeSet;

use jiff::Timestamp;
use stint_common::time;

use super::change::Change;
use super::note::{Event, Note};
use super::plan::Plan;
use super::record::{Condition, JobStatus, condition, ensure_condition};
use super::status::suspension;
use super::view::{Deletion, Job};

/// More Jobs than this are not gone through in search of a circle.
const MAX_VISITED: usize = 10_000;

/// Reason and message of a Job that waits no more.
const MET: (&str, &str) =
    ("DependenciesComplete", "All Jobs that this one depends on are complete");

/// What is known of a Job that another depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dependency {
    /// There is none of this name.
    Absent,
    /// It has not finished.
    Unfinished,
    /// It is complete.
    Complete,
    /// It failed.
    Failed,
    /// It waits, be it by others, for the one that waits for it.
    Circular,
}

impl Job {
    /// Whether it has not started because of Jobs that it depends on. Whatever has once begun, or
    /// is about to end, waits for nothing any more.
    #[must_use]
    pub fn waits(&self) -> bool {
        let ending = [condition::SUCCESS_CRITERIA_MET, condition::FAILURE_TARGET];
        self.unmet().next().is_some()
            && self.ledger.cursor == 0
            && self.status.start_time.is_none()
            && self.status.finished().is_none()
            && !ending.iter().any(|kind| self.status.condition(kind).is_some())
            && !self.spec.managed_by_another
            && !self.spec.unknown_mode
    }

    /// Jobs that it depends on and has not seen complete.
    pub fn unmet(&self) -> impl Iterator<Item = &str> {
        let met = &self.status.dependencies_met;
        let all = self.spec.depends_on.iter().filter(move |name| !met.contains(name));
        all.map(String::as_str)
    }

    /// Takes what is known of the Jobs that it waits for; `look` finds those of its namespace, and
    /// says whether what is known of them is stored: before that, none has ended.
    pub fn look_at_dependencies<'a>(&mut self, look: impl Fn(&str) -> Option<(&'a Self, bool)>) {
        let states = self.unmet().map(|name| (name.to_owned(), self.state_of(name, &look)));
        self.dependencies = states.collect();
    }

    fn state_of<'a>(
        &self,
        name: &str,
        look: &impl Fn(&str) -> Option<(&'a Self, bool)>,
    ) -> Dependency {
        let Some((other, stored)) = look(name) else { return Dependency::Absent };
        match other.status.finished() {
            Some(_) if !stored => Dependency::Unfinished,
            Some(end) if end.kind == condition::COMPLETE => Dependency::Complete,
            Some(_) => Dependency::Failed,
            None if other.leads_to(&self.object.name, look) => Dependency::Circular,
            None => Dependency::Unfinished,
        }
    }

    /// Whether this one waits, be it by others, for the Job of that name.
    fn leads_to<'a>(&self, name: &str, look: &impl Fn(&str) -> Option<(&'a Self, bool)>) -> bool {
        let mut seen: BTreeSet<String> = BTreeSet::new();
        let waits_for = |job: &Self| -> Vec<String> {
            let unmet = job.unmet().filter(|_| job.waits());
            unmet.map(str::to_owned).collect()
        };
        let mut next = waits_for(self);
        while let Some(found) = next.pop() {
            if found == name {
                return true;
            }
            if seen.len() < MAX_VISITED && seen.insert(found.clone()) {
                next.extend(look(&found).into_iter().flat_map(|(job, _)| waits_for(job)));
            }
        }
        false
    }

    /// Whether others wait for its end and have not written down that it came: until then it is
    /// kept, whatever its time to live.
    pub fn set_has_followers(&mut self, has_followers: bool) {
        self.has_followers = has_followers;
    }
}

/// What is done for a Job that waits: nothing, until all it waits for is complete.
pub(super) fn wait(job: &Job, now: Timestamp) -> Plan {
    if let Some(deletion) = job.deletion {
        return Plan { dispose: Deletion::without_pods(deletion), ..Plan::default() };
    }
    let at = time::whole_seconds(now);
    let mut status = JobStatus { observed: true, ..job.status.clone() };
    let mut events = Vec::new();
    let notes = match hopeless(job) {
        Some((reason, message)) => {
            let target = Condition::new(condition::FAILURE_TARGET, true, reason, &message, at);
            let waiting = Condition::new(condition::WAITING, false, reason, &message, at);
            ensure_condition(&mut status.conditions, waiting);
            ensure_condition(&mut status.conditions, target);
            Vec::new()
        }
        None => {
            take_note(job, &mut status, at, &mut events);
            suspension(job, &mut status, at, &mut events);
            // It has not started, whether it is suspended or not.
            status.start_time = None;
            let jobs = left(job, &status).map(str::to_owned).collect();
            vec![Note::WaitingForJobs { jobs }]
        }
    };
    let change = (status != job.status).then(|| Change::of_status(job, status));
    Plan { change, events, notes, ..Plan::default() }
}

/// It waits no more, be it because its annotation was taken off.
pub(super) fn no_longer_waits(status: &mut JobStatus, at: Timestamp) {
    let condition = Condition::new(condition::WAITING, false, MET.0, MET.1, at);
    if status.condition(condition::WAITING).is_some() {
        ensure_condition(&mut status.conditions, condition);
    }
}

/// Why it cannot start any more.
fn hopeless(job: &Job) -> Option<(&'static str, String)> {
    let first = |state| job.dependencies.iter().find(|(_, found)| **found == state);
    if let Some((name, _)) = first(Dependency::Failed) {
        let message = format!("Job {name}, on which this one depends, has failed");
        return Some(("DependencyFailed", message));
    }
    let (name, _) = first(Dependency::Circular)?;
    let message = format!("Job {name}, on which this one depends, depends on this one");
    Some(("DependencyCycle", message))
}

/// Writes down what is complete, and says what is not.
fn take_note(job: &Job, status: &mut JobStatus, at: Timestamp, events: &mut Vec<Event>) {
    let complete = job.dependencies.iter().filter(|(_, found)| **found == Dependency::Complete);
    status.dependencies_met.extend(complete.map(|(name, _)| name.clone()));
    status.dependencies_met.sort_unstable();
    let state = |name: &str| job.dependencies.get(name).copied().unwrap_or(Dependency::Absent);
    let (absent, unfinished): (Vec<&str>, Vec<&str>) =
        left(job, status).partition(|name| state(name) == Dependency::Absent);
    let waits = !(absent.is_empty() && unfinished.is_empty());
    let (reason, message) = if !waits {
        (MET.0, MET.1.to_owned())
    } else if absent.is_empty() {
        let message = format!("Waiting for Jobs to complete: {}", unfinished.join(", "));
        ("DependenciesNotComplete", message)
    } else {
        ("DependencyAbsent", format!("There are no Jobs of these names: {}", absent.join(", ")))
    };
    let before = status.conditions.iter().find(|old| old.kind == condition::WAITING);
    let same = before.is_some_and(|old| old.status == waits && old.reason == reason);
    let condition = Condition::new(condition::WAITING, waits, reason, &message, at);
    if ensure_condition(&mut status.conditions, condition) && !same {
        events.push(Event::normal(reason, &message));
    }
}

/// Jobs that it still waits for.
fn left<'a>(job: &'a Job, status: &JobStatus) -> impl Iterator<Item = &'a str> {
    job.unmet().filter(|name| !status.dependencies_met.iter().any(|met| met == name))
}
