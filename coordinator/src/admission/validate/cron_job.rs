//! CronJobs: the schedule, its zone, and the template of its Jobs.

use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, JobSpec, JobTemplateSpec};

use super::metadata::{self, not_negative};
use super::spec::template_spec;
use crate::admission::cause::{Causes, Path};
use crate::cron::{JOB_NAME_SUFFIX, Schedule, time_zone};

/// Most letters of a Job's name.
const NAME_LENGTH: usize = 63;
const POLICIES: [&str; 3] = ["Allow", "Forbid", "Replace"];

/// Everything that is wrong with a new CronJob.
#[must_use]
pub fn cron_job(cron_job: &CronJob) -> Causes {
    let mut causes = Causes::default();
    metadata::object_meta(&cron_job.metadata, &Path::root("metadata"), &mut causes);
    cron_job_spec(&cron_job.spec, None, &Path::root("spec"), &mut causes);
    cron_job_name(cron_job.metadata.name.as_deref().unwrap_or_default(), &mut causes);
    causes
}

/// Everything that is wrong with a change of a CronJob.
#[must_use]
pub fn cron_job_update(new: &CronJob, old: &CronJob) -> Causes {
    let mut causes = Causes::default();
    let path = Path::root("metadata");
    metadata::meta_update(&new.metadata, &old.metadata, &path, &mut causes);
    cron_job_spec(&new.spec, Some(&old.spec), &Path::root("spec"), &mut causes);
    causes
}

/// A new CronJob's name must leave room for what its Jobs' names have besides.
pub fn cron_job_name(name: &str, causes: &mut Causes) {
    let most = NAME_LENGTH - JOB_NAME_SUFFIX;
    if name.len() > most {
        let detail = format!("must be no more than {most} characters");
        causes.invalid(&Path::root("metadata").child("name"), name, detail);
    }
}

/// Everything that is wrong with a CronJob's spec; of a changed one, seen against the `old`.
pub fn cron_job_spec(
    spec: &CronJobSpec,
    old: Option<&CronJobSpec>,
    path: &Path<'_>,
    causes: &mut Causes,
) {
    let zone = spec.time_zone.as_deref();
    if spec.schedule.is_empty() {
        causes.required(&path.child("schedule"), "");
    } else {
        let zone_allowed = old.is_some_and(|old| old.schedule.contains("TZ"));
        schedule(&spec.schedule, zone_allowed, zone, &path.child("schedule"), causes);
    }
    not_negative(spec.starting_deadline_seconds, &path.child("startingDeadlineSeconds"), causes);
    if old.is_none_or(|old| old.time_zone != spec.time_zone)
        && let Some(zone) = zone
    {
        zone_name(zone, &path.child("timeZone"), causes);
    }
    let policy = path.child("concurrencyPolicy");
    match spec.concurrency_policy.as_deref().unwrap_or_default() {
        "" => causes.required(&policy, ""),
        known if POLICIES.contains(&known) => {}
        other => causes.not_supported(&policy, other, &POLICIES),
    }
    template(&spec.job_template, &path.child("jobTemplate"), causes);
    not_negative(
        spec.successful_jobs_history_limit,
        &path.child("successfulJobsHistoryLimit"),
        causes,
    );
    not_negative(spec.failed_jobs_history_limit, &path.child("failedJobsHistoryLimit"), causes);
}

/// A schedule; a zone in it is let be where there was one before.
pub fn schedule(
    text: &str,
    zone_allowed: bool,
    zone: Option<&str>,
    path: &Path<'_>,
    causes: &mut Causes,
) {
    if let Err(fault) = Schedule::parse(text, &jiff::tz::TimeZone::UTC) {
        causes.invalid(path, text, fault);
    }
    if !text.contains("TZ") {
        return;
    }
    if !zone_allowed {
        let detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
        causes.invalid(path, text, detail);
    } else if zone.is_some() {
        let detail = "cannot use both timeZone field and TZ or CRON_TZ in schedule";
        causes.invalid(path, text, detail);
    }
}

fn zone_name(zone: &str, path: &Path<'_>, causes: &mut Causes) {
    if zone.is_empty() {
        causes.invalid(path, zone, "timeZone must be nil or non-empty string");
        return;
    }
    if zone.eq_ignore_ascii_case("local") {
        let detail = "timeZone must be an explicit time zone as defined in \
                      https://www.iana.org/time-zones";
        causes.invalid(path, zone, detail);
    }
    if let Err(fault) = time_zone(zone) {
        causes.invalid(path, zone, fault);
    }
}

/// Jobs get a selector of their own: a template has none.
fn template(template: &JobTemplateSpec, path: &Path<'_>, causes: &mut Causes) {
    let default = JobSpec::default();
    let spec = template.spec.as_ref().unwrap_or(&default);
    let path = path.child("spec");
    template_spec(spec, &path, causes);
    if let Some(selector) = &spec.selector {
        causes.invalid(&path.child("selector"), selector, "`selector` will be auto-generated");
    }
    if spec.manual_selector == Some(true) {
        causes.not_supported(&path.child("manualSelector"), true, &["nil", "false"]);
    }
}
