//! Kubernetes' own tables on defaulting, validation, updates of specs and statuses, warnings,
//! selectors and patches, run against admission.
//!
//! The vectors were made by running the real functions of Kubernetes v1.36.2; see their README.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::Job;
use serde_json::{Value, json};
use stint_coordinator::admission::validate::{self, Both, Changed, Options, indexes};
use stint_coordinator::admission::{
    Cause, defaults, generate, prepare_status, prepare_update, semantic, typed, warnings,
};
use stint_coordinator::registry::selector::{FieldSelector, LabelSelector, Operator, Requirement};

#[path = "vectors_admission/cron.rs"]
mod cron;
#[path = "vectors_admission/harness.rs"]
mod harness;
#[path = "vectors_admission/strategic.rs"]
mod strategic;

use harness::{Outcome, Tally, oracle, same, same_faults};

#[test]
fn the_tables_of_kubernetes_hold() {
    if !harness::root().is_dir() {
        println!("skipped: there are no vectors at {}", harness::root().display());
        return;
    }
    let mut tally = Tally::default();
    tally.run("batch-v1/TestSetDefaultJob", defaulting);
    tally.run("batch-validation/TestValidateJob", create);
    tally.run("batch-validation/TestValidateJobUpdate", update);
    tally.run("batch-validation/TestValidateIndexesString", indexes_string);
    tally.run("batch-validation/TestValidateFailedIndexesNotOverlapCompleted", overlap);
    tally.run("registry-job/TestJobStrategy_GetAttrs", attributes);
    tally.run("registry-job/TestJobStrategy_PrepareForCreate", prepare_for_create);
    tally.run("registry-job/TestJobStrategy_PrepareForUpdate", prepare_for_update);
    tally.run("registry-job/TestJobStrategy_Validate", create);
    tally.run("registry-job/TestJobStrategy_ValidateUpdate", strategy_update);
    for kind in ["MutablePodResources", "MutableSchedulingDirectives"] {
        let file = format!("registry-job/TestJobStrategy_ValidateUpdate_{kind}");
        tally.run(&file, strategy_update);
    }
    tally.run("registry-job/TestJobStrategy_WarningsOnCreate", warnings_on_create);
    tally.run("registry-job/TestJobStrategy_WarningsOnUpdate", warnings_on_update);
    tally.run("registry-job/TestWarningsForJobSpec", warnings_of_spec);
    tally.run("batch-validation/TestValidateJobUpdateStatus", status_update);
    tally.run("registry-job/TestStatusStrategy_PrepareForUpdate", prepare_for_status);
    tally.run("registry-job/TestStatusStrategy_ValidateUpdate", status_update);
    tally.run("labels/TestRequirementConstructor", requirement);
    tally.run("labels/TestRequirementSelectorMatching", requirement_matching);
    tally.run("labels/TestSelectorMatches", selector_matches);
    tally.run("labels/TestSelectorParse", selector_parse);
    tally.run("labels/TestSetSelectorParser", selector_parse);
    strategic::schema_holds();
    tally.run("strategicpatch/TestCustomStrategicMergePatch", strategic::apply);
    tally.run("strategicpatch/TestStrategicMergePatch", strategic::apply);
    cron::run(&mut tally);
    tally.finish();
}

fn job(json: &Value) -> Job {
    typed::read::<Job>(json).unwrap().object
}

fn defaulted(json: &Value) -> Value {
    let mut json = json.clone();
    defaults::apply(&mut json);
    json
}

fn defaulting(case: &Value) -> Outcome {
    let found = defaulted(&case["input"]["object"]);
    same("idempotent", &defaulted(&found), &found)?;
    let expected = &oracle(case)["object"];
    if semantic::equal(&found, expected) {
        return Ok(());
    }
    Err(format!("found {found:#}, expected {expected:#}"))
}

/// Runs a check on objects as they are, and as defaulting leaves them.
fn faults(case: &Value, check: impl Fn(&dyn Fn(&Value) -> Value) -> Vec<Cause>) -> Outcome {
    let expected = oracle(case);
    same_faults("as it is", &check(&Value::clone), &expected["errors"])?;
    same_faults("defaulted", &check(&defaulted), &expected["errorsAfterDefaulting"])
}

fn create(case: &Value) -> Outcome {
    let options = options(case, Options { require_prefixed_labels: true, ..Options::default() });
    faults(case, |form| validate::job(&job(&form(&case["input"]["job"])), &options).into_vec())
}

