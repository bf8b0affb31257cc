//! `deploy/cluster`, as it is: three nats-servers with TLS and roles, two coordinators, three
//! workers.
//! Its parts are killed under load, and each role tries what it may not.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use async_nats::{Client, ConnectOptions};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use stint_tests::{Api, job, until};

use crate::{STINT, deployed};

/// Everything is up, or in order again after a death, within this time on a loaded machine.
const LIMIT: Duration = Duration::from_secs(120);
/// A stall after the death of a server: longest pause of answers.
const STALL: Duration = Duration::from_secs(10);
/// What is not allowed is not answered; a coordinator answers within milliseconds.
const SILENCE: Duration = Duration::from_secs(2);
const PODS: usize = 120;

/// The script, its directory, and who may connect.
struct Cluster {
    script: Child,
    dir: tempfile::TempDir,
    first_port: u16,
}

impl Cluster {
    async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let first_port = free_ports();
        let server =
            stint::nats_server::find_or_fetch().expect("a nats-server is found or fetched");
        let output = fs::File::create(dir.path().join("output")).expect("it can be written to");
        let script = Command::new(deployed("cluster"))
            .arg(dir.path())
            .env("STINT", STINT)
            .env("STINT_NATS_SERVER", server.path)
            .env("STINT_CLUSTER_PORT", first_port.to_string())
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a file can be opened twice"))
            .stderr(output)
            .process_group(0)
            .spawn()
            .expect("deploy/cluster can be started");
        let mut cluster = Self { script, dir, first_port };
        let deadline = Instant::now() + LIMIT;
        while !cluster.file("output").lines().any(|line| line == "ready") {
            let ended = cluster.script.try_wait().expect("it can be waited for");
            let output = || cluster.file("output");
            assert!(ended.is_none(), "deploy/cluster ended: {}", output());
            assert!(Instant::now() < deadline, "the cluster is not ready: {}", output());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        cluster
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn pid(&self, part: &str) -> Option<Pid> {
        let pid = self.file(&format!("run/{part}.pid")).trim().parse().ok()?;
        Some(Pid::from_raw(pid))
    }

    /// Kills a part, and waits until another process has taken its place.
    async fn kill(&self, part: &str) {
        let victim = self.pid(part).expect("the part runs");
        kill(victim, Signal::SIGKILL).expect("it is ours");
        until("the part is started again", LIMIT, || async {
            self.pid(part).filter(|pid| *pid != victim).map(drop)
        })
        .await;
    }

    fn password(&self, role: &str) -> String {
        let name = format!("STINT_{}_PASSWORD='\"", role.to_uppercase());
        let passwords = self.file("passwords");
        let line = passwords.lines().find_map(|line| line.strip_prefix(&name));
        line.expect("each role has a password").trim_end_matches(['"', '\'']).to_owned()
    }

    async fn connect(&self, role: &str) -> Client {
        self.try_connect(role, self.password(role)).await.expect("the role may connect")
    }

    async fn try_connect(
        &self,
        role: &str,
        password: String,
    ) -> Result<Client, async_nats::ConnectError> {
        let servers: Vec<String> =
            (1..=3).map(|n| format!("tls://127.0.0.1:{}", self.first_port + n)).collect();
        ConnectOptions::with_user_and_password(role.to_owned(), password)
            .add_root_certificates(self.path("certs/ca.crt"))
            .custom_inbox_prefix(format!("_INBOX.{role}"))
            .connection_timeout(Duration::from_secs(10))
            .connect(servers)
            .await
    }

    /// Where a test's pods write.
    fn marks(&self) -> PathBuf {
        let marks = self.path("marks");
        fs::create_dir_all(&marks).expect("a directory can be made");
        marks
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let script = Pid::from_raw(i32::try_from(self.script.id()).expect("a pid"));
        let _gone = kill(script, Signal::SIGTERM);
        drop(self.script.wait());
        if std::thread::panicking() {
            for entry in fs::read_dir(self.path("log")).into_iter().flatten().flatten() {
                let text = fs::read_to_string(entry.path()).unwrap_or_default();
                let last: Vec<&str> = text.lines().rev().take(12).collect();
                eprintln!("== {}", entry.path().display());
                last.iter().rev().for_each(|line| eprintln!("{line}"));
            }
        }
    }
}

/// The first of ten ports that nobody uses now.
fn free_ports() -> u16 {
    let start = 20_000 + u16::try_from(std::process::id() % 1_000).expect("small") * 10;
    let mut candidates = (start..30_000).chain(20_000..start).step_by(10);
    let free = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
    candidates.find(|first| (*first..first + 10).all(free)).expect("ten ports are free")
}

fn api(client: Client, namespace: &str) -> Api {
    Api { client, namespace: namespace.to_owned() }
}

fn manifest(name: &str, pods: usize, script: &str) -> Value {
    let spec = json!({"completions": pods, "parallelism": 6, "backoffLimit": 1000});
    job(name).script(script).indexed().spec(&spec).build()
}

/// What an index's pods wrote: one letter each.
fn marks(directory: &Path) -> BTreeMap<String, usize> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| {
            let size = entry.metadata().expect("it is there").len();
            (entry.file_name().to_string_lossy().into_owned(), usize::try_from(size).unwrap_or(0))
        })
        .collect()
}

