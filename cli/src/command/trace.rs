//! `stint trace`: a Job's trace from its durable records.

use std::io::IsTerminal as _;

use serde_json::Value;
use stint_common::time::now;

use super::logs::pods_of;
use super::print::out;
use super::session::Session;
use crate::args::{TraceArgs, TraceForm};
use crate::client::PAGE;
use crate::exit::{Exit, Expected};
use crate::output::style::{Style, terminal_width};
use crate::output::trace::{JobTrace, PodTrace, Show, critical_path, json, render};
use crate::resource::{Resource, job_name};

pub(super) async fn run(args: TraceArgs) -> anyhow::Result<Exit> {
    let usage = |error| Expected::usage("whose trace").because(anyhow::Error::new(error));
    let name = job_name(&args.job).map_err(usage)?;
    let session = Session::open(&args.connect).await?;
    let object = session.get(Resource::Jobs, &name).await?;
    // What is kept of each is small, so that 10^5 of them fit.
    let mut pods = Vec::new();
    let take = |items: Vec<Value>| pods.extend(items.iter().filter_map(PodTrace::read));
    session.each_page(pods_of(&session, &object), PAGE, usize::MAX, take).await?;
    pods.sort_by_key(|pod| (pod.slot, pod.attempt));
    let job = JobTrace::read(&object, &pods, now()).ok_or_else(|| {
        Expected::new(Exit::Internal, format!("job/{name} has no creationTimestamp"))
    })?;
    let path = critical_path(&pods, job.created, job.until);
    out(&match args.output {
        TraceForm::Json => json(&job, &pods, &path),
        TraceForm::Tree => {
            let width = std::io::stdout().is_terminal().then(terminal_width);
            render(&job, &pods, &path, Show { all: args.all, width, style: Style::of_stdout() })
        }
    })?;
    Ok(Exit::Success)
}
