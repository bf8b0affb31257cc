//! Why a Job does not go on, or how it does: from the API's objects alone, so any coordinator's
//! answers will do.

mod backing_off;
mod pending;

pub use pending::by_node;

use jiff::Timestamp;
use serde_json::Value;
use stint_common::annotations::WAITING_CONDITION;

use super::age::{age, between};
use super::count::{counted, do_so};
use super::failure::{Failure, summary};
use super::job::{End, JobView};
use super::pod::PodView;
use super::style::Style;

/// Events that are shown.
const EVENTS: usize = 5;

/// What there is to know.
#[derive(Debug, Default)]
pub struct Facts {
    /// The Job.
    pub job: Value,
    /// Its pods that have not ended.
    pub open: Vec<Value>,
    /// Its pods that failed.
    pub failed: Vec<Value>,
    /// The last end of a pod of it that succeeded.
    pub last_success: Option<Timestamp>,
    /// All workers.
    pub nodes: Vec<Value>,
    /// Pods of anybody that run on each of them.
    pub running: Vec<(String, u64)>,
    /// Jobs that it waits for, by name; `None` if there is no such Job.
    pub dependencies: Vec<(String, Option<Value>)>,
    /// Events about it.
    pub events: Vec<Value>,
}

/// One thing that is so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reason {
    /// In one sentence.
    pub what: String,
    /// More of it, a line each.
    pub details: Vec<String>,
    /// A command that changes it.
    pub next: Option<String>,
}

impl Reason {
    fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), ..Self::default() }
    }

    fn with(mut self, details: Vec<String>) -> Self {
        self.details = details;
        self
    }

    fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }
}

/// Everything that holds the Job up, most decisive first.
#[must_use]
pub fn reasons(facts: &Facts, now: Timestamp) -> Vec<Reason> {
    let view = JobView(&facts.job);
    if let Some(end) = view.end() {
        return vec![over(view, &end, facts, now)];
    }
    let mut reasons = Vec::new();
    reasons.extend(deletion(view));
    if let Some(why) = suspended(view) {
        reasons.push(why);
        return reasons;
    }
    if let Some(why) = waiting(view, facts) {
        reasons.push(why);
        return reasons;
    }
    if let Some(why) = ending(view) {
        reasons.push(why);
        return reasons;
    }
    reasons.extend(pending::reasons(facts, now));
    reasons.extend(backing_off::reason(facts, now));
    reasons.extend(no_pods(view, facts));
    reasons
}

fn over(view: JobView<'_>, end: &End, facts: &Facts, now: Timestamp) -> Reason {
    let took = view.duration(now);
    match end {
        End::Complete => Reason::new(format!("it is complete, after {took}")),
        End::Failed(reason, message) => {
            let failures: Vec<Failure> =
                facts.failed.iter().map(|pod| Failure::read(PodView(pod))).collect();
            let groups = summary(&failures);
            let name = view.name();
            Reason::new(format!("it has failed: {reason}: {message}"))
                .with(groups.lines().map(|line| line.trim().to_owned()).collect())
                .next(format!("stint logs {name} --failed; stint rerun {name} --failed"))
        }
    }
}

fn deletion(view: JobView<'_>) -> Option<Reason> {
    let metadata = &view.0["metadata"];
    let since = metadata["deletionTimestamp"].as_str()?;
    let own = ["foregroundDeletion", "orphan"];
    let finalizers = metadata["finalizers"].as_array().into_iter().flatten();
    let finalizers: Vec<&str> = finalizers.filter_map(Value::as_str).collect();
    let held: Vec<&str> = finalizers.iter().copied().filter(|it| !own.contains(it)).collect();
    let why = if held.is_empty() {
        format!("{} still to end", counted(view.count("active") + view.count("terminating"), "pod"))
    } else {
        format!("held by the finalizers {}", held.join(", "))
    };
    Some(Reason::new(format!("it is being deleted since {since}: {why}")))
}

fn suspended(view: JobView<'_>) -> Option<Reason> {
    if view.0["spec"]["suspend"] != true {
        return None;
    }
    let terminating = view.count("terminating") + view.count("active");
    let rest = match terminating {
        0 => String::new(),
        pods => format!("; {} still to end", counted(pods, "pod")),
    };
    Some(
        Reason::new(format!("it is suspended{rest}")).next(format!("stint resume {}", view.name())),
    )
}

