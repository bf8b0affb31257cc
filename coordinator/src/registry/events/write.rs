//! Writing Events: clients may tell what happened, and say so again, as their libraries do.

use serde_json::{Value, json};
use stint_common::id::JobUid;
use stint_common::nats::{Expect, Outcome, Write};
use stint_common::time::now;

use super::{EventForm, GONE, StoredEvent};
use crate::admission::{self, Body, CreateContext, plain};
use crate::registry::apply_request::{Apply, Changed, Wanted, admit_change};
use crate::registry::change::TRIES;
use crate::registry::jobs::name_suffix;
use crate::registry::patch::{Patch, schema};
use crate::registry::store::PATIENCE;
use crate::registry::target::modified;
use crate::registry::{Answer, Error, Options, Registry};

impl Registry {
    /// Admits and stores an Event.
    ///
    /// # Errors
    ///
    /// As the API server: 400, 403, 409, 413, 415, 422; 503 when JetStream is away.
    pub async fn create_event(
        &self,
        form: EventForm,
        namespace: &str,
        body: &[u8],
        content_type: Option<&str>,
        options: &Options,
    ) -> Result<Answer, Error> {
        let body = decode(form, body, content_type)?;
        self.create_event_once(form, namespace, body, None, options).await
    }

    /// Applies (server side) an Event; whether that created it.
    ///
    /// # Errors
    ///
    /// As [`Registry::create_event`] and [`Registry::update_event`]; 409 for fields that others
    /// have said something else about, 422 without a `fieldManager`.
    pub async fn apply_event(
        &self,
        form: EventForm,
        namespace: &str,
        name: &str,
        body: &[u8],
        options: &Options,
    ) -> Result<(Answer, bool), Error> {
        let apply = Apply::read(decode(form, body, None)?, name, options)?;
        let change =
            |old: &Value| apply.to(old, &schema::PLAIN).map(|(new, managed)| (new, Some(managed)));
        for _ in 0..TRIES {
            match self.change_event(form, namespace, name, options, change).await {
                Err(Error::NotFound { .. }) => {}
                outcome => return outcome.map(|answer| (answer, false)),
            }
            let (new, managed) = apply.anew(&schema::PLAIN)?;
            let created = self.create_event_once(form, namespace, new, Some(managed), options);
            match created.await {
                Err(Error::AlreadyExists { .. }) => {}
                outcome => return outcome.map(|answer| (answer, true)),
            }
        }
        Err(Apply::gives_up(form.about(), name))
    }

