//! `stint rerun`.

use serde_json::{Map, Value, json};

use super::patch::tell;
use super::session::Session;
use crate::args::RerunArgs;
use crate::client::Call;
use crate::exit::{Exit, Expected};
use crate::resource::{Resource, job_name};

pub(super) async fn run(args: RerunArgs) -> anyhow::Result<Exit> {
    let usage = |error| Expected::usage("which Job is meant").because(anyhow::Error::new(error));
    let name = job_name(&args.job).map_err(usage)?;
    let session = Session::open(&args.connect).await?;
    let mut body = Map::new();
    if args.failed {
        body.insert("failed".to_owned(), json!(true));
    }
    for (member, text) in [("indexes", &args.index), ("name", &args.name)] {
        if let Some(text) = text {
            body.insert(member.to_owned(), json!(text));
        }
    }
    let call = Call::new("create", "jobs/rerun", &session.namespace).name(&name);
    let job = session.request(&call.json(&Value::Object(body))).await?;
    tell(Resource::Jobs.qualified(), &Value::Null, &job, args.output, "created")?;
    Ok(Exit::Success)
}
