//! Changing what clients say of a pod: labels, annotations, finalizers. All else of it is its Job's
//! and its worker's.

use std::collections::BTreeMap;

use serde_json::Value;
use stint_common::nats::{Expect, Outcome, Write};
use stint_common::pod_meta::TRACKING_FINALIZER;
use stint_common::wire::{PodWord, VERSION};

use super::Error;
use super::apply_request::{Apply, Changed, Wanted, admit_change};
use super::change::TRIES;
use super::error::PODS;
use super::jobs::Answer;
use super::options::Options;
use super::patch::Patch;
use super::patch::schema::POD;
use super::pods::{FoundPod, PodNews};
use super::store::{PATIENCE, Registry};
use super::target::modified;
use crate::admission;
use crate::admission::plain::{self, AdmittedObject};

impl Registry {
    /// Replaces what clients say of a pod.
    ///
    /// # Errors
    ///
    /// As the API server: 400, 404, 409, 415, 422; 503 when JetStream is away.
    pub async fn update_pod(
        &self,
        namespace: &str,
        name: &str,
        body: &[u8],
        content_type: Option<&str>,
        options: &Options,
    ) -> Result<Answer, Error> {
        let rejected = |rejection| Error::of_rejected(PODS, rejection);
        let body = admission::decode_as(body, content_type, PODS.kind).map_err(rejected)?;
        self.change_pod(namespace, name, options, |_| Ok((body.clone(), None))).await
    }

    /// Applies a patch to what clients say of a pod.
    ///
    /// # Errors
    ///
    /// As [`Registry::update_pod`].
    pub async fn patch_pod(
        &self,
        namespace: &str,
        name: &str,
        body: &[u8],
        content_type: Option<&str>,
        options: &Options,
    ) -> Result<Answer, Error> {
        let patch = Patch::read(body, content_type)?;
        let change = |old: &Value| Ok((patch.apply(old, &POD)?, None));
        self.change_pod(namespace, name, options, change).await
    }

    /// Applies (server side) what somebody says of a pod. It makes none.
    ///
    /// # Errors
    ///
    /// As [`Registry::update_pod`]; 409 for fields that others have said something else about, 422
    /// without a `fieldManager`.
    pub async fn apply_pod(
        &self,
        namespace: &str,
        name: &str,
        body: &[u8],
        options: &Options,
    ) -> Result<Answer, Error> {
        let rejected = |rejection| Error::of_rejected(PODS, rejection);
        let body = admission::decode_as(body, None, PODS.kind).map_err(rejected)?;
        let apply = Apply::read(body, name, options)?;
        let change = |old: &Value| apply.to(old, &POD).map(|(new, managed)| (new, Some(managed)));
        self.change_pod(namespace, name, options, change).await
    }

    async fn change_pod(
        &self,
        namespace: &str,
        name: &str,
        options: &Options,
        change: impl Fn(&Value) -> Result<Wanted, Error>,
    ) -> Result<Answer, Error> {
        let kind = Changed { about: PODS, rules: &plain::POD, schema: &POD };
        for _ in 0..TRIES {
            let mut found = self.find_pod(namespace, name).await?;
            let old = found.object().ok_or_else(|| found.is_gone(name))?;
            let wanted = change(&old)?;
            found.same_revision(name, &wanted.0.value)?;
            let AdmittedObject { object, warnings } = admit_change(&kind, &old, wanted, options)?;
            let before = self.said_of_pod(&old, &found.news);
            let said = self.said_of_pod(&object, &found.news);
            if !said.says_as(&before) {
                if options.dry_run {
                    found.news.word = Some(said);
                } else if !self.say_of_pod(&mut found, said).await? {
                    continue;
                }
            }
            // One whose last finalizer came off may be gone with it.
            return Ok(Answer { object: found.object().unwrap_or(old), warnings });
        }
        Err(modified(PODS, name))
    }

    /// Stores what clients say of a pod; whether nobody has said something else meanwhile.
    pub(super) async fn say_of_pod(
        &self,
        found: &mut FoundPod,
        said: PodWord,
    ) -> Result<bool, Error> {
        let payload = serde_json::to_vec(&said)
            .map_err(|error| Error::Internal(format!("encoding a pod's word: {error}")))?;
        if payload.len() > self.page_bytes() {
            return Err(Error::RequestEntityTooLarge { limit: self.page_bytes() });
        }
        let subject = self.jet.names.word(found.pod);
        let expect = Expect::Sequence(found.news.word_revision);
        let write = Write { subject, payload: payload.into(), expect };
        match self.pods.write_within(write, PATIENCE).await? {
            Outcome::Stored(revision) => {
                found.news.spoken(said, revision);
                Ok(true)
            }
            Outcome::Lost(_) => Ok(false),
            Outcome::Refused(reason) => {
                let why = format!("the change of the pod was not stored: {reason}");
                Err(Error::Unavailable(why))
            }
        }
    }

    /// What of an admitted pod is a client's word; whether it is deleted is not said by this.
    pub(super) fn said_of_pod(&self, pod: &Value, news: &PodNews) -> PodWord {
        let texts = |name: &str| -> BTreeMap<String, String> {
            let entries = pod["metadata"][name].as_object().into_iter().flatten();
            entries.filter_map(|(key, it)| Some((key.clone(), it.as_str()?.to_owned()))).collect()
        };
        let finalizers = pod["metadata"]["finalizers"].as_array().into_iter().flatten();
        let finalizers =
            finalizers.filter_map(Value::as_str).filter(|it| *it != TRACKING_FINALIZER);
        PodWord {
            v: VERSION,
            writer: self.writer,
            nonce: self.next_nonce(),
            labels: texts("labels"),
            annotations: texts("annotations"),
            finalizers: finalizers.map(str::to_owned).collect(),
            managed_fields: pod["metadata"].get("managedFields").cloned(),
            deleted: news.word.as_ref().and_then(|word| word.deleted),
        }
    }
}
