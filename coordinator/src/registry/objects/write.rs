//! Writing: every write is a compare-and-set against the stream's leader, tried again while others
//! write in between.

use serde_json::{Value, json};
use stint_common::id::JobUid;
use stint_common::nats::{Expect, Outcome, Write};
use stint_common::time::{format_seconds, now};
use stint_common::wire::VERSION;

use super::kind::Kind;
use super::read::place;
use super::stored::{StoredObject, raw};
use crate::admission::{self, Body, CreateContext, Rejection, UpdateContext, plain};
use crate::registry::apply_request::keep_account;
use crate::registry::change::TRIES;
use crate::registry::jobs::{NAME_TRIES, name_suffix};
use crate::registry::patch::Patch;
use crate::registry::store::PATIENCE;
use crate::registry::target::modified;
use crate::registry::{Answer, Error, Options, Registry};
use crate::store::{ObjectRecord, is_tombstone};

/// What a message needs besides an object: its record's other members, subject and headers.
const ENVELOPE: usize = 1024;

/// An object after a change, written or not.
pub(in crate::registry) struct Written {
    pub(in crate::registry) stored: StoredObject,
    warnings: Vec<String>,
}

impl Written {
    pub(super) fn answer(self) -> Answer {
        Answer { object: self.stored.view(), warnings: self.warnings }
    }

    /// The answer to a delete: the object while it is still there, else that it is gone.
    fn deleted(self, kind: &Kind) -> Answer {
        if !self.stored.gone {
            return self.answer();
        }
        Answer { object: self.stored.target(kind).deleted(), warnings: self.warnings }
    }
}