    async fn create_event_once(
        &self,
        form: EventForm,
        namespace: &str,
        body: Body,
        managed: Option<Value>,
        options: &Options,
    ) -> Result<Answer, Error> {
        let named = body.value["metadata"]["name"].as_str().unwrap_or_default();
        self.enter_namespace(form.about(), named, namespace, options).await?;
        let suffix = name_suffix();
        let context = CreateContext {
            namespace,
            uid: JobUid::random(),
            now: now(),
            field_validation: options.field_validation,
            name_suffix: &suffix,
        };
        let admitted = plain::create(form.rules(), body, &context);
        let mut admitted =
            admitted.map_err(|rejection| Error::of_rejected(form.about(), rejection))?;
        if let Some(managed) = managed {
            admitted.object["metadata"]["managedFields"] = managed;
        }
        let event = form.store(&admitted.object);
        let name = event["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let exists = || Error::AlreadyExists { resource: form.about(), name: name.clone() };
        if self.read_event(form, namespace, &name).await.is_ok() {
            return Err(exists());
        }
        let answer = |event: &Value| Answer {
            object: form.show(event),
            warnings: admitted.warnings.clone(),
        };
        if options.dry_run {
            return Ok(answer(&event));
        }
        let subject = self.event_subject(&event);
        let mut expect = 0;
        loop {
            match self.write_event(&subject, &event, expect).await? {
                Written::Stored(event) => return Ok(answer(&event)),
                Written::Lost(Some(current)) if current.gone => expect = current.revision,
                Written::Lost(_) => return Err(exists()),
            }
        }
    }

    pub(super) fn event_subject(&self, event: &Value) -> String {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (metadata, about) = (&event["metadata"], &event["involvedObject"]);
        self.jet.names.event(
            &text(&metadata["namespace"]),
            &text(&about["kind"]),
            &text(&about["uid"]),
            &text(&metadata["name"]),
        )
    }

    async fn write_event(
        &self,
        subject: &str,
        event: &Value,
        expect: u64,
    ) -> Result<Written, Error> {
        let payload = event.to_string();
        if payload.len() > self.page_bytes() {
            return Err(Error::RequestEntityTooLarge { limit: self.page_bytes() });
        }
        let subject = subject.to_owned();
        let write = Write { subject, payload: payload.into(), expect: Expect::Sequence(expect) };
        match self.events.write_within(write, PATIENCE).await? {
            Outcome::Stored(revision) => {
                let stored = StoredEvent::decode(event.to_string().as_bytes(), revision);
                stored.map(|stored| Written::Stored(stored.event)).ok_or_else(|| {
                    Error::Internal("an Event that was stored cannot be read".to_owned())
                })
            }
            Outcome::Lost(current) => Ok(Written::Lost(
                current.and_then(|current| StoredEvent::decode(&current.payload, current.sequence)),
            )),
            Outcome::Refused(reason) => {
                Err(Error::Unavailable(format!("the Event was not stored: {reason}")))
            }
        }
    }

    /// Replaces an Event by what was sent.
    ///
    /// # Errors
    ///
    /// As the API server: 400, 404, 409, 415, 422; 503 when JetStream is away.
    pub async fn update_event(
        &self,
        form: EventForm,
        namespace: &str,
        name: &str,
        body: &[u8],
        content_type: Option<&str>,
        options: &Options,
    ) -> Result<Answer, Error> {
        let body = decode(form, body, content_type)?;
        self.change_event(form, namespace, name, options, |_| Ok((body.clone(), None))).await
    }

    /// Applies a patch to an Event.
    ///
    /// # Errors
    ///
    /// As [`Registry::update_event`].
    pub async fn patch_event(
        &self,
        form: EventForm,
        namespace: &str,
        name: &str,
        body: &[u8],
        content_type: Option<&str>,
        options: &Options,
    ) -> Result<Answer, Error> {
        let patch = Patch::read(body, content_type)?;
        let change = |old: &Value| Ok((patch.apply(old, &schema::PLAIN)?, None));
        self.change_event(form, namespace, name, options, change).await
    }

    async fn change_event(
        &self,
        form: EventForm,
        namespace: &str,
        name: &str,
        options: &Options,
        change: impl Fn(&Value) -> Result<Wanted, Error>,
    ) -> Result<Answer, Error> {
        let kind = Changed { about: form.about(), rules: form.rules(), schema: &schema::PLAIN };
        for _ in 0..TRIES {
            let (subject, stored) = self.read_event(form, namespace, name).await?;
            let old = form.show(&stored.event);
            let wanted = change(&old)?;
            stored.target(form).same_revision(&wanted.0.value)?;
            let admitted = admit_change(&kind, &old, wanted, options)?;
            let event = form.store(&admitted.object);
            let answer = |event: &Value| Answer {
                object: form.show(event),
                warnings: admitted.warnings.clone(),
            };
            if options.dry_run || event == stored.event {
                return Ok(answer(&event));
            }
            // Its revision of before stays in it, so that a watch knows a change from a beginning.
            match self.write_event(&subject, &event, stored.revision).await? {
                Written::Stored(event) => return Ok(answer(&event)),
                Written::Lost(_) => {}
            }
        }
        Err(modified(form.about(), name))
    }

    /// Deletes an Event.
    ///
    /// # Errors
    ///
    /// 404, 409 (preconditions); 503 when JetStream is away.
    pub async fn delete_event(
        &self,
        form: EventForm,
        namespace: &str,
        name: &str,
        options: &Options,
    ) -> Result<Answer, Error> {
        for _ in 0..TRIES {
            let (subject, stored) = self.read_event(form, namespace, name).await?;
            let target = stored.target(form);
            target.preconditions(options)?;
            let done = Answer { object: target.deleted(), warnings: Vec::new() };
            if options.dry_run {
                return Ok(done);
            }
            let mut tombstone = stored.event.clone();
            tombstone[GONE] = json!(true);
            match self.write_event(&subject, &tombstone, stored.revision).await? {
                Written::Stored(_) => return Ok(done),
                Written::Lost(_) => {}
            }
        }
        Err(modified(form.about(), name))
    }

    /// Deletes every Event of a namespace that matches the selectors.
    ///
    /// # Errors
    ///
    /// As [`Registry::list_events`] and [`Registry::delete_event`].
    pub async fn delete_events(
        &self,
        form: EventForm,
        namespace: &str,
        options: &Options,
    ) -> Result<Answer, Error> {
        let list = self.list_events(form, Some(namespace), options).await?;
        self.delete_each(list, |name| async move {
            self.delete_event(form, namespace, &name, options).await
        })
        .await
    }
}

/// What became of an Event's write.
enum Written {
    Stored(Value),
    Lost(Option<StoredEvent>),
}

fn decode(form: EventForm, body: &[u8], content_type: Option<&str>) -> Result<Body, Error> {
    admission::decode_as(body, content_type, form.about().kind)
        .map_err(|rejection| Error::of_rejected(form.about(), rejection))
}
