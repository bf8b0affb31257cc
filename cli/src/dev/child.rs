//! One child process: how it is started, when it is ready, how it is ended.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::nats::{self, Greeting};
use crate::launch;

/// A child that says nothing for so long will not become ready.
const READY_LIMIT: Duration = Duration::from_secs(20);
/// How much of a child's log is shown when it could not be started.
const TAIL_LINES: usize = 5;

/// What to start and how to know that it runs.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) launcher: PathBuf,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) ready: Ready,
    pub(crate) output: Output,
}

/// When a child is ready.
#[derive(Clone, Debug)]
pub(crate) enum Ready {
    /// When it prints the line `ready`.
    Line,
    /// When a nats-server of this name answers at this address.
    Greeting { address: SocketAddr, server_name: String },
}

/// Where a child's standard error goes.
#[derive(Clone, Debug)]
pub(crate) enum Output {
    Inherit,
    File(PathBuf),
}

/// Why a child is not ready.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The program, or its log, cannot be opened.
    #[error("running {program}")]
    Spawn {
        /// Which one.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It ended instead.
    #[error("it ended with {status}{tail}")]
    Ended {
        /// How.
        status: ExitStatus,
        /// The last lines of its log, if that is a file.
        tail: String,
    },
    /// Another server answers at its address.
    #[error("another nats-server ({name}) answers at {address}")]
    Foreign {
        /// Where.
        address: SocketAddr,
        /// What it calls itself.
        name: String,
    },
    /// Nothing happened.
    #[error("it was not ready after {} s{tail}", READY_LIMIT.as_secs())]
    Silent {
        /// The last lines of its log, if that is a file.
        tail: String,
    },
}

/// A child that is ready.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    // Held open, so that a child that prints later does not fail for it.
    _stdout: Option<Lines<BufReader<ChildStdout>>>,
}

impl Running {
    /// Starts it and waits until it is ready. Dropped on the way, it kills the child.
    pub(crate) async fn start(program: &Program) -> Result<Self, StartError> {
        let spawn_error = |source| StartError::Spawn { program: program.program.clone(), source };
        let mut child = spawn(command(program).map_err(spawn_error)?).await.map_err(spawn_error)?;
        let mut stdout = child.stdout.take().map(|pipe| BufReader::new(pipe).lines());
        let became_ready = async {
            match &program.ready {
                Ready::Line => line(stdout.as_mut()).await,
                Ready::Greeting { address, server_name } => greeting(*address, server_name).await,
            }
        };
        tokio::select! {
            // What it printed last may say more than how it ended.
            biased;
            outcome = timeout(READY_LIMIT, became_ready) => {
                outcome.map_err(|_| StartError::Silent { tail: tail(&program.output) })??;
            }
            status = child.wait() => {
                let status = status.map_err(spawn_error)?;
                return Err(StartError::Ended { status, tail: tail(&program.output) });
            }
        }
        Ok(Self { child, _stdout: stdout })
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Asks it to end, and kills it when it has not after `limit`.
    pub(crate) async fn end(mut self, limit: Duration) -> io::Result<ExitStatus> {
        let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) else {
            return self.child.wait().await;
        };
        if kill(Pid::from_raw(pid), Signal::SIGTERM).is_err() {
            // It has just ended by itself.
            return self.child.wait().await;
        }
        if let Ok(status) = timeout(limit, self.child.wait()).await {
            return status;
        }
        tracing::warn!(pid, "a child did not end in time: killing it");
        self.child.kill().await?;
        self.child.wait().await
    }
}

fn command(program: &Program) -> io::Result<tokio::process::Command> {
    let mut command = launch::command(&program.launcher, &program.program);
    command.args(&program.arguments).stdin(Stdio::null()).kill_on_drop(true);
    // A group of its own: Ctrl-C in the terminal is for us, who then stop the children in order.
    command.process_group(0);
    command.stdout(match program.ready {
        Ready::Line => Stdio::piped(),
        Ready::Greeting { .. } => Stdio::null(),
    });
    command.stderr(match &program.output {
        Output::Inherit => Stdio::inherit(),
        Output::File(path) => Stdio::from(append(path)?),
    });
    Ok(command)
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

type Task = Box<dyn FnOnce() + Send>;

/// The thread that spawns all children. The parent-death signal follows the *thread* that spawned,
/// not the process: a worker thread of a runtime that ends would take the children with it.
static KEEPER: LazyLock<mpsc::Sender<Task>> = LazyLock::new(|| {
    let (sender, receiver) = mpsc::channel::<Task>();
    let run = move || receiver.into_iter().for_each(|task| task());
    // Without the thread every send fails, and `spawn` says so.
    drop(std::thread::Builder::new().name("spawner".to_owned()).spawn(run));
    sender
});

async fn spawn(mut command: tokio::process::Command) -> io::Result<Child> {
    let gone = || io::Error::other("the spawning thread is gone");
    let (reply, answer) = oneshot::channel();
    let runtime = tokio::runtime::Handle::current();
    let task = move || {
        let _entered = runtime.enter();
        // Nobody waits any more: the child is dropped here, which kills it.
        drop(reply.send(command.spawn()));
    };
    KEEPER.send(Box::new(task)).map_err(|_| gone())?;
    answer.await.map_err(|_| gone())?
}

async fn line(stdout: Option<&mut Lines<BufReader<ChildStdout>>>) -> Result<(), StartError> {
    let Some(lines) = stdout else { return Ok(()) };
    while let Ok(Some(line)) = lines.next_line().await {
        if line == "ready" {
            return Ok(());
        }
    }
    // Its output ended without the word: how it ended says the rest.
    std::future::pending().await
}

async fn greeting(address: SocketAddr, server_name: &str) -> Result<(), StartError> {
    match nats::greeting(address, server_name).await {
        Greeting::Ours => Ok(()),
        Greeting::Foreign(name) => Err(StartError::Foreign { address, name }),
    }
}

fn tail(output: &Output) -> String {
    let Output::File(path) = output else { return String::new() };
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(TAIL_LINES);
    lines[from..].iter().map(|line| format!("\n    {line}")).collect()
}
