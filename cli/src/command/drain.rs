//! `stint cordon`, `stint uncordon` and `stint drain`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use stint_common::annotations::DRAINING_CONDITION;
use stint_common::names::ALL_NAMESPACES;
use tokio::time::{Instant, sleep_until};

use super::print::out;
use super::session::Session;
use crate::args::{CordonArgs, DrainArgs};
use crate::client::{Call, Event};
use crate::exit::Exit;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Cordon,
    Uncordon,
}

pub(super) async fn cordon(args: CordonArgs, mark: Mark) -> anyhow::Result<Exit> {
    let session = Session::open(&args.connect).await?;
    for node in &args.nodes {
        set(&session, node, mark).await?;
    }
    Ok(Exit::Success)
}

pub(super) async fn drain(args: DrainArgs) -> anyhow::Result<Exit> {
    let session = Session::open(&args.connect).await?;
    let node = &args.node;
    set(&session, node, Mark::Cordon).await?;
    let deadline = Instant::now() + args.timeout;
    takes_nothing(&session, node).await?;
    let active = format!("spec.nodeName={node},status.phase!=Succeeded,status.phase!=Failed");
    let list = Call::new("list", "pods", ALL_NAMESPACES).option("fieldSelector", active);
    let (now, mut watch) = session.client.watch(list).await?;
    let mut pods = Pods::default();
    pods.take_in(Event::Relisted(now));
    pods.tell(args.timeout)?;
    let mut is_late = false;
    loop {
        for (namespace, name) in pods.whose_time_has_come(is_late) {
            evict(&session, &namespace, &name, args.grace_period).await?;
        }
        if pods.0.is_empty() {
            break;
        }
        tokio::select! {
            event = watch.next() => pods.take_in(event?),
            () = sleep_until(deadline), if !is_late => is_late = true,
        }
    }
    out(&format!("node/{node} drained\n"))?;
    Ok(Exit::Success)
}

/// Says of a worker whether it may take pods.
async fn set(session: &Session, node: &str, mark: Mark) -> anyhow::Result<()> {
    let unschedulable = if mark == Mark::Cordon { json!(true) } else { Value::Null };
    let call = Call::new("patch", "nodes", ALL_NAMESPACES)
        .name(node)
        .option("Content-Type", "application/merge-patch+json")
        .json(&json!({"spec": {"unschedulable": unschedulable}}));
    session.request(&call).await?;
    let word = if mark == Mark::Cordon { "cordoned" } else { "uncordoned" };
    Ok(out(&format!("node/{node} {word}\n"))?)
}

/// Waits until the worker has heard that it is to take nothing more, or is not there to hear it.
async fn takes_nothing(session: &Session, node: &str) -> anyhow::Result<()> {
    let list = Call::new("list", "nodes", ALL_NAMESPACES)
        .option("fieldSelector", format!("metadata.name={node}"));
    let (mut now, mut watch) = session.client.watch(list).await?;
    loop {
        let has = |node: &Value, kind: &str| {
            let mut conditions = node["status"]["conditions"].as_array().into_iter().flatten();
            conditions.any(|it| it["type"] == kind && it["status"] == "True")
        };
        if now.iter().all(|node| has(node, DRAINING_CONDITION) || !has(node, "Ready")) {
            return Ok(());
        }
        now = match watch.next().await? {
            Event::Added(node) | Event::Modified(node) => vec![node],
            Event::Deleted(_) => Vec::new(),
            Event::Relisted(nodes) => nodes,
        };
    }
}

async fn evict(
    session: &Session,
    namespace: &str,
    name: &str,
    grace_seconds: Option<u32>,
) -> anyhow::Result<()> {
    let mut eviction = json!({
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": namespace},
    });
    if let Some(seconds) = grace_seconds {
        eviction["deleteOptions"] = json!({"gracePeriodSeconds": seconds});
    }
    out(&format!("evicting pod {namespace}/{name}\n"))?;
    let call = Call::new("create", "pods/eviction", namespace).name(name).json(&eviction);
    match session.request(&call).await {
        // It has ended meanwhile.
        Err(error) if error.code() == Some(404) => Ok(()),
        result => Ok(result.map(drop)?),
    }
}

/// The pods that a worker still has.
#[derive(Debug, Default)]
struct Pods(BTreeMap<(String, String), Pod>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Pod {
    /// It waits for something that may never come, and runs nothing meanwhile.
    waits: bool,
    /// It was asked to go.
    evicted: bool,
}

impl Pods {
    fn take_in(&mut self, event: Event) {
        match event {
            Event::Added(pod) | Event::Modified(pod) => self.see(&pod),
            Event::Deleted(pod) => drop(self.0.remove(&key(&pod))),
            Event::Relisted(pods) => {
                let before = std::mem::take(&mut self.0);
                for pod in &pods {
                    let key = key(pod);
                    let known = before.get(&key).copied().unwrap_or_default();
                    self.0.insert(key, known);
                    self.see(pod);
                }
            }
        }
    }

    fn see(&mut self, pod: &Value) {
        let waits = |status: &Value| status["state"]["waiting"]["message"].is_string();
        let lists = ["initContainerStatuses", "containerStatuses"].map(|it| &pod["status"][it]);
        let mut statuses = lists.into_iter().filter_map(Value::as_array).flatten();
        let pending = pod["status"]["phase"] == "Pending";
        let known = self.0.entry(key(pod)).or_default();
        known.waits = pending && statuses.any(waits);
    }

    /// Those whose time has come, each once.
    fn whose_time_has_come(&mut self, is_late: bool) -> Vec<(String, String)> {
        let due = self.0.iter_mut().filter(|(_, it)| !it.evicted && (is_late || it.waits));
        let due = due.map(|(key, pod)| {
            pod.evicted = true;
            key.clone()
        });
        due.collect()
    }

    fn tell(&self, limit: Duration) -> anyhow::Result<()> {
        let (count, seconds) = (self.0.len(), limit.as_secs());
        match count {
            0 => {}
            1 => out(&format!("1 pod has {seconds} s to end by itself\n"))?,
            _ => out(&format!("{count} pods have {seconds} s to end by themselves\n"))?,
        }
        Ok(())
    }
}

fn key(pod: &Value) -> (String, String) {
    let text = |name: &str| pod["metadata"][name].as_str().unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, status: &Value) -> Value {
        json!({"metadata": {"namespace": "d", "name": name}, "status": status})
    }

    #[test]
    fn each_pod_is_evicted_once_when_its_time_has_come() {
        let waiting = json!({"waiting": {"reason": "ContainerCreating", "message": "no secret"}});
        let waits = json!({"phase": "Pending", "containerStatuses": [{"state": waiting}]});
        let runs = json!({"phase": "Running", "containerStatuses": [{"state": {"running": {}}}]});
        let mut pods = Pods::default();
        let all = vec![pod("waits", &waits), pod("runs", &runs), pod("new", &json!({}))];
        pods.take_in(Event::Relisted(all.clone()));
        let named = |names: &[&str]| -> Vec<(String, String)> {
            names.iter().map(|name| ("d".to_owned(), (*name).to_owned())).collect()
        };
        assert_eq!(pods.whose_time_has_come(false), named(&["waits"]));
        pods.take_in(Event::Relisted(all.clone()));
        assert_eq!(pods.whose_time_has_come(false), []);
        pods.take_in(Event::Deleted(all[2].clone()));
        assert_eq!(pods.whose_time_has_come(true), named(&["runs"]));
        assert_eq!(pods.whose_time_has_come(true), []);
        pods.take_in(Event::Relisted(Vec::new()));
        assert!(pods.0.is_empty());
    }
}
