//! `status` of a Job: what it may be, and what of it may change. Kubernetes looks at most of it
//! only where it changed, so that a status that is wrong already can still be mended elsewhere.

use std::collections::HashSet;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobSpec, JobStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::immutable::Both;
use super::indexes;
use super::metadata::{IMMUTABLE, immutable, meta_update, not_negative, object_meta};
use crate::admission::cause::{Causes, Path};
use crate::admission::semantic;

const COMPLETE: &str = "Complete";
const FAILED: &str = "Failed";
const FAILURE_TARGET: &str = "FailureTarget";
const SUCCESS_CRITERIA_MET: &str = "SuccessCriteriaMet";
const SUSPENDED: &str = "Suspended";

/// Which parts of a status changed, as far as rules depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "one for each part of a status")]
pub struct Changed {
    /// Complete or Failed.
    pub finished: bool,
    /// Complete.
    pub complete: bool,
    /// Failed.
    pub failed: bool,
    /// FailureTarget.
    pub failure_target: bool,
    /// SuccessCriteriaMet.
    pub success_criteria_met: bool,
    /// `completedIndexes`.
    pub completed_indexes: bool,
    /// `failedIndexes`.
    pub failed_indexes: bool,
    /// `active`.
    pub active: bool,
    /// `ready`.
    pub ready: bool,
    /// `terminating`.
    pub terminating: bool,
    /// `startTime`, in a write that does not resume the Job.
    pub own_start_time: bool,
    /// `startTime`.
    pub start_time: bool,
    /// `completionTime`.
    pub completion_time: bool,
    /// `uncountedTerminatedPods`.
    pub uncounted: bool,
    /// What never may change is looked at: terminal conditions, counters, `completionTime`.
    pub lasting: bool,
}

impl Changed {
    /// What changed from `old` to `new`.
    #[must_use]
    pub fn between(new: &Job, old: &Job) -> Self {
        let (one, other) = (Facts::of(new), Facts::of(old));
        let (new, old) = (one.status, other.status);
        let start_time = at(new.start_time.as_ref()) != at(old.start_time.as_ref());
        let resumes = other.is(SUSPENDED) && one.says(SUSPENDED, "False");
        let json = |status: &JobStatus| serde_json::json!(status.uncounted_terminated_pods);
        let number = |number: Option<i32>| number.unwrap_or(0);
        Self {
            finished: one.finished() != other.finished(),
            complete: one.is(COMPLETE) != other.is(COMPLETE),
            failed: one.is(FAILED) != other.is(FAILED),
            failure_target: one.is(FAILURE_TARGET) != other.is(FAILURE_TARGET),
            success_criteria_met: one.is(SUCCESS_CRITERIA_MET) != other.is(SUCCESS_CRITERIA_MET),
            completed_indexes: text(&new.completed_indexes) != text(&old.completed_indexes),
            failed_indexes: new.failed_indexes != old.failed_indexes,
            active: number(new.active) != number(old.active),
            ready: new.ready != old.ready,
            terminating: new.terminating != old.terminating,
            own_start_time: start_time && !resumes,
            start_time,
            completion_time: at(new.completion_time.as_ref()) != at(old.completion_time.as_ref()),
            uncounted: !semantic::equal(&json(new), &json(old)),
            lasting: true,
        }
    }
}

/// A Job's status and spec, and what its conditions say.
struct Facts<'a> {
    status: &'a JobStatus,
    spec: &'a JobSpec,
}

static NO_STATUS: JobStatus = JobStatus {
    active: None,
    completed_indexes: None,
    completion_time: None,
    conditions: None,
    failed: None,
    failed_indexes: None,
    ready: None,
    start_time: None,
    succeeded: None,
    terminating: None,
    uncounted_terminated_pods: None,
};

