//! Having pods end: deleting and evicting one, and whatever pods match.
//!
//! One that runs is told to end, by an order, and is gone when it has ended; who says so again may
//! only shorten its grace period. Of one that has ended
//! it is noted that it was deleted, where clients' words of it are: its record stays, since its
//! counting rests on it, and is shown to nobody.

use serde_json::{Value, json};
use stint_common::id::PodId;
use stint_common::nats::{Expect, Outcome, Write};
use stint_common::time::now;
use stint_common::wire::{Order, OrderKind, PodWord, VERSION};

use super::Error;
use super::change::TRIES;
use super::error::PODS;
use super::jobs::Answer;
use super::options::Options;
use super::pods::FoundPod;
use super::pods_position::PodsPosition;
use super::store::{PATIENCE, Registry};
use super::target::{Target, modified};

/// How a pod that runs is made to end.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Deleted,
    /// As deleted; and if it fails, that is a disruption.
    Evicted,
}

impl Registry {
    /// Deletes a pod. One that runs is told to end: an order, which its worker is nudged about
    /// until it has ended. One that has ended is gone at once, unless a finalizer holds it.
    ///
    /// # Errors
    ///
    /// 404; 409 (preconditions); 503 when JetStream is away.
    pub async fn delete_pod(
        &self,
        namespace: &str,
        name: &str,
        options: &Options,
    ) -> Result<Answer, Error> {
        let object = self.end_pod(namespace, name, options, Ending::Deleted).await?;
        Ok(Answer { object, warnings: Vec::new() })
    }

    /// The pod as it was last seen.
    async fn end_pod(
        &self,
        namespace: &str,
        name: &str,
        options: &Options,
        how: Ending,
    ) -> Result<Value, Error> {
        for _ in 0..TRIES {
            let mut found = self.find_pod(namespace, name).await?;
            let object = found.object().ok_or_else(|| found.is_gone(name))?;
            found.preconditions(name, options)?;
            let hurried = found.news.would_end_earlier(options.grace_seconds);
            if found.news.is_deleted() && !hurried || options.dry_run {
                return Ok(object);
            }
            if !found.news.has_ended() {
                if self.stop_pod(&mut found, options.grace_seconds, how).await? {
                    return Ok(found.object().unwrap_or(object));
                }
                continue;
            }
            let said = self.said_of_pod(&object, &found.news);
            let said = PodWord { deleted: Some(now()), ..said };
            if self.say_of_pod(&mut found, said).await? {
                return Ok(found.object().unwrap_or(object));
            }
        }
        Err(modified(PODS, name))
    }

    /// Evicts a pod: as it is deleted, and if it fails, that is a disruption.
    ///
    /// # Errors
    ///
    /// 400 for a body that is no `Eviction` of this pod; 404; 409 (preconditions); 503 when
    /// JetStream is away.
    pub async fn evict_pod(
        &self,
        namespace: &str,
        name: &str,
        body: &[u8],
        options: &Options,
    ) -> Result<Answer, Error> {
        let eviction = read(body, name)?;
        let options = delete_options(&eviction, options)?;
        self.end_pod(namespace, name, &options, Ending::Evicted).await?;
        let done = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201,
        });
        Ok(Answer { object: done, warnings: Vec::new() })
    }

    /// Writes an order to a pod, in place of the one that was found; false if there is another
    /// since.
    async fn stop_pod(
        &self,
        found: &mut FoundPod,
        grace_seconds: Option<u32>,
        how: Ending,
    ) -> Result<bool, Error> {
        let (reason, evicted) = match how {
            Ending::Deleted => ("Pod was deleted", false),
            Ending::Evicted => ("Pod was evicted", true),
        };
        let grace_seconds = grace_seconds.unwrap_or(found.grace_seconds());
        // As in Kubernetes, a shorter grace period counts from when the pod was first told, and
        // what it was first told for stays.
        let (at, reason, evicted) = match &found.news.order {
            Some(Order { kind: OrderKind::Stop { at, reason, .. }, evicted, .. }) => {
                (*at, reason.clone(), *evicted)
            }
            None => (now(), reason.to_owned(), evicted),
        };
        let kind = OrderKind::Stop { grace_seconds, at, reason };
        let (writer, nonce) = (self.writer, self.next_nonce());
        let order = Order { v: VERSION, writer, nonce, kind, evicted, deleted: true };
        let revision = self.order(found.pod, &order, found.news.order_revision).await?;
        let Some(revision) = revision else { return Ok(false) };
        found.news.revision = revision;
        found.news.order_revision = revision;
        found.news.order = Some(order);
        Ok(true)
    }

    async fn order(&self, pod: PodId, order: &Order, after: u64) -> Result<Option<u64>, Error> {
        let payload = serde_json::to_vec(order)
            .map_err(|error| Error::Internal(format!("encoding an order: {error}")))?;
        let subject = self.jet.names.order(pod);
        let write = Write { subject, payload: payload.into(), expect: Expect::Sequence(after) };
        match self.pods.write_within(write, PATIENCE).await? {
            Outcome::Stored(revision) => Ok(Some(revision)),
            Outcome::Lost(_) => Ok(None),
            Outcome::Refused(reason) => {
                Err(Error::Unavailable(format!("the order was not stored: {reason}")))
            }
        }
    }

    /// Deletes every pod of a namespace that matches the selectors, each as
    /// [`Registry::delete_pod`] does; what is gone meanwhile is passed over.
    ///
    /// The answer lists them, as far as it fits a message; `metadata.remainingItemCount` tells how
    /// many others were deleted.
    ///
    /// # Errors
    ///
    /// As [`Registry::list_pods`] and [`Registry::delete_pod`].
    pub async fn delete_pods(&self, namespace: &str, options: &Options) -> Result<Answer, Error> {
        let list = self.list_pods(Some(namespace), options).await?;
        self.delete_each(
            list,
            |name| async move { self.delete_pod(namespace, &name, options).await },
        )
        .await
    }
}

