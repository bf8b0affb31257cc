//! `stint explain`: asks for all that can hold a Job up.

use std::time::Duration;

use serde_json::Value;
use stint_common::annotations::{DEPENDS_ON, WAITING_CONDITION};
use stint_common::names::ALL_NAMESPACES;
use stint_common::time::{now, since};

use super::logs::pods_of;
use super::print::out;
use super::session::Session;
use crate::args::ExplainArgs;
use crate::client::{Call, Error};
use crate::exit::{Exit, Expected};
use crate::output::explain::{Facts, by_node, render};
use crate::output::job::JobView;
use crate::output::nodes::TAKEN;
use crate::output::style::Style;
use crate::output::trace::PodTrace;
use crate::resource::{Resource, job_name};

/// Pods of each kind that are looked at: they tell the same from a few hundred on.
const PODS: usize = 500;
/// How far back a success matters: no back-off is longer unless an annotation says so.
const LATELY: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) async fn run(args: ExplainArgs) -> anyhow::Result<Exit> {
    let session = Session::open(&args.connect).await?;
    for (number, word) in args.jobs.iter().enumerate() {
        let usage = |error| Expected::usage("which Job").because(anyhow::Error::new(error));
        let name = job_name(word).map_err(usage)?;
        let facts = facts(&session, &name).await?;
        out(if number > 0 { "\n" } else { "" })?;
        out(&render(&facts, now(), Style::of_stdout()))?;
    }
    Ok(Exit::Success)
}

async fn facts(session: &Session, name: &str) -> Result<Facts, Error> {
    let job = session.get(Resource::Jobs, name).await?;
    let view = JobView(&job);
    let mut facts = Facts { events: events(session, &view).await, ..Facts::default() };
    if view.condition(WAITING_CONDITION).is_some() {
        facts.dependencies = dependencies(session, &job).await?;
    }
    let of_phase = async |phase: &str| {
        let call = pods_of(session, &job).option("fieldSelector", format!("status.phase={phase}"));
        session.list(call, PODS).await
    };
    facts.failed = of_phase("Failed").await?;
    if view.end().is_none() {
        facts.open = of_phase("Pending").await?;
        if !facts.open.is_empty() {
            let nodes = Call::new("list", Resource::Nodes.plural(), ALL_NAMESPACES);
            facts.nodes = session.list(nodes, 0).await?;
            facts.running = running(session).await?;
        }
        facts.open.extend(of_phase("Running").await?);
        if !facts.failed.is_empty() {
            facts.last_success = last_success(session, &job).await?;
        }
    }
    facts.job = job;
    Ok(facts)
}

/// Events about the Job. None is no reason not to explain it, so errors are passed over.
async fn events(session: &Session, job: &JobView<'_>) -> Vec<Value> {
    let call = Call::new("list", "events", &session.namespace)
        .option("fieldSelector", format!("involvedObject.uid={}", job.uid()));
    session.list(call, 0).await.unwrap_or_default()
}

async fn dependencies(
    session: &Session,
    job: &Value,
) -> Result<Vec<(String, Option<Value>)>, Error> {
    let names = job["metadata"]["annotations"][DEPENDS_ON].as_str().unwrap_or_default();
    let mut found = Vec::new();
    for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let job = match session.get(Resource::Jobs, name).await {
            Ok(job) => Some(job),
            Err(error) if error.code() == Some(404) => None,
            Err(error) => return Err(error),
        };
        found.push((name.to_owned(), job));
    }
    Ok(found)
}

/// How many pods each worker has, of anybody's; of those only that one may see.
async fn running(session: &Session) -> Result<Vec<(String, u64)>, Error> {
    let call = Call::new("list", "pods", ALL_NAMESPACES).option("fieldSelector", TAKEN);
    match session.list_pages(call, PODS, 10).await {
        Ok(pods) => Ok(by_node(&pods)),
        Err(error) if error.code() == Some(403) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

async fn last_success(session: &Session, job: &Value) -> Result<Option<jiff::Timestamp>, Error> {
    if JobView(job).count("succeeded") == 0 {
        return Ok(None);
    }
    let call = pods_of(session, job).option("fieldSelector", "status.phase=Succeeded");
    let pods = session.list_pages(call, PODS, 20).await?;
    let ends = pods.iter().filter_map(PodTrace::read).filter_map(|pod| pod.finished);
    Ok(ends.max().filter(|end| since(now(), *end) < LATELY))
}
