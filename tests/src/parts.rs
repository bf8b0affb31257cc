//! The processes of a world, each one a guarded child.
//!
//! A child is started under the launcher, which has the kernel kill it when the *thread* that
//! started it ends. So one thread, the keeper, starts them all, and lives as long as the world
//! does: whatever becomes of a test, nothing of it is left.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use stint::launch;

use crate::proc;

/// What to start.
#[derive(Clone, Debug)]
pub struct Program {
    /// The launcher: the program under test.
    pub launcher: PathBuf,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Where both of its outputs go, appended.
    pub log: PathBuf,
    /// What is different from how such a program is usually started.
    pub dress: Dress,
}

/// How a part is started, if not as usual.
#[derive(Clone, Debug, Default)]
pub struct Dress {
    /// Another program in place of the part's own: that of another version.
    pub program: Option<PathBuf>,
    /// A program with arguments, which sets something up and becomes the part's.
    pub before: Vec<OsString>,
    /// Variables, beside those of the tests.
    pub environment: Vec<(String, OsString)>,
}

/// A child that is killed when dropped.
#[derive(Debug)]
pub struct Part {
    child: Child,
}

impl Part {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or(0)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        proc::signal(self.pid(), signal);
    }

    /// `kill -9`, and takes the body away.
    pub fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits for its end; `None` when it has not come after `limit`.
    pub async fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            if Instant::now() > deadline {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.kill();
    }
}

type Order = (Program, mpsc::Sender<io::Result<Child>>);

/// The thread that starts children.
#[derive(Debug)]
pub struct Keeper {
    orders: Option<mpsc::Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts the thread.
    ///
    /// # Panics
    ///
    /// When the machine has no thread left.
    #[must_use]
    pub fn start() -> Self {
        let (orders, received) = mpsc::channel::<Order>();
        let keep = move || {
            for (program, answer) in received {
                drop(answer.send(spawn(&program)));
            }
        };
        let thread = std::thread::Builder::new().name("keeper".to_owned()).spawn(keep);
        Self { orders: Some(orders), thread: Some(thread.expect("a thread can be started")) }
    }

    /// Starts a child.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn run(&self, program: Program) -> Part {
        let (answer, child) = mpsc::channel();
        let name = program.program.clone();
        let orders = self.orders.as_ref().expect("the keeper lives");
        orders.send((program, answer)).expect("the keeper lives");
        let child = child.recv().expect("the keeper answers");
        Part { child: child.unwrap_or_else(|error| panic!("starting {}: {error}", name.display())) }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn spawn(program: &Program) -> io::Result<Child> {
    let log = OpenOptions::new().create(true).append(true).open(&program.log)?;
    Command::new(&program.launcher)
        .args([launch::SUBCOMMAND, "--parent", &std::process::id().to_string(), "--"])
        .args(&program.dress.before)
        .arg(program.dress.program.as_ref().unwrap_or(&program.program))
        .args(&program.arguments)
        .envs(program.dress.environment.iter().map(|(name, value)| (name, value)))
        .env_remove("NATS_URL")
        .env_remove("STINT_NATS_URL")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
}

/// The last lines of a log, for the report of a test that failed.
#[must_use]
pub fn tail(log: &Path, lines: usize) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
