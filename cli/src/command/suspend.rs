//! `stint suspend` and `stint resume`.

use serde_json::json;

use super::print::out;
use super::session::Session;
use crate::args::SuspendArgs;
use crate::exit::{Exit, Expected};
use crate::resource::{Resource, job_name};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Suspend,
    Resume,
}

pub(super) async fn run(args: SuspendArgs, turn: Turn) -> anyhow::Result<Exit> {
    let usage = |error| Expected::usage("which Job is meant").because(anyhow::Error::new(error));
    let names: Result<Vec<String>, _> = args.jobs.iter().map(|word| job_name(word)).collect();
    let names = names.map_err(usage)?;
    let session = Session::open(&args.connect).await?;
    for name in &names {
        let call = session
            .call("patch", Resource::Jobs)
            .name(name)
            .option("Content-Type", "application/merge-patch+json")
            .json(&json!({"spec": {"suspend": turn == Turn::Suspend}}));
        session.request(&call).await?;
        let word = if turn == Turn::Suspend { "suspended" } else { "resumed" };
        out(&format!("job.batch/{name} {word}\n"))?;
    }
    Ok(Exit::Success)
}
