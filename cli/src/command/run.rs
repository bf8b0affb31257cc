//! `stint run`: submits Jobs and follows them.

use std::time::Instant;

use serde_json::Value;

use super::delete::{How, delete};
use super::follow::{self, Following};
use super::manifests;
use super::print::out;
use super::session::Session;
use crate::args::{AdHocArgs, Cascade, RunArgs};
use crate::exit::{Exit, Expected};
use crate::manifest::AdHoc;
use crate::output::job::JobView;
use crate::resource::Resource;

pub(super) async fn run(args: RunArgs) -> anyhow::Result<Exit> {
    let manifests = match &args.file {
        Some(file) => manifests::read(file)?,
        None => vec![ad_hoc(&args.ad_hoc).manifest()],
    };
    if let Some(other) = manifests.iter().find(|manifest| manifest["kind"] != "Job") {
        return Err(match other["kind"].as_str() {
            Some(kind) => {
                let what = format!("`run` takes Jobs, and the manifest holds a {kind}");
                Expected::usage(what).try_next("stint create -f FILE")
            }
            None => Expected::usage("the manifest does not say what it is: it has no `kind`")
                .try_next("`apiVersion: batch/v1` and `kind: Job` in its first lines"),
        }
        .into());
    }
    let session = Session::open(&args.connect).await?;
    manifests::check(&session, &manifests).await?;
    let mut jobs = Vec::new();
    for manifest in &manifests {
        let submitted = Instant::now();
        let job = manifests::create(&session, manifest, args.traceparent.as_deref()).await?;
        jobs.push((job, submitted));
    }
    let mut exit = Exit::Success;
    for (job, submitted) in jobs {
        let ended = each(&session, &args, &job, submitted).await?;
        if ended == Exit::Interrupted || ended == Exit::TimedOut {
            return Ok(ended);
        }
        if exit == Exit::Success {
            exit = ended;
        }
    }
    Ok(exit)
}

async fn each(
    session: &Session,
    args: &RunArgs,
    job: &Value,
    submitted: Instant,
) -> anyhow::Result<Exit> {
    let view = JobView(job);
    if args.detach {
        out(&format!("job.batch/{}\n", view.name()))?;
        return Ok(Exit::Success);
    }
    // A manifest may name a namespace of its own.
    let session =
        Session { client: session.client.clone(), namespace: view.namespace().to_owned() };
    let following = Following {
        progress: args.progress,
        timeout: args.timeout,
        trace: trace_id(args.traceparent.as_deref(), view.uid()),
        submitted,
    };
    let exit = follow::follow(&session, job, &following).await?;
    if args.rm && matches!(exit, Exit::Success | Exit::JobFailed) {
        let how = How { cascade: Cascade::Background, grace_seconds: None };
        delete(&session, Resource::Jobs, view.name(), how).await?;
    }
    Ok(exit)
}

/// The submitter's trace, else the one that the Job's uid gives.
pub(crate) fn trace_id(traceparent: Option<&str>, uid: &str) -> String {
    let given = traceparent.and_then(|text| text.split('-').nth(1)).filter(|id| id.len() == 32);
    given.map_or_else(|| uid.replace('-', ""), str::to_owned)
}

fn ad_hoc(args: &AdHocArgs) -> AdHoc {
    let command = if args.shell {
        vec!["sh".to_owned(), "-c".to_owned(), args.command.join(" ")]
    } else {
        args.command.clone()
    };
    AdHoc {
        name: args.name.clone(),
        completions: args.completions,
        parallelism: args.parallelism,
        backoff_limit: args.backoff_limit,
        indexed: args.indexed,
        deadline_seconds: args.deadline_seconds,
        env: args.env.clone(),
        workdir: args.workdir.clone(),
        image: args.image.clone(),
        command,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trace_is_the_submitters_or_the_uid() {
        let uid = "0af76519-16cd-43dd-8448-eb211c80319c";
        assert_eq!(trace_id(None, uid), "0af7651916cd43dd8448eb211c80319c");
        let given = "00-11112222333344445555666677778888-b7ad6b7169203331-01";
        assert_eq!(trace_id(Some(given), uid), "11112222333344445555666677778888");
        assert_eq!(trace_id(Some("nonsense"), uid), "0af7651916cd43dd8448eb211c80319c");
    }
}
