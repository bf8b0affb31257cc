//! Kubernetes' own unit tests of its Job controller, as data, put to Stint's decision.
//!
//! A vector is one pass of Kubernetes' controller over a Job and its pods. Its pods become facts:
//! each pod gets a slot (Indexed: its index) and an attempt, and one plan must store the status,
//! create the pods and stop the pods that Kubernetes did. What cannot be asked of Stint is listed
//! with the reason.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "vectors_job/pods.rs"]
mod pods;
#[path = "vectors_job/sync.rs"]
mod sync;
#[path = "vectors_job/units.rs"]
mod units;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

/// What became of one vector.
enum Verdict {
    Passed,
    /// Why it cannot be asked of Stint.
    NotApplicable(&'static str),
    /// The differences.
    Failed(String),
}

type Check = fn(&Value) -> Verdict;

/// Files, and how their cases are put to Stint.
const FILES: [(&str, Check); 29] = [
    ("controller-job/TestAppendDuplicatedIndexPodsForRemoval", no_duplicates),
    ("controller-job/TestCalculateFailedIndexes", units::failed_indexes),
    ("controller-job/TestCalculateSucceededIndexes", units::succeeded_indexes),
    ("controller-job/TestControllerSyncJob", sync::check),
    ("controller-job/TestEnsureJobConditions", units::ensure_condition),
    ("controller-job/TestFirstPendingIndexes", units::first_pending_indexes),
    ("controller-job/TestGetFinishedTime", finish_time_is_recorded),
    ("controller-job/TestGetIndexFailureCount", annotations_are_not_read),
    ("controller-job/TestGetNewFinshedPods", units::new_finished_pods),
    ("controller-job/TestGetNewIndexFailureCountValue", units::failure_counts),
    ("controller-job/TestGetPodCreationInfoForIndependentIndexes", units::independent_indexes),
    ("controller-job/TestGetPodsForJob", no_adoption),
    ("controller-job/TestGetPodsWithDelayedDeletionPerIndex", nothing_is_inherited),
    ("controller-job/TestGetRemainingBackoffTime", units::remaining_backoff),
    ("controller-job/TestGetRemainingBackoffTimePerIndex", units::remaining_per_index),
    ("controller-job/TestIntervalsHaveIndex", units::index_set_has),
    ("controller-job/TestIsIndexFailed", units::failed_indexes),
    ("controller-job/TestJobBackoffForOnFailure", sync::check),
    ("controller-job/TestJobBackoffOnRestartPolicyNever", sync::check),
    ("controller-job/TestMatchPodFailurePolicy", units::match_failure_policy),
    ("controller-job/TestMatchSuccessPolicy", units::match_success_policy),
    ("controller-job/TestNewBackoffRecord", units::new_backoff_record),
    ("controller-job/TestSyncJobPastDeadline", sync::check),
    ("controller-job/TestSyncJobWhenManagedBy", sync::check),
    ("controller-job/TestSyncJobWithJobBackoffLimitPerIndex", sync::check),
    ("controller-job/TestSyncJobWithJobPodFailurePolicy", sync::check),
    ("controller-job/TestSyncJobWithJobSuccessPolicy", sync::check),
    ("controller-job/TestTrackJobStatusAndRemoveFinalizers", sync::check_accounting),
    ("controller-ttlafterfinished/TestTimeLeft", units::time_left),
];

const UTIL_FILES: [(&str, Check); 3] = [
    ("controller-job-util/TestFinishedCondition", units::finished_condition),
    ("controller-job-util/TestIsJobSucceeded", units::is_job_succeeded),
    ("controller-job/TestPodGenerateNameWithIndex", units::generate_name),
];

fn no_duplicates(_: &Value) -> Verdict {
    Verdict::NotApplicable("an index never has two pods that are not terminating")
}

fn annotations_are_not_read(_: &Value) -> Verdict {
    Verdict::NotApplicable(
        "failure counts are in the Job's record; the annotations follow from it and are never read",
    )
}

fn nothing_is_inherited(_: &Value) -> Verdict {
    Verdict::NotApplicable(
        "no failed pod is kept for its replacement to inherit from: the counts are in the record",
    )
}

fn no_adoption(_: &Value) -> Verdict {
    Verdict::NotApplicable("pods are derived from their Job, never adopted or released")
}

fn finish_time_is_recorded(_: &Value) -> Verdict {
    Verdict::NotApplicable("a pod's record says when it finished")
}

/// What Kubernetes v1.36 does by default: where a vector was made with other feature gates, the
/// result of the real function without them.
pub(crate) fn oracle(case: &Value) -> &Value {
    let with_defaults = &case["gotDefaultGates"];
    if with_defaults.is_null() { &case["got"] } else { with_defaults }
}

/// Compares what was expected and found.
pub(crate) fn compare(differences: Vec<String>) -> Verdict {
    if differences.is_empty() {
        Verdict::Passed
    } else {
        Verdict::Failed(differences.join("\n      "))
    }
}

#[derive(Default)]
struct Counts {
    passed: u32,
    failed: u32,
    not_applicable: BTreeMap<&'static str, Vec<String>>,
}

impl Counts {
    fn take(&mut self, case: &Value, check: Check, failures: &mut Vec<String>) {
        let name = case["case"].as_str().unwrap_or_default().to_owned();
        match check(case) {
            Verdict::Passed => self.passed += 1,
            Verdict::NotApplicable(reason) => {
                self.not_applicable.entry(reason).or_default().push(name);
            }
            Verdict::Failed(why) => {
                self.failed += 1;
                failures.push(format!("{}: {name}\n      {why}", case["test"]));
            }
        }
    }

    fn print(&self, file: &str) {
        let not_applicable: usize = self.not_applicable.values().map(Vec::len).sum();
        let (passed, failed) = (self.passed, self.failed);
        println!("{file}: {passed} passed, {not_applicable} not applicable, {failed} failed");
        for (reason, names) in &self.not_applicable {
            println!("  {reason}:");
            names.iter().for_each(|name| println!("    - {name}"));
        }
    }
}

#[test]
fn kubernetes_vectors_hold() {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors"));
    if !root.is_dir() {
        println!("skipped: no vectors at {}", root.display());
        return;
    }
    let (mut passed, mut not_applicable, mut failures) = (0, 0, Vec::new());
    for (file, check) in FILES.iter().chain(&UTIL_FILES) {
        let text = std::fs::read_to_string(root.join(format!("{file}.jsonl"))).unwrap();
        let mut counts = Counts::default();
        for line in text.lines() {
            counts.take(&serde_json::from_str(line).unwrap(), *check, &mut failures);
        }
        counts.print(file);
        passed += counts.passed;
        not_applicable += counts.not_applicable.values().map(Vec::len).sum::<usize>();
    }
    let failed = failures.len();
    println!("total: {passed} passed, {not_applicable} not applicable, {failed} failed");
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}
