//! Pods that are there and do not run: nobody takes them, all places are taken, or something is
//! missing.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;
use stint_common::id::{Attempt, JobUid, PodId};
use stint_common::names::{parse_pod_name, pod_name};

use super::{Facts, Reason};
use crate::output::count::{counted, do_so};
use crate::output::nodes::NodeView;
use crate::output::pod::PodView;

/// Messages of one kind that are shown.
const SHOWN: usize = 4;
/// Of one place so many pods are looked at to find which of them a name means.
const ATTEMPTS: u32 = 1000;

pub(super) fn reasons(facts: &Facts, _now: Timestamp) -> Vec<Reason> {
    let pending: Vec<PodView<'_>> = facts
        .open
        .iter()
        .map(PodView)
        .filter(|pod| pod.phase() == "Pending" && !is_told_to_end(*pod))
        .collect();
    if pending.is_empty() {
        return terminating(facts).into_iter().collect();
    }
    let mut reasons: Vec<Reason> = terminating(facts).into_iter().collect();
    reasons.extend(held_up(&pending));
    let unclaimed = pending.iter().copied().filter(|pod| pod.node().is_none());
    let follow = successors(facts);
    let (following, unclaimed): (Vec<PodView<'_>>, Vec<PodView<'_>>) =
        unclaimed.partition(|pod| follow.contains(pod.name()));
    if !following.is_empty() {
        let what = do_so(
            following.len(),
            "pod",
            "starts when the one that it replaces has ended",
            "start when those that they replace have ended",
        );
        reasons.push(Reason::new(what));
    }
    if unclaimed.is_empty() {
        return reasons;
    }
    reasons.push(match unclaimed.iter().find_map(|pod| unschedulable(*pod)) {
        Some(why) => {
            Reason::new(format!("no worker takes {}", counted(unclaimed.len(), "waiting pod")))
                .with(why.split("; ").map(str::to_owned).collect())
                .next("stint get nodes -o wide")
        }
        None => no_room(facts, unclaimed.len()),
    });
    reasons
}

fn is_told_to_end(pod: PodView<'_>) -> bool {
    pod.0["metadata"]["deletionTimestamp"].is_string()
}

fn terminating(facts: &Facts) -> Option<Reason> {
    let ending = facts.open.iter().map(PodView).filter(|pod| is_told_to_end(*pod));
    let ending: Vec<&str> = ending.map(PodView::name).collect();
    let what = do_so(
        ending.len(),
        "pod",
        "was told to end and has not yet",
        "were told to end and have not yet",
    );
    let lines = ending.iter().take(SHOWN).map(|name| (*name).to_owned()).collect();
    (!ending.is_empty()).then(|| Reason::new(what).with(lines))
}

/// Names of the pods that replace one that was told to end: of one place only one runs at a time.
fn successors(facts: &Facts) -> BTreeSet<String> {
    let job = &facts.job;
    let name = job["metadata"]["name"].as_str().unwrap_or_default();
    let uid = job["metadata"]["uid"].as_str().and_then(|uid| uid.parse().ok());
    let indexed = job["spec"]["completionMode"] == "Indexed";
    let Some(uid) = uid.map(JobUid) else { return BTreeSet::new() };
    let ending = facts.open.iter().map(PodView).filter(|pod| is_told_to_end(*pod));
    let found =
        ending.filter_map(|pod| parse_pod_name(pod.name(), name, indexed, uid, |_| ATTEMPTS));
    found
        .map(|pod| PodId { attempt: Attempt(pod.attempt.0.saturating_add(1)), ..pod })
        .map(|pod| pod_name(name, indexed, pod))
        .collect()
}

/// Why nobody can take it.
fn unschedulable(pod: PodView<'_>) -> Option<String> {
    let conditions = pod.0["status"]["conditions"].as_array()?;
    let told =
        conditions.iter().find(|it| it["type"] == "PodScheduled" && it["status"] == "False")?;
    Some(told["message"].as_str().unwrap_or("Unschedulable").to_owned())
}

