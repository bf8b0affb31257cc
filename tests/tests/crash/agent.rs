//! The agent is killed again and again under load: no pod notices. Agent and supervisor are killed
//! together: every pod is replaced, and none runs twice at once.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use stint_common::wire::WorkerState;
use stint_tests::api::{counters, name};
use stint_tests::world::NATS;
use stint_tests::{Api, Shape, World, eventually, job, proc, records, until};

use super::STINT;
use super::lasting::{
    LASTING, PATIENCE, began, each_ran_once, file, lasting, replaced_at_once, times,
};

/// Kills the agent when the next of these pods begins, and starts it again.
async fn kill_agent(world: &World, marks: &Path) {
    let count = || std::fs::read_dir(marks).map_or(0, Iterator::count);
    let before = count();
    let what = "pods begin while the agent is killed";
    until(what, PATIENCE, || async { (count() > before + 2).then_some(()) }).await;
    world.kill("worker-0");
    world.play("worker-0");
}

/// Whether it says each number once, and all of them.
fn is_whole(log: &str) -> bool {
    let mut lines: Vec<&str> = log.lines().collect();
    let last = lines.pop().and_then(|last| last.strip_prefix("last "));
    let counted = lines.iter().zip(1_u32..).all(|(line, number)| *line == number.to_string());
    counted && last == Some(&lines.len().to_string())
}

#[tokio::test]
async fn no_pod_is_harmed_when_its_agent_is_killed() {
    let kills = times(6);
    let world = World::start(STINT, Shape { slots: 12, ..Shape::default() }).await;
    let (api, dir) = (world.api("default"), world.path().join("out"));
    let marks = dir.join("marks");
    std::fs::create_dir_all(&marks).unwrap();
    let slow = job("lasting").indexed().completions(LASTING).script(&lasting(&dir));
    api.create(&slow.build()).await;
    let others = several_containers(&dir);
    api.create(&others).await;
    let short = format!("mkdir {}/$JOB_COMPLETION_INDEX && echo out; sleep 0.1", marks.display());
    let pods = 40 + 12 * kills;
    let load = job("load").indexed().completions(pods).spec(&json!({"backoffLimit": 0}));
    api.create(&load.spec(&json!({"parallelism": 8})).script(&short).build()).await;
    began(&dir, LASTING, 1).await;
    until("the other pod runs", PATIENCE, || async {
        (!file(&dir, "main").is_empty()).then_some(())
    })
    .await;
    let supervisor = world.supervisor("worker-0");
    for kill in 0..kills {
        println!("kill {kill}");
        kill_agent(&world, &marks).await;
    }
    std::fs::write(dir.join("go"), "").unwrap();
    for (name, succeeded) in [("lasting", LASTING), ("several", 1), ("load", pods)] {
        // What a killed agent had pulled and not claimed comes again after 5 s.
        let (end, done) = api.ended_at_last(name, 2 * PATIENCE).await;
        let expect = ("Complete", (0, u64::from(succeeded), 0));
        assert_eq!((end.as_str(), counters(&done)), expect, "{done}");
    }
    assert_eq!(world.supervisor("worker-0"), supervisor, "one supervisor all the time");
    each_ran_once(&dir);
    // The sidecar is started before the main container; which of them writes first is theirs.
    let order = file(&dir, "order");
    let order = [order.as_str(), "init\nsidecar\nmain\n"].map(|text| {
        let mut words: Vec<&str> = text.lines().collect();
        words[1..].sort_unstable();
        words
    });
    assert_eq!(order[0], order[1]);
    for pod in api.pods("lasting").await {
        let log = String::from_utf8(api.log(name(&pod), &[]).await).unwrap();
        assert!(is_whole(&log), "lines are missing, or come twice:\n{log}");
    }
}

/// A pod whose machine has much to remember: an init container, a sidecar, a probe.
fn several_containers(dir: &Path) -> Value {
    let dir = dir.display();
    let script = |text: String| json!(["sh", "-c", text]);
    let probe = json!({
        "exec": {"command": ["test", "-e", format!("{dir}/main")]},
        "periodSeconds": 1, "failureThreshold": 30,
    });
    let go = format!("until [ -e {dir}/go ]; do sleep 0.05; done");
    let main = format!("echo main >> {dir}/order; echo > {dir}/main; {go}");
    let own = job("several").script(&main).container(&json!({"livenessProbe": probe}));
    let init = script(format!("echo init >> {dir}/order"));
    let sidecar = script(format!("echo sidecar >> {dir}/order; sleep 1000"));
    own.pod_spec(&json!({
        "terminationGracePeriodSeconds": 1,
        "initContainers": [
            {"name": "init", "image": "host", "command": init},
            {"name": "beside", "image": "host", "restartPolicy": "Always", "command": sidecar},
        ],
    }))
    .build()
}

