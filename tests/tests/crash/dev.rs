//! `stint dev`: interrupted, it leaves nothing running; started again on its directory, it goes on.

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use stint_tests::api::{counters, name};
use stint_tests::parts::{Dress, Keeper, Part, Program, tail};
use stint_tests::{Api, job, proc, until};

use super::STINT;

/// Starts it and waits until it says where it is.
async fn start(keeper: &Keeper, dir: &Path, log: &str) -> (Part, Api) {
    start_by(keeper, dir, log, &[STINT]).await
}

async fn start_by(keeper: &Keeper, dir: &Path, log: &str, program: &[&str]) -> (Part, Api) {
    let log = dir.join(log);
    let data = dir.join("data").display().to_string();
    // Any port: two that begin at once would both find the usual one free.
    let free = "127.0.0.1:0";
    let arguments = ["dev", "--data", &data, "--nats", free, "--http", free, "--slots", "4"];
    let (program, before) = program.split_first().expect("a program");
    let dev = keeper.run(Program {
        launcher: STINT.into(),
        program: program.into(),
        arguments: before.iter().chain(&arguments).map(Into::into).collect(),
        log: log.clone(),
        dress: Dress::default(),
    });
    let url = until("stint dev is ready", Duration::from_secs(60), || async {
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        let url = said.lines().find_map(|line| line.strip_prefix("NATS_URL="))?;
        said.lines().any(|line| line == "ready").then(|| url.to_owned())
    })
    .await;
    let client = async_nats::connect(&url).await.unwrap_or_else(|error| {
        panic!("connecting to {url}: {error}\n{}", tail(&log, 20));
    });
    (dev, Api { client, namespace: "default".to_owned() })
}

/// Processes that have this directory in their command line.
fn of_directory(dir: &Path) -> Vec<String> {
    let wanted = dir.display().to_string();
    let processes = std::fs::read_dir("/proc").expect("a /proc").filter_map(|entry| {
        let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        (proc::lives(pid) && command.contains(&wanted)).then(|| format!("{pid}: {command}"))
    });
    processes.collect()
}

/// As with `nohup`, and in a script's background.
#[tokio::test]
async fn what_it_was_started_to_ignore_is_not_passed_on_to_pods() {
    let dir = tempfile::tempdir().unwrap();
    let keeper = Keeper::start();
    let deaf = ["sh", "-c", "trap '' HUP QUIT; exec \"$0\" \"$@\"", STINT];
    let (mut dev, api) = start_by(&keeper, dir.path(), "deaf.log", &deaf).await;
    api.complete(&job("hears").script("grep SigIgn /proc/self/status").build()).await;
    let pods = api.pods("hears").await;
    let said = String::from_utf8(api.log(name(&pods[0]), &[]).await).unwrap();
    let mask = said.trim().strip_prefix("SigIgn:").unwrap().trim();
    let mask = u64::from_str_radix(mask, 16).unwrap();
    assert_eq!(mask & 0b111, 0, "HUP, INT and QUIT reach the pods: {said}");
    dev.signal(Signal::SIGTERM);
    assert!(dev.wait(Duration::from_secs(30)).await.is_some(), "it ends");
}

#[tokio::test]
async fn an_interrupted_dev_leaves_nothing_running_and_goes_on_when_started_again() {
    let dir = tempfile::tempdir().unwrap();
    let keeper = Keeper::start();
    let (mut dev, api) = start(&keeper, dir.path(), "first.log").await;
    let go = dir.path().join("go");
    let script = format!("until [ -e {} ]; do sleep 0.05; done", go.display());
    api.create(&job("lasting").completions(2).script(&script).build()).await;
    api.complete(&job("before").completions(2).build()).await;
    until("the pods run", Duration::from_secs(20), || async {
        let pods = api.pods("lasting").await;
        let running = |pod: &serde_json::Value| pod["status"]["phase"] == "Running";
        (pods.len() == 2 && pods.iter().all(running)).then_some(())
    })
    .await;
    dev.signal(Signal::SIGINT);
    let status = dev.wait(Duration::from_secs(30)).await.expect("stint dev ends when interrupted");
    assert!(status.success(), "{status}");
    assert_eq!(of_directory(dir.path()), Vec::<String>::new());

    std::fs::write(&go, "").unwrap();
    let (_dev, api) = start(&keeper, dir.path(), "second.log").await;
    assert_eq!(counters(&api.job("before").await), (0, 2, 0));
    let (end, done) = api.ended("lasting").await;
    assert_eq!((end.as_str(), counters(&done).1), ("Complete", 2), "{done}");
}
