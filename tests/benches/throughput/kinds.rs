//! Rows about what pods ask of a worker: output, volumes, limits, init containers; many at a time;
//! stopping them.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::fleet::{Fleet, Shape, job};
use super::rows::{bare, print_row, slots};

/// What a worker takes at a time in the row about its memory.
const MANY: u32 = 100;
/// How often a stop is measured, and the grace that the pods ignore.
const STOPS: u32 = 20;
const GRACE: Duration = Duration::from_secs(1);

/// Pods that ask for something, each against a bare spawn loop.
pub(crate) async fn kinds() -> anyhow::Result<()> {
    let own = |pod: Value, container: Value| {
        let mut manifest = job("kind", 4_000, 1_000, &["/bin/true"]);
        let spec = &mut manifest["spec"]["template"]["spec"];
        merge(&mut spec["containers"][0], container);
        merge(spec, pod);
        manifest
    };
    let mount = json!({"volumeMounts": [{"name": "v", "mountPath": "/stint-bench"}]});
    let limits = json!({"resources": {"limits": {"cpu": 1, "memory": "64Mi"}}});
    let first = json!({"name": "first", "image": "host", "command": ["/bin/true"]});
    for (name, manifest) in [
        ("nothing", own(json!({}), json!({}))),
        ("a line of output", own(json!({}), json!({"command": ["/bin/echo", "a line"]}))),
        ("an emptyDir", own(json!({"volumes": [{"name": "v", "emptyDir": {}}]}), mount)),
        ("limits of CPU and memory", own(json!({}), limits)),
        ("an init container", own(json!({"initContainers": [first]}), json!({}))),
    ] {
        let before = bare(2_000);
        let shape = Shape { workers: 1, slots: slots(), noop: false, sync: false };
        let fleet = Fleet::start(&shape).await?;
        let cpu = fleet.cpu();
        let pods = manifest["spec"]["completions"].as_u64().unwrap_or(1) as f64;
        let rate = pods / fleet.run(&manifest).await?;
        let best = before.max(bare(2_000));
        let share = rate / best * 100.0;
        let measured = format!("{rate:.0} pods/s = {share:.0} % of a bare spawn loop");
        print_row(&format!("4,000 × /bin/true with {name}"), &fleet, cpu, pods, &measured);
    }
    Ok(())
}

fn merge(object: &mut Value, members: Value) {
    for (name, value) in members.as_object().into_iter().flatten() {
        object[name] = value.clone();
    }
}

/// What a worker weighs while many pods run, and how long after its grace a pod that ignores TERM
/// is gone.
pub(crate) async fn held() -> anyhow::Result<()> {
    let shape = Shape { workers: 1, slots: MANY, noop: false, sync: false };
    let fleet = Fleet::start(&shape).await?;
    let cpu = fleet.cpu();
    fleet.create(&job("many", MANY, MANY, &["/bin/sleep", "1000"])).await?;
    loop {
        let many = fleet.request("stint.v1.default.jobs.get.many", String::new()).await?;
        if many["status"]["ready"] == MANY {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (agent, supervisor) = fleet.workers_resident_mib();
    let measured = format!("{agent:.0} + {supervisor:.0} MiB (agent + supervisor)");
    let name = format!("a worker with {MANY} running pods");
    print_row(&name, &fleet, cpu, f64::from(MANY), &measured);
    drop(fleet);
    stops().await
}

async fn stops() -> anyhow::Result<()> {
    let fleet = Fleet::start(&Shape { workers: 1, slots: 2, noop: false, sync: false }).await?;
    let cpu = fleet.cpu();
    let file = tempfile::NamedTempFile::new()?;
    let mut late = Vec::new();
    for number in 0..STOPS {
        std::fs::write(file.path(), "")?;
        let path = file.path().display();
        let script = format!("trap '' TERM; echo $$$$ > {path}; while :; do sleep 0.05; done");
        let name = format!("deaf-{number}");
        let mut manifest = job(&name, 1, 1, &["/bin/sh", "-c", &script]);
        manifest["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] =
            json!(GRACE.as_secs());
        fleet.create(&manifest).await?;
        let pid = pid_in(file.path()).await;
        let begun = Instant::now();
        fleet.request(&format!("stint.v1.default.jobs.delete.{name}"), String::new()).await.ok();
        while Path::new(&format!("/proc/{pid}")).exists() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let over = begun.elapsed().saturating_sub(GRACE);
        late.push(over.as_secs_f64() * 1e3);
    }
    late.sort_by(f64::total_cmp);
    let last = late.last().context("there were some")?;
    let measured =
        format!("grace + {:.0} ms (median), + {last:.0} ms at most", late[late.len() / 2]);
    let name = "from a Job's deletion to the end of its pod, which ignores TERM";
    print_row(name, &fleet, cpu, f64::from(STOPS), &measured);
    Ok(())
}

async fn pid_in(file: &Path) -> u32 {
    loop {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        if let Ok(pid) = text.trim().parse() {
            return pid;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
