//! Reading Events from their stream.

use std::collections::BTreeMap;

use serde_json::Value;
use stint_common::nats::{Tail, TailEvent};

use super::{EventForm, StoredEvent, check_fields, not_found};
use crate::admission::text;
use crate::registry::collection::list;
use crate::registry::job_list::read_continue;
use crate::registry::{Error, Options, Registry};

impl Registry {
    /// One Event.
    ///
    /// # Errors
    ///
    /// 404; 503 when JetStream is away.
    pub async fn get_event(
        &self,
        form: EventForm,
        namespace: &str,
        name: &str,
    ) -> Result<Value, Error> {
        Ok(form.show(&self.read_event(form, namespace, name).await?.1.event))
    }

    /// An Event that is there, and its subject.
    pub(super) async fn read_event(
        &self,
        form: EventForm,
        namespace: &str,
        name: &str,
    ) -> Result<(String, StoredEvent), Error> {
        // A name that no object can have may be a pattern to the stream.
        if !text::dns_subdomain(name).is_empty() {
            return Err(not_found(form, name));
        }
        let names = &self.jet.names;
        let subject = names.event_named(namespace, name);
        let stored = self.jet.read_last(&names.events_stream(), &subject).await?;
        let stored = stored.ok_or_else(|| not_found(form, name))?;
        let event = StoredEvent::decode(&stored.payload, stored.sequence);
        match event.filter(|event| !event.gone) {
            Some(event) => Ok((stored.subject, event)),
            None => Err(not_found(form, name)),
        }
    }

    /// Which Events of the stream a request can mean.
    pub(super) fn event_filter(&self, namespace: Option<&str>, options: &Options) -> String {
        let names = &self.jet.names;
        let fields = &options.fields;
        let uid = fields.exact("involvedObject.uid").or(fields.exact("regarding.uid"));
        match (uid.filter(|uid| !uid.is_empty()), namespace) {
            (Some(uid), namespace) => names.events_about(namespace, uid),
            (None, Some(namespace)) => names.events_of(namespace),
            (None, None) => names.events(),
        }
    }

    /// Events that are there, by namespace and name, and the revision that they are of.
    pub(super) async fn read_events(
        &self,
        namespace: Option<&str>,
        options: &Options,
    ) -> Result<(BTreeMap<String, StoredEvent>, u64), Error> {
        let names = &self.jet.names;
        let last = self.jet.read_last(&names.events_stream(), &names.events()).await?;
        let mut revision = last.map_or(0, |last| last.sequence);
        let filter = self.event_filter(namespace, options);
        let mut tail = Tail::start(self.jet.clone(), names.events_stream(), vec![filter]);
        let mut events = BTreeMap::new();
        while let Some(TailEvent::Entries(entries)) = tail.next().await {
            for entry in entries {
                revision = revision.max(entry.sequence);
                let Some(event) = StoredEvent::of(&entry) else { continue };
                if event.gone {
                    events.remove(&event.place());
                } else {
                    events.insert(event.place(), event);
                }
            }
        }
        Ok((events, revision))
    }

    /// Events of one namespace, or of all, that match the selectors.
    ///
    /// # Errors
    ///
    /// 400 for a bad `continue` or field; 503 when JetStream is away.
    pub async fn list_events(
        &self,
        form: EventForm,
        namespace: Option<&str>,
        options: &Options,
    ) -> Result<Value, Error> {
        check_fields(&options.fields)?;
        let after = options.continue_after.as_deref().map(read_continue).transpose()?;
        let (events, revision) = self.read_events(namespace, options).await?;
        let mut page = self.page(options);
        for (place, event) in events {
            let behind = after.as_ref().is_none_or(|after| place > *after);
            if !behind || !event.is_selected(options) {
                continue;
            }
            if !page.take(form.show(&event.event)) {
                break;
            }
        }
        let (metadata, items) = page.finish(revision);
        let version = form.rules().identity.api_version;
        Ok(list(version, "EventList", metadata, items))
    }
}
