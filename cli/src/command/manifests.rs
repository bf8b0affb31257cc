//! Reading manifests from files, and submitting them.

use std::io::Read as _;
use std::path::Path;

use serde_json::Value;

use super::session::Session;
use crate::client::Call;
use crate::exit::Expected;
use crate::manifest;

/// Reads all documents of a file; `-` is standard input.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<Value>> {
    let text = text(path)?;
    Ok(manifest::parse(&text).map_err(|error| unread(path).because(error))?)
}

/// Reads a file; `-` is standard input.
pub(super) fn text(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = match path.as_os_str() == "-" {
        true => std::io::stdin().read_to_string(&mut text).map(|_| text),
        false => std::fs::read_to_string(path),
    };
    Ok(read.map_err(|error| unread(path).because(error))?)
}

fn unread(path: &Path) -> Expected {
    match path.as_os_str() == "-" {
        true => Expected::usage("reading standard input"),
        false => Expected::usage(format!("reading {}", path.display())),
    }
}

/// The resource of a manifest's kind.
pub(super) fn resource(object: &Value) -> Result<&'static str, Expected> {
    match object["kind"].as_str() {
        Some("Job") => Ok("jobs"),
        Some("Pod") => Ok("pods"),
        Some("ConfigMap") => Ok("configmaps"),
        Some("Secret") => Ok("secrets"),
        Some(kind) => {
            Err(Expected::usage(format!("objects of kind {kind} cannot be created here")))
        }
        None => Err(Expected::usage("the manifest has no `kind`: a Job has `kind: Job`")),
    }
}

/// Has the server judge all objects before any is submitted: half a file submitted helps nobody.
pub(super) async fn check(session: &Session, objects: &[Value]) -> anyhow::Result<()> {
    if let [_] = objects {
        return Ok(());
    }
    for object in objects {
        session.client.request(&call(session, object)?.option("dryRun", "All")).await?;
    }
    Ok(())
}

/// Submits one object: in its own namespace, else in the session's.
pub(super) async fn create(
    session: &Session,
    object: &Value,
    traceparent: Option<&str>,
) -> anyhow::Result<Value> {
    let call = call(session, object)?.option("traceparent", traceparent.unwrap_or_default());
    Ok(session.request(&call).await?)
}

fn call(session: &Session, object: &Value) -> Result<Call, Expected> {
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or(&session.namespace);
    let call = Call::new("create", resource(object)?, namespace);
    Ok(call.option("fieldValidation", "Strict").json(object))
}
