//! Evicting pods: stopped from outside, and said to be, so that failure policies can tell.

use serde_json::{Value, json};
use stint_common::time::now;
use stint_common::wire::OrderKind;

use super::Error;
use super::error::PODS;
use super::jobs::Answer;
use super::options::Options;
use super::store::Registry;

impl Registry {
    /// Evicts a pod: as it is deleted, and it ends with the condition `DisruptionTarget`.
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
        let wanted = &eviction["deleteOptions"];
        let grace = wanted["gracePeriodSeconds"].as_u64().and_then(|it| u32::try_from(it).ok());
        let uid = wanted["preconditions"]["uid"].as_str();
        let found = self.find_pod(namespace, name).await?;
        if uid.is_some_and(|uid| uid != found.pod.uid().to_string()) {
            let reason = "the UID in the precondition is another pod's".to_owned();
            return Err(Error::Conflict { resource: PODS, name: name.to_owned(), reason });
        }
        let object = found.object();
        let object =
            object.ok_or_else(|| Error::NotFound { resource: PODS, name: name.to_owned() })?;
        let ended = ["Succeeded", "Failed"].iter().any(|it| object["status"]["phase"] == *it);
        let dry = options.dry_run || !wanted["dryRun"].is_null();
        if found.news.order.is_none() && !ended && !dry {
            let kind = OrderKind::Stop {
                grace_seconds: grace.unwrap_or(found.grace_seconds()),
                at: now(),
                reason: "Pod was evicted".to_owned(),
            };
            self.order(found.pod, kind, true).await?;
        }
        let done = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201,
        });
        Ok(Answer { object: done, warnings: Vec::new() })
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
