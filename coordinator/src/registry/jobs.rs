//! Verbs on Jobs.

use serde_json::Value;
use stint_common::annotations::INDEXES;
use stint_common::id::{Incarnation, JobUid};
use stint_common::names::NAME_LETTERS;
use stint_common::nats::{Current, Expect, Outcome, Write};
use stint_common::time::{boottime_ms, now};
use stint_common::wire::{Template, TraceContext, VERSION};

use super::Error;
use super::change::{Written, raw, template_hash};
use super::convert::StoredJob;
use super::deletion::delete;
use super::error::JOBS;
use super::options::Options;
use super::patch::Patch;
use super::patch::schema::JOB;
use super::status::take_status;
use super::store::{PATIENCE, Registry};
use crate::admission::{self, Admitted, Body, CreateContext, UpdateContext};
use crate::job::{JobSpec, JobStatus, Ledger};
use crate::store::JobRecord;

/// A Job may be so large; its status and ledger, which live in the same record, need the rest.
pub const MAX_JOB_BYTES: usize = 512 << 10;
/// How often a generated name is drawn before it is given up.
pub(super) const NAME_TRIES: u32 = 8;

/// What a verb gives back: the object, and what the client should be warned of.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The object.
    pub object: Value,
    /// Warnings, as HTTP's `Warning` header would carry them.
    pub warnings: Vec<String>,
}

impl Registry {
    /// Admits and stores a new Job.
    ///
    /// # Errors
    ///
    /// As the API server: 400, 409, 413, 415, 422; nothing is left behind then. 503 when JetStream
    /// is away.
    pub async fn create_job(
        &self,
        namespace: &str,
        body: &[u8],
        content_type: Option<&str>,
        options: &Options,
    ) -> Result<Answer, Error> {
        let body = admission::decode(body, content_type).map_err(Error::from_rejection)?;
        let named = body.value["metadata"]["name"].as_str().unwrap_or_default();
        let generated = named.is_empty();
        self.enter_namespace(JOBS, named, namespace, options).await?;
        let mut tries = 0;
        loop {
            tries += 1;
            let outcome = self.create_once(namespace, body.clone(), None, options).await;
            match outcome {
                Err(Error::AlreadyExists { resource, name }) if generated => {
                    if tries >= NAME_TRIES {
                        return Err(Error::GenerateNameConflict { resource, name });
                    }
                }
                outcome => return outcome,
            }
        }
    }

