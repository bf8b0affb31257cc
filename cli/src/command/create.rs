//! `stint create`.

use super::manifests;
use super::print::out;
use super::session::Session;
use crate::args::{CreateArgs, Format};
use crate::exit::Exit;
use crate::output::objects;

pub(super) async fn run(args: CreateArgs) -> anyhow::Result<Exit> {
    let mut manifests = Vec::new();
    for file in &args.files {
        manifests.extend(manifests::read(file)?);
    }
    let session = Session::open(&args.connect).await?;
    manifests::check(&session, &manifests).await?;
    for manifest in &manifests {
        let object = manifests::create(&session, manifest, None).await?;
        let kind = object["kind"].as_str().unwrap_or("object").to_ascii_lowercase();
        let kind = if kind == "job" { "job.batch" } else { &kind };
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        out(&match args.output {
            None => format!("{kind}/{name} created\n"),
            Some(Format::Name) => format!("{kind}/{name}\n"),
            Some(format) => objects::structured(format, &object),
        })?;
    }
    Ok(Exit::Success)
}
