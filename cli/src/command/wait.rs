//! `stint wait`.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::session::Session;
use crate::args::{ForCondition, WaitArgs};
use crate::client::{Event, Watch};
use crate::exit::{Exit, Expected};
use crate::output::job::{End, JobView};
use crate::resource::{Resource, job_name};

pub(super) async fn run(args: WaitArgs) -> anyhow::Result<Exit> {
    let name = job_name(&args.job)
        .map_err(|error| Expected::usage("which Job to wait for").because(error))?;
    let session = Session::open(&args.connect).await?;
    if args.condition == ForCondition::Delete {
        return within(args.timeout, &name, gone(&session, Resource::Jobs, &name)).await;
    }
    within(args.timeout, &name, ended(&session, &name, args.condition)).await
}

/// Gives up after a time, if there is one.
pub(super) async fn within(
    limit: Option<Duration>,
    name: &str,
    waiting: impl Future<Output = anyhow::Result<Exit>>,
) -> anyhow::Result<Exit> {
    let Some(limit) = limit else { return waiting.await };
    timeout(limit, waiting).await.unwrap_or_else(|_| {
        let what = format!("{name}: not yet after {} s", limit.as_secs());
        Err(Expected::new(Exit::TimedOut, what)
            .try_next(format!("stint describe job {name}"))
            .into())
    })
}

/// Waits until an object is gone. What is not there is gone.
pub(super) async fn gone(
    session: &Session,
    resource: Resource,
    name: &str,
) -> anyhow::Result<Exit> {
    let (object, mut watch) = session.watch_one(resource, name).await?;
    let Some(object) = object else { return Ok(Exit::Success) };
    let uid = &object["metadata"]["uid"];
    loop {
        let is_gone = match watch.next().await? {
            Event::Deleted(object) => object["metadata"]["uid"] == *uid,
            Event::Added(object) | Event::Modified(object) => object["metadata"]["uid"] != *uid,
            Event::Relisted(items) => items.iter().all(|item| item["metadata"]["uid"] != *uid),
        };
        if is_gone {
            return Ok(Exit::Success);
        }
    }
}

async fn ended(session: &Session, name: &str, condition: ForCondition) -> anyhow::Result<Exit> {
    // Not the list: an unknown name is an error, with the API's own words.
    session.get(Resource::Jobs, name).await?;
    let (job, mut watch) = session.watch_one(Resource::Jobs, name).await?;
    let mut job = job.ok_or_else(|| deleted(name))?;
    loop {
        if let Some(end) = JobView(&job).end() {
            return Ok(judge(name, &end, condition));
        }
        job = next(&mut watch, name).await?;
    }
}

/// The Job's next state.
async fn next(watch: &mut Watch, name: &str) -> anyhow::Result<Value> {
    match watch.next().await? {
        Event::Added(job) | Event::Modified(job) => Ok(job),
        Event::Deleted(_) => Err(deleted(name).into()),
        Event::Relisted(mut items) => Ok(items.pop().ok_or_else(|| deleted(name))?),
    }
}

pub(super) fn deleted(name: &str) -> Expected {
    Expected::new(Exit::NotFound, format!("job/{name} was deleted"))
}

fn judge(name: &str, end: &End, condition: ForCondition) -> Exit {
    let (word, complete) = match end {
        End::Complete => ("complete".to_owned(), true),
        End::Failed(reason, message) => (format!("failed: {reason}: {message}"), false),
    };
    eprintln!("job/{name} {word}");
    let met = match condition {
        ForCondition::Complete | ForCondition::Any => complete,
        ForCondition::Failed => !complete,
        ForCondition::Delete => true,
    };
    if met { Exit::Success } else { Exit::JobFailed }
}

/// For ever, or until a time is over.
pub(super) async fn time_up(limit: Option<Duration>) {
    match limit {
        Some(limit) => sleep(limit).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_says_whether_it_was_met() {
        let failed = End::Failed("R".to_owned(), "M".to_owned());
        let check = |end: &End, condition, exit| assert_eq!(judge("x", end, condition), exit);
        check(&End::Complete, ForCondition::Any, Exit::Success);
        check(&End::Complete, ForCondition::Complete, Exit::Success);
        check(&End::Complete, ForCondition::Failed, Exit::JobFailed);
        check(&failed, ForCondition::Any, Exit::JobFailed);
        check(&failed, ForCondition::Complete, Exit::JobFailed);
        check(&failed, ForCondition::Failed, Exit::Success);
    }
}
