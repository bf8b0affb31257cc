//! Verbs on nodes. A node is a worker's lease, and what clients said of the worker; the second is
//! an object of its own, which the worker reads.

mod lease;
mod view;
mod watch;

use std::sync::Arc;

use serde_json::{Value, json};
use stint_common::names::ALL_NAMESPACES;
use stint_common::nats::{Expect, Outcome, Write};
use stint_common::wire::{Nudge, VERSION};

use super::apply_request::{Apply, Changed, Wanted, admit_change};
use super::change::TRIES;
use super::collection::list;
use super::error::{MODIFIED, NODES};
use super::jobs::Answer;
use super::objects::StoredObject;
use super::options::Options;
use super::patch::{Patch, schema};
use super::store::{PATIENCE, Registry};
use super::{Error, job_list};
use crate::admission::{self, plain};
use crate::store::Object;
use view::Seen;

/// Where workers' leases are among the objects.
const WORKERS: &str = "_workers";
/// The fields by which one can select.
const FIELDS: [&str; 2] = ["metadata.name", "spec.unschedulable"];

impl Registry {
    /// One node.
    ///
    /// # Errors
    ///
    /// 404; 503 when JetStream is away.
    pub async fn get_node(&self, name: &str) -> Result<Value, Error> {
        Ok(self.read_node(name).await?.object())
    }

    /// Nodes that match the selectors.
    ///
    /// # Errors
    ///
    /// 400 for a bad `continue` or field; 503 when JetStream is away.
    pub async fn list_nodes(&self, options: &Options) -> Result<Value, Error> {
        check_fields(options)?;
        let (leases, revision) = self.list_at("leases", Some(WORKERS), options).await?;
        let after = options.continue_after.as_deref().map(job_list::read_continue).transpose()?;
        let (mut items, mut more) = (Vec::new(), None);
        for lease in leases {
            let Some(node) = self.node_of(&lease) else { continue };
            let behind = after.as_ref().is_none_or(|after| format!("/{}", lease.name) > *after);
            if !behind || !is_selected(&node, options) {
                continue;
            }
            if options.limit > 0 && items.len() == options.limit {
                more = items.last().map(job_list::write_continue);
                break;
            }
            items.push(node);
        }
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        if let Some(more) = more {
            metadata["continue"] = Value::from(more);
        }
        Ok(list("v1", "NodeList", metadata, items))
    }

    /// The node of a worker's lease in the replica; none if it is no node any more.
    fn node_of(&self, lease: &Object) -> Option<Value> {
        let seen = Seen {
            lease: serde_json::from_slice(&lease.payload).ok()?,
            renewed: (lease.revision, lease.time),
            word: self.word_of(&lease.name),
        };
        seen.is_node().then(|| seen.object())
    }

    fn word_of(&self, worker: &str) -> Option<StoredObject> {
        let object: Arc<Object> = self.replica.get(NODES.plural, ALL_NAMESPACES, worker)?;
        StoredObject::one_of_many(&object)
    }

    /// A worker as the leader knows it.
    async fn read_node(&self, name: &str) -> Result<Seen, Error> {
        let not_found = || Error::NotFound { resource: NODES, name: name.to_owned() };
        // A name that no object can have may be a pattern to the stream.
        if !(plain::NODE.name)(name).is_empty() {
            return Err(not_found());
        }
        let names = &self.jet.names;
        let stream = names.objects_stream();
        let lease = self.jet.read_last(&stream, &names.worker_lease(name)).await?;
        let lease = lease.ok_or_else(not_found)?;
        let word = self.jet.read_last(&stream, &names.node(name)).await?;
        let word = word.map(|word| StoredObject::decode(&word.payload, word.sequence));
        let seen = Seen {
            lease: serde_json::from_slice(&lease.payload).map_err(|error| {
                Error::Internal(format!("the lease of {name} cannot be read: {error}"))
            })?,
            renewed: (lease.sequence, lease.time),
            word: word.transpose()?,
        };
        if seen.is_node() { Ok(seen) } else { Err(not_found()) }
    }

    /// Replaces what clients say of a node: labels, annotations, `spec.unschedulable`.
    ///
    /// # Errors
    ///
    /// As the API server: 400, 404, 409, 415, 422; 503 when JetStream is away.
    pub async fn update_node(
        &self,
        name: &str,
        body: &[u8],
        content_type: Option<&str>,
        options: &Options,
    ) -> Result<Answer, Error> {
        let rejected = |rejection| Error::of_rejected(NODES, rejection);
        let body = admission::decode_as(body, content_type, NODES.kind).map_err(rejected)?;
        self.change_node(name, options, |_| Ok((body.clone(), None))).await
    }