/// Claimed ones that cannot start: what their containers say.
fn held_up(pending: &[PodView<'_>]) -> Option<Reason> {
    let mut said: BTreeMap<String, usize> = BTreeMap::new();
    let mut count = 0;
    let mut some_run = false;
    for pod in pending {
        let containers = || pod.containers().chain(pod.init_containers());
        // A volume that is missing is each container's reason.
        let waiting: BTreeSet<String> = containers().filter_map(what_for).collect();
        count += usize::from(!waiting.is_empty());
        some_run |= !waiting.is_empty() && pod.containers().any(|it| runs(&it["state"]));
        for text in waiting {
            *said.entry(text).or_default() += 1;
        }
    }
    let lines = said.iter().take(SHOWN).map(|(text, count)| format!("{count} × {text}"));
    let pods = counted(count, "claimed pod");
    let reason = Reason::new(match some_run {
        false => format!("{pods} cannot start"),
        true => format!("{pods} cannot start all containers"),
    });
    (count > 0).then(|| reason.with(lines.collect()))
}

/// What a container waits for, if that is more than its turn.
fn what_for(container: &Value) -> Option<String> {
    let waiting = &container["state"]["waiting"];
    let reason = waiting["reason"].as_str()?;
    let message = waiting["message"].as_str().unwrap_or_default();
    // A volume is missing, where there is something to be said.
    let usual = ["ContainerCreating", "PodInitializing"].contains(&reason) && message.is_empty();
    (!usual).then(|| format!("{reason}: {message}"))
}

/// Whether a container runs, or did.
fn runs(state: &Value) -> bool {
    state["running"].is_object() || state["terminated"].is_object()
}

/// Some worker would take them, if it could.
fn no_room(facts: &Facts, waiting: usize) -> Reason {
    let waiting = do_so(waiting, "pod", "waits", "wait");
    if facts.nodes.is_empty() {
        return Reason::new(format!("{waiting}, and there is no worker"))
            .next("stint worker, on any machine that reaches NATS");
    }
    let nodes: Vec<NodeView<'_>> = facts.nodes.iter().map(NodeView).collect();
    let lines: Vec<String> = nodes.iter().map(|node| load(*node, &facts.running)).collect();
    let usable = nodes.iter().filter(|node| node.is_ready() && !node.is_cordoned()).count();
    if usable == 0 {
        return Reason::new(format!("{waiting}, and no worker takes pods"))
            .with(lines)
            .next("stint get nodes");
    }
    let free: u64 = nodes
        .iter()
        .filter(|node| node.is_ready() && !node.is_cordoned())
        .map(|node| node.slots().saturating_sub(node.running(&facts.running)))
        .sum();
    let what = match free {
        0 => format!("{waiting} for a place: all workers are full"),
        _ => format!("{waiting} for a worker with room (unless one is taking more just now)"),
    };
    Reason::new(what).with(lines).next("stint top")
}

fn load(node: NodeView<'_>, running: &[(String, u64)]) -> String {
    let (name, slots) = (node.name(), node.slots());
    match (node.is_ready(), node.is_cordoned()) {
        (false, _) => format!("{name}: not ready, {}", node.why_not_ready()),
        (true, true) => format!("{name}: cordoned (`kubectl uncordon {name}`)"),
        (true, false) => {
            format!("{name}: {} of {} taken", node.running(running), counted(slots, "place"))
        }
    }
}

/// Counts pods by the worker that has them.
#[must_use]
pub fn by_node(pods: &[Value]) -> Vec<(String, u64)> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for pod in pods.iter().map(PodView).filter(|pod| !pod.is_over()) {
        if let Some(node) = pod.node() {
            *counts.entry(node.to_owned()).or_default() += 1;
        }
    }
    counts.into_iter().collect()
}
