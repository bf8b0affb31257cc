//! A claimed pod whose variables or files come from ConfigMaps and Secrets.
//!
//! Its files are read before it may have a place: while one is missing nothing of it is started,
//! its record says so, and it is looked for again and again. Variables are read for one container
//! at a time, when its machine asks; what follows if something is missing is the machine's to say.
//! Those of the containers that are started first are read with the files, so that no place stands
//! empty while they are: if they are there, the machine need not wait for its answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use stint_common::id::PodId;
use stint_common::names::Names;
use stint_common::nats::Jet;
use stint_common::time::after;
use stint_common::wire::{PodState, Template, Waiting, read_entries};

use super::outbox::{Done, Outbox};
use super::pods::{Pod, Stage};
use super::run::Agent;
use super::templates::{Ready, prepared};
use crate::launch::{
    Found, Host, Reference, References, Values, references, variables_of, with_files,
    with_variables, without_files,
};
use crate::pod::{Awaits, Event};
use crate::runtime::Runtime;

/// A file that is missing is looked for again after this, and after twice as long each time.
const FIRST_AGAIN: Duration = Duration::from_secs(1);
const LONGEST_AGAIN: Duration = Duration::from_secs(15);
/// What kubelet says of a pod, of which no container can be started yet, when a file is missing.
const NO_FILE: &str = "ContainerCreating";

/// A template that asks for objects.
#[derive(Debug)]
pub(super) struct Asking {
    template: Template,
    pod_template: Value,
    /// The same without files.
    bare: Arc<Value>,
    references: References,
}

/// What came of reading them.
#[derive(Debug)]
pub(super) enum Configured {
    /// For files the template with them in it, for variables these.
    Found(Arc<Value>),
    /// Something is not there: which, in kubelet's words.
    Missing(String),
    /// JetStream did not answer.
    Unread,
}

impl Asking {
    /// What a template asks for; `None` if it asks for nothing.
    pub(super) fn of(template: &Template) -> Option<Self> {
        let pod_template = serde_json::from_str(template.pod_template.get()).ok()?;
        let references = references(&pod_template);
        let bare = Arc::new(without_files(&pod_template));
        let asks = !references.is_empty();
        asks.then(|| Self { template: template.clone(), pod_template, bare, references })
    }

    /// The template made ready, with its files if they were read, and with the variables of those
    /// containers for which they were.
    pub(super) fn ready(
        self: &Arc<Self>,
        files: Option<&Value>,
        values: &Values,
        host: &Host,
    ) -> Ready {
        let whole = with_variables(files.unwrap_or(&self.bare), values);
        let pod_template =
            serde_json::value::to_raw_value(&whole).expect("a template has only string keys");
        let mut ready = prepared(Template { pod_template, ..self.template.clone() }, host);
        let asks = |name: &str| self.references.variables.contains_key(name);
        ready.job = ready.job.map(|job| job.asking_for(asks));
        ready.asking = Some(Arc::clone(self));
        ready
    }

    /// Whether some of what it asks for are files.
    pub(super) fn has_files(&self) -> bool {
        !self.references.files.is_empty()
    }

    async fn read_files(&self, jet: &Jet) -> Configured {
        if self.references.files.is_empty() {
            return Configured::Found(Arc::clone(&self.bare));
        }
        match self.read(jet, &self.references.files).await {
            Some(found) => with_files(&self.pod_template, &found).into(),
            None => Configured::Unread,
        }
    }

    async fn read_variables(&self, jet: &Jet, container: &str) -> Configured {
        let wanted = self.references.variables.get(container).map_or(&[][..], |wanted| wanted);
        match self.read(jet, wanted).await {
            Some(found) => variables_of(&self.pod_template, container, &found).into(),
            None => Configured::Unread,
        }
    }

    /// Reads objects from the stream's leader.
    async fn read(&self, jet: &Jet, wanted: &[Reference]) -> Option<Found> {
        let mut found = BTreeMap::new();
        for reference in wanted {
            let subject = subject(&jet.names, &self.template.namespace, reference);
            let stored = match jet.read_last(&jet.names.objects_stream(), &subject).await {
                Ok(stored) => stored,
                Err(error) => {
                    tracing::debug!(?error, "reading what a pod is configured with");
                    return None;
                }
            };
            let entries = stored.map(|stored| read_entries(&stored.payload)).transpose();
            match entries {
                Ok(entries) => drop(found.insert(reference.clone(), entries.flatten())),
                Err(error) => {
                    tracing::error!(subject, %error, "cannot read what a pod is configured with");
                    return None;
                }
            }
        }
        Some(found)
    }
}

impl From<Result<Value, String>> for Configured {
    fn from(resolved: Result<Value, String>) -> Self {
        resolved.map_or_else(Self::Missing, |found| Self::Found(Arc::new(found)))
    }
}

