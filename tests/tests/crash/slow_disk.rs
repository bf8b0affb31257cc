//! The disk under nats-server is slow, though each write is synced: tens of milliseconds a write,
//! and for a while up to two seconds. Everything goes slower, and nothing is lost, fails, or runs
//! twice.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use stint_tests::parts::Dress;
use stint_tests::world::NATS;
use stint_tests::{Shape, World, job};

use super::STINT;
use super::lasting::{LASTING, began, completed_untouched, lasting, times};
use super::standstill::Counted;

const SLOW_DISK: &str = env!("CARGO_BIN_EXE_slow-disk");
/// Least and most milliseconds of a write, and of its sync.
const SLOW: &str = "5 40";
const DREADFUL: &str = "300 2000";
/// So long nothing better comes.
const DREADFUL_FOR: Duration = Duration::from_secs(6);
/// What is said in the logs of one part in one round of all this; more is a loop.
const MOST_LINES: usize = 150;

struct Disk(PathBuf);

impl Disk {
    fn is(&self, how: &str) {
        // Read whole or not at all.
        let fresh = self.0.with_extension("new");
        std::fs::write(&fresh, how).unwrap();
        std::fs::rename(&fresh, &self.0).unwrap();
    }
}

/// Whether the kernel lets a program be slowed down.
fn can_be_slow(disk: &Path) -> bool {
    let tried = Command::new(SLOW_DISK).arg(disk).arg("true").output();
    tried.is_ok_and(|tried| tried.status.success())
}

#[tokio::test]
async fn a_slow_disk_makes_all_slow_and_nothing_else() {
    let shape = Shape { coordinators: 2, slots: 4, sync_always: true, ..Shape::default() };
    let world = World::start(STINT, shape).await;
    let disk = Disk(world.path().join("disk"));
    disk.is("0");
    if !can_be_slow(&disk.0) {
        println!("not tried: this kernel has no user notifications of seccomp");
        return;
    }
    let before = vec![SLOW_DISK.into(), disk.0.clone().into()];
    world.dress(NATS, Dress { before, ..Dress::default() });
    world.kill(NATS);
    world.play(NATS);
    world.await_api().await;

    let (api, dir) = (world.api("default"), world.path().join("out"));
    std::fs::create_dir_all(&dir).unwrap();
    let never = json!({"backoffLimit": 0});
    let slow = job("slow").indexed().completions(LASTING).spec(&never).script(&lasting(&dir));
    api.create(&slow.build()).await;
    began(&dir, LASTING, 1).await;
    let counted = Counted::start(&world, "counted").await;
    let http = world.http("coordinator-0");
    let path = "/apis/batch/v1/namespaces/default/jobs";
    let parts = ["coordinator-0", "coordinator-1", "worker-0"];
    let said = || parts.map(|part| world.log(part).lines().count());
    for time in 0..times(1) {
        counted.goes_on(20).await;
        let lines = said();
        disk.is(SLOW);
        let start = Instant::now();
        counted.goes_on(10).await;
        println!("slow: ten pods in {:?}", start.elapsed());
        disk.is(DREADFUL);
        let start = Instant::now();
        let new = job(&format!("new-{time}")).build();
        let answer = http.json("POST", path, &new).await;
        println!("dreadful: {} after {:?}", answer.code, start.elapsed());
        assert!([201, 504].contains(&answer.code), "{}", answer.body());
        // Nothing tells how long a disk was slow but the time.
        tokio::time::sleep(DREADFUL_FOR.saturating_sub(start.elapsed())).await;
        disk.is("0");
        let start = Instant::now();
        counted.goes_on(20).await;
        println!("fast again: twenty pods in {:?}", start.elapsed());
        for (part, (now, before)) in parts.iter().zip(said().into_iter().zip(lines)) {
            println!("{part} said {} lines", now - before);
            assert!(now - before < MOST_LINES, "{part} says too much");
        }
    }
    std::fs::write(dir.join("go"), "").unwrap();
    completed_untouched(&api, "slow", &dir).await;
    counted.ends(&world).await;
}
