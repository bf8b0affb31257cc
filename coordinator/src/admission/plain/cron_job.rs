//! CronJobs: a schedule, and the Jobs that are made by it.

use k8s_openapi::api::batch::v1::CronJob;
use serde_json::{Value, json};

use super::rules::{Rules, read_plainly};
use crate::admission::cause::{Causes, Path};
use crate::admission::defaults::{default, default_text, failure_policy, object};
use crate::admission::read::{Identity, typed_as};
use crate::admission::unsupported::{self, JOB_SPEC};
use crate::admission::{pod_defaults, semantic, text, validate};

/// CronJobs.
pub static CRON_JOB: Rules = Rules {
    identity: Identity { api_version: "batch/v1", kind: "CronJob" },
    namespaced: true,
    name: text::dns_subdomain,
    read: read_plainly::<CronJob>,
    complete,
    carry,
    judge,
    judge_change,
};

/// Fills in what the user left out; the Job's own defaults are left to the Jobs that are made.
pub fn default_cron_job(cron_job: &mut Value) {
    let Some(members) = cron_job.as_object_mut() else { return };
    let spec = object(members, "spec");
    default_text(spec, "concurrencyPolicy", "Allow");
    default(spec, "suspend", || json!(false));
    default(spec, "successfulJobsHistoryLimit", || json!(3));
    default(spec, "failedJobsHistoryLimit", || json!(1));
    let job = object(object(spec, "jobTemplate"), "spec");
    failure_policy(job);
    pod_defaults::apply(object(object(job, "template"), "spec"));
}

fn complete(cron_job: &mut Value) {
    default_cron_job(cron_job);
    let Some(members) = cron_job.as_object_mut() else { return };
    if members.get("metadata").is_none_or(|metadata| metadata.get("generation").is_none()) {
        members.insert("status".to_owned(), json!({}));
    }
    default(object(members, "metadata"), "generation", || json!(1));
}

fn carry(new: &mut Value, old: &Value) {
    default_cron_job(new);
    new["status"] = old["status"].clone();
    let generation = old["metadata"]["generation"].as_i64().unwrap_or(1);
    let changed = !semantic::equal(&new["spec"], &old["spec"]);
    new["metadata"]["generation"] = json!(generation + i64::from(changed));
}

fn judge(cron_job: &Value, causes: &mut Causes) {
    if cron_job["metadata"].get("resourceVersion").is_none() {
        judge_spec(cron_job, None, causes);
        let name = cron_job["metadata"]["name"].as_str().unwrap_or_default();
        validate::cron_job_name(name, causes);
    }
    let spec = Path::root("spec");
    let template = spec.child("jobTemplate");
    let job = &cron_job["spec"]["jobTemplate"]["spec"];
    unsupported::check_in(job, JOB_SPEC, &template.child("spec"), causes);
}

fn judge_change(new: &Value, old: &Value, causes: &mut Causes) {
    judge_spec(new, Some(old), causes);
}

fn judge_spec(cron_job: &Value, old: Option<&Value>, causes: &mut Causes) {
    let read = |object: &Value| typed_as::<CronJob>(object, CRON_JOB.identity).ok();
    let (Some(new), old) = (read(cron_job), old.and_then(read)) else { return };
    let old = old.as_ref().map(|old| &old.spec);
    validate::cron_job_spec(&new.spec, old, &Path::root("spec"), causes);
}
