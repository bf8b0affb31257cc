//! A spec's label selector: is it one, and does it match.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use super::job::Options;
use super::metadata;
use crate::admission::cause::{Causes, Path};
use crate::admission::text;

type Labels = BTreeMap<String, String>;

/// Everything that is wrong with a selector.
pub(super) fn label_selector(
    selector: &LabelSelector,
    path: &Path<'_>,
    options: &Options,
    causes: &mut Causes,
) {
    metadata::labels(selector.match_labels.as_ref(), &path.child("matchLabels"), causes);
    let list = path.child("matchExpressions");
    for (index, expression) in selector.match_expressions.iter().flatten().enumerate() {
        requirement(expression, &list.index(index), options, causes);
    }
}

fn requirement(
    expression: &LabelSelectorRequirement,
    path: &Path<'_>,
    options: &Options,
    causes: &mut Causes,
) {
    let values = expression.values.as_deref().unwrap_or_default();
    let list = path.child("values");
    match expression.operator.as_str() {
        "In" | "NotIn" if values.is_empty() => {
            causes.required(&list, "must be specified when `operator` is 'In' or 'NotIn'");
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            causes.forbidden(&list, detail);
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        operator => {
            causes.invalid(&path.child("operator"), operator, "not a valid selector operator");
        }
    }
    causes.invalid_each(&path.child("key"), &expression.key, text::qualified_name(&expression.key));
    if !options.allow_invalid_selector_values {
        for (index, value) in values.iter().enumerate() {
            causes.invalid_each(&list.index(index), value, text::label_value(value));
        }
    }
}

/// Whether a selector has a value that no label can have.
pub(super) fn has_invalid_value(selector: &LabelSelector) -> bool {
    let mut values =
        selector.match_expressions.iter().flatten().flat_map(|it| it.values.iter().flatten());
    values.any(|value| !text::label_value(value).is_empty())
}

/// Whether labels fulfil a selector. `None` when the selector cannot be understood, which is a
/// fault of its own.
pub(super) fn matches(selector: &LabelSelector, labels: Option<&Labels>) -> Option<bool> {
    let value = |key: &str| labels.and_then(|labels| labels.get(key));
    let mut all = true;
    for (key, wanted) in selector.match_labels.iter().flatten() {
        all &= value(key) == Some(wanted);
    }
    for expression in selector.match_expressions.iter().flatten() {
        let values = expression.values.as_deref().unwrap_or_default();
        let found = value(&expression.key);
        let listed = found.is_some_and(|found| values.contains(found));
        all &= match (expression.operator.as_str(), values.is_empty()) {
            ("In", false) => listed,
            ("NotIn", false) => !listed,
            ("Exists", true) => found.is_some(),
            ("DoesNotExist", true) => found.is_none(),
            _ => return None,
        };
    }
    Some(all)
}