impl FoundPod {
    /// A write that names a revision means the pod as it was then, and no other.
    pub(super) fn same_revision(&self, name: &str, new: &Value) -> Result<(), Error> {
        let meant = new["metadata"]["resourceVersion"].as_str().unwrap_or_default();
        if meant.is_empty() || meant.parse().is_ok_and(|number| self.is_as_of(number)) {
            return Ok(());
        }
        Err(modified(PODS, name))
    }

    /// A delete may mean one pod of the name, or one revision of it, and no other.
    fn preconditions(&self, name: &str, options: &Options) -> Result<(), Error> {
        let (uid, revision) = (self.pod.uid().to_string(), self.news.revision);
        let same = options.resource_version.is_none_or(|number| self.is_as_of(number));
        let wanted = options.resource_version.filter(|_| !same);
        let options = Options { resource_version: wanted, ..options.clone() };
        Target { resource: PODS, name, uid, revision }.preconditions(&options)
    }

    /// Whether nothing was said of the pod since one was at a place in the streams.
    fn is_as_of(&self, number: u128) -> bool {
        PodsPosition::read(number).pods >= self.news.revision
    }

    /// How long it may take to end, by its template.
    fn grace_seconds(&self) -> u32 {
        let template = &self.job.object["spec"]["template"]["spec"];
        let grace = template["terminationGracePeriodSeconds"].as_u64();
        grace.and_then(|grace| u32::try_from(grace).ok()).unwrap_or(30)
    }
}

/// An `Eviction`; one that is empty means the pod of the request.
fn read(body: &[u8], name: &str) -> Result<Value, Error> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(json!({}));
    }
    let bad = |what: &dyn std::fmt::Display| {
        Error::BadRequest(format!("the body of an eviction must be an Eviction: {what}"))
    };
    let eviction: Value = serde_json::from_slice(body).map_err(|error| bad(&error))?;
    let kind = eviction["kind"].as_str().unwrap_or("Eviction");
    if kind != "Eviction" {
        return Err(bad(&format!("it is a {kind}")));
    }
    let named = eviction["metadata"]["name"].as_str().unwrap_or_default();
    if !["", name].contains(&named) {
        return Err(bad(&format!("it is of {named}, and the request of {name}")));
    }
    Ok(eviction)
}

/// `deleteOptions` of an eviction, read as those of a delete are.
fn delete_options(eviction: &Value, options: &Options) -> Result<Options, Error> {
    let wanted = &eviction["deleteOptions"];
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(items) => items.first().and_then(Value::as_str).map(str::to_owned),
        Value::Null | Value::Bool(_) | Value::Object(_) => None,
    };
    let own = Options::read(|name| match name {
        "gracePeriodSeconds" | "dryRun" => text(&wanted[name]),
        "uid" | "resourceVersion" => text(&wanted["preconditions"][name]),
        _ => None,
    })?;
    Ok(Options { dry_run: own.dry_run || options.dry_run, ..own })
}
