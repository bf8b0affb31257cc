//! What a Job asks for, in the terms that decisions are made in.
//!
//! The only file here that knows Kubernetes' own types: an admitted Job has its defaults filled in,
//! so nothing past this point asks "and if it is absent?".

use k8s_openapi::api::batch::v1::{
    Job as ApiJob, JobSpec as ApiSpec, PodFailurePolicy as ApiFailurePolicy,
    PodFailurePolicyRule as ApiFailureRule, SuccessPolicy as ApiSuccessPolicy,
};
use stint_common::annotations::Extensions;
use stint_common::backoff::Backoff;
use stint_common::index_set::IndexSet;

use super::failure_policy::{
    ExitOperator, FailureAction, FailureMatch, FailurePolicy, FailureRule,
};
use super::pod::ConditionStatus;
use super::success_policy::{SuccessPolicy, SuccessRule};

/// `managedBy` of Jobs that are Stint's, as they would be Kubernetes' own controller's.
const JOB_CONTROLLER: &str = "kubernetes.io/job-controller";

/// `spec` of a Job, as far as it decides about pods and conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobSpec {
    /// `parallelism`: at most so many pods are active; 0 pauses.
    pub parallelism: u32,
    /// `completions`; `None` is a work queue, done after one success when no pod runs any more.
    pub completions: Option<u32>,
    /// `completionMode: Indexed`.
    pub indexed: bool,
    /// `completionMode` is one that this build does not know: the Job is left alone.
    pub unknown_mode: bool,
    /// `managedBy` another controller: the Job is never touched, not even its status.
    pub managed_by_another: bool,
    /// `backoffLimit`: more failures than that fail the Job.
    pub backoff_limit: u32,
    /// `backoffLimitPerIndex`: an index whose failures reach that before its next one has failed.
    /// Each index then has a back-off of its own.
    pub backoff_limit_per_index: Option<u32>,
    /// `maxFailedIndexes`: more failed indexes than that fail the Job.
    pub max_failed_indexes: Option<u32>,
    /// The delays before failed pods are replaced; Kubernetes' own unless annotated otherwise.
    pub backoff: Backoff,
    /// `podFailurePolicy`.
    pub failure_policy: Option<FailurePolicy>,
    /// `successPolicy`.
    pub success_policy: Option<SuccessPolicy>,
    /// `activeDeadlineSeconds`, counted from `status.startTime`.
    pub active_deadline_seconds: Option<u64>,
    /// `ttlSecondsAfterFinished`.
    pub ttl_seconds_after_finished: Option<u64>,
    /// Annotated: the same for a Job that failed.
    pub ttl_seconds_after_failed: Option<u64>,
    /// Annotated: Jobs of the same namespace that must be complete before this one starts.
    pub depends_on: Vec<String>,
    /// Annotated: the only indexes that run. From its creation on this is in the ledger.
    pub indexes: Option<IndexSet>,
    /// `suspend`.
    pub suspend: bool,
    /// The template's `restartPolicy` is `OnFailure`: restarts in place count to the back-off
    /// limit.
    pub restart_on_failure: bool,
    /// `podReplacementPolicy: Failed`: a terminating pod keeps its place until it has ended.
    pub replace_only_failed: bool,
    /// The template's `terminationGracePeriodSeconds`.
    pub grace_seconds: u32,
}

/// Kubernetes' default of `terminationGracePeriodSeconds`.
const DEFAULT_GRACE_SECONDS: u32 = 30;
/// Kubernetes' default of `backoffLimit`.
const DEFAULT_BACKOFF_LIMIT: u32 = 6;

impl JobSpec {
    /// Reads a Job that was defaulted and admitted.
    #[must_use]
    pub fn from_job(job: &ApiJob) -> Self {
        let Some(spec) = &job.spec else {
            return Self::default();
        };
        let pod = spec.template.spec.as_ref();
        let restart_policy = pod.and_then(|pod| pod.restart_policy.as_deref());
        let grace = pod.and_then(|pod| pod.termination_grace_period_seconds);
        let failed_only = spec.pod_replacement_policy.as_deref() == Some("Failed");
        let mode = spec.completion_mode.as_deref().unwrap_or("NonIndexed");
        let indexed = mode == "Indexed";
        let manager = spec.managed_by.as_deref().unwrap_or(JOB_CONTROLLER);
        // Admission refused what cannot be read.
        let extensions = Extensions::read(job.metadata.annotations.as_ref(), |_, _| {});
        Self {
            parallelism: spec.parallelism.map_or(1, count),
            completions: spec.completions.map(count),
            indexed,
            unknown_mode: !indexed && mode != "NonIndexed",
            managed_by_another: manager != JOB_CONTROLLER,
            backoff_limit: spec.backoff_limit.map_or(DEFAULT_BACKOFF_LIMIT, count),
            backoff_limit_per_index: spec.backoff_limit_per_index.filter(|_| indexed).map(count),
            max_failed_indexes: spec.max_failed_indexes.map(count),
            backoff: extensions.backoff,
            failure_policy: spec.pod_failure_policy.as_ref().map(failure_policy),
            success_policy: success_policy(spec).filter(|_| indexed),
            active_deadline_seconds: spec.active_deadline_seconds.map(seconds),
            ttl_seconds_after_finished: spec
                .ttl_seconds_after_finished
                .map(|ttl| seconds(i64::from(ttl))),
            ttl_seconds_after_failed: extensions.ttl_seconds_after_failed,
            depends_on: extensions.depends_on,
            indexes: extensions.indexes.filter(|_| indexed),
            suspend: spec.suspend.unwrap_or(false),
            restart_on_failure: restart_policy == Some("OnFailure"),
            // SEMANTICS: a failure policy implies it, since only an ended pod can be judged.
            replace_only_failed: failed_only || spec.pod_failure_policy.is_some(),
            grace_seconds: grace
                .and_then(|grace| u32::try_from(grace).ok())
                .unwrap_or(DEFAULT_GRACE_SECONDS),
        }
    }

