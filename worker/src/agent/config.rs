//! A claimed pod whose variables or files come from ConfigMaps and Secrets: they are read before it
//! may have a place. While something is missing its record says so, and it is looked for again and
//! again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use stint_common::id::PodId;
use stint_common::names::Names;
use stint_common::nats::Jet;
use stint_common::time::after;
use stint_common::wire::{PodState, Template, Waiting, read_entries};

use super::outbox::{Done, Outbox};
use super::pods::Stage;
use super::run::Agent;
use super::templates::{Ready, prepared};
use crate::launch::{Host, Missing, Reference, references, resolve, without};
use crate::runtime::Runtime;

/// What is missing is looked for again after this, and after twice as long each time.
const FIRST_AGAIN: Duration = Duration::from_secs(1);
const LONGEST_AGAIN: Duration = Duration::from_secs(15);
/// What kubelet calls it when a variable is missing.
const NO_VARIABLE: &str = "CreateContainerConfigError";
/// What it says of a pod, of which no container can be started yet, when a file is missing.
const NO_FILE: &str = "ContainerCreating";

/// A template that asks for objects.
#[derive(Debug)]
pub(super) struct Asking {
    template: Template,
    pod_template: serde_json::Value,
    references: Vec<Reference>,
}

/// What came of reading them.
#[derive(Debug)]
pub(super) enum Configured {
    /// The template with their values in it.
    Ready(Arc<Ready>),
    /// Something is not there.
    Missing(Missing),
    /// JetStream did not answer.
    Unread,
}

/// The template without what it asks for, and what that is; `None` if it asks for nothing.
pub(super) fn asking(template: &Template) -> Option<(Template, Asking)> {
    let pod_template = serde_json::from_str(template.pod_template.get()).ok()?;
    let references = references(&pod_template);
    if references.is_empty() {
        return None;
    }
    let plain = with(template, &without(&pod_template))?;
    Some((plain, Asking { template: template.clone(), pod_template, references }))
}

/// The same template with another text.
fn with(template: &Template, pod_template: &serde_json::Value) -> Option<Template> {
    let pod_template = serde_json::value::to_raw_value(pod_template).ok()?;
    Some(Template { pod_template, ..template.clone() })
}

/// Reads what a template asks for from the stream's leader.
async fn read(jet: &Jet, host: &Host, asking: &Asking) -> Configured {
    let mut found = BTreeMap::new();
    for reference in &asking.references {
        let subject = subject(&jet.names, &asking.template.namespace, reference);
        let stored = match jet.read_last(&jet.names.objects_stream(), &subject).await {
            Ok(stored) => stored,
            Err(error) => {
                tracing::debug!(?error, "reading what a pod's variables come from");
                return Configured::Unread;
            }
        };
        let entries = stored.map(|stored| read_entries(&stored.payload)).transpose();
        match entries {
            Ok(entries) => drop(found.insert(reference.clone(), entries.flatten())),
            Err(error) => {
                tracing::error!(subject, %error, "cannot read what a pod's variables come from");
                return Configured::Unread;
            }
        }
    }
    match resolve(&asking.pod_template, &found) {
        Ok(resolved) => match with(&asking.template, &resolved) {
            Some(template) => Configured::Ready(Arc::new(prepared(template, host))),
            None => Configured::Unread,
        },
        Err(missing) => Configured::Missing(missing),
    }
}

fn subject(names: &Names, namespace: &str, reference: &Reference) -> String {
    match reference {
        Reference::ConfigMap(name) => names.object("configmaps", namespace, name),
        Reference::Secret(name) => names.object("secrets", namespace, name),
    }
}

impl<R: Runtime> Agent<R> {
    /// A pod that was claimed waits for a place, or first for what its variables come from.
    pub(super) fn configure(&mut self, id: PodId) {
        let Some(pod) = self.pods.get(&id).filter(|pod| pod.stage == Stage::Waiting) else {
            self.configuring.remove(&id);
            return;
        };
        let ready = Arc::clone(&pod.ready);
        if ready.asking.is_none() {
            self.configuring.remove(&id);
            self.waiting.push_back(id);
            return;
        }
        self.configuring.entry(id).or_insert(0);
        let (jet, host) = (self.post.jet.clone(), Arc::clone(&self.post.host));
        self.on_their_way.push(Box::pin(async move {
            let configured = match &ready.asking {
                Some(asking) => read(&jet, &host, asking).await,
                None => Configured::Unread,
            };
            Done::Configured(id, configured)
        }));
    }

    pub(super) fn configured(&mut self, id: PodId, configured: Configured, out: &mut Outbox) {
        let Some(pod) = self.pods.get_mut(&id).filter(|pod| pod.stage == Stage::Waiting) else {
            self.configuring.remove(&id);
            return;
        };
        match configured {
            Configured::Ready(ready) => {
                pod.ready = ready;
                pod.waits_for = None;
                self.configure(id);
                return;
            }
            Configured::Missing(Missing { container, message }) => {
                let reason = if container.is_some() { NO_VARIABLE } else { NO_FILE }.to_owned();
                let container = container.unwrap_or_default();
                let waiting = Waiting { container, reason, message };
                if pod.waits_for.as_ref() != Some(&waiting) {
                    pod.waits_for = Some(waiting);
                    self.write_waiting(id, out);
                }
            }
            Configured::Unread => {}
        }
        let tries = self.configuring.entry(id).or_insert(0);
        let pause = FIRST_AGAIN.saturating_mul(1 << (*tries).min(8)).min(LONGEST_AGAIN);
        *tries += 1;
        self.look_again.insert((after(self.wall.now(), pause), id));
    }

    /// The record of a pod that waits says what for.
    fn write_waiting(&mut self, id: PodId, out: &mut Outbox) {
        let nonce = self.next_nonce();
        let Some(pod) = self.pods.get_mut(&id).filter(|pod| !pod.writing) else { return };
        pod.writing = true;
        let payload =
            pod.record(&self.settings.name, self.me, nonce, &self.post.host.ip, PodState::Claimed);
        out.reports.push((id, Outbox::write(self.post.jet.names.pod(id), payload, pod.sequence)));
    }
}