impl<'a> Facts<'a> {
    fn of(job: &'a Job) -> Self {
        static NO_SPEC: std::sync::LazyLock<JobSpec> = std::sync::LazyLock::new(JobSpec::default);
        Self {
            status: job.status.as_ref().unwrap_or(&NO_STATUS),
            spec: job.spec.as_ref().unwrap_or(&NO_SPEC),
        }
    }

    fn says(&self, kind: &str, status: &str) -> bool {
        let mut conditions = self.status.conditions.iter().flatten();
        conditions.any(|condition| condition.type_ == kind && condition.status == status)
    }

    fn is(&self, kind: &str) -> bool {
        self.says(kind, "True")
    }

    fn finished(&self) -> bool {
        self.is(COMPLETE) || self.is(FAILED)
    }

    fn indexed(&self) -> bool {
        self.spec.completion_mode.as_deref() == Some("Indexed")
    }
}

fn text(text: &Option<String>) -> &str {
    text.as_deref().unwrap_or_default()
}

fn at(time: Option<&Time>) -> Option<Timestamp> {
    time.map(|time| time.0)
}

/// Everything that is wrong with a change of a Job's status, each fault once.
#[must_use]
pub fn status_update(new: Both<'_>, old: Both<'_>) -> Causes {
    let path = Path::root("metadata");
    let mut causes = Causes::default();
    object_meta(&new.job.metadata, &path, &mut causes);
    meta_update(&new.job.metadata, &old.job.metadata, &path, &mut causes);
    causes.append(job_status(new.job, old.job, Changed::between(new.job, old.job)));
    causes.unique()
}

/// Everything that is wrong with a status, and with the change from the old one.
#[must_use]
pub fn job_status(new: &Job, old: &Job, changed: Changed) -> Causes {
    let mut causes = Causes::default();
    let (new, old) = (Facts::of(new), Facts::of(old));
    let path = Path::root("status");
    numbers(new.status, &path, &mut causes);
    uncounted_pods(new.status, &path.child("uncountedTerminatedPods"), &mut causes);
    terminal_conditions(&new, changed, &path.child("conditions"), &mut causes);
    times(&new, changed, &path, &mut causes);
    required_conditions(&new, changed, &path.child("conditions"), &mut causes);
    finished(&new, changed, &path, &mut causes);
    index_lists(&new, changed, &path, &mut causes);
    let terminating = changed.finished || changed.terminating;
    if let Some(count) = new.status.terminating.filter(|count| *count > 0)
        && terminating
        && new.finished()
    {
        let detail = "terminating>0 is invalid for finished job";
        causes.invalid(&path.child("terminating"), count, detail);
    }
    let active = new.status.active.unwrap_or(0);
    if let Some(ready) = new.status.ready.filter(|ready| *ready > active)
        && (changed.ready || changed.active)
    {
        causes.invalid(&path.child("ready"), ready, "cannot set more ready pods than active");
    }
    success_criteria(&new, &path.child("conditions"), &mut causes);
    lasting(&new, &old, changed, &path, &mut causes);
    causes
}

fn numbers(status: &JobStatus, path: &Path<'_>, causes: &mut Causes) {
    for (name, number) in [
        ("active", status.active),
        ("succeeded", status.succeeded),
        ("failed", status.failed),
        ("ready", status.ready),
        ("terminating", status.terminating),
    ] {
        not_negative(number, &path.child(name), causes);
    }
}

/// Uids of pods on their way into the counters: each once, none empty.
fn uncounted_pods(status: &JobStatus, path: &Path<'_>, causes: &mut Causes) {
    let Some(pods) = &status.uncounted_terminated_pods else { return };
    let mut seen = HashSet::new();
    for (name, uids) in [("succeeded", &pods.succeeded), ("failed", &pods.failed)] {
        let list = path.child(name);
        for (index, uid) in uids.iter().flatten().enumerate() {
            let path = list.index(index);
            if uid.is_empty() {
                causes.invalid(&path, uid, "must not be empty");
            } else if !seen.insert(uid) {
                causes.duplicate(&path, uid);
            }
        }
    }
}