    /// Creates a Job under one name; with `managedFields`, if it is applied.
    pub(super) async fn create_once(
        &self,
        namespace: &str,
        body: Body,
        managed: Option<Value>,
        options: &Options,
    ) -> Result<Answer, Error> {
        let uid = JobUid::random();
        let suffix = name_suffix();
        let context = CreateContext {
            namespace,
            uid,
            now: now(),
            field_validation: options.field_validation,
            name_suffix: &suffix,
        };
        let Admitted { mut job, warnings } =
            admission::create(body, &context).map_err(Error::from_rejection)?;
        if let Some(managed) = managed {
            job["metadata"]["managedFields"] = managed;
        }
        let name = job["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let exists = || Error::AlreadyExists { resource: JOBS, name: name.clone() };
        if self.replica.get("jobs", namespace, &name).is_some()
            && self.is_there(namespace, &name).await?
        {
            return Err(exists());
        }
        let stored = self.new_record(uid, job, options)?;
        if options.dry_run {
            return Ok(Answer { object: stored.view(), warnings });
        }
        let written_ms = boottime_ms();
        self.store_template(&stored, false).await?;
        let subject = self.jet.names.object("jobs", namespace, &name);
        let mut expect = self.replica.tombstone("jobs", namespace, &name);
        let payload = stored.record.encode();
        let revision = loop {
            let expected = Expect::Sequence(expect);
            let write =
                Write { subject: subject.clone(), payload: payload.clone(), expect: expected };
            match self.objects.write_within(write, PATIENCE).await? {
                Outcome::Stored(revision) => break revision,
                Outcome::Lost(None) => expect = 0,
                Outcome::Lost(Some(current)) => {
                    // Ours was stored, and written upon before its answer came.
                    if let Some(created) = ours(&current, uid) {
                        self.be_in_time(namespace, &name, uid, written_ms).await?;
                        return Ok(Answer { object: created.view(), warnings });
                    }
                    if current.payload.ends_with(b"\"gone\":true}") {
                        expect = current.sequence;
                        continue;
                    }
                    self.drop_templates(uid).await;
                    return Err(exists());
                }
                Outcome::Refused(reason) => {
                    self.drop_templates(uid).await;
                    return Err(Error::Unavailable(format!("the Job was not stored: {reason}")));
                }
            }
        };
        self.be_in_time(namespace, &name, uid, written_ms).await?;
        Ok(Answer { object: StoredJob { revision, ..stored }.into_view(), warnings })
    }

    fn new_record(
        &self,
        uid: JobUid,
        object: Value,
        options: &Options,
    ) -> Result<StoredJob, Error> {
        let record = JobRecord {
            v: VERSION,
            writer: self.writer,
            nonce: self.next_nonce(),
            object: self.raw(&object)?,
            template: template_hash(uid, &object),
            trace: self.trace_of(&object, options),
            created_at: Some(now()),
            status: JobStatus::default(),
            said: None,
            ledger: ledger(&object)?,
            deletion: None,
            gone: false,
        };
        Ok(StoredJob { uid, record, object, revision: 0 })
    }

    /// The submitter's trace, and how the spans of a large Job are spread.
    fn trace_of(&self, object: &Value, options: &Options) -> Option<TraceContext> {
        let spec = &object["spec"];
        let pods = spec["completions"].as_u64().or(spec["parallelism"].as_u64()).unwrap_or(1);
        let limits = self.traces.limits(u32::try_from(pods).unwrap_or(u32::MAX));
        match (options.trace.clone(), limits) {
            (None, None) => None,
            (context, limits) => Some(TraceContext { limits, ..context.unwrap_or_default() }),
        }
    }

    /// The template is immutable and written before the Job that names it.
    pub(super) async fn store_template(&self, job: &StoredJob, changed: bool) -> Result<(), Error> {
        let template = Template {
            v: VERSION,
            namespace: job.namespace().to_owned(),
            job_name: job.name().to_owned(),
            job_uid: job.uid,
            indexed: job.indexed(),
            pod_template: raw(&job.object["spec"]["template"])?,
            trace: job.record.trace.clone(),
            changed,
        };
        let payload = serde_json::to_vec(&template)
            .map_err(|error| Error::Internal(format!("encoding a pod template: {error}")))?;
        let subject = self.jet.names.template(job.uid, &job.record.template);
        let write = Write { subject, payload: payload.into(), expect: Expect::Any };
        match self.objects.write_within(write, PATIENCE).await? {
            Outcome::Stored(_) | Outcome::Lost(_) => Ok(()),
            Outcome::Refused(reason) => {
                Err(Error::Unavailable(format!("the pod template was not stored: {reason}")))
            }
        }
    }

    async fn drop_templates(&self, uid: JobUid) {
        let names = &self.jet.names;
        let purged = self.jet.purge(&names.objects_stream(), &names.templates(uid)).await;
        if let Err(error) = purged {
            tracing::warn!(%uid, ?error, "a template of a Job that was not created is left behind");
        }
    }

    /// Whether the leader says so too: the replica may be a moment behind a delete.
    async fn is_there(&self, namespace: &str, name: &str) -> Result<bool, Error> {
        match self.read_job(namespace, name).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The Job as it stands at the leader.
    pub(super) async fn read_job(&self, namespace: &str, name: &str) -> Result<StoredJob, Error> {
        let not_found = || Error::NotFound { resource: JOBS, name: name.to_owned() };
        let names = &self.jet.names;
        let subject = names.object("jobs", namespace, name);
        let stored = self.jet.read_last(&names.objects_stream(), &subject).await?;
        // A name such as `*` is a pattern to the stream, and leads to somebody else's Job.
        let stored = stored.filter(|it| !it.payload.is_empty() && it.subject == subject);
        let stored = stored.ok_or_else(not_found)?;
        let job = StoredJob::decode(&stored.payload, stored.sequence)?;
        if job.record.gone { Err(not_found()) } else { Ok(job) }
    }

    /// One Job.
    ///
    /// # Errors
    ///
    /// 404; 503 when JetStream is away.
    pub async fn get_job(&self, namespace: &str, name: &str) -> Result<Value, Error> {
        Ok(self.read_job(namespace, name).await?.into_view())
    }

    /// Replaces a Job by what was sent; without a `resourceVersion` whatever stands there.
    ///
    /// # Errors
    ///
    /// As the API server: 400, 404, 409, 422; 503 when JetStream is away.
    pub async fn update_job(
        &self,
        namespace: &str,
        name: &str,
        body: &[u8],
        content_type: Option<&str>,
        options: &Options,
    ) -> Result<Answer, Error> {
        let body = admission::decode(body, content_type).map_err(Error::from_rejection)?;
        self.change_job(namespace, name, options, |job| {
            job.target().same_revision(&body.value)?;
            let context = UpdateContext { field_validation: options.field_validation };
            let admitted = admission::update(&job.view(), body.clone(), context);
            let Admitted { job: object, warnings } = admitted.map_err(Error::from_rejection)?;
            job.set_object(object);
            Ok(warnings)
        })
        .await
        .map(Written::answer)
    }

    /// Applies a patch to a Job: a JSON patch, a merge patch or a strategic merge patch.
    ///
    /// # Errors
    ///
    /// As [`Registry::update_job`]; 415 for other kinds of patch, 422 for one that does not apply.
    pub async fn patch_job(
        &self,
        namespace: &str,
        name: &str,
        body: &[u8],
        content_type: Option<&str>,
        options: &Options,
    ) -> Result<Answer, Error> {
        let patch = Patch::read(body, content_type)?;
        self.change_job(namespace, name, options, |job| {
            let old = job.view();
            let Some(new) = patched(&patch, &old)? else { return Ok(Vec::new()) };
            job.target().same_revision(&new.value)?;
            let text = new.value.to_string();
            let context = UpdateContext { field_validation: options.field_validation };
            let admitted = admission::update(&old, new, context);
            let Admitted { job: object, warnings } =
                admitted.map_err(|rejection| Error::from_patched(rejection, &text))?;
            job.set_object(object);
            Ok(warnings)
        })
        .await
        .map(Written::answer)
    }

    /// Replaces a Job's status by what was sent, and its metadata; the spec stays.
    ///
    /// # Errors
    ///
    /// As [`Registry::update_job`].
    pub async fn update_job_status(
        &self,
        namespace: &str,
        name: &str,
        body: &[u8],
        content_type: Option<&str>,
        options: &Options,
    ) -> Result<Answer, Error> {
        let body = admission::decode(body, content_type).map_err(Error::from_rejection)?;
        self.change_job(namespace, name, options, |job| {
            job.target().same_revision(&body.value)?;
            let context = UpdateContext { field_validation: options.field_validation };
            let admitted = admission::update_status(&job.view(), body.clone(), context);
            take_status(job, admitted.map_err(Error::from_rejection)?, now())
        })
        .await
        .map(Written::answer)
    }

    /// Applies a patch to a Job's status and metadata.
    ///
    /// # Errors
    ///
    /// As [`Registry::patch_job`].
    pub async fn patch_job_status(
        &self,
        namespace: &str,
        name: &str,
        body: &[u8],
        content_type: Option<&str>,
        options: &Options,
    ) -> Result<Answer, Error> {
        let patch = Patch::read(body, content_type)?;
        self.change_job(namespace, name, options, |job| {
            let old = job.view();
            let Some(new) = patched(&patch, &old)? else { return Ok(Vec::new()) };
            job.target().same_revision(&new.value)?;
            let text = new.value.to_string();
            let context = UpdateContext { field_validation: options.field_validation };
            let admitted = admission::update_status(&old, new, context);
            let admitted = admitted.map_err(|rejection| Error::from_patched(rejection, &text))?;
            take_status(job, admitted, now())
        })
        .await
        .map(Written::answer)
    }

    /// Deletes a Job with its pods: at once, or when what it waits for has happened.
    ///
    /// # Errors
    ///
    /// 404, 409 (preconditions); 503 when JetStream is away.
    pub async fn delete_job(
        &self,
        namespace: &str,
        name: &str,
        options: &Options,
    ) -> Result<Answer, Error> {
        self.remove_job(namespace, name, options).await.map(Written::deleted)
    }

    /// Deletes a Job, and gives what was written.
    pub(super) async fn remove_job(
        &self,
        namespace: &str,
        name: &str,
        options: &Options,
    ) -> Result<Written, Error> {
        self.change_job(namespace, name, options, |job| {
            job.target().preconditions(options)?;
            delete(job, options.propagation, now());
            Ok(Vec::new())
        })
        .await
    }
}

/// The account of a new Job: of an annotated one, only of the indexes that run.
fn ledger(object: &Value) -> Result<Ledger, Error> {
    if object["metadata"]["annotations"][INDEXES].is_null() {
        return Ok(Ledger::default());
    }
    let job = serde_json::from_value(object.clone())
        .map_err(|error| Error::Internal(format!("reading an admitted Job: {error}")))?;
    Ok(Ledger::of(&JobSpec::from_job(&job)))
}

/// What stands at a new Job's subject, if it is that Job.
fn ours(current: &Current, uid: JobUid) -> Option<StoredJob> {
    let stands = StoredJob::decode(&current.payload, current.sequence).ok()?;
    (stands.uid == uid).then_some(stands)
}

/// What the object would be with the patch in it; nothing if that changes nothing.
fn patched(patch: &Patch, old: &Value) -> Result<Option<Body>, Error> {
    let new = patch.apply(old, &JOB)?;
    Ok((new.value != *old || !new.duplicates.is_empty()).then_some(new))
}

/// Five of Kubernetes' letters.
pub(super) fn name_suffix() -> String {
    let bytes = Incarnation::random().0.into_bytes();
    bytes[..5]
        .iter()
        .map(|byte| char::from(NAME_LETTERS[usize::from(*byte) % NAME_LETTERS.len()]))
        .collect()
}
