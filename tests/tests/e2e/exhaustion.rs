//! A worker that has run out of something: that is its own fault, and counts for no pod.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use stint_tests::{Api, Shape, World, job, until};

use super::STINT;

const LIMIT: Duration = Duration::from_secs(60);

fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status().unwrap();
    assert!(status.success(), "{program} {arguments:?}");
}

async fn submit(api: &Api, name: &str) {
    let spec = json!({"backoffLimit": 0, "completions": 3, "parallelism": 3});
    api.create(&job(name).spec(&spec).build()).await;
}

async fn until_said(world: &World, part: &str, what: &'static str) {
    until(what, LIMIT, || async { world.log(part).contains(what).then_some(()) }).await;
}

async fn completes(api: &Api, name: &str) {
    let (end, ended) = api.ended(name).await;
    assert_eq!((end.as_str(), &ended["status"]["failed"]), ("Complete", &Value::Null), "{ended}");
}

/// A small disk; gone when dropped.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: PathBuf) -> Self {
        std::fs::create_dir_all(&at).unwrap();
        run("mount", &["-t", "tmpfs", "-o", "size=48m", "stint-test", at.to_str().unwrap()]);
        Self(at)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(&self.0).status());
    }
}

#[tokio::test]
async fn a_worker_whose_disk_is_full_takes_no_pods() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: only root may mount a small disk");
        return;
    }
    let world = World::start(STINT, Shape { workers: 0, ..Shape::default() }).await;
    let disk = Disk::mount(world.path().join("worker-0"));
    let full = disk.0.join("full");
    std::fs::write(&full, vec![0; 40 << 20]).unwrap();
    world.play("worker-0");
    let api = world.api("default");
    submit(&api, "full").await;
    until_said(&world, "worker-0", "the disk is full").await;
    let pods = api.pods("full").await;
    assert!(pods.iter().all(|pod| pod["spec"]["nodeName"].is_null()), "{pods:?}");
    std::fs::remove_file(&full).unwrap();
    completes(&api, "full").await;
    world.kill("worker-0");
}
