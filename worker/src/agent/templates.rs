//! Templates, read from the objects' stream and kept while they are in use; and with each the seal
//! that says which pods of its Job are over.
//!
//! Records of pods that are over may be removed, and an empty subject takes a claim again. So a
//! claim counts only if it was confirmed within [`Seal::FRESH_MS`] of reading the seal, or the seal
//! is read again before the pod is started.

use std::sync::Arc;
use std::time::Duration;

use stint_common::backoff::Backoff;
use stint_common::collections::{HashMap, HashSet};
use stint_common::id::{JobUid, PodId};
use stint_common::nats::{Jet, ReadError, Stored};
use stint_common::wire::{Seal, Template, TraceContext};

use super::config::Asking;
use super::fence::boottime_ms;
use crate::launch::{Host, PreparedJob, Values};

/// Templates kept; the least recently used goes first.
const MOST: usize = 256;
/// Between two reads of which the first failed: one that cannot be read at all is read, and said to
/// be so in the log, every few seconds.
const AGAIN: Backoff = Backoff { base: Duration::from_millis(200), cap: Duration::from_secs(5) };

/// Names a template: its Job and its hash.
pub(super) type Name = (JobUid, String);

/// A template that was read.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) namespace: String,
    pub(super) trace: Option<TraceContext>,
    /// Made ready, or why it cannot be: then its pods fail, saying so. Without what it asks for
    /// elsewhere, as long as that was not read.
    pub(super) job: Result<PreparedJob, String>,
    /// Where it asks for files or variables: to be read for each pod.
    pub(super) asking: Option<Arc<Asking>>,
    /// Which pods of the Job are over, if any record of them may be removed.
    seal: Option<Seal>,
    /// When reading both began, on the clock that goes on while the machine sleeps.
    read_at_ms: i64,
}

impl Ready {
    /// Whether the pod is over, so that it must not be started whatever its claim says.
    pub(super) fn is_over(&self, pod: PodId) -> bool {
        self.seal.as_ref().is_some_and(|seal| seal.covers(pod.slot, pod.attempt))
    }

    /// Whether its pods have files that come from elsewhere. What is read of those must outlive the
    /// agent that has read it.
    pub(super) fn has_files(&self) -> bool {
        self.asking.as_ref().is_some_and(|asking| asking.has_files())
    }

    /// What is left of a template of a Job that is gone: nothing of it can be started again.
    pub(super) fn gone(namespace: String) -> Self {
        let job = Err("its Job is gone".to_owned());
        Self { namespace, trace: None, job, asking: None, seal: None, read_at_ms: i64::MIN }
    }

    /// Whether what is known of the seal is good for a claim that is confirmed now.
    pub(super) fn is_fresh(&self) -> bool {
        boottime_ms().saturating_sub(self.read_at_ms) < Seal::FRESH_MS
    }
}

/// What is known of a template.
#[derive(Clone, Debug)]
pub(super) enum Known {
    /// It is being read.
    Fetching,
    /// It was read.
    Ready(Arc<Ready>),
}

/// A template that is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fetch {
    pub(super) name: Name,
    /// Not before so long after now.
    pub(super) pause: Duration,
}

/// What came of reading a template.
#[derive(Debug)]
pub(super) enum Fetched {
    Ready(Arc<Ready>),
    /// There is none: its Job is gone.
    Gone,
    /// JetStream did not answer.
    Failed,
}

/// The templates in use.
#[derive(Debug, Default)]
pub(super) struct Templates {
    known: HashMap<Name, (Known, u64)>,
    /// Those that are being read again.
    again: HashSet<Name>,
    /// How often reading them has failed since it last did not.
    failures: HashMap<Name, u32>,
    uses: u64,
}

impl Templates {
    pub(super) fn get(&mut self, name: &Name) -> Option<Known> {
        self.uses += 1;
        let (known, used) = self.known.get_mut(name)?;
        *used = self.uses;
        Some(known.clone())
    }

    /// One that is not known is to be read.
    pub(super) fn fetch(&mut self, name: Name) -> Fetch {
        if self.known.len() >= MOST {
            let ready =
                self.known.iter().filter(|(_, (known, _))| matches!(known, Known::Ready(_)));
            if let Some(oldest) =
                ready.min_by_key(|(_, (_, used))| *used).map(|(name, _)| name.clone())
            {
                self.known.remove(&oldest);
            }
        }
        self.known.insert(name.clone(), (Known::Fetching, self.uses));
        self.after_a_pause(name)
    }

    /// One that is known is to be read again, unless that is under way.
    pub(super) fn read_again(&mut self, name: &Name) -> Option<Fetch> {
        let fetching = matches!(self.known.get(name), Some((Known::Fetching, _)));
        let first = !fetching && self.again.insert(name.clone());
        first.then(|| self.after_a_pause(name.clone()))
    }

    fn after_a_pause(&self, name: Name) -> Fetch {
        let failures = self.failures.get(&name).copied().unwrap_or(0);
        Fetch { name, pause: AGAIN.delay(failures) }
    }

