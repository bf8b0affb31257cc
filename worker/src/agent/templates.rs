//! Templates, read once per Job from the objects' stream and kept while they are in use.

use std::collections::HashMap;
use std::sync::Arc;

use stint_common::id::JobUid;
use stint_common::nats::Jet;
use stint_common::wire::{Template, TraceContext};

use super::config::{Asking, asking};
use crate::launch::{Host, PreparedJob};

/// Templates kept; the least recently used goes first.
const MOST: usize = 256;

/// Names a template: its Job and its hash.
pub(super) type Name = (JobUid, String);

/// A template that was read.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) namespace: String,
    pub(super) trace: Option<TraceContext>,
    /// Made ready, or why it cannot be: then its pods fail, saying so. Without the variables that
    /// it asks for elsewhere.
    pub(super) job: Result<PreparedJob, String>,
    /// Where it asks for variables: to be read for each pod.
    pub(super) asking: Option<Asking>,
}

/// What is known of a template.
#[derive(Clone, Debug)]
pub(super) enum Known {
    /// It is being read.
    Fetching,
    /// It was read.
    Ready(Arc<Ready>),
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
    uses: u64,
}

impl Templates {
    pub(super) fn get(&mut self, name: &Name) -> Option<Known> {
        self.uses += 1;
        let (known, used) = self.known.get_mut(name)?;
        *used = self.uses;
        Some(known.clone())
    }

    pub(super) fn fetching(&mut self, name: Name) {
        if self.known.len() >= MOST {
            let ready =
                self.known.iter().filter(|(_, (known, _))| matches!(known, Known::Ready(_)));
            if let Some(oldest) =
                ready.min_by_key(|(_, (_, used))| *used).map(|(name, _)| name.clone())
            {
                self.known.remove(&oldest);
            }
        }
        self.known.insert(name, (Known::Fetching, self.uses));
    }

    pub(super) fn fetched(&mut self, name: &Name, fetched: &Fetched) {
        match fetched {
            Fetched::Ready(ready) => {
                self.known.insert(name.clone(), (Known::Ready(Arc::clone(ready)), self.uses));
            }
            Fetched::Gone | Fetched::Failed => {
                self.known.remove(name);
            }
        }
    }
}

/// Reads a template from the stream's leader.
pub(super) async fn fetch(jet: &Jet, host: &Host, name: &Name) -> Fetched {
    let subject = jet.names.template(name.0, &name.1);
    let stored = match jet.read_last(&jet.names.objects_stream(), &subject).await {
        Ok(Some(stored)) => stored,
        Ok(None) => return Fetched::Gone,
        Err(error) => {
            tracing::debug!(?error, "reading a template");
            return Fetched::Failed;
        }
    };
    let template: Template = match serde_json::from_slice(&stored.payload) {
        Ok(template) => template,
        Err(error) => {
            tracing::error!(subject, %error, "cannot read a template");
            return Fetched::Failed;
        }
    };
    Fetched::Ready(Arc::new(match asking(&template) {
        Some((plain, asking)) => Ready { asking: Some(asking), ..prepared(plain, host) },
        None => prepared(template, host),
    }))
}

/// A template made ready.
pub(super) fn prepared(template: Template, host: &Host) -> Ready {
    let job = PreparedJob::new(&template, host).map_err(|error| describe(&error));
    Ready { namespace: template.namespace, trace: template.trace, job, asking: None }
}

fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
