//! What a client's write of a Job's status means here.
//!
//! In Kubernetes the status is one object that the controller and clients both write. Here the
//! owner's part of it (counters, what is taken in and not counted, completed indexes) is one
//! record with the ledger of attempts, so that they change together; nobody else may write it.
//!
//! **A Job that Stint manages.** A client's status is judged as Kubernetes judges it, then split:
//!
//! - conditions that decide (Suspended, FailureTarget, SuccessCriteriaMet, Complete, Failed),
//!   `startTime` and `completionTime` are taken over. The owner's next plan goes on from them, as
//!   Kubernetes' controller does: FailureTarget fails the Job, SuccessCriteriaMet ends it well.
//! - conditions of other types are kept beside the owner's status (`said`), in the client's words,
//!   and shown after its own.
//! - counters, indexes and `uncountedTerminatedPods` are the owner's: what was sent is passed over,
//!   with a warning if it differs. Kubernetes' controller would write over most of them at its next
//!   sync.
//!
//! The outcome is judged once more, with the counters that count: a Job cannot be declared finished
//! while pods of it run, whatever the client says of them.
//!
//! **A Job that another controller manages** (`managedBy`): its whole status is the client's, and
//! kept in its words. What the owner needs to know of it, conditions and times, is taken over too,
//! so that a finished Job's time to live is kept.

use jiff::Timestamp;
use serde_json::{Value, json};
use stint_common::time::whole_seconds;

use super::Error;
use super::convert::{StoredJob, is_managed_elsewhere};
use crate::admission::{self, AdmittedStatus};
use crate::job::{Condition, condition};
use crate::store::JobRecord;

/// Types of conditions that the owner writes and decides by.
const OWN_CONDITIONS: [&str; 6] = [
    condition::WAITING,
    condition::SUSPENDED,
    condition::FAILURE_TARGET,
    condition::SUCCESS_CRITERIA_MET,
    condition::COMPLETE,
    condition::FAILED,
];

/// Members of a status that only the owner writes.
const COUNTED: [&str; 8] = [
    "active",
    "ready",
    "terminating",
    "succeeded",
    "failed",
    "completedIndexes",
    "failedIndexes",
    "uncountedTerminatedPods",
];

/// Takes an admitted status over; gives warnings.
///
/// # Errors
///
/// 422 when the status is not one that the Job can have, with the counters that count.
pub(super) fn take_status(
    job: &mut StoredJob,
    admitted: AdmittedStatus,
    now: Timestamp,
) -> Result<Vec<String>, Error> {
    let AdmittedStatus { job: object, status, mut warnings } = admitted;
    let old = job.view();
    job.set_object(object);
    let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    let is_own = |condition: &&Value| {
        OWN_CONDITIONS.contains(&condition["type"].as_str().unwrap_or_default())
    };
    let (own, others): (Vec<&Value>, Vec<&Value>) = conditions.iter().partition(is_own);
    let record = &mut job.record.status;
    record.conditions = own.into_iter().map(|condition| read_condition(condition, now)).collect();
    record.start_time = time(&status["startTime"]);
    record.completion_time = time(&status["completionTime"]);
    if job.is_managed_elsewhere() {
        let said = status.as_object().is_some_and(|members| !members.is_empty());
        job.record.said = if said { Some(super::change::raw(&status)?) } else { None };
        return Ok(warnings);
    }
    job.record.said = match others.as_slice() {
        [] => None,
        others => Some(super::change::raw(&json!({"conditions": others}))?),
    };
    let new = job.view();
    warnings.extend(COUNTED.iter().filter_map(|name| {
        let zero = |value: &Value| value.is_null() || *value == json!(0) || *value == json!("");
        let (sent, counts) = (&status[name], &new["status"][name]);
        let same = sent == counts || (zero(sent) && zero(counts)) || !old_differs(sent);
        (!same).then(|| format!("status.{name}: kept by Stint; what was sent is not taken over"))
    }));
    admission::check_status(&new, &old).map_err(Error::from_rejection)?;
    Ok(warnings)
}

/// Whether a value says anything: `{}` of `uncountedTerminatedPods` does not.
fn old_differs(sent: &Value) -> bool {
    sent.as_object().is_none_or(|members| !members.is_empty())
}

/// A condition in the owner's terms: anything but True is not.
fn read_condition(condition: &Value, now: Timestamp) -> Condition {
    let text = |name: &str| condition[name].as_str().unwrap_or_default();
    let at = |name: &str| time(&condition[name]).unwrap_or_else(|| whole_seconds(now));
    Condition {
        kind: text("type").to_owned(),
        status: text("status") == "True",
        reason: text("reason").to_owned(),
        message: text("message").to_owned(),
        last_probe: at("lastProbeTime"),
        last_transition: at("lastTransitionTime"),
    }
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str().and_then(|text| text.parse().ok())
}

/// Adds what clients wrote to the status that a client sees.
pub(super) fn show_said(record: &JobRecord, object: &mut Value) {
    let said = record.said.as_ref().and_then(|said| serde_json::from_str(said.get()).ok());
    if is_managed_elsewhere(object) {
        object["status"] = said.unwrap_or_else(|| json!({}));
        return;
    }
    let Some(Value::Array(others)) = said.map(|mut said: Value| said["conditions"].take()) else {
        return;
    };
    match object["status"]["conditions"].as_array_mut() {
        Some(conditions) => conditions.extend(others),
        None => object["status"]["conditions"] = Value::Array(others),
    }
}

#[cfg(test)]
mod tests;
