//! `spec` of a Job: its numbers, its mode, and how these go together.

use k8s_openapi::api::batch::v1::JobSpec;
use k8s_openapi::api::core::v1::PodSpec;

use super::job::Options;
use super::metadata::not_negative;
use super::{failure_policy, pod, selector, success_policy};
use crate::admission::cause::{Causes, Path};
use crate::admission::text;

/// Most pods at a time of an Indexed Job.
const MAX_PARALLELISM: i32 = 100_000;
/// Most indexes that may fail.
const MAX_FAILED_INDEXES: i32 = 100_000;
/// Above so many completions a Job with a back-off limit per index has lower limits.
const MANY_COMPLETIONS: i32 = 100_000;
/// These: pods at a time, and indexes that may fail.
const LIMIT_FOR_MANY: i32 = 10_000;
/// Most bytes of `managedBy`.
const MANAGED_BY_LENGTH: usize = 63;

/// Everything that is wrong with a Job's spec.
pub(super) fn job_spec(spec: &JobSpec, path: &Path<'_>, options: &Options, causes: &mut Causes) {
    template_spec(spec, path, causes);
    matching_selector(spec, path, options, causes);
}

/// Everything that is wrong with the spec of a template of Jobs; they get selectors of their own.
pub(super) fn template_spec(spec: &JobSpec, path: &Path<'_>, causes: &mut Causes) {
    numbers(spec, path, causes);
    if let Some(manager) = &spec.managed_by {
        managed_by(manager, &path.child("managedBy"), causes);
    }
    completion_mode(spec, path, causes);
    if let Some(policy) = &spec.pod_failure_policy {
        failure_policy::check(spec, policy, &path.child("podFailurePolicy"), causes);
    }
    if let Some(policy) = &spec.success_policy {
        success_policy::check(spec, policy, &path.child("successPolicy"), causes);
    }
    replacement_policy(spec, &path.child("podReplacementPolicy"), causes);
    let template = path.child("template");
    pod::template(&spec.template, &template, causes);
    restart_policy(spec, &template.child("spec").child("restartPolicy"), causes);
}

fn numbers(spec: &JobSpec, path: &Path<'_>, causes: &mut Causes) {
    not_negative(spec.parallelism, &path.child("parallelism"), causes);
    not_negative(spec.completions, &path.child("completions"), causes);
    not_negative(spec.active_deadline_seconds, &path.child("activeDeadlineSeconds"), causes);
    not_negative(spec.backoff_limit, &path.child("backoffLimit"), causes);
    not_negative(spec.ttl_seconds_after_finished, &path.child("ttlSecondsAfterFinished"), causes);
    not_negative(spec.backoff_limit_per_index, &path.child("backoffLimitPerIndex"), causes);
    not_negative(spec.max_failed_indexes, &path.child("maxFailedIndexes"), causes);
    if spec.max_failed_indexes.is_some() && spec.backoff_limit_per_index.is_none() {
        causes.required(&path.child("backoffLimitPerIndex"), "when maxFailedIndexes is specified");
    }
}

/// A domain, a slash, and a path.
fn managed_by(manager: &str, path: &Path<'_>, causes: &mut Causes) {
    match manager.split_once('/') {
        _ if manager.is_empty() => causes.required(path, ""),
        Some((host, rest)) if !host.is_empty() && !rest.is_empty() => {
            causes.invalid_each(path, host, text::dns_subdomain(host));
            if let Some(fault) = text::http_path(rest) {
                causes.invalid(path, rest, fault);
            }
        }
        _ => {
            let detail = "must be a domain-prefixed path (such as \"acme.io/foo\")";
            causes.invalid(path, manager, detail);
        }
    }
    if manager.len() > MANAGED_BY_LENGTH {
        causes.too_long(path, MANAGED_BY_LENGTH);
    }
}

fn completion_mode(spec: &JobSpec, path: &Path<'_>, causes: &mut Causes) {
    match spec.completion_mode.as_deref() {
        Some("Indexed") => indexed(spec, path, causes),
        Some("NonIndexed") | None => {
            for (name, value) in [
                ("backoffLimitPerIndex", spec.backoff_limit_per_index),
                ("maxFailedIndexes", spec.max_failed_indexes),
            ] {
                if let Some(value) = value {
                    causes.invalid(&path.child(name), value, "requires indexed completion mode");
                }
            }
        }
        Some(mode) => {
            causes.not_supported(&path.child("completionMode"), mode, &["NonIndexed", "Indexed"]);
        }
    }
}

