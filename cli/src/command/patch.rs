//! `stint patch`.

use serde_json::Value;

use super::manifests;
use super::print::out;
use super::session::Session;
use super::targets::{Choice, find, meant};
use crate::args::{Format, PatchArgs, PatchKind, Subresource};
use crate::client::Call;
use crate::exit::{Exit, Expected};
use crate::output::objects;
use crate::resource::Resource;

/// Content types of patches.
pub(super) const MERGE: &str = "application/merge-patch+json";
pub(super) const STRATEGIC: &str = "application/strategic-merge-patch+json";
const JSON: &str = "application/json-patch+json";

pub(super) async fn run(args: PatchArgs) -> anyhow::Result<Exit> {
    let meant = meant(&args.targets, Choice::default())?;
    let patch = read(&args)?;
    let session = Session::open(&args.connect).await?;
    for (resource, name) in find(&session, meant, Choice::default()).await? {
        let before = session.get(resource, &name).await?;
        let status = args.subresource == Some(Subresource::Status);
        let call = call(&session, resource, status).name(&name);
        let call = call.option("Content-Type", content_type(args.kind)).json(&patch);
        let call = if args.dry_run { call.option("dryRun", "All") } else { call };
        let after = session.request(&call).await?;
        tell(resource.qualified(), &before, &after, args.output, "patched")?;
    }
    Ok(Exit::Success)
}

fn content_type(kind: PatchKind) -> &'static str {
    match kind {
        PatchKind::Strategic => STRATEGIC,
        PatchKind::Merge => MERGE,
        PatchKind::Json => JSON,
    }
}

fn call(session: &Session, resource: Resource, status: bool) -> Call {
    match status {
        true => {
            let subresource = format!("{}/status", resource.plural());
            Call::new("patch", &subresource, &session.namespace)
        }
        false => session.call("patch", resource),
    }
}

/// The patch: JSON, or YAML that is turned into it.
fn read(args: &PatchArgs) -> anyhow::Result<Value> {
    let text = match (&args.patch, &args.patch_file) {
        (Some(text), _) => text.clone(),
        (None, Some(file)) => manifests::text(file)?,
        (None, None) => String::new(),
    };
    let parsed: Result<Value, _> = serde_saphyr::from_str(&text);
    let patch = parsed.map_err(|error| Expected::usage("the patch is no JSON").because(error))?;
    let fits = match args.kind {
        PatchKind::Json => patch.is_array(),
        PatchKind::Strategic | PatchKind::Merge => patch.is_object(),
    };
    if !fits {
        let what = match args.kind {
            PatchKind::Json => "a JSON patch is a list of operations",
            PatchKind::Strategic | PatchKind::Merge => "a patch of this type is an object",
        };
        return Err(Expected::usage(what).try_next("stint patch --help").into());
    }
    Ok(patch)
}

/// Says what became of an object, or shows it; `kind` is what stands before a slash.
pub(super) fn tell(
    kind: &str,
    before: &Value,
    after: &Value,
    output: Option<Format>,
    word: &str,
) -> anyhow::Result<()> {
    let revision = |object: &Value| object["metadata"]["resourceVersion"].clone();
    let same = !before.is_null() && revision(before) == revision(after) && before == after;
    let word = if same { "unchanged" } else { word };
    let name = after["metadata"]["name"].as_str().unwrap_or_default();
    Ok(out(&match output {
        None => format!("{kind}/{name} {word}\n"),
        Some(Format::Name) => format!("{kind}/{name}\n"),
        Some(format) => objects::structured(format, after),
    })?)
}
