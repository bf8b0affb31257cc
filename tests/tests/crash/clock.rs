//! The wall clock of a coordinator or of a worker is set, by an hour or a day, while pods run. No
//! lease and no pod ends by that, and what waits goes on waiting for as long as it was to.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stint_tests::api::counters;
use stint_tests::{JobBuilder, Shape, WallClock, World, job, records, until};

use super::STINT;
use super::lasting::{LASTING, PATIENCE, began, each_ran_once, file, lasting, times};
use super::standstill::Counted;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
/// What waits for seconds is over after this, on a busy machine.
const SOON: Duration = Duration::from_secs(25);

/// A coordinator and a worker, each with a clock of its own.
struct Clocks {
    world: World,
    coordinator: WallClock,
    worker: WallClock,
}

impl Clocks {
    async fn start(lease: (f64, f64, f64)) -> Self {
        let shape = Shape { coordinators: 0, workers: 0, lease, ..Shape::default() };
        let world = World::start(STINT, shape).await;
        let coordinator = WallClock::new(world.path(), "coordinator");
        let worker = WallClock::new(world.path(), "worker");
        for (part, clock) in [("coordinator-0", &coordinator), ("worker-0", &worker)] {
            world.dress(part, clock.dress());
            world.play(part);
            world.await_api().await;
        }
        world.await_workers().await;
        Self { world, coordinator, worker }
    }

