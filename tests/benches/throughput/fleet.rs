//! A whole Stint for one row: nats-server, coordinator, workers; ended when dropped.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use async_nats::{Client, HeaderMap};
use serde_json::{Value, json};
use stint_worker::supervisor;

/// What a row runs on.
pub(crate) struct Shape {
    pub(crate) workers: usize,
    pub(crate) slots: u32,
    pub(crate) noop: bool,
    /// `sync_interval: always`.
    pub(crate) sync: bool,
}

/// The processes, and a client.
pub(crate) struct Fleet {
    pub(crate) client: Client,
    children: Vec<(&'static str, Child)>,
    data: tempfile::TempDir,
}

/// Seconds of CPU, by who used them.
#[derive(Clone, Copy)]
pub(crate) struct Cpu {
    pub(crate) server: f64,
    pub(crate) coordinator: f64,
    pub(crate) agents: f64,
    pub(crate) supervisors: f64,
}

impl Fleet {
    pub(crate) async fn start(shape: &Shape) -> anyhow::Result<Self> {
        let data = tempfile::tempdir()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let url = format!("nats://127.0.0.1:{port}");
        let mut children = vec![("nats-server", start_server(data.path(), port, shape.sync)?)];
        let client = connect(&url).await?;
        let me = std::env::current_exe()?;
        let mut play = |what: &'static str, part: &str, name: &str| -> anyhow::Result<()> {
            let home = data.path().join(name);
            let child = Command::new(&me)
                .args([part, &url, &home.display().to_string(), name, &shape.slots.to_string()])
                .stdin(Stdio::null())
                .spawn()?;
            children.push((what, child));
            Ok(())
        };
        play("coordinator", "role-coordinator", "coordinator")?;
        // The streams are the coordinator's to make.
        await_answer(&client).await?;
        for number in 0..shape.workers {
            let part = if shape.noop { "role-noop" } else { "role-worker" };
            play("worker", part, &format!("worker-{number}"))?;
        }
        let fleet = Self { client, children, data };
        // One pod through the whole road: everything is connected and warm.
        fleet.run(&job("warm-up", 8, 8, &["/bin/true"])).await?;
        Ok(fleet)
    }

    /// Seconds of CPU that our processes and nats-server have used.
    pub(crate) fn cpu(&self) -> Cpu {
        let of = |what: &str| self.of(what).into_iter().map(cpu_seconds).sum();
        Cpu {
            server: of("nats-server"),
            coordinator: of("coordinator"),
            agents: of("worker"),
            supervisors: self.supervisors().into_iter().map(cpu_seconds).sum(),
        }
    }

    /// They are in sessions of their own, and known by what they were started with.
    fn supervisors(&self) -> Vec<u32> {
        let data = self.data.path().display().to_string();
        let is_one = |pid: &u32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let mut words = line.split(|byte| *byte == 0).skip(1);
            words.next() == Some(supervisor::SUBCOMMAND.as_bytes())
                && words.next().is_some_and(|word| String::from_utf8_lossy(word).contains(&data))
        };
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(is_one).collect()
    }

    /// Resident memory of the coordinator at its highest, in MiB.
    pub(crate) fn coordinator_peak_mib(&self) -> f64 {
        memory_mib(&self.of("coordinator"), "VmHWM:")
    }

    /// Resident memory of all agents, and of their supervisors, now, in MiB.
    pub(crate) fn workers_resident_mib(&self) -> (f64, f64) {
        (memory_mib(&self.of("worker"), "VmRSS:"), memory_mib(&self.supervisors(), "VmRSS:"))
    }

    fn of(&self, what: &str) -> Vec<u32> {
        let children = self.children.iter().filter(|(name, _)| *name == what);
        children.map(|(_, child)| child.id()).collect()
    }

    pub(crate) async fn create(&self, manifest: &Value) -> anyhow::Result<Value> {
        self.request("stint.v1.default.jobs.create", manifest.to_string()).await
    }

    pub(crate) async fn request(&self, subject: &str, body: String) -> anyhow::Result<Value> {
        let answer = self.client.request(subject.to_owned(), body.into()).await?;
        let value: Value = serde_json::from_slice(&answer.payload).context("reading an answer")?;
        ensure!(value["kind"] != "Status", "{value}");
        Ok(value)
    }

    /// Submits a Job and waits for its end; seconds from submit to completion as the client sees
    /// it.
    pub(crate) async fn run(&self, manifest: &Value) -> anyhow::Result<f64> {
        let name = manifest["metadata"]["name"].as_str().context("a Job has a name")?;
        let inbox = self.client.new_inbox();
        let mut events = self.client.subscribe(inbox.clone()).await?;
        let mut headers = HeaderMap::new();
        headers.insert("fieldSelector", format!("metadata.name={name}").as_str());
        let start = Instant::now();
        self.create(manifest).await?;
        self.client
            .publish_with_reply_and_headers(
                "stint.v1.default.jobs.watch",
                inbox,
                headers,
                "".into(),
            )
            .await?;
        while let Some(message) = futures_util::StreamExt::next(&mut events).await {
            let Ok(event) = serde_json::from_slice::<Value>(&message.payload) else { continue };
            let conditions =
                event["object"]["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let ended = |kind: &str| conditions.iter().any(|condition| condition["type"] == kind);
            ensure!(!ended("Failed"), "the Job failed: {event}");
            if ended("Complete") {
                let seconds = start.elapsed().as_secs_f64();
                ensure!(
                    event["object"]["status"]["succeeded"] == manifest["spec"]["completions"],
                    "{event}"
                );
                return Ok(seconds);
            }
        }
        anyhow::bail!("the watch ended")
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for (_, child) in self.children.iter_mut().rev() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// An Indexed Job of host processes.
pub(crate) fn job(name: &str, completions: u32, parallelism: u32, command: &[&str]) -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
        "spec": {
            "completions": completions, "parallelism": parallelism, "completionMode": "Indexed",
            "template": {"spec": {
                "restartPolicy": "Never",
                "containers": [{"name": "main", "image": "host", "command": command}],
            }},
        },
    })
}

fn start_server(data: &Path, port: u16, sync: bool) -> anyhow::Result<Child> {
    let server = stint::nats_server::find_or_fetch()?;
    let config = data.join("nats.conf");
    let sync = if sync { "sync_interval: always" } else { "" };
    let store = data.join("jetstream");
    std::fs::write(
        &config,
        format!(
            "listen: 127.0.0.1:{port}\njetstream {{ store_dir: \"{}\"\n{sync}\n}}\n",
            store.display()
        ),
    )?;
    let log = std::fs::File::create(data.join("nats.log"))?;
    Ok(Command::new(server.path)
        .arg("-c")
        .arg(config)
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?)
}

async fn connect(url: &str) -> anyhow::Result<Client> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match async_nats::connect(url).await {
            Ok(client) => return Ok(client),
            Err(error) if Instant::now() > deadline => return Err(error.into()),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

async fn await_answer(client: &Client) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match client.request("stint.v1.default.jobs.list", "".into()).await {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > deadline => return Err(error.into()),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// The sum over processes of a line of their status that is in kB.
fn memory_mib(pids: &[u32], line: &str) -> f64 {
    let of = |pid: &u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let found = status.lines().find_map(|it| it.strip_prefix(line))?;
        found.trim().trim_end_matches(" kB").trim().parse::<f64>().ok()
    };
    pids.iter().filter_map(of).sum::<f64>() / 1024.0
}

fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: f64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<f64>().ok())
        .sum();
    ticks / 100.0
}
