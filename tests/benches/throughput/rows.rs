//! The rows of the table.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::Value;

use super::fleet::{Cpu, Fleet, Shape, job};
use super::kinds;

/// Runs the rows that are wanted; all of them if none is named.
pub(crate) fn run(wanted: &[String]) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let on = |name: &str| wanted.is_empty() || wanted.iter().any(|row| row == name);
    println!(
        "| row | measured | CPU a pod (server + coordinator + agents + supervisors) |\n| --- | --- | --- |"
    );
    if on("true") {
        runtime.block_on(true_row())?;
    }
    if on("kinds") {
        runtime.block_on(kinds::kinds())?;
    }
    if on("held") {
        runtime.block_on(kinds::held())?;
    }
    if on("noop") {
        runtime.block_on(noop_row("protocol alone, 4 workers", false, 50_000))?;
    }
    if on("sync") {
        runtime.block_on(noop_row("protocol alone, `sync_interval: always`", true, 10_000))?;
    }
    if on("latency") {
        runtime.block_on(latency_row())?;
    }
    if on("growth") {
        runtime.block_on(growth_rows())?;
    }
    if on("jobs") {
        runtime.block_on(jobs_row())?;
    }
    if on("million") {
        runtime.block_on(million_row())?;
    }
    Ok(())
}

pub(crate) fn print_row(name: &str, fleet: &Fleet, before: Cpu, pods: f64, measured: &str) {
    let after = fleet.cpu();
    let each = |of: fn(&Cpu) -> f64| (of(&after) - of(&before)) / pods * 1e6;
    let parts = [
        each(|cpu| cpu.server),
        each(|cpu| cpu.coordinator),
        each(|cpu| cpu.agents),
        each(|cpu| cpu.supervisors),
    ];
    let sum: f64 = parts.iter().sum();
    let parts = parts.map(|part| format!("{part:.0}")).join(" + ");
    println!("| {name} | {measured} | {sum:.0} µs ({parts}) |");
}

/// `/bin/true` by the thousands, against a bare spawn-and-wait loop before and after.
async fn true_row() -> anyhow::Result<()> {
    let pods = 10_000;
    let before = bare(4_000);
    let fleet =
        Fleet::start(&Shape { workers: 1, slots: slots(), noop: false, sync: false }).await?;
    let cpu = fleet.cpu();
    let seconds = fleet.run(&job("true", pods, 1000, &["/bin/true"])).await?;
    let rate = f64::from(pods) / seconds;
    let name = format!("Indexed Job of {pods} × /bin/true, {} slots", slots());
    let best = before.max(bare(4_000));
    let measured = format!(
        "{rate:.0} pods/s = {:.0} % of a bare spawn loop ({best:.0}/s)",
        rate / best * 100.0
    );
    print_row(&name, &fleet, cpu, f64::from(pods), &measured);
    Ok(())
}

pub(crate) fn slots() -> u32 {
    std::env::var("STINT_BENCH_SLOTS").ok().and_then(|slots| slots.parse().ok()).unwrap_or(2)
}

/// The best rate of spawning and waiting for `/bin/true`, over several numbers of threads.
pub(crate) fn bare(count: u32) -> f64 {
    let rate = |threads: u32| {
        let left = AtomicU32::new(count);
        let start = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while left
                        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                            left.checked_sub(1)
                        })
                        .is_ok()
                    {
                        let status = Command::new("/bin/true").env_clear().status();
                        assert!(status.is_ok_and(|status| status.success()));
                    }
                });
            }
        });
        f64::from(count) / start.elapsed().as_secs_f64()
    };
    [2, 3, 4].into_iter().map(rate).fold(0.0, f64::max)
}

fn noop(workers: usize, sync: bool) -> Shape {
    Shape { workers, slots: 16, noop: true, sync }
}

async fn noop_row(name: &str, sync: bool, pods: u32) -> anyhow::Result<()> {
    let fleet = Fleet::start(&noop(4, sync)).await?;
    let cpu = fleet.cpu();
    let seconds = fleet.run(&job("noop", pods, 5_000, &["nothing"])).await?;
    print_row(
        name,
        &fleet,
        cpu,
        f64::from(pods),
        &format!("{:.0} pods/s", f64::from(pods) / seconds),
    );
    Ok(())
}