fn terminal_conditions(new: &Facts<'_>, changed: Changed, path: &Path<'_>, causes: &mut Causes) {
    if (changed.complete || changed.failed) && new.is(COMPLETE) && new.is(FAILED) {
        causes.invalid_whole(path, "cannot set Complete=True and Failed=true conditions");
    }
    if (changed.complete || changed.failure_target) && new.is(COMPLETE) && new.is(FAILURE_TARGET) {
        causes.invalid_whole(path, "cannot set Complete=True and FailureTarget=true conditions");
    }
}

fn times(new: &Facts<'_>, changed: Changed, path: &Path<'_>, causes: &mut Causes) {
    let status = new.status;
    let path = path.child("completionTime");
    if changed.complete || changed.completion_time {
        match &status.completion_time {
            Some(time) if !new.is(COMPLETE) => {
                let detail = "cannot set completionTime when there is no Complete=True condition";
                causes.invalid(&path, time, detail);
            }
            None if new.is(COMPLETE) => {
                causes.required(&path, "completionTime is required for Complete jobs");
            }
            Some(_) | None => {}
        }
    }
    if (changed.start_time || changed.completion_time)
        && let (Some(start), Some(end)) = (&status.start_time, &status.completion_time)
        && end.0 < start.0
    {
        causes.invalid(&path, end, "must be equal to or after `startTime`");
    }
}

fn required_conditions(new: &Facts<'_>, changed: Changed, path: &Path<'_>, causes: &mut Causes) {
    if (changed.failed || changed.failure_target) && new.is(FAILED) && !new.is(FAILURE_TARGET) {
        let detail = "cannot set Failed=True condition without the FailureTarget=true condition";
        causes.invalid_whole(path, detail);
    }
    if (changed.complete || changed.success_criteria_met)
        && new.is(COMPLETE)
        && !new.is(SUCCESS_CRITERIA_MET)
    {
        let detail =
            "cannot set Complete=True condition without the SuccessCriteriaMet=true condition";
        causes.invalid_whole(path, detail);
    }
}

/// What a finished Job must and must not have.
fn finished(new: &Facts<'_>, changed: Changed, path: &Path<'_>, causes: &mut Causes) {
    let status = new.status;
    if !new.finished() {
        return;
    }
    if let Some(active) = status.active.filter(|active| *active > 0)
        && (changed.finished || changed.active)
    {
        let detail = "active>0 is invalid for finished job";
        causes.invalid(&path.child("active"), active, detail);
    }
    let nothing_to_do = new.spec.suspend == Some(true) && new.spec.completions == Some(0);
    let start = changed.finished || changed.start_time;
    if start && !nothing_to_do && status.start_time.is_none() {
        causes.required(&path.child("startTime"), "startTime is required for finished job");
    }
    let pods = status.uncounted_terminated_pods.as_ref();
    let any = pods.filter(|pods| [&pods.failed, &pods.succeeded].iter().any(|it| !is_empty(it)));
    if let Some(pods) = any.filter(|_| changed.finished || changed.uncounted) {
        let path = path.child("uncountedTerminatedPods");
        causes.invalid(&path, pods, "must be empty for finished job");
    }
}

fn is_empty(list: &Option<Vec<String>>) -> bool {
    list.as_ref().is_none_or(Vec::is_empty)
}