fn waiting(view: JobView<'_>, facts: &Facts) -> Option<Reason> {
    let condition = view.condition(WAITING_CONDITION)?;
    let message = condition["message"].as_str().unwrap_or("it waits for other Jobs");
    let lines = facts.dependencies.iter().map(|(name, job)| match job {
        None => format!("{name}: there is no such Job (it may still be submitted)"),
        Some(job) => {
            let job = JobView(job);
            format!("{name}: {}, {} complete", job.status(), job.completions_text())
        }
    });
    let first_open = facts
        .dependencies
        .iter()
        .find(|(_, job)| job.as_ref().is_some_and(|job| JobView(job).end() != Some(End::Complete)));
    let mut reason = Reason::new(format!("it has not started: {message}")).with(lines.collect());
    if let Some((name, _)) = first_open {
        reason.next = Some(format!("stint explain {name}"));
    }
    Some(reason)
}

/// Its end is decided, and pods of it still run.
fn ending(view: JobView<'_>) -> Option<Reason> {
    let (condition, what) = match view.condition("FailureTarget") {
        Some(condition) => (condition, "it will be Failed"),
        None => (view.condition("SuccessCriteriaMet")?, "it will be Complete"),
    };
    let reason = condition["reason"].as_str().unwrap_or_default();
    let message = condition["message"].as_str().unwrap_or_default();
    let left = view.count("terminating") + view.count("active");
    let ended = do_so(left, "pod", "has ended", "have ended");
    Some(Reason::new(format!("{what} when {ended}: {reason}: {message}")))
}

/// Nothing runs, and nothing said so far tells why.
fn no_pods(view: JobView<'_>, facts: &Facts) -> Option<Reason> {
    if view.0["spec"]["parallelism"] == 0 {
        let next =
            format!("stint patch job {} -p '{{\"spec\": {{\"parallelism\": 1}}}}'", view.name());
        return Some(Reason::new("spec.parallelism is 0: no pods are wanted").next(next));
    }
    if !view.0["status"]["startTime"].is_string() {
        let what = "no coordinator has taken it up yet: usually within a second of its submission";
        return Some(Reason::new(what).next("stint doctor"));
    }
    let manager = view.0["spec"]["managedBy"].as_str();
    if let Some(manager) = manager.filter(|name| *name != "kubernetes.io/job-controller") {
        return Some(Reason::new(format!(
            "it is left to the controller {manager} (spec.managedBy)"
        )));
    }
    let _ = facts;
    None
}

/// The whole text.
#[must_use]
pub fn render(facts: &Facts, now: Timestamp, style: Style) -> String {
    let view = JobView(&facts.job);
    let status = match view.status() {
        "Complete" => style.good("Complete"),
        "Failed" => style.bad("Failed"),
        other => other.to_owned(),
    };
    let created = age(&facts.job["metadata"]["creationTimestamp"], now);
    let mut text = format!(
        "job {}  {status}, {} complete, {} active ({} ready), {} failed; {created} old\n",
        style.strong(&format!("{}/{}", view.namespace(), view.name())),
        view.completions_text(),
        view.count("active"),
        view.count("ready"),
        view.count("failed"),
    );
    let reasons = reasons(facts, now);
    if reasons.is_empty() {
        text.push_str(&running(view, now));
    }
    for reason in &reasons {
        text.push_str(&format!("• {}\n", reason.what));
        for line in &reason.details {
            text.push_str(&format!("    {line}\n"));
        }
        if let Some(next) = &reason.next {
            text.push_str(&format!("    {}\n", style.dim(&format!("try: {next}"))));
        }
    }
    text + &events(facts, now, style)
}

fn running(view: JobView<'_>, now: Timestamp) -> String {
    let deadline = view.0["spec"]["activeDeadlineSeconds"].as_i64();
    let start = super::age::time(&view.0["status"]["startTime"]);
    let mut text = "• nothing holds it up: it runs\n".to_owned();
    if let (Some(seconds), Some(start)) = (deadline, start) {
        let end = stint_common::time::after(
            start,
            std::time::Duration::from_secs(seconds.unsigned_abs()),
        );
        text.push_str(&format!("    its deadline is in {}\n", between(now, end)));
    }
    text
}

fn events(facts: &Facts, now: Timestamp, style: Style) -> String {
    let warnings = facts.events.iter().filter(|event| event["type"] == "Warning");
    let warnings: Vec<&Value> = warnings.collect();
    if warnings.is_empty() {
        return String::new();
    }
    let mut text = format!("{}\n", style.dim("last warnings:"));
    for event in &warnings[warnings.len().saturating_sub(EVENTS)..] {
        let [when, reason, message] =
            [super::events::time_of(event), &event["reason"], &event["message"]];
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        text.push_str(&format!(
            "    {} ago  {}: {}\n",
            age(when, now),
            word(reason),
            word(message)
        ));
    }
    text
}

#[cfg(test)]
mod tests;