    /// Applies a patch to what clients say of a node.
    ///
    /// # Errors
    ///
    /// As [`Registry::update_node`].
    pub async fn patch_node(
        &self,
        name: &str,
        body: &[u8],
        content_type: Option<&str>,
        options: &Options,
    ) -> Result<Answer, Error> {
        let patch = Patch::read(body, content_type)?;
        let change = |old: &Value| Ok((patch.apply(old, &schema::NODE)?, None));
        self.change_node(name, options, change).await
    }

    /// Applies (server side) what somebody says of a node. It makes none.
    ///
    /// # Errors
    ///
    /// As [`Registry::update_node`]; 409 for fields that others have said something else about, 422
    /// without a `fieldManager`.
    pub async fn apply_node(
        &self,
        name: &str,
        body: &[u8],
        options: &Options,
    ) -> Result<Answer, Error> {
        let rejected = |rejection| Error::of_rejected(NODES, rejection);
        let body = admission::decode_as(body, None, NODES.kind).map_err(rejected)?;
        let apply = Apply::read(body, name, options)?;
        let change =
            |old: &Value| apply.to(old, &schema::NODE).map(|(new, managed)| (new, Some(managed)));
        self.change_node(name, options, change).await
    }

    async fn change_node(
        &self,
        name: &str,
        options: &Options,
        change: impl Fn(&Value) -> Result<Wanted, Error>,
    ) -> Result<Answer, Error> {
        let kind = Changed { about: NODES, rules: &plain::NODE, schema: &schema::NODE };
        for _ in 0..TRIES {
            let mut seen = self.read_node(name).await?;
            let old = seen.object();
            let wanted = change(&old)?;
            same_revision(&seen, &wanted.0.value)?;
            let admitted = admit_change(&kind, &old, wanted, options)?;
            let word = seen.word_in(&admitted.object);
            let same = seen.word.as_ref().is_some_and(|before| before.object == word);
            let expect = Expect::Sequence(seen.word_revision());
            let mut stored = StoredObject { object: word, gone: false, revision: 0 };
            let answer = |seen: &Seen, stored: StoredObject| Answer {
                object: Seen { word: Some(stored), ..seen.clone() }.object(),
                warnings: admitted.warnings.clone(),
            };
            if same || options.dry_run {
                stored.revision = seen.word_revision();
                return Ok(answer(&seen, stored));
            }
            let payload = self.record_of(&stored)?;
            let write = Write { subject: self.jet.names.node(name), payload, expect };
            match self.objects.write_within(write, PATIENCE).await? {
                Outcome::Stored(revision) => {
                    stored.revision = revision;
                    self.tell_worker(name, &stored.object).await;
                    seen.word = None;
                    return Ok(answer(&seen, stored));
                }
                Outcome::Lost(_) => {}
                Outcome::Refused(reason) => {
                    return Err(Error::Unavailable(format!("the Node was not stored: {reason}")));
                }
            }
        }
        Err(modified(name))
    }

    /// The worker reads the record by itself, a little later.
    async fn tell_worker(&self, name: &str, word: &Value) {
        let cordoned = Some(word["spec"]["unschedulable"] == true);
        let nudge = Nudge { v: VERSION, pods: Vec::new(), cordoned, claims: Vec::new() };
        let payload = serde_json::to_vec(&nudge).expect("a nudge has only string keys");
        let subject = self.jet.names.nudge(name);
        if let Err(error) = self.jet.publish(subject, payload.into()).await {
            tracing::debug!(worker = name, ?error, "nudging");
        }
    }
}

fn modified(name: &str) -> Error {
    Error::Conflict { resource: NODES, name: name.to_owned(), reason: MODIFIED.to_owned() }
}

/// A write that names a revision means what clients said until then; a worker's renewals are in
/// nobody's way.
fn same_revision(seen: &Seen, new: &Value) -> Result<(), Error> {
    let meant = new["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    let meant = meant.parse::<u64>().unwrap_or(u64::MAX);
    let given = new["metadata"]["resourceVersion"].as_str().is_some_and(|text| !text.is_empty());
    if given && (meant < seen.word_revision() || meant > seen.revision()) {
        return Err(modified(&seen.lease.worker));
    }
    Ok(())
}

fn check_fields(options: &Options) -> Result<(), Error> {
    options.fields.check(&FIELDS).map_err(|error| Error::BadRequest(error.to_string()))
}

/// Whether the selectors mean a node. One that says nothing of `unschedulable` can be used.
fn is_selected(node: &Value, options: &Options) -> bool {
    let field = |name: &str| match name {
        "metadata.name" => node["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
        _ => (node["spec"]["unschedulable"] == true).to_string(),
    };
    options.labels.matches_object(node) && options.fields.matches(field)
}