/// `completedIndexes` and `failedIndexes`: well formed, and of a Job that has such.
fn index_lists(new: &Facts<'_>, changed: Changed, path: &Path<'_>, causes: &mut Causes) {
    let completed = text(&new.status.completed_indexes);
    let failed = new.status.failed_indexes.as_deref();
    let per_index = new.spec.backoff_limit_per_index.is_some();
    let (at_completed, at_failed) = (path.child("completedIndexes"), path.child("failedIndexes"));
    if let Some(completions) = new.spec.completions {
        if changed.completed_indexes
            && let Err(error) = indexes::count(completed, completions)
        {
            let detail = format!("error parsing completedIndexes: {error}");
            causes.invalid(&at_completed, completed, detail);
        }
        if let Some(failed) = failed.filter(|_| changed.failed_indexes && per_index)
            && let Err(error) = indexes::count(failed, completions)
        {
            let detail = format!("error parsing failedIndexes: {error}");
            causes.invalid(&at_failed, failed, detail);
        }
    }
    if changed.completed_indexes && !completed.is_empty() && !new.indexed() {
        let detail = "cannot set non-empty completedIndexes when non-indexed completion mode";
        causes.invalid(&at_completed, completed, detail);
    }
    let Some(failed) = failed else { return };
    if changed.failed_indexes && !per_index {
        let detail = "cannot set non-null failedIndexes when backoffLimitPerIndex is null";
        causes.invalid(&at_failed, failed, detail);
    }
    if let Some(completions) = new.spec.completions
        && (changed.failed_indexes || changed.completed_indexes)
        && let Err(error) = indexes::disjoint(completed, failed, completions)
    {
        causes.invalid(&at_failed, failed, error);
    }
}

fn success_criteria(new: &Facts<'_>, path: &Path<'_>, causes: &mut Causes) {
    if new.is(SUCCESS_CRITERIA_MET) {
        for (kind, name) in [(FAILED, "Failed"), (FAILURE_TARGET, "FailureTarget")] {
            if new.is(kind) {
                let detail =
                    format!("cannot set SuccessCriteriaMet=True and {name}=true conditions");
                causes.invalid_whole(path, &detail);
            }
        }
    } else if new.spec.success_policy.is_some() && new.is(COMPLETE) {
        let detail =
            "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True";
        causes.invalid_whole(path, detail);
    }
}

/// What of the old status must last.
fn lasting(
    new: &Facts<'_>,
    old: &Facts<'_>,
    changed: Changed,
    path: &Path<'_>,
    causes: &mut Causes,
) {
    let conditions = path.child("conditions");
    if changed.lasting {
        for kind in [FAILED, COMPLETE, FAILURE_TARGET] {
            if old.is(kind) && !new.is(kind) {
                let detail = format!("cannot disable the terminal {kind}=True condition");
                causes.invalid_whole(&conditions, &detail);
            }
        }
        let number = |number: Option<i32>| number.unwrap_or(0);
        let failed = number(new.status.failed);
        if failed < number(old.status.failed) {
            causes.invalid(&path.child("failed"), failed, "cannot decrease the failed counter");
        }
        // An elastic Job's counter falls when its completions do.
        let elastic = new.indexed() && new.spec.completions == new.spec.parallelism;
        let succeeded = number(new.status.succeeded);
        if !elastic && succeeded < number(old.status.succeeded) {
            let detail = "cannot decrease the succeeded counter";
            causes.invalid(&path.child("succeeded"), succeeded, detail);
        }
        if let (Some(new), Some(_)) = (&new.status.completion_time, &old.status.completion_time) {
            let path = path.child("completionTime");
            immutable(&Some(new), &old.status.completion_time.as_ref(), &path, causes);
        }
    }
    let suspended = new.spec.suspend == Some(true);
    if changed.own_start_time && old.status.start_time.is_some() && !suspended {
        let new = &new.status.start_time;
        if at(new.as_ref()) != at(old.status.start_time.as_ref()) {
            let detail = format!("{IMMUTABLE} for unsuspended job once set");
            causes.invalid(&path.child("startTime"), new, detail);
        }
    }
    if old.is(SUCCESS_CRITERIA_MET) && !new.is(SUCCESS_CRITERIA_MET) {
        let detail = "cannot disable the SuccessCriteriaMet=True condition";
        causes.invalid_whole(&conditions, detail);
    }
    if old.is(COMPLETE) && !old.is(SUCCESS_CRITERIA_MET) && new.is(SUCCESS_CRITERIA_MET) {
        let detail =
            "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions";
        causes.invalid_whole(&conditions, detail);
    }
}
