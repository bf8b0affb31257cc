//! Changing a Job that is there: read at the leader, changed, written back by compare-and-set;
//! again and again while others write in between.

use serde_json::Value;
use serde_json::value::RawValue;
use stint_common::annotations::{DEPENDS_ON, INDEXES};
use stint_common::id::JobUid;
use stint_common::nats::{Expect, Outcome, Write};
use uuid::Uuid;

use super::Error;
use super::apply_request::keep_account;
use super::convert::StoredJob;
use super::error::JOBS;
use super::jobs::{Answer, MAX_JOB_BYTES};
use super::options::Options;
use super::patch::schema::JOB;
use super::store::{PATIENCE, Registry};
use super::target::modified;
use crate::job::Extent;

/// How often a change is tried again when another write came between reading and writing.
pub(super) const TRIES: u32 = 100;

/// A byte of the annotations that the state follows from makes at most so many of the state: runs
/// in two bitmaps, a name in a list and in a condition.
const ANNOTATED: usize = 6;

/// A Job after a change, written or not.
pub(super) struct Written {
    pub(super) job: StoredJob,
    warnings: Vec<String>,
}

impl Written {
    /// The object.
    pub(super) fn answer(self) -> Answer {
        Answer { object: self.job.view(), warnings: self.warnings }
    }

    /// The answer to a delete: the object while it is still there, else that it is gone.
    pub(super) fn deleted(self) -> Answer {
        if !self.job.record.gone {
            return self.answer();
        }
        Answer { object: self.job.target().deleted(), warnings: self.warnings }
    }
}

impl Registry {
    /// A Job's JSON, as long as its record fits a message whatever becomes of the Job.
    pub(super) fn raw(&self, object: &Value) -> Result<Box<RawValue>, Error> {
        let raw = raw(object)?;
        let spec = &object["spec"];
        let number = |name: &str| spec[name].as_u64().and_then(|number| number.try_into().ok());
        let extent = Extent {
            completions: number("completions"),
            parallelism: number("parallelism").unwrap_or(1),
            per_index: spec["backoffLimitPerIndex"].is_number(),
            max_failed_indexes: number("maxFailedIndexes"),
        };
        let said = |key: &str| object["metadata"]["annotations"][key].as_str().map_or(0, str::len);
        let ours = [INDEXES, DEPENDS_ON].map(said).iter().sum::<usize>().saturating_mul(ANNOTATED);
        let (has, may) = (raw.get().len(), extent.largest_state().saturating_add(ours));
        let limit = self.max_payload();
        if has.saturating_add(may) <= limit {
            return Ok(raw);
        }
        Err(Error::TooMuch(format!(
            "the Job has {has} bytes and its state may need {may} more, and nats-server takes messages \
             of at most {limit} bytes: lower spec.parallelism (or spec.completions), or raise \
             max_payload in the server's configuration"
        )))
    }

    /// Reads, changes and writes back a Job. `change` gives warnings. What changes nothing is not
    /// written, nor is anything in a dry run.
    pub(super) async fn change_job(
        &self,
        namespace: &str,
        name: &str,
        options: &Options,
        change: impl Fn(&mut StoredJob) -> Result<Vec<String>, Error>,
    ) -> Result<Written, Error> {
        for _ in 0..TRIES {
            let before = self.read_job(namespace, name).await?;
            let mut job = before.clone();
            let warnings = change(&mut job)?;
            keep_account(&before.object, &mut job.object, options, &JOB);
            if options.dry_run || job.is_as(&before) {
                return Ok(Written { job, warnings });
            }
            job.record.object = self.raw(&job.object)?;
            let template = template_hash(job.uid, &job.object);
            if template != job.record.template {
                job.record.template = template;
                self.store_template(&job, true).await?;
            }
            (job.record.writer, job.record.nonce) = (self.writer, self.next_nonce());
            let subject = self.jet.names.object("jobs", namespace, name);
            let expect = Expect::Sequence(job.revision);
            let write = Write { subject, payload: job.record.encode(), expect };
            match self.objects.write_within(write, PATIENCE).await? {
                Outcome::Stored(revision) => {
                    job.revision = revision;
                    return Ok(Written { job, warnings });
                }
                Outcome::Lost(_) => {}
                Outcome::Refused(reason) => {
                    return Err(Error::Unavailable(format!("the Job was not stored: {reason}")));
                }
            }
        }
        Err(modified(JOBS, name))
    }
}

pub(super) fn raw(object: &Value) -> Result<Box<RawValue>, Error> {
    let raw = serde_json::value::to_raw_value(object)
        .map_err(|error| Error::Internal(format!("encoding a Job: {error}")))?;
    if raw.get().len() > MAX_JOB_BYTES {
        return Err(Error::RequestEntityTooLarge { limit: MAX_JOB_BYTES });
    }
    Ok(raw)
}

/// Names a template within its Job, by its content.
pub(super) fn template_hash(uid: JobUid, object: &Value) -> String {
    let text = object["spec"]["template"].to_string();
    let hash = Uuid::new_v5(&uid.0, text.as_bytes()).simple().to_string();
    hash[..12].to_owned()
}
