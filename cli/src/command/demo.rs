//! `stint demo`: a private Stint, real Jobs on real input, and a check of the result.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use serde_json::Value;

use super::follow::{self, Following};
use super::logs;
use super::manifests;
use super::run::trace_id;
use super::session::Session;
use crate::args::{ConnectArgs, DemoArgs, NatsArgs, ProgressStyle};
use crate::demo::count::share;
use crate::demo::input;
use crate::demo::jobs::Plan;
use crate::demo::merge::{Total, grouped};
use crate::dev::{Dev, Options};
use crate::exit::{Exit, Expected};
use crate::output::job::JobView;
use crate::output::progress::wall_text;
use crate::output::style::Style;
use crate::signals::Interrupts;
use crate::{nats_server, paths};

pub(super) async fn run(args: DemoArgs) -> anyhow::Result<Exit> {
    let scratch = Scratch::create()?;
    let outcome = demo(&args, &scratch.path).await;
    match &outcome {
        Ok(Exit::Success | Exit::Interrupted) => scratch.remove(),
        _ => eprintln!("logs of what ran are kept in {}", scratch.path.display()),
    }
    outcome
}

async fn demo(args: &DemoArgs, scratch: &Path) -> anyhow::Result<Exit> {
    let here = env::current_dir().context("finding the current directory")?;
    let root = args.root.clone().or_else(|| input::root(paths::cargo_home().as_deref(), &here));
    let root = root.ok_or_else(|| {
        Expected::usage("there are no crates to count: neither in cargo's folder nor here")
            .try_next("stint demo --root DIR")
    })?;
    let stint = env::current_exe().context("finding this program")?;
    let out = scratch.join("results");
    fs::create_dir(&out).context("making a folder for results")?;
    let plan = Plan { stint: &stint, root: &root, out: &out, shares: args.shares };
    let mut interrupts = Interrupts::listen().context("taking over signals")?;
    let dev = tokio::select! {
        dev = start(&stint, scratch) => dev?,
        () = interrupts.next() => return Ok(Exit::Interrupted),
    };
    let shown = tokio::select! {
        // First: a Job that is followed hears the signal too, and would say that it goes on.
        biased;
        () = interrupts.next() => Ok(Exit::Interrupted),
        shown = show(dev.url(), &plan, args.burst) => shown,
    };
    tokio::select! {
        () = dev.stop() => {}
        // Once more: the children are killed with this process.
        () = interrupts.next() => {}
    }
    shown
}

async fn show(url: &str, plan: &Plan<'_>, burst: u32) -> anyhow::Result<Exit> {
    let session = &Session::open(&connection(url)).await?;
    say(&format!(
        "An Indexed Job: {} pods count the crates in {}. Index {} fails once, on purpose, and \
         is tried again as in Kubernetes: after 10 s, or at once if another pod \
         succeeds after it.",
        plan.shares,
        plan.root.display(),
        plan.stumbling()
    ));
    let mut exit = follow(session, &plan.count()).await?.1;
    if exit != Exit::Success {
        return Ok(exit);
    }
    say("A second Job merges their results; this is `stint logs demo-merge`:");
    let (merge, ended) = follow(session, &plan.merge()).await?;
    exit = ended;
    if exit != Exit::Success {
        return Ok(exit);
    }
    logs::of_job(session, &merge).await?;
    check(plan)?;
    say(&format!("A burst: {} pods of /bin/true.", grouped(burst.into())));
    Ok(follow(session, &plan.burst(burst)).await?.1)
}

/// Submits a Job and follows it to its end.
async fn follow(session: &Session, manifest: &Value) -> anyhow::Result<(Value, Exit)> {
    let submitted = Instant::now();
    let job = manifests::create(session, manifest, None).await?;
    let following = Following {
        progress: ProgressStyle::Auto,
        timeout: None,
        trace: trace_id(None, JobView(&job).uid()),
        submitted,
    };
    let exit = follow::follow(session, &job, &following).await?;
    Ok((job, exit))
}

/// Counts everything again in this one process. The Jobs must have found the same.
fn check(plan: &Plan<'_>) -> anyhow::Result<()> {
    let begun = Instant::now();
    let counts = share(plan.root, 0, 1).context("counting in one process")?;
    let alone = Total::of(counts);
    let path = plan.out.join("total.json");
    let merged = fs::read(&path).context("reading the Jobs' result")?;
    let merged: Total = serde_json::from_slice(&merged).context("reading the Jobs' result")?;
    if alone != merged {
        let what = format!(
            "the Jobs counted {} lines in {} crates, one process {} in {}",
            merged.lines, merged.crates, alone.lines, alone.crates
        );
        return Err(Expected::new(Exit::JobFailed, what).into());
    }
    say(&format!(
        "Checked: one process finds the same {} crates, {} files, {} lines, {} words (in {}).",
        grouped(alone.crates),
        grouped(alone.files),
        grouped(alone.lines),
        grouped(alone.words),
        wall_text(begun.elapsed()),
    ));
    Ok(())
}

async fn start(stint: &Path, scratch: &Path) -> anyhow::Result<Dev> {
    let server = nats_server::find_or_fetch().map_err(|error| {
        Expected::new(Exit::Unreachable, "there is no nats-server to start").because(error)
    })?;
    let version = server.version.clone();
    let begun = Instant::now();
    let options = Options {
        stint: stint.to_owned(),
        server,
        data: scratch.join("dev"),
        listen: ([127, 0, 0, 1], 0).into(),
        http: Some(([127, 0, 0, 1], 0).into()),
        workers: 1,
        slots: None,
        worker_arguments: Vec::new(),
        sync_always: false,
        arguments: Vec::new(),
        logs_to_files: true,
    };
    let dev = Dev::start(&options).await.map_err(|error| {
        Expected::new(Exit::Unreachable, "the demo could not start").because(error)
    })?;
    say(&format!(
        "Started nats-server {version}, a coordinator and a worker in {}.",
        wall_text(begun.elapsed())
    ));
    Ok(dev)
}

fn connection(url: &str) -> ConnectArgs {
    ConnectArgs {
        nats: NatsArgs { nats: Some(url.to_owned()), ..NatsArgs::default() },
        namespace: "default".to_owned(),
    }
}

fn say(text: &str) {
    eprintln!("{}", Style::of_stderr().strong(text));
}

/// A folder of the demo's own.
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    fn create() -> anyhow::Result<Self> {
        let path = env::temp_dir().join(format!("stint-demo-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(Self { path })
    }

    fn remove(&self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("{} could not be removed: {error}", self.path.display());
        }
    }
}
