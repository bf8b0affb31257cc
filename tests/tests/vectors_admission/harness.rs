//! Reads vectors, counts what became of them, and compares lists of faults.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use stint_coordinator::admission::Cause;

/// What became of one case: nothing to say, or why it failed.
pub(crate) type Outcome = Result<(), String>;

/// Where the vectors are; they are not part of every checkout.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors"))
}

/// All cases of one file, and what became of them.
#[derive(Default)]
pub(crate) struct Tally {
    passed: usize,
    failed: Vec<String>,
}

impl Tally {
    /// Runs every case of a file.
    pub(crate) fn run(&mut self, file: &str, check: impl Fn(&Value) -> Outcome) {
        let mut own = Self::default();
        for case in cases(file) {
            let name = case["case"].as_str().unwrap_or_default();
            match check(&case) {
                Ok(()) => own.passed += 1,
                Err(why) => own.failed.push(format!("{file}: {name}: {why}")),
            }
        }
        println!("{file}: {} passed, 0 not applicable, {} failed", own.passed, own.failed.len());
        self.passed += own.passed;
        self.failed.extend(own.failed);
    }

    /// The totals; fails when a case has failed.
    pub(crate) fn finish(self) {
        let Self { passed, failed } = self;
        println!("total: {passed} passed, {} failed", failed.len());
        assert!(failed.is_empty(), "\n{}", failed.join("\n"));
    }
}

fn cases(file: &str) -> Vec<Value> {
    let path = root().join(format!("{file}.jsonl"));
    let text = fs::read_to_string(&path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A file that is one JSON document.
pub(crate) fn cases_of(file: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(root().join(file)).unwrap()).unwrap()
}

/// What the real function gave under the feature gates that are on by default.
pub(crate) fn oracle(case: &Value) -> &Value {
    case.get("gotDefaultGates").unwrap_or(&case["got"])
}

/// Compares faults: reason and path always, the message where the vector has it as a client sees
/// it.
pub(crate) fn same_faults(what: &str, found: &[Cause], expected: &Value) -> Outcome {
    let expected = expected.as_array().map_or(&[][..], Vec::as_slice);
    let texts = |causes: &[Cause]| -> Vec<String> {
        causes.iter().map(|cause| format!("{} {cause}", cause.reason)).collect()
    };
    if found.len() != expected.len() {
        let wanted: Vec<_> = expected.iter().map(|error| error["message"].as_str()).collect();
        return Err(format!("{what}: found {:#?}, expected {wanted:#?}", texts(found)));
    }
    for (cause, error) in found.iter().zip(expected) {
        let text = cause.to_string();
        let placed = error["type"] == cause.reason.to_string() && error["field"] == cause.field;
        let truncated = error.get("detailTruncated").is_some();
        let detail = error["detail"].as_str().unwrap_or_default();
        // Values in Go's own form are not what a client should see: the detail is compared.
        let odd = error.get("badValueNote").is_some();
        // Go tells an absent map from an empty one; the JSON of the vectors does not.
        let message = error["message"].as_str().unwrap_or_default();
        let exact = text.replace("value: null:", "value: {}:");
        let exact = [text.as_str(), &exact].contains(&message);
        let said = if odd { truncated || text.ends_with(detail) } else { exact };
        if !placed || !said {
            return Err(format!("{what}: found {} {text}, expected {error}", cause.reason));
        }
    }
    Ok(())
}

/// A comparison of two values with a useful complaint.
pub(crate) fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, wanted: &T) -> Outcome {
    if found == wanted {
        return Ok(());
    }
    Err(format!("{what}: found {found:?}, expected {wanted:?}"))
}
