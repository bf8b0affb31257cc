//! `stint trace`: a Job's trace from its durable records.

use std::io::IsTerminal as _;

use stint_common::time::now;

use super::logs::pods_of;
use super::print::out;
use super::session::Session;
use crate::args::{TraceArgs, TraceForm};
use crate::exit::{Exit, Expected};
use crate::output::style::{Style, terminal_width};
use crate::output::trace::{JobTrace, PodTrace, Show, critical_path, json, render};
use crate::resource::{Resource, job_name};

/// Pods asked for at a time: what is kept of each is small, so that 10^5 of them fit.
const PAGE: usize = 500;

pub(super) async fn run(args: TraceArgs) -> anyhow::Result<Exit> {
    let usage = |error| Expected::usage("whose trace").because(anyhow::Error::new(error));
    let name = job_name(&args.job).map_err(usage)?;
    let session = Session::open(&args.connect).await?;
    let object = session.get(Resource::Jobs, &name).await?;
    let mut pods = Vec::new();
    let mut next = String::new();
    loop {
        let call = pods_of(&session, &object).option("limit", PAGE).option("continue", &next);
        let page = session.request(&call).await?;
        let items = page["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        pods.extend(items.iter().filter_map(PodTrace::read));
        match page["metadata"]["continue"].as_str() {
            Some(token) if !token.is_empty() => token.clone_into(&mut next),
            _ => break,
        }
    }
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
