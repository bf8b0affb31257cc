//! Verbs on Jobs.

use serde_json::value::RawValue;
use serde_json::{Value, json};
use stint_common::id::{Incarnation, JobUid};
use stint_common::names::NAME_LETTERS;
use stint_common::nats::{Expect, Outcome, Write};
use stint_common::time::now;
use stint_common::wire::{Template, VERSION};
use uuid::Uuid;

use super::Error;
use super::convert::{StoredJob, may_be_selected};
use super::error::{JOBS, MODIFIED};
use super::merge::merge;
use super::options::{Options, Propagation};
use super::store::Registry;
use crate::admission::{self, Admitted, Body, CreateContext, UpdateContext};
use crate::job::{Deletion, JobStatus, Ledger};
use crate::store::JobRecord;

/// A Job may be so large; its status and ledger, which live in the same record, need the rest.
pub const MAX_JOB_BYTES: usize = 512 << 10;
/// How often a change is tried again when another write came between reading and writing.
const TRIES: u32 = 100;
/// How often a generated name is drawn before it is given up.
const NAME_TRIES: u32 = 8;

/// What a verb gives back: the object, and what the client should be warned of.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The object.
    pub object: Value,
    /// Warnings, as HTTP's `Warning` header would carry them.
    pub warnings: Vec<String>,
}

/// What a change makes of a Job.
enum Changed {
    /// Nothing: what stands is the answer.
    Unchanged,
    /// This object, with the same status and ledger.
    Object(Admitted),
    /// It is to be deleted, in the foreground.
    Deletion(Deletion),
    /// It is gone; its pods follow.
    Gone,
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
        let generated = body.value["metadata"]["name"].as_str().unwrap_or_default().is_empty();
        let mut tries = 0;
        loop {
            tries += 1;
            let outcome = self.create_once(namespace, body.clone(), options).await;
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

    async fn create_once(
        &self,
        namespace: &str,
        body: Body,
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
        let Admitted { job, warnings } =
            admission::create(body, &context).map_err(Error::from_rejection)?;
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
        self.store_template(&stored).await?;
        let subject = self.jet.names.object("jobs", namespace, &name);
        let mut expect = self.replica.tombstone("jobs", namespace, &name);
        let payload = stored.record.encode();
        let revision = loop {
            let expected = Expect::Sequence(expect);
            let write =
                Write { subject: subject.clone(), payload: payload.clone(), expect: expected };
            match self.objects.write(write).await {
                Outcome::Stored(revision) => break revision,
                Outcome::Lost(None) => expect = 0,
                Outcome::Lost(Some(current)) if current.payload.ends_with(b"\"gone\":true}") => {
                    expect = current.sequence;
                }
                Outcome::Lost(Some(_)) => {
                    self.drop_templates(uid).await;
                    return Err(exists());
                }
                Outcome::Refused(reason) => {
                    self.drop_templates(uid).await;
                    return Err(Error::Unavailable(format!("the Job was not stored: {reason}")));
                }
            }
        };
        Ok(Answer { object: StoredJob { revision, ..stored }.view(), warnings })
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
            object: raw(&object)?,
            template: template_hash(uid, &object),
            trace: options.trace.clone(),
            created_at: Some(now()),
            status: JobStatus::default(),
            ledger: Ledger::default(),
            deletion: None,
            gone: false,
        };
        Ok(StoredJob { uid, record, object, revision: 0 })
    }

    /// The template is immutable and written before the Job that names it.
    async fn store_template(&self, job: &StoredJob) -> Result<(), Error> {
        let template = Template {
            v: VERSION,
            namespace: job.namespace().to_owned(),
            job_name: job.name().to_owned(),
            job_uid: job.uid,
            indexed: job.indexed(),
            pod_template: raw(&job.object["spec"]["template"])?,
            trace: job.record.trace.clone(),
        };
        let payload = serde_json::to_vec(&template)
            .map_err(|error| Error::Internal(format!("encoding a pod template: {error}")))?;
        let subject = self.jet.names.template(job.uid, &job.record.template);
        let write = Write { subject, payload: payload.into(), expect: Expect::Any };
        match self.objects.write(write).await {
            Outcome::Stored(_) | Outcome::Lost(_) => Ok(()),
            Outcome::Refused(reason) => {
                Err(Error::Unavailable(format!("the pod template was not stored: {reason}")))
            }
        }
    }