/// The options that the table gives, else those of the strategy.
fn options(case: &Value, strategy: Options) -> Options {
    let Some(given) = case["input"].get("opts") else { return strategy };
    let given = |name: &str| given[name] == true;
    Options {
        require_prefixed_labels: given("RequirePrefixedLabels"),
        allow_invalid_selector_values: given("AllowInvalidLabelValueInSelector"),
        mutable_scheduling: given("AllowMutableSchedulingDirectives"),
        mutable_resources: given("AllowMutablePodResources"),
    }
}

fn update(case: &Value) -> Outcome {
    let options = options(case, Options::default());
    faults(case, |form| {
        let (new, old) = (form(&case["input"]["newJob"]), form(&case["input"]["oldJob"]));
        let (new_job, old_job) = (job(&new), job(&old));
        let (new, old) = (Both { job: &new_job, json: &new }, Both { job: &old_job, json: &old });
        validate::job_update(new, old, &options).into_vec()
    })
}

/// The strategy looks at the new Job, then at the change.
fn strategy_update(case: &Value) -> Outcome {
    faults(case, |form| {
        let (new, old) = (form(&case["input"]["newJob"]), form(&case["input"]["oldJob"]));
        let (new_job, old_job) = (job(&new), job(&old));
        let options = Options::for_update(&old_job, &old);
        let (new, old) = (Both { job: &new_job, json: &new }, Both { job: &old_job, json: &old });
        let mut causes = validate::job(&new_job, &options);
        causes.append(validate::job_update(new, old, &options));
        causes.into_vec()
    })
}

/// The strategy looks at what changed; the table of the function itself at almost nothing.
fn status_update(case: &Value) -> Outcome {
    let input = &case["input"];
    let (new, old) = (job(&input["newJob"]), job(&input["oldJob"]));
    let changed = match input.get("opts") {
        None => Changed::between(&new, &old),
        Some(given) => Changed {
            own_start_time: given["RejectStartTimeUpdateForUnsuspendedJob"] == true,
            ..Changed::default()
        },
    };
    let causes = validate::job_status(&new, &old, changed).into_vec();
    same_faults("as it is", &causes, &oracle(case)["errors"])
}

fn prepare_for_status(case: &Value) -> Outcome {
    let mut job = case["input"]["newJob"].clone();
    let old = &case["input"]["oldJob"];
    let status = prepare_status(&mut job, old).map_err(|rejection| format!("{rejection:?}"))?;
    let expected = &oracle(case)["job"];
    same("spec", &job["spec"], &expected["spec"])?;
    same("status", &status, &expected["status"])
}

fn indexes_string(case: &Value) -> Outcome {
    let completions = i32::try_from(case["input"]["completions"].as_i64().unwrap()).unwrap();
    let found = indexes::count(case["input"]["indexes"].as_str().unwrap(), completions);
    let error = found.as_ref().err().map_or(Value::Null, |error| json!(error.to_string()));
    same("error", &error, &oracle(case)["error"])?;
    same("total", &json!(found.unwrap_or(0)), &oracle(case)["total"])
}

fn overlap(case: &Value) -> Outcome {
    let input = &case["input"];
    let text = |name: &str| input[name].as_str().unwrap();
    let completions = i32::try_from(input["completions"].as_i64().unwrap()).unwrap();
    let found = indexes::disjoint(text("completedIndexes"), text("failedIndexes"), completions);
    let error = found.err().map_or(Value::Null, |error| json!(error.to_string()));
    same("error", &error, &oracle(case)["error"])
}

fn attributes(case: &Value) -> Outcome {
    let job = &case["input"]["job"];
    for (field, value) in oracle(case)["fields"].as_object().unwrap() {
        let text = format!("{field}={}", value.as_str().unwrap());
        let selector: FieldSelector = text.parse().unwrap();
        same(&text, &selector.for_jobs().unwrap()(job), &true)?;
    }
    same("labels", &job["metadata"]["labels"], &oracle(case)["labels"])
}

fn prepare_for_create(case: &Value) -> Outcome {
    let mut job = case["input"]["job"].clone();
    generate::selector(&mut job);
    same("spec", &job["spec"], &oracle(case)["job"]["spec"])
}

