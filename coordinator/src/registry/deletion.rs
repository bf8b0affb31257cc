//! What a DELETE makes of a Job, and the finalizers that it waits for.
//!
//! | finalizer | put there by | its pods | taken off by |
//! | --- | --- | --- | --- |
//! | `foregroundDeletion` | policy Foreground | are stopped | the owner, when none is left |
//! | `orphan` | policy Orphan | run to their ends | the same |
//! | any other | clients | run on | clients |
//! | none left | | are stopped | (the Job is gone) |
//!
//! No pod comes after them in any case.
//!
//! Until the Job is deleted, all its finalizers are members of its object, like a client's. From
//! then on the first two are in the record's [`Deletion`], which the core decides by, and which
//! others only say that they hold it. The client sees them in one list.
//!
//! Differs from Kubernetes: orphans do not outlive their Job's object there, here the object waits
//! for them, since a pod is known by its Job's record alone. And a delete that names no policy
//! stops the pods, where Kubernetes' `batch/v1` orphans them.

use jiff::Timestamp;
use serde_json::{Map, Value};
use stint_common::time::format_seconds;

use super::convert::StoredJob;
use super::options::Propagation;
use crate::job::Deletion;
use crate::store::OF_DELETION;

/// Dependents are left behind.
pub const ORPHAN: &str = OF_DELETION[0];
/// Dependents go first.
pub const FOREGROUND: &str = OF_DELETION[1];

/// What a DELETE makes of a Job. Without a policy, a finalizer of it that stands for one counts.
pub(super) fn delete(job: &mut StoredJob, policy: Option<Propagation>, now: Timestamp) {
    let names = shown(job.record.deletion.as_ref(), &job.object);
    let has = |name: &str| names.iter().any(|own| own == name);
    let policy = policy.unwrap_or(match (has(ORPHAN), has(FOREGROUND)) {
        (true, _) => Propagation::Orphan,
        (false, true) => Propagation::Foreground,
        (false, false) => Propagation::Background,
    });
    let others = others(&names);
    let before = job.record.deletion;
    let deletion = Deletion {
        at: before.map_or(now, |before| before.at),
        foreground: policy == Propagation::Foreground,
        orphan: policy == Propagation::Orphan,
        held: !others.is_empty(),
    };
    if before.is_none() && !deletion.waits() {
        job.record.gone = true;
        return;
    }
    let Some(metadata) = job.object["metadata"].as_object_mut() else { return };
    set_finalizers(metadata, others);
    if before.is_none() {
        // A Job that is being deleted is another task than before.
        let generation = metadata.get("generation").and_then(Value::as_i64).unwrap_or(0);
        metadata.insert("generation".to_owned(), Value::from(generation + 1));
    }
    job.record.deletion = Some(deletion);
    job.record.gone = !deletion.waits();
}

impl StoredJob {
    /// Takes an admitted object: what of it belongs to the record goes there. A Job whose deletion
    /// waits for nothing any more is gone.
    pub(super) fn set_object(&mut self, mut object: Value) {
        if let Some(metadata) = object["metadata"].as_object_mut() {
            for name in ["resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds"] {
                metadata.shift_remove(name);
            }
            let names = finalizers(metadata);
            if names.is_empty() {
                metadata.shift_remove("finalizers");
            }
            if let Some(deletion) = &mut self.record.deletion {
                let has = |name: &str| names.iter().any(|own| own == name);
                let others = others(&names);
                deletion.foreground = has(FOREGROUND);
                deletion.orphan = has(ORPHAN);
                deletion.held = !others.is_empty();
                set_finalizers(metadata, others);
                self.record.gone = !deletion.waits();
            }
        }
        self.object = object;
    }
}

/// Adds what the record says of the deletion to what a client sees.
pub(super) fn show(deletion: Option<&Deletion>, object: &mut Value) {
    let Some(deletion) = deletion else { return };
    let names = shown(Some(deletion), object);
    let Some(metadata) = object["metadata"].as_object_mut() else { return };
    metadata.insert("deletionTimestamp".to_owned(), Value::from(format_seconds(deletion.at)));
    metadata.insert("deletionGracePeriodSeconds".to_owned(), Value::from(0));
    set_finalizers(metadata, names);
}

/// Finalizers as a client sees them.
fn shown(deletion: Option<&Deletion>, object: &Value) -> Vec<String> {
    let own = object["metadata"].as_object().map_or(Vec::new(), finalizers);
    let Some(deletion) = deletion else { return own };
    let mut names = others(&own);
    let flags = [(deletion.orphan, ORPHAN), (deletion.foreground, FOREGROUND)];
    names.extend(flags.iter().filter(|(set, _)| *set).map(|(_, name)| (*name).to_owned()));
    names
}

fn others(names: &[String]) -> Vec<String> {
    names.iter().filter(|name| !OF_DELETION.contains(&name.as_str())).cloned().collect()
}

fn finalizers(metadata: &Map<String, Value>) -> Vec<String> {
    let names = metadata.get("finalizers").and_then(Value::as_array).into_iter().flatten();
    names.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn set_finalizers(metadata: &mut Map<String, Value>, names: Vec<String>) {
    if names.is_empty() {
        metadata.shift_remove("finalizers");
    } else {
        metadata.insert("finalizers".to_owned(), Value::from(names));
    }
}

#[cfg(test)]
mod tests;
