//! `stint logs`: one pod's output, or that of all pods of a Job.

mod copy;

use std::collections::{HashSet, VecDeque};

use serde_json::Value;
use stint_common::index_set::IndexSet;
use tokio::task::JoinSet;

use self::copy::copy;
use super::session::Session;
use crate::args::{LogsArgs, Prefix};
use crate::client::{Call, Error, Event};
use crate::exit::{Exit, Expected};
use crate::output::job::JobView;
use crate::output::pod::PodView;
use crate::resource::{Resource, job_name};
use crate::signals::Interrupts;

/// Pods whose output is asked for before it is printed: most have little, and asking takes longer.
const AHEAD: usize = 16;
/// Pods that are followed at a time; others follow when one of them has ended.
const FOLLOWED: usize = 100;
/// The HTTP code for a pod that has not started, so has no output yet.
const NOT_YET: u16 = 400;

pub(super) async fn run(args: LogsArgs) -> anyhow::Result<Exit> {
    let wanted = Wanted::read(&args)?;
    let session = Session::open(&args.connect).await?;
    let mut interrupts = Interrupts::listen()?;
    let printing = async {
        match args.target.strip_prefix("pod/").or_else(|| args.target.strip_prefix("pods/")) {
            Some(pod) => one(&session, pod, &wanted).await,
            None => {
                let usage = |error| {
                    Expected::usage("whose output to print").because(anyhow::Error::new(error))
                };
                let name = job_name(&args.target).map_err(usage)?;
                let job = session.get(Resource::Jobs, &name).await?;
                if args.follow {
                    follow(&session, &job, &wanted).await
                } else {
                    all(&session, &job, &wanted).await
                }
            }
        }
    };
    tokio::select! {
        outcome = printing => outcome.map(|()| Exit::Success),
        () = interrupts.next() => Ok(Exit::Interrupted),
    }
}

/// Which pods' output, and how.
#[derive(Clone)]
struct Wanted {
    follow: bool,
    tail: Option<u64>,
    container: String,
    indexes: Option<IndexSet>,
    failed: bool,
    previous: bool,
    prefix: Prefix,
}

impl Wanted {
    fn read(args: &LogsArgs) -> anyhow::Result<Self> {
        let indexes = args.index.as_deref().map(|text| IndexSet::parse_status(text, u32::MAX));
        if indexes.as_ref().is_some_and(IndexSet::is_empty) {
            return Err(Expected::usage("--index names no index: write 3, 3-9 or 0,4").into());
        }
        Ok(Self {
            follow: args.follow,
            tail: args.tail,
            container: args.container.clone().unwrap_or_default(),
            indexes,
            failed: args.failed,
            previous: args.previous,
            prefix: args.prefix,
        })
    }

    fn takes(&self, pod: PodView<'_>) -> bool {
        let by_index = |set: &IndexSet| pod.index().is_some_and(|index| set.contains(index));
        self.indexes.as_ref().is_none_or(by_index) && (!self.failed || pod.phase() == "Failed")
    }

    fn call(&self, namespace: &str, pod: &str) -> Call {
        let call = Call::new("get", "pods/log", namespace)
            .name(pod)
            .option("container", &self.container)
            .option("tailLines", self.tail.map_or_else(String::new, |lines| lines.to_string()));
        let call = if self.previous { call.option("previous", true) } else { call };
        if self.follow { call.option("follow", true) } else { call }
    }
}

/// All output of a Job that has ended, as `stint logs JOB` prints it.
pub(super) async fn of_job(session: &Session, job: &Value) -> anyhow::Result<()> {
    let wanted = Wanted {
        follow: false,
        tail: None,
        container: String::new(),
        indexes: None,
        failed: false,
        previous: false,
        prefix: Prefix::Auto,
    };
    all(session, job, &wanted).await
}

async fn one(session: &Session, pod: &str, wanted: &Wanted) -> anyhow::Result<()> {
    // Whatever fails later is worth another try: the pod is known, and a coordinator was there.
    session.get(Resource::Pods, pod).await?;
    let prefix = if wanted.prefix == Prefix::Always { format!("{pod} | ") } else { String::new() };
    copy(&session.client, &wanted.call(&session.namespace, pod), &prefix, None).await
}

