//! What is done about a CronJob now: which Job is made, which go, what its status becomes.
//!
//! Follows `syncCronJob` and `cleanupFinishedJobs` of `pkg/controller/cronjob`, in their order.

use std::time::Duration;

use jiff::Timestamp;

use super::job::job_name;
use super::schedule::Schedule;
use super::times::{Missed, RecentTime, most_recent, next_after};
use super::view::{Child, ConcurrencyPolicy, CronJob, CronStatus, Finish, JobRef};
use super::zone::time_zone;

/// Something that people should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whether a person should look at it.
    pub warning: bool,
    /// `reason`.
    pub reason: &'static str,
    /// `message`.
    pub message: String,
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The status as far as it does not depend on what comes of the rest.
    pub status: CronStatus,
    /// What happened.
    pub events: Vec<Event>,
    /// Jobs that make place: they are deleted before the new one is made.
    pub replace: Vec<JobRef>,
    /// A Job is made for this time.
    pub create: Option<Timestamp>,
    /// When the CronJob must be looked at again, if nothing happens before.
    pub wake_after: Option<Duration>,
}

impl Plan {
    fn tell(&mut self, warning: bool, reason: &'static str, message: String) {
        self.events.push(Event { warning, reason, message });
    }
}

/// Plans for a CronJob. `is_there` says whether a Job that runs, as far as its status says, exists.
#[must_use]
pub fn plan(
    cron: &CronJob,
    children: &[Child],
    is_there: impl Fn(&JobRef) -> bool,
    now: Timestamp,
) -> Plan {
    let mut plan = Plan { status: cron.status.clone(), ..Plan::default() };
    take_in(cron, children, &mut plan);
    for job in &plan.status.active.clone() {
        let known = children.iter().any(|child| child.job.uid == job.uid);
        if !known && !is_there(job) {
            plan.tell(false, "MissingJob", format!("Active job went missing: {}", job.name));
            plan.status.forget(&job.uid);
        }
    }
    if !cron.being_deleted {
        schedule(cron, now, &mut plan);
    }
    plan
}

/// What became of its Jobs.
fn take_in(cron: &CronJob, children: &[Child], plan: &mut Plan) {
    for child in children {
        let name = &child.job.name;
        let running = cron.status.has(&child.job.uid);
        if child.finish == Some(Finish::Complete) {
            plan.status.last_success = plan.status.last_success.max(child.completed);
        }
        match child.finish {
            None if !running => {
                let message =
                    format!("Saw a job that the controller did not create or forgot: {name}");
                plan.tell(true, "UnexpectedJob", message);
            }
            Some(finish) if running => {
                plan.status.forget(&child.job.uid);
                let message =
                    format!("Saw completed job: {name}, condition: {}", finish.condition());
                plan.tell(false, "SawCompletedJob", message);
            }
            None | Some(_) => {}
        }
    }
}

fn schedule(cron: &CronJob, now: Timestamp, plan: &mut Plan) {
    let zone = match cron.time_zone.as_deref().map(time_zone).transpose() {
        Ok(zone) => zone.unwrap_or(jiff::tz::TimeZone::UTC),
        Err(error) => {
            let name = cron.time_zone.as_deref().unwrap_or_default();
            return plan.tell(
                true,
                "UnknownTimeZone",
                format!("invalid timeZone: {name:?}: {error}"),
            );
        }
    };
    if cron.suspend {
        return;
    }
    let text = &cron.schedule;
    if text.contains("TZ") {
        let message = format!(
            "CRON_TZ or TZ used in schedule {text:?} is not officially supported, see \
             https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"
        );
        plan.tell(true, "UnsupportedSchedule", message);
    }
    let schedule = match Schedule::parse(text, &zone) {
        Ok(schedule) => schedule,
        Err(error) => {
            let message = format!("unparseable schedule: {text:?} : {error}");
            return plan.tell(true, "UnparseableSchedule", message);
        }
    };
    let due = match most_recent(cron, now, &schedule, true) {
        Ok(RecentTime { latest, missed, .. }) => {
            if latest.is_some() && missed == Missed::Many {
                let message = "too many missed start times. Set or decrease \
                               .spec.startingDeadlineSeconds or check clock skew";
                plan.tell(true, "TooManyMissedTimes", message.to_owned());
            }
            latest
        }
        Err((_, error)) => {
            let message = format!("invalid schedule schedule: {text} : {error}");
            return plan.tell(true, "InvalidSchedule", message);
        }
    };
    plan.wake_after = next_after(cron, now, &schedule);
    if let Some(due) = due {
        decide(cron, due, now, plan);
        if plan.create.is_some() {
            let mut later = cron.clone();
            later.status.last_schedule = Some(due);
            plan.wake_after = next_after(&later, now, &schedule);
        }
    }
}

