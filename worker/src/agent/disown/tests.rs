//! What a worker does when the owner asks about pods, over a shelf.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::json;
use serde_json::value::to_raw_value;
use stint_common::id::{Attempt, JobUid, Slot};
use stint_common::nats::Shelf;
use stint_common::wire::{Allocatable, Claim, Nudge, Offer, Running, Template, WorkItem};
use tempfile::TempDir;
use uuid::Uuid;

use super::super::feed::Kind;
use super::super::fence::{Fence, boottime_ms};
use super::super::intake::{Pulled, clock};
use super::super::room::Amounts;
use super::super::run::Settings;
use super::super::templates::{Fetched, prepared};
use super::*;
use crate::launch::Host;
use crate::runtime::noop::NoopRuntime;

const ME: Incarnation = Incarnation(Uuid::from_u128(1));
const ANOTHER: Incarnation = Incarnation(Uuid::from_u128(2));

fn pod(slot: u32) -> PodId {
    PodId { job: JobUid(Uuid::from_u128(7)), slot: Slot(slot), attempt: Attempt(0) }
}

fn template() -> Template {
    let pod = json!({"spec": {
        "restartPolicy": "Never",
        "containers": [{"name": "main", "image": "host", "command": ["true"]}],
    }});
    Template {
        v: VERSION,
        namespace: "default".to_owned(),
        job_name: "pi".to_owned(),
        job_uid: pod_job(),
        indexed: false,
        pod_template: to_raw_value(&pod).unwrap(),
        trace: None,
        changed: false,
    }
}

fn pod_job() -> JobUid {
    pod(0).job
}

fn record(life: Incarnation, state: PodState) -> PodRecord {
    let claim = Claim { worker: "one".to_owned(), incarnation: life, claimed_at: now() };
    PodRecord {
        v: VERSION,
        writer: life,
        nonce: 1,
        template: "t".to_owned(),
        created_at: now(),
        index_failures: None,
        claim: Some(claim),
        state,
        waiting: None,
        address: None,
    }
}

fn running() -> PodState {
    PodState::Running(Running {
        started_at: now(),
        only_tried: false,
        ready: true,
        restarts: 0,
        detail: None,
    })
}

/// A worker without pods; its records are on a shelf.
fn agent(shelf: &Shelf) -> (Agent<NoopRuntime>, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let allocatable = Allocatable { cpu_milli: 4000, pods: 10, ..Allocatable::default() };
    let settings = Settings {
        name: "one".to_owned(),
        offer: Offer { allocatable, default_cpu_milli: 1000, ..Offer::default() },
        devices: BTreeMap::new(),
        data_dir: dir.path().to_owned(),
        shutdown_seconds: 5,
        outlet: None,
    };
    let fence = Fence::closed();
    fence.prove(boottime_ms(), Duration::from_secs(600));
    let runtime = Arc::new(NoopRuntime::new(|_| {}));
    let host = Host::new("one", "127.0.0.1", "/", []);
    let agent = Agent::new(settings, ME, runtime, fence, shelf.jet(), host).unwrap();
    (agent, dir)
}

/// Takes in all that is on its way.
async fn settle(agent: &mut Agent<NoopRuntime>) {
    let mut out = Outbox::default();
    while let Some(done) = agent.on_their_way.next().await {
        agent.arrived(done, &mut out);
    }
}

/// The pod is claimed, which is on its way.
fn claim(agent: &mut Agent<NoopRuntime>, id: PodId) {
    let name = (id.job, "t".to_owned());
    let ready = prepared(template(), &agent.post.host);
    agent.templates.fetched(&name, &Fetched::Ready(Arc::new(ready)));
    let item = WorkItem { v: VERSION, template: name.1, created_at: now(), index_failures: None };
    let kind = Kind {
        name: "default".into(),
        priority: 0,
        amounts: Amounts::default(),
        plain: true,
        choosy: false,
        devices: BTreeMap::new(),
    };
    let (reply, at) = ("reply".into(), clock());
    agent.pulled.push_back(Pulled { pod: id, item, reply, at, kind: kind.into() });
    agent.claim(false, &mut Outbox::default());
    assert!(agent.pods.contains_key(&id), "it is claimed");
}