fn indexed(spec: &JobSpec, path: &Path<'_>, causes: &mut Causes) {
    let (parallelism, failed) = (path.child("parallelism"), path.child("maxFailedIndexes"));
    if spec.completions.is_none() {
        causes.required(&path.child("completions"), "when completion mode is Indexed");
    }
    if let Some(value) = spec.parallelism.filter(|value| *value > MAX_PARALLELISM) {
        let detail = format!(
            "must be less than or equal to {MAX_PARALLELISM} when completion mode is Indexed"
        );
        causes.invalid(&parallelism, value, detail);
    }
    let completions = spec.completions.unwrap_or(i32::MAX);
    if let Some(value) = spec.max_failed_indexes.filter(|value| *value > completions) {
        causes.invalid(&failed, value, "must be less than or equal to completions");
    }
    if let Some(value) = spec.max_failed_indexes.filter(|value| *value > MAX_FAILED_INDEXES) {
        let detail = format!("must be less than or equal to {MAX_FAILED_INDEXES}");
        causes.invalid(&failed, value, detail);
    }
    let many = spec.completions.is_some_and(|count| count > MANY_COMPLETIONS);
    if many && spec.backoff_limit_per_index.is_some() {
        if spec.max_failed_indexes.is_none() {
            let detail = format!("must be specified when completions is above {MANY_COMPLETIONS}");
            causes.required(&failed, detail);
        }
        for (path, value) in [(&parallelism, spec.parallelism), (&failed, spec.max_failed_indexes)]
        {
            if let Some(value) = value.filter(|value| *value > LIMIT_FOR_MANY) {
                let detail = format!(
                    "must be less than or equal to {LIMIT_FOR_MANY} when completions are above \
                     {MANY_COMPLETIONS} and used with backoff limit per index"
                );
                causes.invalid(path, value, detail);
            }
        }
    }
}

/// With a failure policy only pods that have ended are replaced.
fn replacement_policy(spec: &JobSpec, path: &Path<'_>, causes: &mut Causes) {
    let Some(policy) = spec.pod_replacement_policy.as_deref() else { return };
    let known: &[&str] = match spec.pod_failure_policy {
        Some(_) => &["Failed"],
        None => &["Failed", "TerminatingOrFailed"],
    };
    if !known.contains(&policy) {
        causes.not_supported(path, policy, known);
    }
}

/// A Job's pods end: Always is refused, and is also what an absent policy becomes by default.
fn restart_policy(spec: &JobSpec, path: &Path<'_>, causes: &mut Causes) {
    let default = PodSpec::default();
    let pod = spec.template.spec.as_ref().unwrap_or(&default);
    match pod.restart_policy.as_deref().unwrap_or_default() {
        "Always" | "" => causes.required(path, "valid values: \"OnFailure\", \"Never\""),
        "Never" => {}
        "OnFailure" if spec.pod_failure_policy.is_none() => {}
        "OnFailure" => {
            let detail = "only \"Never\" is supported when podFailurePolicy is specified";
            causes.invalid(path, "OnFailure", detail);
        }
        other => causes.not_supported(path, other, &["OnFailure", "Never"]),
    }
}

/// However the selector came about, it must match the pods that will be made.
fn matching_selector(spec: &JobSpec, path: &Path<'_>, options: &Options, causes: &mut Causes) {
    let labels = spec.template.metadata.as_ref().and_then(|metadata| metadata.labels.as_ref());
    let matches = match &spec.selector {
        None => {
            causes.required(&path.child("selector"), "");
            Some(false)
        }
        Some(selector) => {
            selector::label_selector(selector, &path.child("selector"), options, causes);
            selector::matches(selector, labels)
        }
    };
    if matches == Some(false) {
        let detail = "`selector` does not match template `labels`";
        causes.invalid(&path.child("template").child("metadata").child("labels"), labels, detail);
    }
}