/// What the next agent hears at first has consequences for containers that it has not looked at.
#[tokio::test]
async fn what_follows_an_end_that_nobody_heard_is_started_once() {
    let world = World::start(STINT, Shape::default()).await;
    let (api, dir) = (world.api("default"), world.path().join("out"));
    std::fs::create_dir_all(&dir).unwrap();
    let shown = dir.display();
    let script = |text: String| json!(["sh", "-c", text.replace("$$", "$$$$")]);
    let wait = format!("echo $$ > {shown}/pid; until [ -e {shown}/go ]; do sleep 0.02; done");
    let mark = |what: &str| format!("echo {what} >> {shown}/order; sleep 0.2");
    let init = json!([
        {"name": "first", "image": "host", "command": script(wait)},
        {"name": "second", "image": "host", "command": script(mark("second"))},
        {"name": "beside", "image": "host", "restartPolicy": "Always",
         "command": script(format!("{}; exec sleep 1000", mark("beside")))},
        {"name": "third", "image": "host", "command": script(mark("third"))},
    ]);
    let manifest = job("unheard").script(&mark("main"));
    api.create(&manifest.pod_spec(&json!({"initContainers": init})).build()).await;
    let pid = until("the first one runs", PATIENCE, || async { proc::pid_in(&dir.join("pid")) });
    let pid = pid.await;
    world.kill("worker-0");
    std::fs::write(dir.join("go"), "").unwrap();
    eventually("it ends, and nobody hears", || !proc::lives(pid)).await;
    world.play("worker-0");
    let (end, _) = api.ended_at_last("unheard", PATIENCE).await;
    assert_eq!(end, "Complete");
    assert_eq!(file(&dir, "order"), "second\nbeside\nthird\nmain\n");
}

#[tokio::test]
async fn pods_are_replaced_when_agent_and_supervisor_are_killed_together() {
    let kills = times(2);
    let world = World::start(STINT, Shape { lease: (4.0, 1.0, 1.0), ..Shape::default() }).await;
    let (api, dir) = (world.api("default"), world.path().join("out"));
    std::fs::create_dir_all(&dir).unwrap();
    api.create(&replaced_at_once("both", &dir)).await;
    for kill in 1..=usize::try_from(kills).unwrap() {
        began(&dir, LASTING, kill).await;
        println!("kill {kill}");
        world.kill_with_supervisor("worker-0");
        world.play("worker-0");
    }
    let runs = usize::try_from(kills).unwrap() + 1;
    began(&dir, LASTING, runs).await;
    std::fs::write(dir.join("go"), "").unwrap();
    let (end, done) = api.ended_at_last("both", PATIENCE).await;
    assert_eq!((end.as_str(), counters(&done).1), ("Complete", u64::from(LASTING)), "{done}");
    assert_eq!(file(&dir, "twice"), "", "two attempts of an index ran at once");
    for index in 0..LASTING {
        let attempts = file(&dir, &format!("began-{index}"));
        let distinct: BTreeSet<&str> = attempts.lines().collect();
        assert_eq!((attempts.lines().count(), distinct.len()), (runs, runs), "{attempts}");
    }
}