fn is_complete(job: &Value) -> bool {
    let conditions = job["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|it| it["type"] == "Complete" && it["status"] == "True")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_survives_deaths_and_keeps_its_roles_apart() {
    let cluster = Cluster::start().await;
    let admin = cluster.connect("admin").await;
    each_role_does_its_own_and_nothing_else(&cluster, &admin).await;
    nothing_is_lost_when_servers_die(&cluster, admin).await;
    // The roles lacked nothing for their work, and no part did what it may not.
    for part in ["nats-1", "nats-2", "nats-3"] {
        let log = cluster.file(&format!("log/{part}"));
        let violation = log.lines().find(|line| {
            line.contains("Violation") && (line.contains("stint ") || line.contains("user:admin"))
        });
        assert_eq!(violation, None);
    }
}

/// Each nats-server dies in turn, and each coordinator, while pods run.
async fn nothing_is_lost_when_servers_die(cluster: &Cluster, admin: Client) {
    let directory = cluster.marks();
    let script = format!("printf x >> {}/$JOB_COMPLETION_INDEX; sleep 0.2", directory.display());
    let team = api(admin, "team-a");
    let _ = team.create(&manifest("storm", PODS, &script)).await;
    for part in ["nats-1", "coordinator-1", "nats-2", "coordinator-2", "nats-3"] {
        let before = marks(&directory).len();
        cluster.kill(part).await;
        let died = Instant::now();
        // The others answer, and pods go on.
        until("the API answers after a death", LIMIT, || async {
            answers(&team).await.then_some(())
        })
        .await;
        println!("{part} killed: the API answered after {:?}", died.elapsed());
        assert!(died.elapsed() < STALL * 3, "far beyond {STALL:?}");
        until("pods go on after a death", LIMIT, || async {
            let now = marks(&directory).len();
            (now > before || now == PODS).then_some(())
        })
        .await;
    }
    let job = until("the Job is complete", LIMIT, || async {
        let answer = team.raw("stint.v1.team-a.jobs.get.storm".to_owned(), &[], "".into()).await;
        let job: Value = serde_json::from_slice(&answer.ok()?.payload).ok()?;
        is_complete(&job).then_some(job)
    })
    .await;
    assert_eq!(job["status"]["succeeded"], PODS);
    assert_eq!(job["status"]["failed"].as_u64().unwrap_or(0), 0, "no worker died: {job}");
    let twice: Vec<_> = marks(&directory).into_iter().filter(|(_, count)| *count != 1).collect();
    assert_eq!((marks(&directory).len(), twice), (PODS, Vec::new()));
}

async fn answers(team: &Api) -> bool {
    let answer = team.raw("stint.v1.team-a.jobs.get.storm".to_owned(), &[], "".into()).await;
    answer
        .is_ok_and(|answer| answer.headers.is_none_or(|it| it.get("Nats-Service-Error").is_none()))
}

/// Whether anybody answers.
async fn heard(client: &Client, subject: &str, body: &Value) -> bool {
    let asked = client.request(subject.to_owned(), body.to_string().into());
    matches!(tokio::time::timeout(SILENCE, asked).await, Ok(Ok(_)))
}

async fn each_role_does_its_own_and_nothing_else(cluster: &Cluster, admin: &Client) {
    let wrong = cluster.try_connect("submitter", "guessed".to_owned()).await;
    assert!(wrong.is_err(), "a wrong password is refused");
    let submitter = cluster.connect("submitter").await;
    let viewer = cluster.connect("viewer").await;
    let worker = cluster.connect("worker").await;
    let mine = api(submitter.clone(), "team-a");
    let job = manifest("mine", 2, "echo hello");
    let _ = mine.create(&job).await;
    until("the submitter's Job is complete", LIMIT, || async {
        is_complete(&mine.job("mine").await).then_some(())
    })
    .await;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
        "stringData": {"password": "hush"}});
    let all = api(admin.clone(), "team-a");
    let _ = all.send("secrets.create", &[], secret.to_string()).await.object();

    let tries = [
        (&submitter, "stint.v1.team-b.jobs.create", &job),
        (&submitter, "stint.v1.team-a.secrets.get.s", &Value::Null),
        (&submitter, "stint.v1._all.jobs.list", &Value::Null),
        (&submitter, "$JS.API.STREAM.NAMES", &Value::Null),
        (&viewer, "stint.v1.team-a.jobs.create", &job),
        (&viewer, "stint.v1.team-a.jobs.delete.mine", &Value::Null),
        (&viewer, "stint.v1.team-a.secrets.list", &Value::Null),
        (&viewer, "stint.v1._all.secrets.watch", &Value::Null),
        (&worker, "stint.v1.team-a.jobs.create", &job),
        (&worker, "stint.obj.jobs.team-a.forged", &job),
        (&worker, "stint.work.default.0.x", &job),
        (&worker, "$JS.API.STREAM.PURGE.STINT_PODS", &Value::Null),
        (&worker, "$JS.API.STREAM.DELETE.STINT_PODS", &Value::Null),
    ];
    for (client, subject, body) in tries {
        assert!(!heard(client, subject, body).await, "{subject} is answered");
    }
    for (client, subject) in [
        (&viewer, "stint.v1.team-a.jobs.get.mine"),
        (&viewer, "stint.v1._all.jobs.list"),
        (&viewer, "stint.v1._all.nodes.list"),
        (&submitter, "stint.v1.team-a.pods.list"),
        (&submitter, "$SRV.PING.stint"),
    ] {
        assert!(heard(client, subject, &Value::Null).await, "{subject} is not answered");
    }
    // The command line says what it is not allowed, and does not wait for an answer.
    let script = format!(". {}; exec {STINT} get jobs -A", cluster.path("submitter.env").display());
    let said = Command::new("sh").args(["-c", &script]).output().expect("it can be run");
    let errors = String::from_utf8_lossy(&said.stderr);
    assert_eq!(said.status.code(), Some(2), "{errors}");
    assert!(errors.contains("list jobs _all: not allowed to this user of NATS"), "{errors}");
    let jobs = api(admin.clone(), "_all").send("jobs.list", &[], "").await.object();
    let names: Vec<&str> = jobs["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|job| job["metadata"]["name"].as_str())
        .collect();
    assert_eq!(names, ["mine"], "nothing was made, and nothing deleted");
    // Answers to others are heard by nobody else.
    let mut others = submitter.subscribe("_INBOX.>").await.expect("it can be asked for");
    assert!(heard(&viewer, "stint.v1._all.jobs.list", &Value::Null).await);
    let eavesdropped =
        tokio::time::timeout(SILENCE, futures_util::StreamExt::next(&mut others)).await;
    assert!(!matches!(eavesdropped, Ok(Some(_))), "the submitter heard the viewer's answer");
}