    pub(super) fn fetched(&mut self, name: &Name, fetched: &Fetched) {
        let again = self.again.remove(name);
        if matches!(fetched, Fetched::Failed) {
            if self.failures.len() >= MOST {
                // Of Jobs that went meanwhile.
                self.failures.clear();
            }
            *self.failures.entry(name.clone()).or_default() += 1;
        } else {
            self.failures.remove(name);
        }
        match fetched {
            Fetched::Ready(ready) => {
                self.known.insert(name.clone(), (Known::Ready(Arc::clone(ready)), self.uses));
            }
            // What was known before stays, and is still old.
            Fetched::Failed if again => {}
            Fetched::Gone | Fetched::Failed => {
                self.known.remove(name);
            }
        }
    }
}

/// Reads a template, and the seal of its Job, from the stream's leader.
pub(super) async fn fetch(jet: &Jet, host: &Host, name: &Name) -> Fetched {
    let read_at_ms = boottime_ms();
    let (stored, seal) = match read(jet, name).await {
        Ok(Some(both)) => both,
        Ok(None) => return Fetched::Gone,
        Err(error) => {
            tracing::debug!(?error, "reading a template");
            return Fetched::Failed;
        }
    };
    let seal = seal.map(|seal| serde_json::from_slice::<Seal>(&seal.payload)).transpose();
    let (template, seal) = match (serde_json::from_slice::<Template>(&stored.payload), seal) {
        (Ok(template), Ok(seal)) => (template, seal),
        (Err(error), _) | (_, Err(error)) => {
            tracing::error!(subject = stored.subject, %error, "cannot read a template or its seal");
            return Fetched::Failed;
        }
    };
    if seal.as_ref().is_some_and(|seal| seal.all) {
        return Fetched::Gone;
    }
    let ready = match Asking::of(&template) {
        Some(asking) => Arc::new(asking).ready(None, &Values::default(), host),
        None => prepared(template, host),
    };
    Fetched::Ready(Arc::new(Ready { seal, read_at_ms, ..ready }))
}

/// A template made ready; nothing is known of its Job's seal.
pub(super) fn prepared(template: Template, host: &Host) -> Ready {
    let job = PreparedJob::new(&template, host).map_err(|error| describe(&error));
    let Template { namespace, trace, .. } = template;
    Ready { namespace, trace, job, asking: None, seal: None, read_at_ms: i64::MIN }
}

/// The template and the seal, if there is one; nothing if the Job is gone. Usually one read: what a
/// Job was created with is older than any seal of it, so if it is the last of them, there is none.
async fn read(jet: &Jet, name: &Name) -> Result<Option<(Stored, Option<Stored>)>, ReadError> {
    let names = &jet.names;
    let stream = names.objects_stream();
    let (wanted, seal) = (names.template(name.0, &name.1), names.seal(name.0));
    let Some(last) = jet.read_last(&stream, &names.templates(name.0)).await? else {
        return Ok(None);
    };
    let changed = || {
        // What cannot be read is looked at by the caller.
        serde_json::from_slice::<Template>(&last.payload).is_ok_and(|template| template.changed)
    };
    if last.subject == wanted && !changed() {
        return Ok(Some((last, None)));
    }
    let sealed =
        if last.subject == seal { Some(last) } else { jet.read_last(&stream, &seal).await? };
    let template = jet.read_last(&stream, &wanted).await?;
    Ok(template.map(|template| (template, sealed)))
}

/// An error with its causes.
pub(super) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use stint_common::id::{Attempt, Incarnation, Slot};
    use stint_common::wire::{Over, VERSION};
    use uuid::Uuid;

    #[test]
    fn what_the_seal_covers_is_over() {
        let over = vec![Over { attempts: 2, slots: [3].into_iter().collect() }];
        let writer = Incarnation(Uuid::nil());
        let seal = Seal { v: VERSION, writer, nonce: 1, all: false, over };
        let ready = Ready { seal: Some(seal), ..Ready::gone("default".to_owned()) };
        let is_over = |slot, attempt| {
            let (slot, attempt) = (Slot(slot), Attempt(attempt));
            ready.is_over(PodId { job: JobUid(Uuid::nil()), slot, attempt })
        };
        assert!(is_over(3, 0) && is_over(3, 1) && !is_over(3, 2) && !is_over(4, 0));
        let none = Ready::gone("default".to_owned());
        let job = JobUid(Uuid::nil());
        assert!(!none.is_over(PodId { job, slot: Slot(3), attempt: Attempt(0) }));
    }

    #[test]
    fn what_cannot_be_read_is_read_again_later_and_later() {
        let mut templates = Templates::default();
        let name: Name = (JobUid(Uuid::nil()), "t".to_owned());
        let mut pauses = Vec::new();
        for _ in 0..7 {
            assert!(templates.get(&name).is_none(), "it is asked for again");
            pauses.push(templates.fetch(name.clone()).pause.as_millis());
            assert_eq!(templates.read_again(&name), None, "that is under way");
            templates.fetched(&name, &Fetched::Failed);
        }
        assert_eq!(pauses, [0, 200, 400, 800, 1600, 3200, 5000]);
        let ready = Fetched::Ready(Arc::new(Ready::gone("default".to_owned())));
        templates.fetched(&name, &ready);
        // What is known is old, and reading it again fails.
        assert_eq!(templates.read_again(&name).unwrap().pause, Duration::ZERO);
        assert_eq!(templates.read_again(&name), None);
        templates.fetched(&name, &Fetched::Failed);
        assert!(matches!(templates.get(&name), Some(Known::Ready(_))), "it stays known");
        assert_eq!(templates.read_again(&name).unwrap().pause, AGAIN.base);
    }
}
