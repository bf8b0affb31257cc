//! `spec.successPolicy`: when an Indexed Job has succeeded before all its indexes have.

use k8s_openapi::api::batch::v1::{JobSpec, SuccessPolicy, SuccessPolicyRule as Rule};

use super::indexes;
use super::metadata::not_negative;
use crate::admission::cause::{Causes, Path};

const MAX_RULES: usize = 20;
const MAX_INDEXES_BYTES: usize = 64 * 1024;

/// Everything that is wrong with a success policy.
pub(super) fn check(spec: &JobSpec, policy: &SuccessPolicy, path: &Path<'_>, causes: &mut Causes) {
    if spec.completion_mode.as_deref() != Some("Indexed") {
        causes.invalid(path, policy, "requires indexed completion mode");
        return;
    }
    let rules = path.child("rules");
    if policy.rules.is_empty() {
        let detail = "at least one rules must be specified when the successPolicy is specified";
        causes.required(&rules, detail);
    }
    if policy.rules.len() > MAX_RULES {
        causes.too_many(&rules, policy.rules.len(), MAX_RULES);
    }
    // Without completions there is nothing to compare with; that they are missing is said
    // elsewhere.
    let completions = spec.completions.unwrap_or(0);
    for (index, rule) in policy.rules.iter().enumerate() {
        check_rule(rule, completions, &rules.index(index), causes);
    }
}

fn check_rule(rule: &Rule, completions: i32, path: &Path<'_>, causes: &mut Causes) {
    if rule.succeeded_count.is_none() && rule.succeeded_indexes.is_none() {
        let detail = "at least one of succeededCount or succeededIndexes must be specified";
        causes.required(path, detail);
    }
    let total = rule
        .succeeded_indexes
        .as_deref()
        .map(|text| succeeded_indexes(text, completions, &path.child("succeededIndexes"), causes));
    let Some(count) = rule.succeeded_count else { return };
    let path = path.child("succeededCount");
    not_negative(Some(count), &path, causes);
    if count > completions {
        let detail = format!(
            "must be less than or equal to {completions} (the number of specified completions)"
        );
        causes.invalid(&path, count, detail);
    }
    if let Some(total) = total.filter(|total| count > *total) {
        let detail = format!(
            "must be less than or equal to {total} (the number of indexes in the specified \
             succeededIndexes field)"
        );
        causes.invalid(&path, count, detail);
    }
}

/// How many indexes the text names; 0 when it cannot be read, as Kubernetes has it.
fn succeeded_indexes(text: &str, completions: i32, path: &Path<'_>, causes: &mut Causes) -> i32 {
    if text.len() > MAX_INDEXES_BYTES {
        causes.too_long(path, MAX_INDEXES_BYTES);
    }
    indexes::count(text, completions).unwrap_or_else(|error| {
        causes.invalid(path, text, format!("error parsing succeededIndexes: {error}"));
        0
    })
}
