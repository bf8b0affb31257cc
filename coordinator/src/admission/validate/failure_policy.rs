//! `spec.podFailurePolicy`: rules about exit codes and conditions of failed pods.

use std::collections::HashSet;

use k8s_openapi::api::batch::v1::{
    JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement as OnExitCodes,
    PodFailurePolicyOnPodConditionsPattern as Pattern, PodFailurePolicyRule as Rule,
};

use crate::admission::cause::{Causes, Path};
use crate::admission::text;

const MAX_RULES: usize = 20;
const MAX_EXIT_CODES: usize = 255;
const MAX_PATTERNS: usize = 20;
const ACTIONS: [&str; 4] = ["Count", "FailIndex", "FailJob", "Ignore"];
const OPERATORS: [&str; 2] = ["In", "NotIn"];
const STATUSES: [&str; 3] = ["False", "True", "Unknown"];

/// Everything that is wrong with a failure policy.
pub(super) fn check(
    spec: &JobSpec,
    policy: &PodFailurePolicy,
    path: &Path<'_>,
    causes: &mut Causes,
) {
    let rules = path.child("rules");
    if policy.rules.len() > MAX_RULES {
        causes.too_many(&rules, policy.rules.len(), MAX_RULES);
    }
    let pod = spec.template.spec.as_ref();
    let containers = pod.into_iter().flat_map(|pod| {
        pod.containers.iter().chain(pod.init_containers.iter().flatten()).map(|it| it.name.as_str())
    });
    let names: HashSet<&str> = containers.collect();
    for (index, rule) in policy.rules.iter().enumerate() {
        check_rule(spec, rule, &rules.index(index), &names, causes);
    }
}

fn check_rule(
    spec: &JobSpec,
    rule: &Rule,
    path: &Path<'_>,
    containers: &HashSet<&str>,
    causes: &mut Causes,
) {
    let action = path.child("action");
    match rule.action.as_str() {
        "" => causes.required(&action, valid_values(&ACTIONS)),
        "FailIndex" if spec.backoff_limit_per_index.is_none() => {
            causes.invalid(&action, &rule.action, "requires the backoffLimitPerIndex to be set");
        }
        known if ACTIONS.contains(&known) => {}
        unknown => causes.not_supported(&action, unknown, &ACTIONS),
    }
    let patterns = rule.on_pod_conditions.as_deref().unwrap_or_default();
    if let Some(codes) = &rule.on_exit_codes {
        on_exit_codes(codes, &path.child("onExitCodes"), containers, causes);
    }
    on_pod_conditions(patterns, &path.child("onPodConditions"), causes);
    match (&rule.on_exit_codes, patterns) {
        (Some(_), [_, ..]) => causes.invalid_whole(
            path,
            "specifying both OnExitCodes and OnPodConditions is not supported",
        ),
        (None, []) => causes
            .invalid_whole(path, "specifying one of OnExitCodes and OnPodConditions is required"),
        _ => {}
    }
}

fn on_pod_conditions(patterns: &[Pattern], path: &Path<'_>, causes: &mut Causes) {
    if patterns.len() > MAX_PATTERNS {
        causes.too_many(path, patterns.len(), MAX_PATTERNS);
    }
    for (index, pattern) in patterns.iter().enumerate() {
        let path = path.index(index);
        let faults = text::qualified_name(&pattern.type_);
        causes.invalid_each(&path.child("type"), &pattern.type_, faults);
        match pattern.status.as_deref().unwrap_or_default() {
            "" => causes.required(&path.child("status"), valid_values(&STATUSES)),
            known if STATUSES.contains(&known) => {}
            unknown => causes.not_supported(&path.child("status"), unknown, &STATUSES),
        }
    }
}

fn on_exit_codes(
    codes: &OnExitCodes,
    path: &Path<'_>,
    containers: &HashSet<&str>,
    causes: &mut Causes,
) {
    match codes.operator.as_str() {
        "" => causes.required(&path.child("operator"), valid_values(&OPERATORS)),
        known if OPERATORS.contains(&known) => {}
        unknown => causes.not_supported(&path.child("operator"), unknown, &OPERATORS),
    }
    if let Some(name) = codes.container_name.as_deref().filter(|name| !containers.contains(name)) {
        let detail = "must be one of the container or initContainer names in the pod template";
        causes.invalid(&path.child("containerName"), name, detail);
    }
    exit_codes(codes, &path.child("values"), causes);
}

fn exit_codes(codes: &OnExitCodes, path: &Path<'_>, causes: &mut Causes) {
    match codes.values.len() {
        0 => causes.invalid(path, &codes.values, "at least one value is required"),
        count if count > MAX_EXIT_CODES => causes.too_many(path, count, MAX_EXIT_CODES),
        _ => {}
    }
    let mut seen = HashSet::new();
    for (index, code) in codes.values.iter().enumerate() {
        let path = path.index(index);
        if codes.operator == "In" && *code == 0 {
            causes.invalid(&path, code, "must not be 0 for the In operator");
        }
        if !seen.insert(*code) {
            causes.duplicate(&path, code);
        }
    }
    if !codes.values.is_sorted() {
        causes.invalid(path, &codes.values, "must be ordered");
    }
}

/// `valid values: ["A" "B"]`, as Go prints a list.
fn valid_values(values: &[&str]) -> String {
    let quoted: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    format!("valid values: [{}]", quoted.join(" "))
}