impl Registry {
    /// Admits and stores a new object.
    ///
    /// # Errors
    ///
    /// As the API server: 400, 403 (its namespace is being deleted), 409, 413, 415, 422; 503 when
    /// JetStream is away.
    pub async fn create_object(
        &self,
        kind: &Kind,
        namespace: &str,
        body: &[u8],
        content_type: Option<&str>,
        options: &Options,
    ) -> Result<Answer, Error> {
        let body = kind.decode(body, content_type)?;
        let named = body.value["metadata"]["name"].as_str().unwrap_or_default();
        let generated = named.is_empty();
        if kind.is_namespaced() {
            self.enter_namespace(kind.about, named, namespace, options).await?;
        }
        let mut tries = 0;
        loop {
            tries += 1;
            let outcome =
                self.create_object_once(kind, namespace, body.clone(), None, options).await;
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

    /// Creates an object under one name; with `managedFields`, if it is applied.
    pub(super) async fn create_object_once(
        &self,
        kind: &Kind,
        namespace: &str,
        body: Body,
        managed: Option<Value>,
        options: &Options,
    ) -> Result<Answer, Error> {
        let suffix = name_suffix();
        let context = CreateContext {
            namespace,
            uid: JobUid::random(),
            now: now(),
            field_validation: options.field_validation,
            name_suffix: &suffix,
        };
        let admitted = plain::create(kind.rules, body, &context);
        let plain::AdmittedObject { mut object, warnings } =
            admitted.map_err(|rejection| kind.rejected(rejection))?;
        if let Some(managed) = managed {
            object["metadata"]["managedFields"] = managed;
        }
        let mut stored = StoredObject { object, gone: false, revision: 0 };
        let name = stored.name().to_owned();
        if options.dry_run {
            return match self.read_object(kind, namespace, &name).await {
                Ok(_) => Err(Error::AlreadyExists { resource: kind.about, name }),
                Err(Error::NotFound { .. }) => Ok(Answer { object: stored.view(), warnings }),
                Err(error) => Err(error),
            };
        }
        match self.put_new(kind, namespace, &stored).await? {
            None => Err(Error::AlreadyExists { resource: kind.about, name }),
            Some(revision) => {
                stored.revision = revision;
                if kind.is_namespace() {
                    self.furnish_namespace(&name).await?;
                }
                Ok(Answer { object: stored.view(), warnings })
            }
        }
    }

    /// Stores an object where none is; gives its revision, or `None` if one is there.
    pub(in crate::registry) async fn put_new(
        &self,
        kind: &Kind,
        namespace: &str,
        stored: &StoredObject,
    ) -> Result<Option<u64>, Error> {
        let place = place(kind, namespace);
        let subject = self.jet.names.object(kind.about.plural, place, stored.name());
        let payload = self.record_of(stored)?;
        let mut expect = self.replica.tombstone(kind.about.plural, place, stored.name());
        loop {
            let expected = Expect::Sequence(expect);
            let write =
                Write { subject: subject.clone(), payload: payload.clone(), expect: expected };
            match self.objects.write_within(write, PATIENCE).await? {
                Outcome::Stored(revision) => return Ok(Some(revision)),
                Outcome::Lost(None) => expect = 0,
                Outcome::Lost(Some(current)) if is_tombstone(&current.payload) => {
                    expect = current.sequence;
                }
                Outcome::Lost(Some(_)) => return Ok(None),
                Outcome::Refused(reason) => return Err(not_stored(kind, &reason)),
            }
        }
    }

    pub(in crate::registry) fn record_of(
        &self,
        stored: &StoredObject,
    ) -> Result<bytes::Bytes, Error> {
        let limit = self.max_payload().saturating_sub(ENVELOPE);
        let record = ObjectRecord {
            v: VERSION,
            writer: self.writer,
            nonce: self.next_nonce(),
            object: raw(&stored.object, limit)?,
            gone: stored.gone,
        };
        Ok(record.encode())
    }

    /// Reads, changes and writes back an object. `change` gives warnings. What changes nothing is
    /// not written, nor is anything in a dry run.
    pub(in crate::registry) async fn change_object(
        &self,
        kind: &Kind,
        namespace: &str,
        name: &str,
        options: &Options,
        change: impl Fn(&mut StoredObject) -> Result<Vec<String>, Error>,
    ) -> Result<Written, Error> {
        for _ in 0..TRIES {
            let before = self.read_object(kind, namespace, name).await?;
            let mut stored = before.clone();
            let warnings = change(&mut stored)?;
            keep_account(&before.object, &mut stored.object, options, kind.schema);
            let same = stored.object == before.object && stored.gone == before.gone;
            if options.dry_run || same {
                return Ok(Written { stored, warnings });
            }
            let subject = self.jet.names.object(kind.about.plural, place(kind, namespace), name);
            let expect = Expect::Sequence(stored.revision);
            let write = Write { subject, payload: self.record_of(&stored)?, expect };
            match self.objects.write_within(write, PATIENCE).await? {
                Outcome::Stored(revision) => {
                    stored.revision = revision;
                    return Ok(Written { stored, warnings });
                }
                Outcome::Lost(_) => {}
                Outcome::Refused(reason) => return Err(not_stored(kind, &reason)),
            }
        }
        Err(modified(kind.about, name))
    }

    /// Replaces an object, or its status, by what was sent; without a `resourceVersion` whatever
    /// stands there.
    ///
    /// # Errors
    ///
    /// As the API server: 400, 404, 409, 413, 415, 422; 503 when JetStream is away.
    pub async fn update_object(
        &self,
        kind: &Kind,
        (namespace, name): (&str, &str),
        part: Changed,
        body: &[u8],
        content_type: Option<&str>,
        options: &Options,
    ) -> Result<Answer, Error> {
        let body = kind.decode(body, content_type)?;
        self.change_object(kind, namespace, name, options, |stored| {
            let rejected = |rejection| kind.rejected(rejection);
            kind.take(stored, body.clone(), part, options, rejected)
        })
        .await
        .map(Written::answer)
    }

    /// Applies a patch to an object, or to its status: a JSON patch, a merge patch or a strategic
    /// merge patch.
    ///
    /// # Errors
    ///
    /// As [`Registry::update_object`].
    pub async fn patch_object(
        &self,
        kind: &Kind,
        (namespace, name): (&str, &str),
        part: Changed,
        body: &[u8],
        content_type: Option<&str>,
        options: &Options,
    ) -> Result<Answer, Error> {
        let patch = Patch::read(body, content_type)?;
        self.change_object(kind, namespace, name, options, |stored| {
            let old = stored.view();
            let new = patch.apply(&old, kind.schema)?;
            if new.value == old && new.duplicates.is_empty() {
                return Ok(Vec::new());
            }
            let text = if kind.secret { String::new() } else { new.value.to_string() };
            let rejected = |rejection| Error::of_patched(kind.about, rejection, &text);
            kind.take(stored, new, part, options, rejected)
        })
        .await
        .map(Written::answer)
    }

    /// Deletes an object: at once, or when what it waits for has happened.
    ///
    /// # Errors
    ///
    /// 404, 409 (preconditions); 503 when JetStream is away.
    pub async fn delete_object(
        &self,
        kind: &Kind,
        namespace: &str,
        name: &str,
        options: &Options,
    ) -> Result<Answer, Error> {
        self.remove_object(kind, namespace, name, options)
            .await
            .map(|written| written.deleted(kind))
    }

    pub(super) async fn remove_object(
        &self,
        kind: &Kind,
        namespace: &str,
        name: &str,
        options: &Options,
    ) -> Result<Written, Error> {
        if kind.is_namespace() && name == super::namespaces::DEFAULT {
            let reason = "this namespace may not be deleted".to_owned();
            return Err(Error::Forbidden { resource: kind.about, name: name.to_owned(), reason });
        }
        self.change_object(kind, namespace, name, options, |stored| {
            stored.target(kind).preconditions(options)?;
            if kind.has_jobs() {
                stored.hold_for_jobs(options.propagation);
            }
            if !stored.waits(kind) {
                stored.gone = true;
            } else if !stored.is_being_deleted() {
                stored.object["metadata"]["deletionTimestamp"] = Value::from(format_seconds(now()));
                stored.object["metadata"]["deletionGracePeriodSeconds"] = Value::from(0);
                if kind.is_namespace() {
                    stored.object["status"] = json!({"phase": plain::TERMINATING});
                }
            }
            Ok(Vec::new())
        })
        .await
    }

    /// Deletes every object of a namespace that matches the selectors; what is gone meanwhile is
    /// passed over. The answer lists them as far as it fits a message.
    ///
    /// # Errors
    ///
    /// As [`Registry::list_objects`] and [`Registry::delete_object`]: objects before the one that
    /// could not be deleted are gone then.
    pub async fn delete_objects(
        &self,
        kind: &Kind,
        namespace: &str,
        options: &Options,
    ) -> Result<Answer, Error> {
        let list = self.list_objects(kind, Some(namespace), options).await?;
        self.delete_each(list, |name| async move {
            self.remove_object(kind, namespace, &name, options).await.map(Written::answer)
        })
        .await
    }
}

/// Which part of an object a write changes, besides its metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// All but the status.
    Object,
    /// The status alone.
    Status,
    /// Of a namespace, what must happen before it goes: `spec.finalizers` alone.
    Finalize,
}

impl Kind {
    /// Takes a changed object in, if it is admitted.
    pub(super) fn take(
        &self,
        stored: &mut StoredObject,
        new: Body,
        part: Changed,
        options: &Options,
        rejected: impl Fn(Rejection) -> Error,
    ) -> Result<Vec<String>, Error> {
        stored.target(self).same_revision(&new.value)?;
        let context = UpdateContext { field_validation: options.field_validation };
        let admitted = match part {
            Changed::Object => plain::update(self.rules, &stored.view(), new, context),
            Changed::Status => plain::update_status(self.rules, &stored.view(), new, context),
            Changed::Finalize => {
                let mut whole = Body { value: stored.view(), duplicates: new.duplicates };
                whole.value["spec"]["finalizers"] = new.value["spec"]["finalizers"].clone();
                plain::update_finalizers(self.rules, whole, context)
            }
        };
        let admitted = admitted.map_err(rejected)?;
        stored.set_object(admitted.object, self);
        Ok(admitted.warnings)
    }

    pub(super) fn decode(&self, body: &[u8], content_type: Option<&str>) -> Result<Body, Error> {
        admission::decode_as(body, content_type, self.about.kind)
            .map_err(|rejection| self.rejected(rejection))
    }

    pub(super) fn rejected(&self, rejection: Rejection) -> Error {
        Error::of_rejected(self.about, rejection)
    }
}

fn not_stored(kind: &Kind, reason: &str) -> Error {
    Error::Unavailable(format!("the {} was not stored: {reason}", kind.about.kind))
}
