//! `stint describe`.

use serde_json::Value;
use stint_common::time::now;

use super::print::out;
use super::session::Session;
use crate::args::DescribeArgs;
use crate::client::Call;
use crate::exit::{Exit, Expected};
use crate::output::events::in_order;
use crate::output::{describe, objects};
use crate::resource::{Resource, parse_targets};

pub(super) async fn run(args: DescribeArgs) -> anyhow::Result<Exit> {
    let targets = parse_targets(&args.targets)
        .map_err(|error| Expected::usage("what is to be described").because(error))?;
    let session = Session::open(&args.connect).await?;
    for (number, (resource, name)) in targets.iter().enumerate() {
        let object = session.get(*resource, name).await?;
        let events = events(&session, &object).await;
        let text = match resource {
            Resource::Jobs => describe::job(&object, &events, now()),
            Resource::Pods => describe::pod(&object, &events, now()),
            Resource::Nodes | Resource::Events => objects::yaml(&object),
        };
        out(if number > 0 { "\n" } else { "" })?;
        out(&text)?;
    }
    Ok(Exit::Success)
}

/// Events about an object. None is no reason not to describe it, so errors are passed over.
async fn events(session: &Session, object: &Value) -> Vec<Value> {
    let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
    let call = Call::new("list", "events", &session.namespace)
        .option("fieldSelector", format!("involvedObject.uid={uid}"));
    let mut events = session.list(call, 0).await.unwrap_or_default();
    in_order(&mut events);
    events
}