fn prepare_for_update(case: &Value) -> Outcome {
    let mut job = case["input"]["newJob"].clone();
    let old = &case["input"]["oldJob"];
    prepare_update(&mut job, old).map_err(|rejection| format!("{rejection:?}"))?;
    let expected = &oracle(case)["job"];
    same("spec", &job["spec"], &expected["spec"])?;
    let generation = expected["metadata"]["generation"].as_i64().unwrap_or(0);
    same("generation", &job["metadata"]["generation"], &json!(generation))?;
    same("status", &old["status"], &expected["status"])
}

fn texts(case: &Value, found: &[String]) -> Outcome {
    let expected = oracle(case)["warnings"].as_array().cloned().unwrap_or_default();
    same("warnings", &found.iter().map(|text| json!(text)).collect(), &expected)
}

fn warnings_on_create(case: &Value) -> Outcome {
    texts(case, &warnings::kubernetes_on_create(&job(&case["input"]["job"])))
}

fn warnings_on_update(case: &Value) -> Outcome {
    let input = &case["input"];
    let (new, old) = (job(&input["newJob"]), job(&input["oldJob"]));
    let changed = new.metadata.generation != old.metadata.generation;
    texts(case, &if changed { warnings::of_spec(&new) } else { Vec::new() })
}

/// The table calls the function without the path `spec`.
fn warnings_of_spec(case: &Value) -> Outcome {
    let found = warnings::of_spec(&job(&json!({"spec": case["input"]["spec"]})));
    let cut = |text: &String| match text.strip_prefix("spec.") {
        Some(rest) => rest.to_owned(),
        None => text.replacen("spec:", "<nil>:", 1),
    };
    texts(case, &found.iter().map(cut).collect::<Vec<_>>())
}

/// A requirement of a table; an operator that is none is a fault of its own.
fn read_requirement(input: &Value) -> Result<Requirement, Vec<String>> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let operator: Operator = text(&input["operator"])
        .parse()
        .map_err(|_| vec!["FieldValueNotSupported operator".to_owned()])?;
    let values =
        input["values"].as_array().map_or(Vec::new(), |all| all.iter().map(text).collect());
    Requirement::new(&text(&input["key"]), operator, values).map_err(|causes| {
        causes.iter().map(|cause| format!("{} {}", cause.reason, cause.field)).collect()
    })
}

fn requirement(case: &Value) -> Outcome {
    let found = read_requirement(&case["input"]).err().unwrap_or_default();
    let errors = case["want"]["errors"].as_array().unwrap();
    let text = |error: &Value| {
        format!("{} {}", error["type"].as_str().unwrap(), error["field"].as_str().unwrap())
    };
    same("errors", &found, &errors.iter().map(text).collect())
}

fn requirement_matching(case: &Value) -> Outcome {
    let requirements = case["input"]["requirements"].as_array().unwrap();
    let read: Result<Vec<_>, _> = requirements.iter().map(read_requirement).collect();
    let labels = case["input"]["labels"].as_object();
    // What is no requirement matches nothing.
    let found = read.is_ok_and(|requirements| LabelSelector::of(requirements).matches(labels));
    same("matches", &json!(found), &oracle(case)["matches"])
}

fn selector_matches(case: &Value) -> Outcome {
    let selector: LabelSelector = case["input"]["selector"].as_str().unwrap().parse().unwrap();
    let found = selector.matches(case["input"]["labels"].as_object());
    same("matches", &json!(found), &oracle(case)["matches"])
}

fn selector_parse(case: &Value) -> Outcome {
    let found = case["input"]["selector"].as_str().unwrap().parse::<LabelSelector>();
    let wanted = &case["want"];
    same("valid", &json!(found.is_ok()), &wanted["valid"])?;
    if let (Err(error), Some(text)) = (&found, case["got"].get("error").filter(|it| it.is_string()))
    {
        return same("error", &json!(error.to_string()), text);
    }
    let Ok(selector) = found else { return Ok(()) };
    if let Some(text) = wanted.get("string") {
        same("string", &json!(selector.to_string()), text)?;
    }
    let show = |requirement: &Requirement| {
        let Requirement { key, operator, values } = requirement;
        json!({"key": key, "operator": operator.to_string(), "values": values})
    };
    let shown: Value = selector.requirements().iter().map(show).collect();
    let plain = |list: &Value| -> Vec<BTreeMap<String, Value>> {
        serde_json::from_value(list.clone()).unwrap()
    };
    wanted
        .get("requirements")
        .map_or(Ok(()), |list| same("requirements", &plain(&shown), &plain(list)))
}