fn at(shelf: &Shelf, agent: &Agent<NoopRuntime>, id: PodId) -> (u64, PodRecord) {
    let (sequence, payload) = shelf.at(&agent.post.jet.names.pod(id)).unwrap();
    (sequence, serde_json::from_slice(&payload).unwrap())
}

#[tokio::test]
async fn claims_of_this_life_that_it_does_not_know_are_ended_as_lost() {
    let shelf = Shelf::default();
    let (mut agent, _dir) = agent(&shelf);
    let over = PodState::Terminated(Box::new(lost("one")));
    let states = [
        record(ME, PodState::Claimed),
        record(ME, running()),
        record(ANOTHER, running()),
        record(ME, over),
        PodRecord { claim: None, ..record(ME, PodState::Claimed) },
    ];
    let mut before = Vec::new();
    for (slot, state) in (0..).zip(&states) {
        before.push(shelf.put(&agent.post.jet.names.pod(pod(slot)), state));
    }
    // Of the last of them nothing stands anywhere.
    let claims = (0..6).map(pod).collect();
    let nudge = Nudge { v: VERSION, pods: Vec::new(), cordoned: None, claims };
    agent.asked_for(&nudge.claims);
    settle(&mut agent).await;
    for slot in 0..2 {
        let (sequence, record) = at(&shelf, &agent, pod(slot));
        assert!(sequence > before[slot as usize]);
        let PodState::Terminated(end) = record.state else { panic!("{record:?}") };
        assert_eq!((end.reason.as_str(), end.by), (WORKER_LOST, EndedBy::Worker));
        assert_eq!(end.outcome, wire::Outcome::Failed);
        assert_eq!(end.conditions[0].kind, "DisruptionTarget");
        assert_eq!(record.claim.unwrap().incarnation, ME, "whose it was stays");
    }
    for slot in 2..5 {
        let (sequence, record) = at(&shelf, &agent, pod(slot));
        assert_eq!((sequence, &record), (before[slot as usize], &states[slot as usize]));
    }
    assert_eq!(shelf.at(&agent.post.jet.names.pod(pod(5))), None);
}

#[tokio::test]
async fn pods_that_are_here_are_not_disowned() {
    let shelf = Shelf::default();
    let (mut agent, _dir) = agent(&shelf);
    let subject = agent.post.jet.names.pod(pod(0));
    let stands = shelf.put(&subject, &record(ME, running()));
    // Not there when it is asked for, and there when the record was read.
    agent.asked_for(&[pod(0)]);
    let done = agent.on_their_way.next().await.unwrap();
    claim(&mut agent, pod(0));
    agent.arrived(done, &mut Outbox::default());
    settle(&mut agent).await;
    assert_eq!(shelf.at(&subject).unwrap().0, stands);
    // There when it is asked for: nothing is read.
    agent.asked_for(&[pod(0)]);
    assert!(agent.on_their_way.is_empty());
}

#[tokio::test]
async fn what_was_written_after_the_read_stands() {
    let shelf = Shelf::default();
    let (mut agent, _dir) = agent(&shelf);
    let subject = agent.post.jet.names.pod(pod(0));
    shelf.put(&subject, &record(ME, PodState::Claimed));
    agent.asked_for(&[pod(0)]);
    let done = agent.on_their_way.next().await.unwrap();
    let stands = shelf.put(&subject, &record(ANOTHER, running()));
    agent.arrived(done, &mut Outbox::default());
    settle(&mut agent).await;
    assert_eq!(shelf.at(&subject).unwrap().0, stands);
}