    async fn drop_templates(&self, uid: JobUid) {
        let names = &self.jet.names;
        let Ok(stream) = self.jet.context.get_stream_no_info(names.objects_stream()).await else {
            return;
        };
        if let Err(error) = stream.purge().filter(names.templates(uid)).await {
            tracing::warn!(%uid, %error, "a template of a Job that was not created is left behind");
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
    async fn read_job(&self, namespace: &str, name: &str) -> Result<StoredJob, Error> {
        let not_found = || Error::NotFound { resource: JOBS, name: name.to_owned() };
        let names = &self.jet.names;
        let subject = names.object("jobs", namespace, name);
        let stored = self.jet.read_last(&names.objects_stream(), &subject).await?;
        let stored = stored.filter(|stored| !stored.payload.is_empty()).ok_or_else(not_found)?;
        let job = StoredJob::decode(&stored.payload, stored.sequence)?;
        if job.record.gone { Err(not_found()) } else { Ok(job) }
    }

    /// One Job.
    ///
    /// # Errors
    ///
    /// 404; 503 when JetStream is away.
    pub async fn get_job(&self, namespace: &str, name: &str) -> Result<Value, Error> {
        Ok(self.read_job(namespace, name).await?.view())
    }

    /// Jobs of one namespace, or of all, that match the selectors.
    ///
    /// # Errors
    ///
    /// 400 for a bad `continue` or field; 503 when JetStream is away.
    pub async fn list_jobs(
        &self,
        namespace: Option<&str>,
        options: &Options,
    ) -> Result<Value, Error> {
        self.replica.fresh().await?;
        let (objects, revision) = self.replica.list("jobs", namespace);
        let matches =
            options.fields.for_jobs().map_err(|error| Error::BadRequest(error.to_string()))?;
        let after = options.continue_after.as_deref().map(read_continue).transpose()?;
        let mut items = Vec::new();
        let mut bytes = 0;
        let mut more = None;
        for object in objects {
            if !may_be_selected(&object, &options.fields) {
                continue;
            }
            let place = format!("{}/{}", object.namespace, object.name);
            if after.as_ref().is_some_and(|after| place <= *after) {
                continue;
            }
            let Some(job) = StoredJob::one_of_many(&object) else { continue };
            let job = job.view();
            if !options.labels.matches_object(&job) || !matches(&job) {
                continue;
            }
            if options.limit > 0 && items.len() == options.limit {
                more = items.last().map(write_continue);
                break;
            }
            bytes += job.to_string().len();
            items.push(job);
            if options.limit > 0 && bytes > self.page_bytes() {
                more = items.last().map(write_continue);
                break;
            }
        }
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        if let Some(more) = more {
            metadata["continue"] = Value::from(more);
        }
        Ok(
            json!({"apiVersion": "batch/v1", "kind": "JobList", "metadata": metadata, "items": items}),
        )
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
        self.change_job(namespace, name, options, |job, context| {
            same_revision(job, &body.value)?;
            let admitted = admission::update(&job.view(), body.clone(), context);
            admitted.map(Changed::Object).map_err(Error::from_rejection)
        })
        .await
    }

    /// Applies a merge patch (RFC 7386) to a Job.
    ///
    /// # Errors
    ///
    /// As [`Registry::update_job`]; 415 for other kinds of patch.
    pub async fn patch_job(
        &self,
        namespace: &str,
        name: &str,
        body: &[u8],
        content_type: Option<&str>,
        options: &Options,
    ) -> Result<Answer, Error> {
        let accepted = ["application/merge-patch+json"];
        if content_type.is_some_and(|kind| !accepted.contains(&kind)) {
            return Err(Error::UnsupportedMediaType { accepted: accepted.to_vec() });
        }
        let patch = admission::decode(body, None).map_err(Error::from_rejection)?;
        self.change_job(namespace, name, options, |job, context| {
            let old = job.view();
            let mut new = old.clone();
            merge(&mut new, &patch.value);
            same_revision(job, &new)?;
            if new == old {
                return Ok(Changed::Unchanged);
            }
            let admitted = admission::update(&old, Body::from(new), context);
            admitted.map(Changed::Object).map_err(Error::from_rejection)
        })
        .await
    }

    /// Deletes a Job with its pods.
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
        self.change_job(namespace, name, options, |job, _| {
            if let Some(uid) = &options.uid
                && *uid != job.uid.to_string()
            {
                let reason = format!(
                    "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
                    job.uid
                );
                return Err(Error::Conflict { resource: JOBS, name: name.to_owned(), reason });
            }
            Ok(match options.propagation {
                Propagation::Background => Changed::Gone,
                Propagation::Foreground if job.record.deletion.is_some() => Changed::Unchanged,
                Propagation::Foreground => {
                    Changed::Deletion(Deletion { at: now(), foreground: true })
                }
            })
        })
        .await
    }

    /// Reads, changes and writes back a Job, again and again while others write in between.
    async fn change_job(
        &self,
        namespace: &str,
        name: &str,
        options: &Options,
        change: impl Fn(&StoredJob, UpdateContext) -> Result<Changed, Error>,
    ) -> Result<Answer, Error> {
        for _ in 0..TRIES {
            let mut job = self.read_job(namespace, name).await?;
            let context = UpdateContext { field_validation: options.field_validation };
            let mut warnings = Vec::new();
            match change(&job, context)? {
                Changed::Unchanged => return Ok(Answer { object: job.view(), warnings }),
                Changed::Object(admitted) => {
                    warnings = admitted.warnings;
                    let template = template_hash(job.uid, &admitted.job);
                    job.record.object = raw(&admitted.job)?;
                    job.object = admitted.job;
                    if template != job.record.template {
                        job.record.template = template;
                        self.store_template(&job).await?;
                    }
                }
                Changed::Deletion(deletion) => job.record.deletion = Some(deletion),
                Changed::Gone => job.record.gone = true,
            }
            if options.dry_run {
                return Ok(Answer { object: job.view(), warnings });
            }
            (job.record.writer, job.record.nonce) = (self.writer, self.next_nonce());
            let subject = self.jet.names.object("jobs", namespace, name);
            let expect = Expect::Sequence(job.revision);
            let write = Write { subject, payload: job.record.encode(), expect };
            match self.objects.write(write).await {
                Outcome::Stored(revision) => {
                    job.revision = revision;
                    return Ok(Answer { object: job.view(), warnings });
                }
                Outcome::Lost(_) => {}
                Outcome::Refused(reason) => {
                    return Err(Error::Unavailable(format!("the Job was not stored: {reason}")));
                }
            }
        }
        Err(Error::Conflict { resource: JOBS, name: name.to_owned(), reason: MODIFIED.to_owned() })
    }
}

/// A write that names a revision means that one and no other.
fn same_revision(job: &StoredJob, new: &Value) -> Result<(), Error> {
    let meant = new["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    if meant.is_empty() || meant == job.revision.to_string() {
        return Ok(());
    }
    let name = job.name().to_owned();
    Err(Error::Conflict { resource: JOBS, name, reason: MODIFIED.to_owned() })
}

/// Five of Kubernetes' letters.
fn name_suffix() -> String {
    let bytes = Incarnation::random().0.into_bytes();
    bytes[..5]
        .iter()
        .map(|byte| char::from(NAME_LETTERS[usize::from(*byte) % NAME_LETTERS.len()]))
        .collect()
}

fn raw(object: &Value) -> Result<Box<RawValue>, Error> {
    let raw = serde_json::value::to_raw_value(object)
        .map_err(|error| Error::Internal(format!("encoding a Job: {error}")))?;
    if raw.get().len() > MAX_JOB_BYTES {
        return Err(Error::RequestEntityTooLarge { limit: MAX_JOB_BYTES });
    }
    Ok(raw)
}

/// Names a template within its Job, by its content.
fn template_hash(uid: JobUid, object: &Value) -> String {
    let text = object["spec"]["template"].to_string();
    let hash = Uuid::new_v5(&uid.0, text.as_bytes()).simple().to_string();
    hash[..12].to_owned()
}

/// A `continue` token is the place of the last object given, in hexadecimal: opaque to clients.
fn write_continue(last: &Value) -> String {
    let metadata = &last["metadata"];
    let text = |name: &str| metadata[name].as_str().unwrap_or_default().to_owned();
    let place = format!("{}/{}", text("namespace"), text("name"));
    place.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn read_continue(token: &str) -> Result<String, Error> {
    let bad = || {
        Error::BadRequest("continue key is not valid: it must come from the list before".to_owned())
    };
    let bytes: Option<Vec<u8>> = (0..token.len())
        .step_by(2)
        .map(|at| token.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect();
    String::from_utf8(bytes.ok_or_else(bad)?).map_err(|_| bad())
}
