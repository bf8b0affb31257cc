//! The real `kubectl`, unmodified, against real processes; says so and does nothing where there is
//! none.

#![cfg(test)]

#[path = "kubectl/change.rs"]
mod change;
#[path = "kubectl/cron.rs"]
mod cron;
#[path = "kubectl/drain.rs"]
mod drain;
#[path = "kubectl/look.rs"]
mod look;
#[path = "kubectl/run.rs"]
mod run;

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use stint_tests::World;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// The program under test.
const STINT: &str = env!("CARGO_BIN_EXE_stint-under-test");
/// A command takes no longer.
const LIMIT: Duration = Duration::from_secs(90);

/// `kubectl`, asking the shared world in a namespace of its own.
struct Kubectl {
    program: PathBuf,
    _world: Arc<World>,
    namespace: String,
    dir: tempfile::TempDir,
}

/// What a command has printed, and how it ended.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Said {
    /// What was printed by a command that did what it was told.
    #[track_caller]
    fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }

    /// What was complained of by one that did not.
    #[track_caller]
    fn fails(self) -> String {
        assert_eq!(self.code, Some(1), "{self:?}");
        self.err
    }

    /// The columns of each line.
    #[track_caller]
    fn rows(self) -> Vec<Vec<String>> {
        let split = |line: &str| line.split_whitespace().map(str::to_owned).collect();
        self.ok().lines().map(split).collect()
    }
}

/// `kubectl` in the world that all share; `None` where there is none.
async fn kubectl(namespace: &str) -> Option<Kubectl> {
    kubectl_in(World::shared(STINT).await, namespace).await
}

/// `None` where there is no `kubectl`.
async fn kubectl_in(world: Arc<World>, namespace: &str) -> Option<Kubectl> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let program = std::env::split_paths(&path).map(|dir| dir.join("kubectl"));
    let Some(program) = program.into_iter().find(|file| file.is_file()) else {
        eprintln!("SKIPPED: there is no kubectl on the PATH");
        return None;
    };
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let server = format!("http://{}", world.http("coordinator-0").address);
    let config = std::process::Command::new(STINT)
        .args(["kubeconfig", "--server", &server, "-n", namespace])
        .output()
        .expect("stint runs");
    assert!(config.status.success(), "{config:?}");
    std::fs::write(dir.path().join("config"), config.stdout).expect("it can be written to");
    Some(Kubectl { program, _world: world, namespace: namespace.to_owned(), dir })
}

impl Kubectl {
    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env("KUBECONFIG", self.dir.path().join("config"))
            .env("HOME", self.dir.path())
            .env_remove("HTTP_PROXY")
            .env_remove("http_proxy")
            .arg(format!("--cache-dir={}", self.dir.path().join("cache").display()))
            .args(words.split_whitespace())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Runs a command, given as one would type it, without quotes.
    async fn run(&self, words: &str) -> Said {
        self.say(self.command(words), words).await
    }

    async fn say(&self, mut command: Command, what: &str) -> Said {
        let output = timeout(LIMIT, command.output()).await;
        let output = output.unwrap_or_else(|_| panic!("kubectl {what} does not end"));
        let Output { status, stdout, stderr } = output.expect("kubectl runs");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Said { code: status.code(), out: text(stdout), err: text(stderr) }
    }

    /// Starts a command whose output is read as it comes.
    fn start(&self, words: &str) -> Child {
        self.command(words).stdout(Stdio::piped()).spawn().expect("kubectl runs")
    }

    /// Writes a manifest, and gives its path.
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).expect("it can be written to");
        path.display().to_string()
    }

    /// An object, as JSON.
    async fn json(&self, what: &str) -> Value {
        let said = self.run(&format!("get {what} -o json")).await.ok();
        serde_json::from_str(&said).expect("it is JSON")
    }
}

/// A manifest of a Job that runs a script.
fn manifest(name: &str, spec: &str, script: &str) -> String {
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: {name}\n  labels:\n    app: {name}\n\
         spec:\n{spec}  template:\n    spec:\n      restartPolicy: Never\n      containers:\n      \
         - name: main\n        image: host\n        command: [sh, -c, '{script}']\n"
    )
}
