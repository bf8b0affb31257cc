//! Following a Job to its end: progress, the first failures with their last words, the outcome.
//!
//! Driven by a watch on the Job. Pods are asked for only when the Job says that more of them
//! failed.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::Value;

use super::display::Display;
use super::session::Session;
use super::wait::{deleted, time_up};
use crate::args::ProgressStyle;
use crate::client::{Call, Event, Frame};
use crate::exit::Exit;
use crate::output::failure::{self, Failure};
use crate::output::job::{End, JobView};
use crate::output::pod::PodView;
use crate::output::progress::{Pace, Progress, outcome};
use crate::output::style::Style;
use crate::resource::Resource;
use crate::signals::Interrupts;

/// Failures that are shown one by one, with their last words; more of them say nothing new.
const SHOWN_FAILURES: usize = 5;
/// Failed pods that the summary at the end looks at.
const SUMMARY_LIMIT: usize = 1000;
/// Lines of standard error that are shown of a failed pod.
const LAST_LINES: usize = 3;
/// Bytes of them that are taken in; the rest is in the log.
const LAST_BYTES: usize = 2048;
/// Longest wait for them; a failure is shown without them then.
const LAST_WORDS_LIMIT: Duration = Duration::from_secs(3);

/// How to follow.
pub(crate) struct Following {
    pub(crate) progress: ProgressStyle,
    pub(crate) timeout: Option<Duration>,
    pub(crate) trace: String,
    pub(crate) submitted: Instant,
}

/// Follows `job` until it has ended, is gone, or the user leaves.
pub(super) async fn follow(
    session: &Session,
    job: &Value,
    following: &Following,
) -> anyhow::Result<Exit> {
    let mut interrupts = Interrupts::listen().context("taking over signals")?;
    let (name, uid) = (JobView(job).name().to_owned(), JobView(job).uid().to_owned());
    let (now, mut watch) = session.watch_one(Resource::Jobs, &name).await?;
    let mut follower = Follower::new(session, &name, following);
    let mut latest = Some(now.ok_or_else(|| deleted(&name))?);
    let timeout = time_up(following.timeout);
    tokio::pin!(timeout);
    loop {
        if let Some(job) = latest.take() {
            if JobView(&job).uid() != uid {
                return Err(deleted(&name).into());
            }
            if let Some(end) = follower.take_in(&job).await? {
                return follower.finish(&job, &end).await;
            }
        }
        tokio::select! {
            event = watch.next() => match event? {
                Event::Added(job) | Event::Modified(job) => latest = Some(job),
                Event::Deleted(_) => return Err(deleted(&name).into()),
                Event::Relisted(mut items) => {
                    latest = Some(items.pop().ok_or_else(|| deleted(&name))?);
                }
            },
            () = follower.display.due() => follower.display.flush(),
            () = interrupts.next() => return Ok(follower.leave("detached", Exit::Interrupted)),
            () = &mut timeout => return Ok(follower.leave("not over yet", Exit::TimedOut)),
        }
    }
}

struct Follower<'a> {
    session: &'a Session,
    name: &'a str,
    following: &'a Following,
    display: Display,
    pace: Pace,
    style: Style,
    failed: u64,
    shown: HashSet<String>,
}

impl<'a> Follower<'a> {
    fn new(session: &'a Session, name: &'a str, following: &'a Following) -> Self {
        Self {
            session,
            name,
            following,
            display: Display::new(following.progress, name),
            pace: Pace::default(),
            style: Style::of_stderr(),
            failed: 0,
            shown: HashSet::new(),
        }
    }

    /// Shows what is new. The end, if this is it.
    async fn take_in(&mut self, job: &Value) -> anyhow::Result<Option<End>> {
        let progress = Progress::read(JobView(job));
        self.pace.note(self.following.submitted.elapsed(), &progress);
        self.display.show(&progress, &self.pace);
        if progress.failed > self.failed && self.shown.len() < SHOWN_FAILURES {
            self.failed = progress.failed;
            self.show_failures(job).await?;
        }
        Ok(JobView(job).end())
    }

    async fn show_failures(&mut self, job: &Value) -> anyhow::Result<()> {
        for pod in self.failed_pods(job, SHOWN_FAILURES * 4).await? {
            let view = PodView(&pod);
            if self.shown.len() >= SHOWN_FAILURES || !self.shown.insert(view.uid().to_owned()) {
                continue;
            }
            let failure = Failure::read(view);
            let stderr = last_words(self.session, &failure).await;
            self.display.print(&failure.render(&stderr, self.style));
        }
        Ok(())
    }

    async fn failed_pods(&self, job: &Value, limit: usize) -> anyhow::Result<Vec<Value>> {
        let selector = format!("batch.kubernetes.io/controller-uid={}", JobView(job).uid());
        let call = self
            .session
            .call("list", Resource::Pods)
            .option("labelSelector", selector)
            .option("fieldSelector", "status.phase=Failed");
        Ok(self.session.list(call, limit).await?)
    }

    async fn finish(mut self, job: &Value, end: &End) -> anyhow::Result<Exit> {
        let wall = self.following.submitted.elapsed();
        self.display.clear();
        eprint!("{}", outcome(JobView(job), end, wall, &self.following.trace, self.style));
        let failed = usize::try_from(JobView(job).count("failed")).unwrap_or(usize::MAX);
        if failed > self.shown.len() {
            let pods = self.failed_pods(job, SUMMARY_LIMIT).await?;
            let failures: Vec<Failure> =
                pods.iter().map(|pod| Failure::read(PodView(pod))).collect();
            eprint!("{}", failure::summary(&failures));
        }
        if failed > 0 {
            eprintln!("  their output: stint logs {} --failed{}", self.name, self.place());
        }
        Ok(if *end == End::Complete { Exit::Success } else { Exit::JobFailed })
    }

    fn leave(mut self, word: &str, exit: Exit) -> Exit {
        self.display.clear();
        let (name, place) = (self.name, self.place());
        eprintln!("{word}: job/{name} goes on; `stint wait {name}{place}` waits for it,");
        eprintln!(
            "  `stint logs -f {name}{place}` follows it, `stint delete job {name}{place}` ends it"
        );
        exit
    }

    /// The flag that the commands in hints need.
    fn place(&self) -> String {
        match self.session.namespace.as_str() {
            "default" => String::new(),
            namespace => format!(" -n {namespace}"),
        }
    }
}

/// The last lines of a failed container's standard error; empty when they cannot be had.
async fn last_words(session: &Session, failure: &Failure) -> String {
    let call = Call::new("get", "pods/log", &session.namespace)
        .name(&failure.pod)
        .option("container", failure.container.as_deref().unwrap_or_default())
        .option("stream", "Stderr")
        .option("tailLines", LAST_LINES);
    let mut bytes = Vec::new();
    let read = async {
        let mut stream = session.client.stream(&call).await?;
        while let Frame::Body(part) = stream.next().await? {
            bytes.extend_from_slice(&part[..part.len().min(LAST_BYTES)]);
            if bytes.len() >= LAST_BYTES {
                break;
            }
        }
        Ok::<(), crate::client::Error>(())
    };
    if let Ok(Err(error)) = tokio::time::timeout(LAST_WORDS_LIMIT, read).await {
        tracing::debug!(%error, pod = failure.pod, "no last words");
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