/// The containers of a pod whose variables are read before it has a place, which they would keep
/// empty for so long. A pod that stands in line for one does so when it has them.
fn asked_ahead(pod: &Pod) -> Vec<Arc<str>> {
    let settings = pod.machine.settings();
    if pod.is_lined_up() {
        return Vec::new();
    }
    let first = settings.first_to_start().filter_map(|index| settings.containers.get(index));
    first.filter(|it| it.is_configured).map(|it| Arc::clone(&it.name)).collect()
}

fn subject(names: &Names, namespace: &str, reference: &Reference) -> String {
    match reference {
        Reference::ConfigMap(name) => names.object("configmaps", namespace, name),
        Reference::Secret(name) => names.object("secrets", namespace, name),
    }
}

impl<R: Runtime> Agent<R> {
    /// A pod that was claimed waits for a place, or first for what is read before it has one.
    pub(super) fn configure(&mut self, id: PodId) {
        let Some(pod) = self.pods.get(&id).filter(|pod| pod.stage == Stage::Waiting) else {
            self.configuring.remove(&id);
            return;
        };
        let ahead = asked_ahead(pod);
        let asking = pod.ready.asking.clone().filter(|_| pod.files.is_none());
        let reads = |asking: &Arc<Asking>| !asking.references.files.is_empty() || !ahead.is_empty();
        let Some(asking) = asking.filter(reads) else {
            self.configuring.remove(&id);
            self.waiting.push_back(id);
            return;
        };
        self.configuring.entry(id).or_insert(0);
        let jet = self.post.jet.clone();
        self.on_their_way.push(Box::pin(async move {
            let files = asking.read_files(&jet).await;
            let mut values = Values::new();
            for name in ahead.iter().filter(|_| matches!(files, Configured::Found(_))) {
                // If it is not there the machine asks, and hears why.
                if let Configured::Found(env) = asking.read_variables(&jet, name).await {
                    values.insert((**name).to_owned(), Arc::unwrap_or_clone(env));
                }
            }
            Done::Files(id, files, values)
        }));
    }

    pub(super) fn files_read(
        &mut self,
        id: PodId,
        read: Configured,
        ahead: Values,
        out: &mut Outbox,
    ) {
        let Some(pod) = self.pods.get_mut(&id).filter(|pod| pod.stage == Stage::Waiting) else {
            self.configuring.remove(&id);
            return;
        };
        match read {
            Configured::Found(template) => {
                pod.files = Some(template);
                pod.waits_for = None;
                Arc::make_mut(&mut pod.values).extend(ahead);
                self.make_ready(id);
                self.configure(id);
                return;
            }
            Configured::Missing(message) => {
                let (container, reason) = (String::new(), NO_FILE.to_owned());
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

    /// A container's machine asks for its variables.
    pub(super) fn ask_for_variables(&mut self, id: PodId, index: usize) {
        let Some(pod) = self.pods.get(&id) else { return };
        let container = pod.machine.settings().containers.get(index);
        let name = container.map(|container| Arc::clone(&container.name));
        let (Some(asking), Some(name)) = (pod.ready.asking.clone(), name) else {
            // Its Job is gone: its start will say so.
            self.pending.push_back((id, Event::Configured { index }));
            return;
        };
        if pod.values.contains_key(&*name) {
            self.pending.push_back((id, Event::Configured { index }));
            return;
        }
        let jet = self.post.jet.clone();
        self.on_their_way.push(Box::pin(async move {
            Done::Variables(id, index, asking.read_variables(&jet, &name).await)
        }));
    }

    pub(super) fn variables_read(
        &mut self,
        id: PodId,
        index: usize,
        read: Configured,
        out: &mut Outbox,
    ) {
        // It may have been stopped meanwhile.
        let asks = |pod: &Pod| pod.machine.awaits(index) == Awaits::Configuration;
        if !self.pods.get(&id).is_some_and(asks) {
            return;
        }
        let event = match read {
            Configured::Found(env) => {
                self.keep_variables(id, index, env);
                Event::Configured { index }
            }
            Configured::Missing(message) => Event::NotConfigured { index, missing: Some(message) },
            Configured::Unread => Event::NotConfigured { index, missing: None },
        };
        self.step(id, event, out);
    }

    /// A container has these variables, however often it is started.
    fn keep_variables(&mut self, id: PodId, index: usize, env: Arc<Value>) {
        let Some(pod) = self.pods.get_mut(&id) else { return };
        let Some(container) = pod.machine.settings().containers.get(index) else { return };
        let name = (*container.name).to_owned();
        Arc::make_mut(&mut pod.values).insert(name, Arc::unwrap_or_clone(env));
        self.make_ready(id);
    }

    /// Works a pod's template out anew, with all that was read for it so far.
    pub(super) fn make_ready(&mut self, id: PodId) {
        if let Some(pod) = self.pods.get_mut(&id) {
            pod.make_ready(&self.post.host);
        }
    }

    /// The record of a pod that waits says what for.
    fn write_waiting(&mut self, id: PodId, out: &mut Outbox) {
        if self.pods.get(&id).is_some_and(|pod| !pod.writing) {
            out.reports.extend(self.write_record(id, PodState::Claimed));
        }
    }
}
