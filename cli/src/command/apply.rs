//! `stint apply`: what a manifest says is so afterwards, whether the object was there or not.
//!
//! As `kubectl apply` does on the client's side: the manifest is kept in an annotation, under the
//! same key, so that the next one tells which members were taken out of it.

use serde_json::{Map, Value, json};

use super::manifests;
use super::patch::{STRATEGIC, tell};
use super::session::Session;
use crate::args::ApplyArgs;
use crate::client::Call;
use crate::exit::{Exit, Expected};
use crate::resource::Resource;

/// Where the manifest is kept.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

pub(super) async fn run(args: ApplyArgs) -> anyhow::Result<Exit> {
    let mut manifests = Vec::new();
    for file in &args.files {
        manifests.extend(manifests::read(file)?);
    }
    for manifest in &manifests {
        checked(manifest)?;
    }
    let session = Session::open(&args.connect).await?;
    for manifest in &manifests {
        apply(&session, manifest, &args).await?;
    }
    Ok(Exit::Success)
}

/// The resource of a manifest that can be applied: of a kind that we know, with a name.
fn checked(manifest: &Value) -> Result<&'static str, Expected> {
    let resource = manifests::resource(manifest)?;
    if manifest["metadata"]["name"].as_str().unwrap_or_default().is_empty() {
        let what = "a manifest without metadata.name cannot be applied: it would be another object \
                    each time";
        return Err(Expected::usage(what).try_next("stint create -f FILE"));
    }
    Ok(resource)
}

async fn apply(session: &Session, manifest: &Value, args: &ApplyArgs) -> anyhow::Result<()> {
    let resource = checked(manifest)?;
    let session = session.in_namespace(manifest["metadata"]["namespace"].as_str());
    let name = manifest["metadata"]["name"].as_str().unwrap_or_default();
    let kind = match manifest["kind"].as_str() {
        Some("Job") | None => Resource::Jobs.qualified().to_owned(),
        Some(kind) => kind.to_ascii_lowercase(),
    };
    let call = |verb| Call::new(verb, resource, &session.namespace);
    let options = |call: Call| {
        let call = call.option("fieldValidation", "Strict");
        if args.dry_run { call.option("dryRun", "All") } else { call }
    };
    let manifest = annotated(manifest);
    let before = match session.request(&call("get").name(name)).await {
        Ok(object) => object,
        Err(error) if error.code() == Some(404) => {
            let object = session.request(&options(call("create")).json(&manifest)).await?;
            return tell(&kind, &Value::Null, &object, args.output, "created");
        }
        Err(error) => return Err(error.into()),
    };
    let patch = patch(&before, &manifest);
    let call = call("patch").name(name).option("Content-Type", STRATEGIC);
    let after = session.request(&options(call).json(&patch)).await?;
    tell(&kind, &before, &after, args.output, "configured")
}

/// The manifest, with itself in its annotation.
fn annotated(manifest: &Value) -> Value {
    let mut bare = manifest.clone();
    if let Some(metadata) = bare.get_mut("metadata").and_then(Value::as_object_mut)
        && let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut)
        && annotations.shift_remove(LAST_APPLIED).is_some()
        && annotations.is_empty()
    {
        metadata.shift_remove("annotations");
    }
    let mut whole = bare.clone();
    whole["metadata"]["annotations"][LAST_APPLIED] = json!(bare.to_string());
    whole
}

/// What is to be sent: the manifest, and the end of what the one before had and this one has not.
fn patch(live: &Value, manifest: &Value) -> Value {
    let last = live["metadata"]["annotations"][LAST_APPLIED].as_str();
    let last: Option<Value> = last.and_then(|text| serde_json::from_str(text).ok());
    let mut patch = manifest.clone();
    if let Some(last) = last {
        take_out(&mut patch, &last);
    }
    patch
}

/// Members of maps that were taken out become null. Items of lists are the server's to merge.
fn take_out(patch: &mut Value, last: &Value) {
    let (Some(members), Some(before)) = (patch.as_object_mut(), last.as_object()) else { return };
    let members: &mut Map<String, Value> = members;
    for (name, value) in before {
        match members.get_mut(name) {
            Some(now) => take_out(now, value),
            None => drop(members.insert(name.clone(), Value::Null)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_out_of_a_manifest_is_taken_off() {
        let manifest =
            |spec: Value| json!({"kind": "Job", "metadata": {"name": "pi"}, "spec": spec});
        let live = annotated(&manifest(json!({"parallelism": 2, "suspend": true, "a": {"b": 1}})));
        let next = annotated(&manifest(json!({"parallelism": 3, "a": {}})));
        let patch = patch(&live, &next);
        assert_eq!(patch["spec"], json!({"parallelism": 3, "a": {"b": null}, "suspend": null}));
        let kept = &patch["metadata"]["annotations"];
        assert_eq!(kept.as_object().unwrap().len(), 1, "{kept}");
        // Without a manifest from before nothing is taken off.
        let patch = super::patch(&json!({"spec": {"suspend": true}}), &next);
        assert_eq!(patch, next);
    }

    #[test]
    fn the_annotation_does_not_hold_itself() {
        let once = annotated(&json!({"metadata": {"name": "pi"}}));
        assert_eq!(annotated(&once), once);
    }
}