/// The list of a Job's pods.
pub(super) fn pods_of(session: &Session, job: &Value) -> Call {
    let selector = format!("batch.kubernetes.io/controller-uid={}", JobView(job).uid());
    session.call("list", Resource::Pods).option("labelSelector", selector)
}

/// Pod after pod: by index, else as they came.
async fn all(session: &Session, job: &Value, wanted: &Wanted) -> anyhow::Result<()> {
    let (mut pods, _watch) = session.client.watch(pods_of(session, job)).await?;
    pods.retain(|pod| wanted.takes(PodView(pod)));
    let key = |pod: &Value| {
        let view = PodView(pod);
        (
            view.index(),
            pod["metadata"]["creationTimestamp"].as_str().map(str::to_owned),
            view.attempt(),
        )
    };
    pods.sort_by_cached_key(key);
    if pods.is_empty() {
        eprintln!("job/{} has no such pods", JobView(job).name());
    }
    let client = &session.client;
    let call = |pod| wanted.call(&session.namespace, PodView(pod).name());
    let mut ahead = VecDeque::new();
    for (number, pod) in pods.iter().enumerate() {
        let view = PodView(pod);
        let prefix = prefix(
            view,
            wanted.prefix == Prefix::Always || wanted.prefix == Prefix::Auto && pods.len() > 1,
        );
        for next in pods.iter().skip(number + ahead.len()).take(AHEAD - ahead.len()) {
            ahead.push_back(client.stream(&call(next)).await?);
        }
        match copy(client, &call(pod), &prefix, ahead.pop_front()).await {
            Err(error) if is_not_yet(&error) => eprintln!("{}: has not started", view.name()),
            outcome => outcome?,
        }
    }
    Ok(())
}

/// All pods at once, as they come, until the Job has ended and all have said everything.
async fn follow(session: &Session, job: &Value, wanted: &Wanted) -> anyhow::Result<()> {
    let (pods, mut pod_watch) = session.client.watch(pods_of(session, job)).await?;
    let (now, mut job_watch) = session.watch_one(Resource::Jobs, JobView(job).name()).await?;
    let several = JobView(job).completions() != Some(1);
    let mut known = HashSet::new();
    let mut waiting: Vec<Value> = pods;
    let mut copies = JoinSet::new();
    let mut over = now.is_none_or(|job| JobView(&job).end().is_some());
    loop {
        while copies.len() < FOLLOWED && !waiting.is_empty() {
            let pod = waiting.swap_remove(0);
            let view = PodView(&pod);
            // A pod that is pending has no output: its next change brings it here again.
            if !wanted.takes(view)
                || view.phase() == "Pending"
                || !known.insert(view.uid().to_owned())
            {
                continue;
            }
            let prefix = prefix(
                view,
                wanted.prefix == Prefix::Always || wanted.prefix == Prefix::Auto && several,
            );
            let call = wanted.call(&session.namespace, view.name());
            let client = session.client.clone();
            copies.spawn(async move { copy(&client, &call, &prefix, None).await });
        }
        if over && copies.is_empty() && waiting.is_empty() {
            return Ok(());
        }
        tokio::select! {
            event = pod_watch.next() => match event? {
                Event::Added(pod) | Event::Modified(pod) => waiting.push(pod),
                Event::Deleted(_) => {}
                Event::Relisted(pods) => waiting = pods,
            },
            event = job_watch.next(), if !over => over = match event? {
                Event::Added(job) | Event::Modified(job) => JobView(&job).end().is_some(),
                Event::Deleted(_) => true,
                Event::Relisted(jobs) => jobs.iter().all(|job| JobView(job).end().is_some()),
            },
            Some(outcome) = copies.join_next() => outcome??,
        }
    }
}

fn prefix(pod: PodView<'_>, wanted: bool) -> String {
    match (wanted, pod.index()) {
        (false, _) => String::new(),
        (true, None) => format!("{} | ", pod.name()),
        (true, Some(index)) => match pod.attempt() {
            Some(attempt) if attempt > 0 => format!("{index} (attempt {attempt}) | "),
            _ => format!("{index} | "),
        },
    }
}

fn is_not_yet(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Error>().and_then(Error::code) == Some(NOT_YET)
}
