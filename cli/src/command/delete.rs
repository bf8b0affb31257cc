//! `stint delete`.

use super::print::out;
use super::session::Session;
use super::wait::{gone, within};
use crate::args::DeleteArgs;
use crate::exit::{Exit, Expected};
use crate::resource::{Resource, parse_targets};

pub(super) async fn run(args: DeleteArgs) -> anyhow::Result<Exit> {
    let targets = parse_targets(&args.targets)
        .map_err(|error| Expected::usage("what is to be deleted").because(error))?;
    let session = Session::open(&args.connect).await?;
    for (resource, name) in &targets {
        delete(&session, *resource, name, args.grace_period).await?;
        if args.wait {
            within(args.timeout, name, gone(&session, *resource, name)).await?;
        }
        out(&format!("{}/{name} deleted\n", resource.qualified()))?;
    }
    Ok(Exit::Success)
}

/// Deletes one object; its dependents go after it.
pub(super) async fn delete(
    session: &Session,
    resource: Resource,
    name: &str,
    grace_seconds: Option<u32>,
) -> anyhow::Result<()> {
    let mut call =
        session.call("delete", resource).name(name).option("propagationPolicy", "Background");
    if let Some(seconds) = grace_seconds {
        call = call.option("gracePeriodSeconds", seconds);
    }
    session.request(&call).await?;
    Ok(())
}
