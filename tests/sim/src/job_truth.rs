//! A Job's record as it was stored, and what may become of it.

use std::sync::Arc;

use serde_json::Value;
use stint_common::id::JobUid;
use stint_coordinator::job::Key;
use stint_coordinator::store::JobRecord;

use super::jetstream::Millis;

/// A Job's record as it was stored last.
#[derive(Clone, Debug)]
pub struct JobTruth {
    /// The Job.
    pub uid: JobUid,
    /// Its name.
    pub name: String,
    /// Its record.
    pub record: JobRecord,
    /// Its spec.
    pub spec: Arc<Value>,
    /// `metadata.generation`.
    pub generation: u64,
    /// Whether it is Indexed.
    pub indexed: bool,
    /// When it was first stored.
    pub created: Millis,
    /// Its spec was changed: which pods were to be counted is not known from outside.
    pub disturbed: bool,
    /// When it had its terminal condition.
    pub finished_at: Option<Millis>,
}

impl JobTruth {
    /// Reads a record; `before` is the one that it replaces.
    pub(super) fn new(record: JobRecord, before: Option<&Self>, now: Millis) -> Option<Self> {
        let finished = record.status.finished().is_some();
        if let Some(before) = before
            && before.record.object.get() == record.object.get()
        {
            let finished_at = before.finished_at.or(finished.then_some(now));
            let (name, spec) = (before.name.clone(), Arc::clone(&before.spec));
            return Some(Self { record, name, spec, finished_at, ..*before });
        }
        let object: Value = serde_json::from_str(record.object.get()).ok()?;
        let uid = object["metadata"]["uid"].as_str()?.parse().ok()?;
        Some(Self {
            uid,
            name: object["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
            generation: object["metadata"]["generation"].as_u64().unwrap_or(0),
            indexed: object["spec"]["completionMode"] == "Indexed",
            spec: Arc::new(object["spec"].clone()),
            record,
            created: now,
            disturbed: false,
            finished_at: finished.then_some(now),
        })
    }

    fn number(&self, name: &str) -> Option<u32> {
        self.spec[name].as_u64().and_then(|number| u32::try_from(number).ok())
    }

    /// `backoffLimit`.
    #[must_use]
    pub fn backoff_limit(&self) -> u32 {
        self.number("backoffLimit").unwrap_or(6)
    }

    /// `completions`.
    #[must_use]
    pub fn completions(&self) -> Option<u32> {
        self.number("completions")
    }

    /// `parallelism`.
    #[must_use]
    pub fn parallelism(&self) -> u32 {
        self.number("parallelism").unwrap_or(1)
    }
}

fn left(before: &[Key], after: &[Key]) -> usize {
    before.iter().filter(|key| !after.contains(key)).count()
}

/// What is wrong with a record that replaced another.
pub(super) fn check_change(before: &JobTruth, after: &JobTruth) -> Vec<String> {
    let mut wrong = Vec::new();
    let (old, new) = (&before.record.status, &after.record.status);
    let mut must = |holds: bool, what: &str| {
        if !holds {
            let name = &after.name;
            wrong.push(format!("Job {name}: {what}\n  before: {old:?}\n  after: {new:?}"));
        }
    };
    must(!before.record.gone || after.record.gone, "it came back from its deletion");
    let deleted = |job: &JobTruth| job.record.deletion.is_some() || job.record.gone;
    must(!deleted(before) || deleted(after), "its deletion was forgotten");
    must(after.generation >= before.generation, "a change of its spec was forgotten");
    if let Some(finished) = old.finished() {
        let still = new.finished().is_some_and(|now| now == finished);
        must(still, "its terminal condition changed");
        let counters = (old.succeeded, old.failed) == (new.succeeded, new.failed);
        must(counters, "its counters changed after its end");
    }
    if new.finished().is_some() && old.finished().is_none() {
        let over = new.active == 0 && new.uncounted() == 0 && new.terminating == 0;
        must(over, "it ended before its pods were counted");
    }
    let both = new.condition("Complete").is_some() && new.condition("Failed").is_some();
    must(!both, "it is complete and failed");
    let counted = left(&old.uncounted_failed, &new.uncounted_failed);
    must(new.failed as usize == old.failed as usize + counted, "failed pods were not counted once");
    if after.indexed {
        // Fewer completions cut off what was done above them.
        must(after.disturbed || new.succeeded >= old.succeeded, "completed indexes were lost");
    } else {
        let counted = left(&old.uncounted_succeeded, &new.uncounted_succeeded);
        let sum = old.succeeded as usize + counted;
        must(new.succeeded as usize == sum, "succeeded pods were not counted once");
    }
    let lists = [
        (&old.uncounted_failed, &new.uncounted_failed),
        (&old.uncounted_succeeded, &new.uncounted_succeeded),
    ];
    for (old, new) in lists {
        for key in new.iter().filter(|key| !old.contains(key)) {
            let was_open = before.record.ledger.slot(key.0).closed <= key.1.0;
            let is_closed = after.record.ledger.slot(key.0).closed > key.1.0;
            must(was_open && is_closed, "a pod was listed that was not closed in the same write");
        }
    }
    let more = new.active > old.active;
    must(!more || new.active <= after.parallelism(), "more pods are active than are wanted");
    wrong
}