/// Submit to process start on an idle system.
async fn latency_row() -> anyhow::Result<()> {
    let fleet = Fleet::start(&Shape { workers: 1, slots: 2, noop: false, sync: false }).await?;
    let cpu = fleet.cpu();
    let mut waits = Vec::new();
    for number in 0..300 {
        let name = format!("one-{number}");
        let manifest = job(&name, 1, 1, &["/bin/date", "+%s%N"]);
        let sent = stint_common::time::now();
        fleet.run(&manifest).await?;
        let pod = pod_log(&fleet, &name).await?;
        let started: i128 = pod.trim().parse().context("reading a start time")?;
        waits.push((started - sent.as_nanosecond()) as f64 / 1e6);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    waits.sort_by(f64::total_cmp);
    let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize];
    let measured = format!("median {:.1} ms, p99 {:.1} ms", at(0.5), at(0.99));
    print_row(
        "submit to the process' own first clock reading, idle system",
        &fleet,
        cpu,
        300.0,
        &measured,
    );
    Ok(())
}

async fn pod_log(fleet: &Fleet, job: &str) -> anyhow::Result<String> {
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("labelSelector", format!("job-name={job}").as_str());
    let answer =
        fleet.client.request_with_headers("stint.v1.default.pods.list", headers, "".into()).await?;
    let pods: Value = serde_json::from_slice(&answer.payload)?;
    let name =
        pods["items"][0]["metadata"]["name"].as_str().context("a pod has a name")?.to_owned();
    let answer =
        fleet.client.request(format!("stint.v1.default.pods/log.get.{name}"), "".into()).await?;
    Ok(String::from_utf8_lossy(&answer.payload).into_owned())
}

async fn growth_rows() -> anyhow::Result<()> {
    for (pods, parallelism) in
        [(1_000, 1_000), (10_000, 1_000), (100_000, 1_000), (30_000, 100), (30_000, 10_000)]
    {
        let fleet = Fleet::start(&noop(4, false)).await?;
        let cpu = fleet.cpu();
        let seconds = fleet.run(&job("growth", pods, parallelism, &["nothing"])).await?;
        let name = format!("{pods} indexes, parallelism {parallelism}, protocol alone");
        print_row(
            &name,
            &fleet,
            cpu,
            f64::from(pods),
            &format!("{:.0} pods/s", f64::from(pods) / seconds),
        );
    }
    Ok(())
}

/// Many Jobs of one pod, from the first submit to the last completion.
async fn jobs_row() -> anyhow::Result<()> {
    let jobs = 10_000_u32;
    let fleet = Fleet::start(&noop(4, false)).await?;
    let cpu = fleet.cpu();
    let start = Instant::now();
    let client = fleet.client.clone();
    let creates = (0..jobs).map(|number| {
        let client = client.clone();
        async move {
            let manifest = job(&format!("one-{number}"), 1, 1, &["nothing"]).to_string();
            client.request("stint.v1.default.jobs.create", manifest.into()).await
        }
    });
    let mut creates =
        futures_util::StreamExt::buffer_unordered(futures_util::stream::iter(creates), 256);
    while let Some(created) = futures_util::StreamExt::next(&mut creates).await {
        created?;
    }
    drop(creates);
    let submitted = start.elapsed().as_secs_f64();
    // Asking for all that are not done has the coordinator read all: not before the last is done.
    loop {
        let last = format!("stint.v1.default.jobs.get.one-{}", jobs - 1);
        if fleet.request(&last, String::new()).await?["status"]["succeeded"] == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("fieldSelector", "status.successful=0");
    headers.insert("limit", "1");
    loop {
        let answer = fleet
            .client
            .request_with_headers("stint.v1.default.jobs.list", headers.clone(), "".into())
            .await?;
        let list: Value = serde_json::from_slice(&answer.payload)?;
        if list["items"].as_array().is_some_and(Vec::is_empty) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let seconds = start.elapsed().as_secs_f64();
    let measured =
        format!("{:.0} Jobs/s (submitted in {submitted:.1} s)", f64::from(jobs) / seconds);
    print_row(
        &format!("{jobs} Jobs of one pod, protocol alone"),
        &fleet,
        cpu,
        f64::from(jobs),
        &measured,
    );
    Ok(())
}

async fn million_row() -> anyhow::Result<()> {
    let pods = 1_000_000;
    let fleet = Fleet::start(&noop(4, false)).await?;
    let cpu = fleet.cpu();
    let seconds = fleet.run(&job("million", pods, 10_000, &["nothing"])).await?;
    let peak = fleet.coordinator_peak_mib();
    let measured =
        format!("{:.0} pods/s, coordinator at most {peak:.0} MiB", f64::from(pods) / seconds);
    print_row(
        "1,000,000 indexes, parallelism 10,000, protocol alone",
        &fleet,
        cpu,
        f64::from(pods),
        &measured,
    );
    Ok(())
}