    /// Slots at or above this are not of the Job: `completions` of an Indexed Job, else no limit.
    #[must_use]
    pub fn slot_limit(&self) -> u32 {
        match self.completions {
            Some(completions) if self.indexed => completions,
            Some(_) | None => u32::MAX,
        }
    }
}

impl Default for JobSpec {
    /// What Kubernetes makes of an empty `spec`.
    fn default() -> Self {
        Self {
            parallelism: 1,
            completions: Some(1),
            indexed: false,
            unknown_mode: false,
            managed_by_another: false,
            backoff_limit_per_index: None,
            max_failed_indexes: None,
            failure_policy: None,
            success_policy: None,
            backoff_limit: DEFAULT_BACKOFF_LIMIT,
            active_deadline_seconds: None,
            ttl_seconds_after_finished: None,
            ttl_seconds_after_failed: None,
            depends_on: Vec::new(),
            indexes: None,
            backoff: Backoff::POD_FAILURE,
            suspend: false,
            restart_on_failure: false,
            replace_only_failed: false,
            grace_seconds: DEFAULT_GRACE_SECONDS,
        }
    }
}

/// Admission refuses negative numbers; one that came past it means none.
fn count(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

fn seconds(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn failure_policy(policy: &ApiFailurePolicy) -> FailurePolicy {
    FailurePolicy { rules: policy.rules.iter().map(failure_rule).collect() }
}

/// Admission refuses a rule that asks for nothing; one that came past it matches nothing.
fn failure_rule(rule: &ApiFailureRule) -> FailureRule {
    let on = match (&rule.on_exit_codes, &rule.on_pod_conditions) {
        (Some(codes), _) => FailureMatch::ExitCodes {
            container: codes.container_name.clone(),
            operator: match codes.operator.as_str() {
                "In" => ExitOperator::In,
                "NotIn" => ExitOperator::NotIn,
                _ => ExitOperator::Unknown,
            },
            values: codes.values.clone(),
        },
        (None, patterns) => {
            let patterns = patterns.iter().flatten().filter_map(|pattern| {
                let status = ConditionStatus::parse(pattern.status.as_deref().unwrap_or("True"))?;
                Some((pattern.type_.clone(), status))
            });
            FailureMatch::PodConditions(patterns.collect())
        }
    };
    let action = match rule.action.as_str() {
        "FailJob" => Some(FailureAction::FailJob),
        "FailIndex" => Some(FailureAction::FailIndex),
        "Ignore" => Some(FailureAction::Ignore),
        "Count" => Some(FailureAction::Count),
        _ => None,
    };
    FailureRule { action, on }
}

fn success_policy(spec: &ApiSpec) -> Option<SuccessPolicy> {
    let ApiSuccessPolicy { rules } = spec.success_policy.as_ref()?;
    let completions = spec.completions.map_or(0, count);
    let indexes = |text: &str| IndexSet::parse_status(text, completions);
    let rules = rules.iter().map(|rule| SuccessRule {
        indexes: rule.succeeded_indexes.as_deref().map(indexes),
        count: rule.succeeded_count.map(count),
    });
    Some(SuccessPolicy { rules: rules.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(spec: serde_json::Value) -> JobSpec {
        let job = serde_json::json!({"apiVersion": "batch/v1", "kind": "Job", "spec": spec});
        JobSpec::from_job(&serde_json::from_value(job).unwrap())
    }

    #[test]
    fn a_manifest_is_read() {
        let spec = read(serde_json::json!({
            "parallelism": 3, "completions": 7, "completionMode": "Indexed", "suspend": true,
            "podReplacementPolicy": "Failed", "ttlSecondsAfterFinished": 60,
            "template": {"spec": {
                "restartPolicy": "OnFailure", "terminationGracePeriodSeconds": 5, "containers": [],
            }},
        }));
        let expect = JobSpec {
            parallelism: 3,
            completions: Some(7),
            indexed: true,
            ttl_seconds_after_finished: Some(60),
            suspend: true,
            restart_on_failure: true,
            replace_only_failed: true,
            grace_seconds: 5,
            ..JobSpec::default()
        };
        assert_eq!(spec, expect);
        assert_eq!(spec.slot_limit(), 7);
    }

    #[test]
    fn a_work_queue_keeps_no_completions() {
        let spec = read(serde_json::json!({
            "parallelism": 2, "template": {"spec": {"containers": []}},
        }));
        assert_eq!((spec.completions, spec.slot_limit()), (None, u32::MAX));
    }
}
