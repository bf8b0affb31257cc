//! Watches on Events: those there are, then what comes.

use std::collections::HashSet;

use serde_json::Value;
use stint_common::nats::{Entry, Tail, TailEvent};
use tokio::sync::mpsc;

use super::{EventForm, StoredEvent, check_fields};
use crate::registry::options::plain_revision;
use crate::registry::watch::{
    Beginning, Bookmarks, CutOff, EVENTS, WatchStream, bookmark, event, let_run, tell,
};
use crate::registry::{Error, Options, Registry};

struct EventWatch {
    form: EventForm,
    options: Options,
    sender: mpsc::Sender<Value>,
    tail: Tail,
    /// How far the watch has come.
    revision: u64,
    /// What the watcher has seen, by place: only of those that match.
    seen: HashSet<String>,
}

impl Registry {
    /// Watches Events. Without a `resourceVersion` (or with 0, or with `sendInitialEvents`) those
    /// there are come first.
    ///
    /// # Errors
    ///
    /// 400 for bad selectors, 503 when JetStream is away.
    pub async fn watch_events(
        &self,
        form: EventForm,
        namespace: Option<&str>,
        options: Options,
    ) -> Result<WatchStream, Error> {
        check_fields(&options.fields)?;
        let beginning = Beginning::of(&options);
        let (there, now) = match beginning.after {
            Some(after) => (Vec::new(), plain_revision(after)),
            None => {
                let (events, now) = self.read_events(namespace, &options).await?;
                (events.into_values().collect(), now)
            }
        };
        let (sender, stream) = mpsc::channel(EVENTS);
        let filter = self.event_filter(namespace, &options);
        let stream_name = self.jet.names.events_stream();
        let tail = Tail::start_after(self.jet.clone(), stream_name, vec![filter], now);
        let seen = HashSet::new();
        let watch =
            EventWatch { form, options: options.clone(), sender, tail, revision: now, seen };
        let_run(&options, watch.run(there, beginning));
        Ok(stream)
    }
}

impl EventWatch {
    async fn run(mut self, there: Vec<StoredEvent>, beginning: Beginning) -> Result<(), CutOff> {
        for stored in there {
            let Some(news) = self.news(&stored, true) else { continue };
            if beginning.with_objects {
                tell(&self.sender, news).await?;
            }
        }
        if beginning.with_mark {
            tell(&self.sender, self.mark(true)).await?;
        }
        let mut bookmarks = Bookmarks::of(&self.options);
        loop {
            tokio::select! {
                () = self.sender.closed() => return Err(CutOff),
                () = bookmarks.due() => tell(&self.sender, self.mark(false)).await?,
                entries = self.tail.next() => match entries {
                    Some(TailEvent::Entries(entries)) => self.take(&entries).await?,
                    Some(TailEvent::CaughtUp | TailEvent::Resumed(_)) => {}
                    // It ends, and whoever watches lists anew.
                    Some(TailEvent::WentBack) | None => return Ok(()),
                },
            }
        }
    }

    async fn take(&mut self, entries: &[Entry]) -> Result<(), CutOff> {
        for entry in entries {
            self.revision = entry.sequence;
            let Some(stored) = StoredEvent::of(entry) else { continue };
            if let Some(news) = self.news(&stored, false) {
                tell(&self.sender, news).await?;
            }
        }
        Ok(())
    }

    /// What an Event is to this watcher; of those that were there at the beginning, an addition.
    fn news(&mut self, stored: &StoredEvent, beginning: bool) -> Option<Value> {
        let place = stored.place();
        let selected = stored.is_selected(&self.options);
        let shown = self.form.show(&stored.event);
        if !selected || stored.gone {
            let was_there = self.seen.remove(&place) || (stored.gone && selected);
            return was_there.then(|| event("DELETED", shown));
        }
        // One that was there before this watch began is changed, though it was not seen.
        let added = self.seen.insert(place) && (beginning || !stored.changed);
        Some(event(if added { "ADDED" } else { "MODIFIED" }, shown))
    }

    fn mark(&self, all_told: bool) -> Value {
        let identity = self.form.rules().identity;
        bookmark(identity.api_version, identity.kind, self.revision, all_told)
    }
}
