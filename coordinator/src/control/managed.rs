//! One Job as the owner manages it: the core's view, and what of its record the core does not hold.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job as ApiJob;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use stint_common::id::{Incarnation, JobUid, ObjectRef, PodId, Slot};
use stint_common::time::Instant;
use stint_common::wire::{Class, IndexFailures, Template, TraceContext, VERSION};

use crate::job::{Deletion, Event, Job, JobSpec, JobStatus, Ledger, class};
use crate::store::{JobRecord, OF_DELETION};
use crate::trace::JobTrace;

/// More unclaimed pods than this are plenty.
const PLENTY: u32 = 48;

/// A Job under management.
#[derive(Debug)]
pub(super) struct Managed {
    pub(super) job: Job,
    pub(super) name: ObjectRef,
    pub(super) subject: String,
    /// Sequence of the record that the core's durable part stands for.
    pub(super) revision: u64,
    pub(super) object: Box<RawValue>,
    pub(super) template: String,
    /// What its pods ask of a worker, and the name of that.
    pub(super) class: (String, Arc<Class>),
    pub(super) trace: Option<TraceContext>,
    pub(super) created_at: Option<Timestamp>,
    pub(super) deletion: Option<Deletion>,
    /// It has finalizers that do not wait for its pods.
    pub(super) held: bool,
    /// What clients wrote into its status.
    pub(super) said: Option<Box<RawValue>>,
    /// Where its spans go, if traces are on.
    pub(super) spans: Option<JobTrace>,
    /// A write of the record is under way; the next plan waits for its outcome.
    pub(super) writing: bool,
    /// The last write was refused: what is in memory is ahead of what is stored, until one is
    /// taken.
    pub(super) refused: bool,
    /// By what is stored, it waits for other Jobs.
    pub(super) waits: bool,
    /// Something happened since the last plan.
    pub(super) dirty: bool,
    /// The timer that is set for it.
    pub(super) wake_at: Option<Timestamp>,
    /// Large records are written less often: not before this.
    pub(super) hold_until: Option<Instant>,
    /// When the record was last written.
    pub(super) written: Option<Instant>,
    /// Pods that workers have and that have not ended.
    pub(super) claimed: u32,
    /// Pods that have ended since the last write.
    pub(super) ended: u32,
    /// A change that can wait does so until then.
    pub(super) lazy_until: Option<Instant>,
    /// What was read at its subject while a write was under way: revision and bytes.
    pub(super) unread: Option<(u64, Bytes)>,
    /// The write under way is its tombstone.
    pub(super) removing: bool,
    /// Said when the write under way is stored.
    pub(super) events: Vec<Event>,
    /// Its end was counted for the metrics.
    pub(super) counted: bool,
}

/// A record that was read, in the core's terms.
pub(super) struct Parsed {
    pub(super) uid: JobUid,
    pub(super) name: ObjectRef,
    pub(super) spec: JobSpec,
    pub(super) held: bool,
    pub(super) class: (String, Arc<Class>),
    pub(super) record: JobRecord,
}

/// Reads a record; `None` (said in the log) if it cannot be: one bad record must not stop the
/// others.
pub(super) fn parse(subject: &str, payload: &[u8]) -> Option<Parsed> {
    let record = match JobRecord::decode(payload) {
        Ok(record) => record,
        Err(error) => {
            tracing::error!(subject, ?error, "cannot read a Job's record; it is left alone");
            return None;
        }
    };
    let job: ApiJob = match serde_json::from_str(record.object.get()) {
        Ok(job) => job,
        Err(error) => {
            tracing::error!(subject, ?error, "cannot read a stored Job; it is left alone");
            return None;
        }
    };
    let uid = job.metadata.uid.as_deref().and_then(|uid| uid.parse().ok())?;
    let name = ObjectRef {
        namespace: job.metadata.namespace.clone().unwrap_or_default(),
        name: job.metadata.name.clone().unwrap_or_default(),
    };
    let mut finalizers = job.metadata.finalizers.iter().flatten();
    let held = finalizers.any(|name| !OF_DELETION.contains(&name.as_str()));
    let pod = job.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let class = pod.map(class).unwrap_or_default();
    let class = (class.name(), Arc::new(class));
    Some(Parsed { uid, name, spec: JobSpec::from_job(&job), held, class, record })
}

