//! `stint delete`.

use serde_json::Value;

use super::manifests;
use super::print::out;
use super::session::Session;
use super::targets::{Choice, find, meant};
use super::wait::{gone, within};
use crate::args::{Cascade, DeleteArgs};
use crate::client::Error;
use crate::exit::{Exit, Expected};
use crate::resource::Resource;

/// How an object is deleted.
#[derive(Clone, Copy, Debug)]
pub(super) struct How {
    /// What becomes of its pods.
    pub(super) cascade: Cascade,
    /// Time that pods have to end by themselves.
    pub(super) grace_seconds: Option<u32>,
}

pub(super) async fn run(args: DeleteArgs) -> anyhow::Result<Exit> {
    let choice = Choice { selector: args.selector.as_deref(), all: args.all };
    let mut named = Vec::new();
    for file in &args.files {
        for manifest in manifests::read(file)? {
            named.push(in_manifest(&manifest)?);
        }
    }
    let meant = if args.files.is_empty() { Some(meant(&args.targets, choice)?) } else { None };
    let session = Session::open(&args.connect).await?;
    if let Some(meant) = meant {
        let found = find(&session, meant, choice).await?;
        named.extend(found.into_iter().map(|(resource, name)| (resource, name, None)));
    }
    let how = How { cascade: args.cascade, grace_seconds: args.grace_period };
    if named.is_empty() {
        eprintln!("nothing matches");
    }
    for (resource, name, namespace) in named {
        let session = session.in_namespace(namespace.as_deref());
        // What was chosen by a list may have gone since then.
        let lenient = args.ignore_not_found || args.selector.is_some() || args.all;
        match delete(&session, resource, &name, how).await {
            Err(error) if lenient && error.code() == Some(404) => continue,
            outcome => outcome?,
        }
        if args.wait {
            within(args.timeout, &name, gone(&session, resource, &name)).await?;
        }
        out(&format!("{}/{name} deleted\n", resource.qualified()))?;
    }
    Ok(Exit::Success)
}

/// The object that a manifest speaks of, and the namespace that it names.
fn in_manifest(manifest: &Value) -> Result<(Resource, String, Option<String>), Expected> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let kind = manifest["kind"].as_str().unwrap_or_default();
    let resource = Resource::parse(kind)
        .map_err(|error| Expected::usage("what is to be deleted").because(error))?;
    let name = text(&manifest["metadata"]["name"]).ok_or_else(|| {
        Expected::usage("a manifest without metadata.name says not what is to be deleted")
    })?;
    Ok((resource, name, text(&manifest["metadata"]["namespace"])))
}

/// Deletes one object.
pub(super) async fn delete(
    session: &Session,
    resource: Resource,
    name: &str,
    how: How,
) -> Result<(), Error> {
    let policy = match how.cascade {
        Cascade::Background => "Background",
        Cascade::Foreground => "Foreground",
        Cascade::Orphan => "Orphan",
    };
    let mut call = session.call("delete", resource).name(name).option("propagationPolicy", policy);
    if let Some(seconds) = how.grace_seconds {
        call = call.option("gracePeriodSeconds", seconds);
    }
    session.request(&call).await.map(drop)
}
