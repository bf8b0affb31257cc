//! Deletes that wait, and Jobs that wait for each other, while the coordinator is killed after
//! every step: nothing is forgotten, and nothing goes that is held.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use stint_tests::api::{condition, counters, read};
use stint_tests::{Api, Shape, World, eventually, job, proc, until};

use super::STINT;

/// Everything comes to its end within this time, however often the coordinator starts anew.
const LIMIT: Duration = Duration::from_secs(60);
const MINE: &str = "example.com/mine";

/// The coordinator dies, whatever it was doing, and another begins.
fn crash(world: &World) {
    world.kill("coordinator-0");
    world.play("coordinator-0");
}

/// Asks until somebody answers; a delete or a patch that is done twice changes nothing more.
async fn insist(api: &Api, what: &str, headers: &[(&str, &str)], body: &str) {
    let subject = format!("stint.v1.{}.{what}", api.namespace);
    until(&format!("{what} is answered"), LIMIT, || async {
        let body = bytes::Bytes::from(body.to_owned());
        let answer = read(&api.raw(subject.clone(), headers, body).await.ok()?);
        [None, Some(404)].contains(&answer.code).then_some(())
    })
    .await;
}

/// Waits until nobody knows the Job any more, and says so.
async fn gone(api: &Api, name: &str) {
    let subject = format!("stint.v1.{}.jobs.get.{name}", api.namespace);
    until(&format!("{name} is gone"), LIMIT, || async {
        let answer = api.raw(subject.clone(), &[], bytes::Bytes::new()).await.ok()?;
        (read(&answer).code == Some(404)).then_some(())
    })
    .await;
}

async fn seen(api: &Api, name: &str, what: &str, look: impl Fn(&Value) -> bool) -> Value {
    until(&format!("{name}: {what}"), LIMIT, || async {
        api.try_job(name).await.filter(|job| look(job))
    })
    .await
}

fn lines(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn deletes_that_wait_survive_kills() {
    let world = World::start(STINT, Shape { slots: 32, ..Shape::default() }).await;
    let api = world.api("default");
    let (left, go) = (world.path().join("left"), world.path().join("go"));
    let sleeper =
        |name: &str| job(name).indexed().completions(6).env("WHOSE", name).script("exec sleep 600");
    api.create(&sleeper("front").build()).await;
    let mut held = sleeper("held").build();
    held["metadata"]["finalizers"] = json!([MINE]);
    api.create(&held).await;
    let script = format!(
        "echo $STINT_ATTEMPT >> {}; until [ -e {} ]; do sleep 0.05; done; exit 1",
        left.display(),
        go.display()
    );
    let orphans = job("orphans").completions(4).env("WHOSE", "orphans").script(&script);
    api.create(&orphans.build()).await;
    for (name, pods) in [("front", 6), ("held", 6), ("orphans", 4)] {
        seen(&api, name, "its pods", |job| counters(job).0 == pods).await;
        eventually("their processes", || proc::with_variable("WHOSE", name).len() >= 4).await;
    }
    crash(&world);
    insist(&api, "jobs.delete.front", &[("propagationPolicy", "Foreground")], "").await;
    crash(&world);
    insist(&api, "jobs.delete.held", &[("propagationPolicy", "Foreground")], "").await;
    crash(&world);
    insist(&api, "jobs.delete.orphans", &[("propagationPolicy", "Orphan")], "").await;
    crash(&world);
    gone(&api, "front").await;
    eventually("no process is left", || proc::with_variable("WHOSE", "front").is_empty()).await;
    let only_mine = |job: &Value| job["metadata"]["finalizers"] == json!([MINE]);
    crash(&world);
    let waiting = seen(&api, "held", "only its own finalizer", only_mine).await;
    assert!(waiting["metadata"]["deletionTimestamp"].is_string(), "{waiting}");
    assert_eq!(counters(&waiting).0, 0, "{waiting}");
    assert!(proc::with_variable("WHOSE", "held").is_empty(), "its pods went before it");
    // Orphans go on whatever happens to coordinators, and none comes after them.
    assert_eq!(lines(&left), ["0"; 4]);
    assert!(!proc::with_variable("WHOSE", "orphans").is_empty());
    crash(&world);
    let off = json!({"metadata": {"finalizers": null}}).to_string();
    insist(&api, "jobs.patch.held", &[], &off).await;
    crash(&world);
    gone(&api, "held").await;
    let orphans = seen(&api, "orphans", "still there", |_| true).await;
    assert_eq!(orphans["metadata"]["finalizers"], json!(["orphan"]), "{orphans}");
    std::fs::write(&go, "").unwrap();
    crash(&world);
    gone(&api, "orphans").await;
    assert_eq!(lines(&left), ["0"; 4], "none was replaced");
    let left = api.send("jobs.list", &[], "").await.object();
    assert_eq!(left["items"], json!([]), "{left}");
}

#[tokio::test]
async fn a_chain_of_jobs_survives_kills() {
    const JOBS: usize = 10;
    let world = World::start(STINT, Shape::default()).await;
    let api = world.api("default");
    let out = world.path().join("order");
    for number in (0..JOBS).rev() {
        let script = format!("echo {number} >> {}", out.display());
        let mut manifest = job(&format!("link-{number}")).script(&script).build();
        if number > 0 {
            let before = format!("link-{}", number - 1);
            manifest["metadata"]["annotations"] = json!({"stint.internal/depends-on": before});
        }
        if number + 1 < JOBS {
            // Gone as soon as whoever waits for it knows that it is complete.
            manifest["spec"]["ttlSecondsAfterFinished"] = json!(0);
        }
        api.create(&manifest).await;
    }
    for wanted in [1, 3, 4, 6, 8, 9] {
        until("the chain goes on", LIMIT, || async { (lines(&out).len() >= wanted).then_some(()) })
            .await;
        crash(&world);
    }
    let (end, last) = api.ended_at_last(&format!("link-{}", JOBS - 1), LIMIT).await;
    assert_eq!((end.as_str(), counters(&last)), ("Complete", (0, 1, 0)), "{last}");
    assert!(condition(&last, "stint.internal/Waiting").is_none(), "{last}");
    let order: Vec<String> = (0..JOBS).map(|number| number.to_string()).collect();
    assert_eq!(lines(&out), order);
    for number in 0..JOBS - 1 {
        gone(&api, &format!("link-{number}")).await;
    }
}
