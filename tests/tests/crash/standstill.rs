//! Processes that stand still for a while, and go on as if nothing had been.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;
use stint_common::wire::{Outcome, PodState};
use stint_tests::api::counters;
use stint_tests::world::NATS;
use stint_tests::{Api, Shape, World, job, records, until};

use super::STINT;
use super::lasting::{PATIENCE, file, times};

/// What a coordinator says when it takes over.
pub(crate) const OWNER: &str = "owner: reconciling";

/// A Job of many short pods, each of which notes that it runs; none may fail, run twice, or be
/// counted otherwise than once.
pub(crate) struct Counted {
    api: Api,
    dir: PathBuf,
    uid: String,
}

/// More than are through before the faults are: pods of 30 ms.
const PODS: u32 = 20_000;

impl Counted {
    pub(crate) async fn start(world: &World, name: &str) -> Self {
        let (api, dir) = (world.api("default"), world.path().join(name));
        std::fs::create_dir_all(&dir).unwrap();
        let script = format!("echo $JOB_COMPLETION_INDEX >> {}/ran; sleep 0.03", dir.display());
        let spec = json!({"backoffLimit": 0, "parallelism": PODS});
        let manifest = job("counted").indexed().completions(PODS).spec(&spec).script(&script);
        let created = api.create(&manifest.build()).await;
        let uid = created["metadata"]["uid"].as_str().unwrap().to_owned();
        Self { api, dir, uid }
    }

    fn ran(&self) -> usize {
        file(&self.dir, "ran").lines().count()
    }

    /// Waits until so many more have begun.
    pub(crate) async fn goes_on(&self, more: usize) {
        let before = self.ran();
        until("pods go on", PATIENCE, || async { (self.ran() >= before + more).then_some(()) })
            .await;
    }

    /// Ends it, and looks at what was counted.
    pub(crate) async fn ends(self, world: &World) {
        self.goes_on(20).await;
        // An elastic Job that has had enough: what succeeded below the new bound is all there is.
        let ran = u32::try_from(self.ran()).unwrap();
        let enough = json!({"spec": {"completions": ran, "parallelism": ran}});
        let Self { api, dir, uid } = self;
        api.patch("counted", &enough).await;
        let (end, done) = api.ended_at_last("counted", PATIENCE).await;
        assert_eq!(end, "Complete", "{done}");
        assert_eq!(counters(&done), (0, u64::from(ran), 0), "{done}");
        let mut runs: BTreeMap<u32, u32> = BTreeMap::new();
        for index in file(&dir, "ran").lines() {
            *runs.entry(index.parse().unwrap()).or_default() += 1;
        }
        let twice: Vec<&u32> =
            runs.iter().filter(|(_, runs)| **runs > 1).map(|(it, _)| it).collect();
        assert_eq!(twice, Vec::<&u32>::new(), "these ran twice");
        let below = records::pods(world.client(), &uid).await.into_iter().filter(|recorded| {
            matches!(&recorded.record.state, PodState::Terminated(end)
                if end.outcome == Outcome::Succeeded && recorded.pod.slot.0 < ran)
        });
        assert_eq!(below.count(), usize::try_from(ran).unwrap());
        assert_eq!(world.ended_by_themselves(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn nothing_is_counted_twice_when_server_or_coordinators_stand_still() {
    let shape = Shape { coordinators: 2, slots: 4, ..Shape::default() };
    let world = World::start(STINT, shape).await;
    let counted = Counted::start(&world, "still").await;
    // The owner's lease is 2.5 s: shorter, and longer, so that a deposed owner wakes up.
    for time in 0..times(3) {
        for (part, pause) in [
            (NATS, 300 * u64::from(time % 4)),
            ("coordinator-0", 4000),
            (NATS, 4000),
            ("coordinator-1", 4000),
            ("coordinator-0", 800),
        ]
        .into_iter()
        .skip(usize::try_from(time % 2).unwrap())
        .step_by(2)
        {
            counted.goes_on(20).await;
            println!("{part} stands still for {pause} ms");
            world.signal(part, Signal::SIGSTOP);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            world.signal(part, Signal::SIGCONT);
        }
    }
    counted.ends(&world).await;
}

/// A client does not wait for ever: it is told that nothing is known of its write.
#[tokio::test]
async fn a_write_that_is_not_confirmed_is_told_so() {
    let world = World::start(STINT, Shape { workers: 0, ..Shape::default() }).await;
    let http = world.http("coordinator-0");
    let path = "/apis/batch/v1/namespaces/default/jobs";
    world.signal(NATS, Signal::SIGSTOP);
    let status = http.json("POST", path, &job("unknown").build()).await.refused(504);
    world.signal(NATS, Signal::SIGCONT);
    assert_eq!(status["reason"], "Timeout", "{status}");
    let message = status["message"].as_str().unwrap();
    assert!(message.contains("look whether it was stored"), "{message}");
    // What was under way may have been stored; then the name is taken. It is there once.
    let again = http.json("POST", path, &job("unknown").build()).await;
    assert!([201, 409].contains(&again.code), "{}", again.body());
    assert_eq!(world.api("default").job("unknown").await["metadata"]["name"], "unknown");
}