/// As a virtual machine that is stopped: nothing of the worker runs for longer than its lease.
#[tokio::test]
async fn a_worker_that_stood_still_for_too_long_lets_its_pods_go() {
    let shape = Shape { lease: (2.0, 0.5, 1.0), ..Shape::default() };
    let world = World::start(STINT, shape).await;
    let (api, dir) = (world.api("default"), world.path().join("out"));
    std::fs::create_dir_all(&dir).unwrap();
    api.create(&replaced_at_once("still", &dir)).await;
    let pauses = times(1);
    for pause in 1..=usize::try_from(pauses).unwrap() {
        began(&dir, LASTING, pause).await;
        let supervisor = world.supervisor("worker-0").expect("there is a supervisor");
        let stop = |signal| {
            world.signal("worker-0", signal);
            proc::signal(supervisor, signal);
        };
        stop(Signal::SIGSTOP);
        until("the worker is lost", PATIENCE, || async {
            let lease = records::lease(world.client(), "worker-0").await?;
            (lease.state == WorkerState::Lost).then_some(())
        })
        .await;
        stop(Signal::SIGCONT);
    }
    let runs = usize::try_from(pauses).unwrap() + 1;
    began(&dir, LASTING, runs).await;
    std::fs::write(dir.join("go"), "").unwrap();
    let (end, done) = api.ended_at_last("still", PATIENCE).await;
    assert_eq!((end.as_str(), counters(&done).1), ("Complete", u64::from(LASTING)), "{done}");
    for index in 0..LASTING {
        let attempts = file(&dir, &format!("began-{index}"));
        assert_eq!(attempts.lines().count(), runs, "{attempts}");
    }
    assert_eq!(file(&dir, "twice"), "", "two attempts of an index ran at once");
}

/// Away for less than the lease, and for longer, in turn: no pod fails.
#[tokio::test]
async fn no_pod_fails_while_its_server_is_away() {
    let shape = Shape { lease: (2.0, 0.5, 2.0), ..Shape::default() };
    let world = World::start(STINT, shape).await;
    let (api, dir) = (world.api("default"), world.path().join("out"));
    std::fs::create_dir_all(&dir).unwrap();
    let away = job("away").indexed().completions(LASTING).spec(&json!({"backoffLimit": 0}));
    api.create(&away.script(&lasting(&dir)).build()).await;
    began(&dir, LASTING, 1).await;
    for time in 0..times(2) {
        world.kill(NATS);
        let long = time % 2 == 1;
        // Nothing tells how long a server was away but the time.
        tokio::time::sleep(Duration::from_millis(if long { 4500 } else { 700 })).await;
        world.play(NATS);
        renewed(&api, &world).await;
    }
    std::fs::write(dir.join("go"), "").unwrap();
    let (end, done) = api.ended_at_last("away", PATIENCE).await;
    let expect = ("Complete", (0, u64::from(LASTING), 0));
    assert_eq!((end.as_str(), counters(&done)), expect, "{done}");
}

/// Waits until the worker's lease is renewed.
async fn renewed(api: &Api, world: &World) {
    until("the API answers", PATIENCE, || async { api.try_job("away").await }).await;
    let renewal = || async { Some(records::lease(world.client(), "worker-0").await?.renewal) };
    let before = until("there is a lease", PATIENCE, renewal).await;
    until("the lease is renewed", PATIENCE, || async {
        renewal().await.filter(|renewal| *renewal > before)
    })
    .await;
}

#[tokio::test]
async fn an_upgrade_is_a_worker_that_takes_over() {
    let world = World::start(STINT, Shape::default()).await;
    let (api, dir) = (world.api("default"), world.path().join("out"));
    std::fs::create_dir_all(&dir).unwrap();
    let upgrade = job("upgrade").indexed().completions(LASTING).spec(&json!({"backoffLimit": 0}));
    api.create(&upgrade.script(&lasting(&dir)).build()).await;
    began(&dir, LASTING, 1).await;
    let before = records::lease(world.client(), "worker-0").await.unwrap();
    let mut old = world.take("worker-0");
    world.play_with("worker-0", &["--take-over"]);
    let status = old.wait(Duration::from_secs(30)).await.expect("the old agent ends");
    assert!(status.success(), "{status}");
    until("the new agent renews the lease", PATIENCE, || async {
        let lease = records::lease(world.client(), "worker-0").await?;
        assert_eq!(lease.incarnation, before.incarnation, "it is the same life");
        (lease.renewal > before.renewal).then_some(())
    })
    .await;
    std::fs::write(dir.join("go"), "").unwrap();
    let (end, done) = api.ended_at_last("upgrade", PATIENCE).await;
    let expect = ("Complete", (0, u64::from(LASTING), 0));
    assert_eq!((end.as_str(), counters(&done)), expect, "{done}");
    // Told to stop, it leaves nothing.
    let supervisor = world.supervisor("worker-0").expect("there is a supervisor");
    world.signal("worker-0", Signal::SIGTERM);
    eventually("the supervisor ends with it", || !proc::lives(supervisor)).await;
    drop(world.take("worker-0"));
}