/// Whether a Job is made for a time that has come.
fn decide(cron: &CronJob, due: Timestamp, now: Timestamp, plan: &mut Plan) {
    let late = cron.starting_deadline.is_some_and(|seconds| {
        due.as_second().saturating_add(seconds) < now.as_second()
            || (due.as_second().saturating_add(seconds) == now.as_second()
                && now.subsec_nanosecond() > due.subsec_nanosecond())
    });
    if late {
        let when = due.strftime("%a, %d %b %Y %H:%M:%S +0000");
        plan.tell(true, "MissSchedule", format!("Missed scheduled time to start a job: {when}"));
        return;
    }
    let name = job_name(&cron.name, due);
    let running = plan.status.active.iter().any(|job| job.name == name);
    if running || plan.status.last_schedule == Some(due) {
        return;
    }
    if cron.policy == ConcurrencyPolicy::Forbid && !plan.status.active.is_empty() {
        let message = "Not starting job because prior execution is running and concurrency policy \
                       is Forbid";
        return plan.tell(false, "JobAlreadyActive", message.to_owned());
    }
    if cron.policy == ConcurrencyPolicy::Replace {
        plan.replace.clone_from(&plan.status.active);
    }
    plan.create = Some(due);
}

/// What came of making the Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// It was made.
    Now(JobRef),
    /// It was there, and is the CronJob's: an earlier attempt was not noted down.
    Before(JobRef),
    /// It was made, and is gone already: an earlier attempt was not noted down.
    Gone,
    /// One of the name is there that is not the CronJob's.
    Anothers,
}

/// Notes down that Jobs made place, and what came of making the new one.
pub fn created(plan: &mut Plan, outcome: Created) {
    for job in std::mem::take(&mut plan.replace) {
        plan.status.forget(&job.uid);
        plan.tell(false, "SuccessfulDelete", format!("Deleted job {}", job.name));
    }
    let Some(due) = plan.create.take() else { return };
    match outcome {
        Created::Anothers => return,
        Created::Gone => {}
        Created::Before(job) => {
            if plan.status.has(&job.uid) {
                return;
            }
            plan.status.active.push(job);
        }
        Created::Now(job) => {
            plan.tell(false, "SuccessfulCreate", format!("Created job {}", job.name));
            plan.status.active.push(job);
        }
    }
    plan.status.last_schedule = Some(due);
}

/// Jobs that have ended and are more than are to be kept: the oldest of each kind.
#[must_use]
pub fn obsolete(cron: &CronJob, children: &[Child]) -> Vec<JobRef> {
    let mut jobs = Vec::new();
    for (finish, keep) in
        [(Finish::Complete, cron.keep_succeeded), (Finish::Failed, cron.keep_failed)]
    {
        let Some(keep) = keep else { continue };
        let mut ended: Vec<&Child> =
            children.iter().filter(|child| child.finish == Some(finish)).collect();
        ended.sort_by(|one, other| by_start(one, other));
        let many = ended.len().saturating_sub(keep);
        jobs.extend(ended.into_iter().take(many).map(|child| child.job.clone()));
    }
    jobs
}

/// Oldest first; those that were never started come last.
fn by_start(one: &Child, other: &Child) -> std::cmp::Ordering {
    let names = || one.job.name.cmp(&other.job.name);
    match (one.started, other.started) {
        (None, Some(_)) => std::cmp::Ordering::Greater,
        (Some(_), None) => std::cmp::Ordering::Less,
        (one, other) => one.cmp(&other).then_with(names),
    }
}