impl Managed {
    pub(super) fn new(parsed: Parsed, subject: &str, revision: u64) -> Self {
        let Parsed { uid, name, spec, held, class, record } = parsed;
        let JobRecord {
            object, template, trace, created_at, status, said, ledger, deletion, ..
        } = record;
        let job = Job::restore(uid, name.clone(), spec, status, ledger, deletion);
        Self {
            waits: job.waits(),
            job,
            name,
            subject: subject.to_owned(),
            revision,
            object,
            template,
            class,
            trace,
            created_at,
            deletion,
            held,
            said,
            spans: None,
            writing: false,
            refused: false,
            dirty: true,
            wake_at: None,
            hold_until: None,
            written: None,
            claimed: 0,
            ended: 0,
            lazy_until: None,
            unread: None,
            removing: false,
            events: Vec::new(),
            counted: false,
        }
    }

    /// Another's write stands: the durable part is read anew, what is known of pods stays.
    pub(super) fn replace(&mut self, parsed: Parsed, revision: u64) {
        let JobRecord { object, template, trace, status, said, ledger, deletion, .. } =
            parsed.record;
        self.job.replace(parsed.spec, status, ledger, deletion);
        (self.object, self.template, self.trace) = (object, template, trace);
        (self.deletion, self.held) = (deletion, parsed.held);
        self.class = parsed.class;
        (self.said, self.revision) = (said, revision);
        self.stored();
        self.dirty = true;
    }

    /// What is in memory is what is stored.
    pub(super) fn stored(&mut self) {
        self.refused = false;
        self.waits = self.job.waits();
    }

    /// Whether what is in memory is known to be stored: only then it is acted on.
    pub(super) fn is_durable(&self) -> bool {
        !self.writing && !self.refused
    }

    /// Whether workers have enough to claim for now, so that counting a moment later holds nobody
    /// up: a flood of short pods is counted in batches, a single one at once.
    pub(super) fn has_plenty(&self) -> bool {
        let gone = self.claimed.saturating_add(self.ended);
        self.job.status().active > gone.saturating_add(PLENTY)
    }

    pub(super) fn pod(&self, key: crate::job::Key) -> PodId {
        PodId { job: self.job.uid(), slot: key.0, attempt: key.1 }
    }

    /// How often the index of the pod that is open in a slot has failed before, where that counts.
    pub(super) fn index_failures(&self, slot: Slot) -> Option<IndexFailures> {
        self.job.spec().backoff_limit_per_index?;
        let state = self.job.ledger().slot(slot);
        Some(IndexFailures { counted: state.failures, ignored: state.ignored })
    }

    /// The template of its pods, as it was stored before the Job.
    pub(super) fn template(&self) -> Option<Bytes> {
        let object: WithTemplate = serde_json::from_str(self.object.get()).ok()?;
        let template = Template {
            v: VERSION,
            namespace: self.name.namespace.clone(),
            job_name: self.name.name.clone(),
            job_uid: self.job.uid(),
            indexed: self.job.spec().indexed,
            pod_template: object.spec.template,
            trace: self.trace.clone(),
            changed: true,
        };
        serde_json::to_vec(&template).ok().map(Bytes::from)
    }

    /// The record's bytes as the core stands now. `gone` makes it the tombstone.
    pub(super) fn encode(&self, writer: Incarnation, nonce: u64, gone: bool) -> Bytes {
        let view = RecordView {
            v: VERSION,
            writer,
            nonce,
            object: &self.object,
            template: &self.template,
            trace: self.trace.as_ref(),
            created_at: self.created_at,
            status: self.job.status(),
            said: self.said.as_deref(),
            ledger: self.job.ledger(),
            deletion: self.deletion.as_ref(),
            gone,
        };
        serde_json::to_vec(&view).expect("a record has only string keys and raw JSON").into()
    }
}

/// What a Job's object says of its pods.
#[derive(Deserialize)]
struct WithTemplate {
    spec: SpecWithTemplate,
}

#[derive(Deserialize)]
struct SpecWithTemplate {
    template: Box<RawValue>,
}

/// [`JobRecord`] by reference: a ledger of 10^6 indexes is not copied to be written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RecordView<'a> {
    v: u8,
    writer: Incarnation,
    nonce: u64,
    object: &'a RawValue,
    template: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<&'a TraceContext>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<Timestamp>,
    status: &'a JobStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    said: Option<&'a RawValue>,
    ledger: &'a Ledger,
    #[serde(skip_serializing_if = "Option::is_none")]
    deletion: Option<&'a Deletion>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    gone: bool,
}