    fn marks(&self, name: &str) -> std::path::PathBuf {
        let dir = self.world.path().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    /// Makes a Job, and waits until a file in `dir` says that it is so far.
    async fn so_far(&self, manifest: &Value, dir: &Path, mark: &str) {
        self.world.api("default").create(manifest).await;
        until(mark, PATIENCE, || async { dir.join(mark).exists().then_some(()) }).await;
    }

    async fn complete(&self, name: &str) -> Value {
        let (end, done) = self.world.api("default").ended_at_last(name, SOON).await;
        assert_eq!(end, "Complete", "{done}");
        done
    }
}

/// How far the clock that wrote an object is before the machine's.
fn ahead(created: &Value) -> i64 {
    let said = created["metadata"]["creationTimestamp"].as_str().unwrap();
    let said: jiff::Timestamp = said.parse().unwrap();
    said.as_second() - stint_common::time::now().as_second()
}

#[tokio::test]
async fn no_pod_is_lost_or_counted_twice_when_clocks_are_set() {
    let clocks = Clocks::start((2.0, 0.5, 1.0)).await;
    let (world, dir) = (&clocks.world, clocks.marks("out"));
    let api = world.api("default");
    let slow = job("slow").indexed().completions(LASTING).spec(&json!({"backoffLimit": 0}));
    api.create(&slow.script(&lasting(&dir)).build()).await;
    began(&dir, LASTING, 1).await;
    let counted = Counted::start(world, "set").await;
    let before = records::lease(world.client(), "worker-0").await.unwrap();
    let jumps = [
        (HOUR, 0),
        (-HOUR, 0),
        (0, HOUR),
        (0, -HOUR),
        (DAY, DAY),
        (-DAY, -DAY),
        (-DAY, DAY),
        (DAY, -DAY),
        (0, 0),
    ];
    let mut slowest = Duration::ZERO;
    for (coordinator, worker) in jumps.into_iter().cycle().take(usize::try_from(times(9)).unwrap())
    {
        counted.goes_on(20).await;
        clocks.coordinator.set(coordinator);
        clocks.worker.set(worker);
        let start = Instant::now();
        let name = format!("after-{}", uuid::Uuid::new_v4());
        let created = api.create(&job(&name).build()).await;
        assert!((ahead(&created) - coordinator).abs() < 10, "its clock was not set");
        counted.goes_on(20).await;
        let took = start.elapsed();
        println!("{coordinator} {worker}: goes on after {took:?}");
        slowest = slowest.max(took);
        let now = records::lease(world.client(), "worker-0").await.unwrap();
        assert_eq!(now.incarnation, before.incarnation, "the worker is in its first life");
    }
    assert!(slowest < Duration::from_secs(10), "{slowest:?}");
    let renewed = records::lease(world.client(), "worker-0").await.unwrap().renewal;
    until("the lease is renewed", PATIENCE, || async {
        let lease = records::lease(world.client(), "worker-0").await?;
        (lease.renewal > renewed + 1).then_some(())
    })
    .await;
    std::fs::write(dir.join("go"), "").unwrap();
    let done = clocks.complete("slow").await;
    assert_eq!(counters(&done), (0, u64::from(LASTING), 0), "{done}");
    each_ran_once(&dir);
    counted.ends(world).await;
}

/// A first attempt that fails, and a second that does not.
fn tried_again(name: &str, dir: &Path, job: JobBuilder) -> Value {
    let mark = dir.join(name);
    let script = format!("[ -e {0} ] || {{ echo > {0}; exit 1; }}", mark.display());
    let mut manifest = job.script(&script).build();
    manifest["metadata"]["annotations"] = json!({"stint.internal/backoff-base": "3s"});
    manifest
}

#[tokio::test]
async fn back_offs_of_jobs_end_in_time_when_a_clock_is_set_back() {
    let clocks = Clocks::start((60.0, 15.0, 10.0)).await;
    let dir = clocks.marks("out");
    let (api, mut past) = (clocks.world.api("default"), 0);
    for time in 0..times(1) {
        let (whole, index) = (format!("whole-{time}"), format!("index-{time}"));
        let per_index = json!({"backoffLimit": null, "backoffLimitPerIndex": 3});
        let indexed = job(&index).indexed().completions(1).spec(&per_index);
        for (name, job) in [(&*whole, job(&whole)), (&*index, indexed)] {
            clocks.so_far(&tried_again(name, &dir, job), &dir, name).await;
            api.until_job(name, "one has failed", |job| counters(job).2 == 1).await;
            past -= HOUR;
            clocks.coordinator.set(past);
            // A client's write: what waits is decided anew, by the new clock.
            api.patch(name, &json!({"metadata": {"labels": {"looked": "at"}}})).await;
            clocks.complete(name).await;
        }
    }
}

/// A pod that notes each start of its container, and goes on as `rest` has it.
fn started(dir: &Path, rest: &str) -> String {
    format!("echo x >> {0}/starts; {rest}", dir.display())
}

fn starts(dir: &Path) -> usize {
    file(dir, "starts").lines().count()
}

#[tokio::test]
async fn a_pod_has_its_grace_period_when_its_clock_is_set() {
    let clocks = Clocks::start((60.0, 15.0, 10.0)).await;
    let api = clocks.world.api("default");
    // Deaf to TERM: killed in time though the clock was set back. And one that uses its grace,
    // though the clock was set forward.
    for (name, grace, on_term, set) in
        [("deaf", 2, "", -HOUR), ("slow", 60, "sleep 2; echo > DIR/left; exit 0", HOUR)]
    {
        let dir = clocks.marks(name);
        let on_term = on_term.replace("DIR", &dir.display().to_string());
        let script = format!(
            "trap 'echo > {0}/term; {on_term}' TERM; echo > {0}/runs; while :; do sleep 0.05; done",
            dir.display()
        );
        let grace = json!({"terminationGracePeriodSeconds": grace});
        clocks.so_far(&job(name).pod_spec(&grace).script(&script).build(), &dir, "runs").await;
        api.patch(name, &json!({"spec": {"suspend": true}})).await;
        until("TERM", PATIENCE, || async { dir.join("term").exists().then_some(()) }).await;
        clocks.worker.set(set);
        until("its pod is gone", SOON, || async {
            let job = api.job(name).await;
            let left = [&job["status"]["active"], &job["status"]["terminating"]];
            left.iter().all(|count| count.as_u64().unwrap_or(0) == 0).then_some(())
        })
        .await;
        assert_eq!(dir.join("left").exists(), name == "slow", "it ended by itself if it could");
        clocks.worker.set(0);
    }
}

#[tokio::test]
async fn containers_are_started_again_and_probed_in_time_when_their_clock_is_set() {
    let clocks = Clocks::start((60.0, 15.0, 10.0)).await;
    let dir = clocks.marks("failing");
    let failing = started(&dir, "[ $(wc -l < DIR/starts) -gt 2 ]");
    let failing = failing.replace("DIR", &dir.display().to_string());
    let on_failure = json!({"restartPolicy": "OnFailure"});
    let manifest = job("failing").pod_spec(&on_failure).script(&failing).build();
    clocks.world.api("default").create(&manifest).await;
    until("it waits for its third start", PATIENCE, || async { (starts(&dir) == 2).then_some(()) })
        .await;
    clocks.worker.set(-HOUR);
    clocks.complete("failing").await;
    assert_eq!(starts(&dir), 3);

    // Alive until a file says otherwise.
    let dir = clocks.marks("probed");
    let probe = json!({"livenessProbe": {
        "exec": {"command": ["sh", "-c", format!("sleep 0.2; [ ! -e {}/dead ]", dir.display())]},
        "periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": 1,
    }});
    let wait = "while [ $(wc -l < DIR/starts) -lt 2 ]; do sleep 0.05; done";
    let wait = started(&dir, &wait.replace("DIR", &dir.display().to_string()));
    let quickly = json!({"restartPolicy": "OnFailure", "terminationGracePeriodSeconds": 1});
    let manifest = job("probed").script(&wait).container(&probe).pod_spec(&quickly).build();
    clocks.world.api("default").create(&manifest).await;
    until("it runs", PATIENCE, || async { (starts(&dir) == 1).then_some(()) }).await;
    for hours in 1..=10 {
        clocks.worker.set(hours * HOUR);
        // At any moment of a probe, which takes a second with what is between two of them.
        tokio::time::sleep(Duration::from_millis(230)).await;
        assert_eq!(starts(&dir), 1, "it was alive");
    }
    clocks.worker.set(-HOUR);
    tokio::time::sleep(Duration::from_secs(1)).await;
    std::fs::write(dir.join("dead"), "").unwrap();
    until("it is started again", SOON, || async { (starts(&dir) == 2).then_some(()) }).await;
    clocks.complete("probed").await;
}
