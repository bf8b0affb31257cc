//! The supervisor of a data directory: found if there is one, else started.
//!
//! Its socket and its lock lie in the directory. The socket is reached through the open directory,
//! since its path may be longer than what an address of a socket holds.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use stint_common::id::Incarnation;

use super::serve::{READY, SUBCOMMAND};
use crate::runtime::process::{OpenError, WatchdogCommand};

const SOCKET: &str = "supervisor.sock";
const LOCK: &str = "supervisor.lock";
const LOG: &str = "supervisor.log";
/// A log that has grown beyond this is begun anew with the next supervisor.
const LOG_BYTES: u64 = 1 << 20;
/// One that holds the lock and does not answer is given this long.
const ANSWER: Duration = Duration::from_secs(10);
/// A lock that is looked at is free again within this time.
const LOOKED_AT: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(5);

/// How a supervisor is started.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Config {
    /// The worker's data directory; absolute.
    pub data_dir: PathBuf,
    /// The life that it begins.
    pub life: Incarnation,
    /// As [`process::Config::host_paths`](crate::runtime::process::Config::host_paths).
    pub host_paths: Vec<PathBuf>,
}

/// Why there is no supervisor.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// The system refused something.
    #[error("{what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The runtime that it hosts cannot be opened.
    #[error("opening the process runtime")]
    Runtime(#[from] OpenError),
    /// It did not get ready.
    #[error("the supervisor did not start; {} says why", log.display())]
    NotStarted {
        /// What it wrote.
        log: PathBuf,
    },
    /// It cannot be understood.
    #[error("the supervisor of this data directory does not say what it should")]
    Strange(#[source] io::Error),
    /// Another one is there.
    #[error("another supervisor uses this data directory")]
    Busy,
    /// It was started by hand.
    #[error("a supervisor is started by `stint worker`, not by hand")]
    Arguments,
}

impl FindError {
    pub(super) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}

/// Where a supervisor is found.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    directory: File,
}

impl Place {
    pub(super) fn new(data_dir: &Path) -> io::Result<Self> {
        Ok(Self { path: data_dir.to_owned(), directory: File::open(data_dir)? })
    }

    fn socket(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", self.directory.as_raw_fd()))
    }

    /// Makes the socket anew. Whoever holds the lock may.
    pub(super) fn listen(&self) -> io::Result<UnixListener> {
        match std::fs::remove_file(self.path.join(SOCKET)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(self.socket())?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    }

    /// Takes the lock for as long as the file is open, and writes down who has it.
    pub(super) fn lock(&self) -> Result<File, FindError> {
        let mut lock = self.lock_file()?;
        let deadline = Instant::now() + LOOKED_AT;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                // Somebody may just be looking whether it is free.
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => return Err(FindError::Busy),
                Err(TryLockError::Error(source)) => {
                    return Err(FindError::system("taking the supervisor's lock")(source));
                }
            }
        }
        let noted = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
        noted.map_err(FindError::system("noting who has the supervisor's lock"))?;
        Ok(lock)
    }

    fn lock_file(&self) -> Result<File, FindError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let opened = options.open(self.path.join(LOCK));
        opened.map_err(FindError::system("opening the supervisor's lock"))
    }

    /// A connection to the supervisor that is there, if one is.
    pub(super) fn connect(&self) -> Result<Option<UnixStream>, FindError> {
        let deadline = Instant::now() + ANSWER;
        loop {
            let connected = UnixStream::connect(self.socket());
            if let Ok(socket) = connected {
                return Ok(Some(socket));
            }
            let mut lock = self.lock_file()?;
            if lock.try_lock().is_ok() {
                return Ok(None);
            }
            // It is just starting or ending, or stuck.
            if Instant::now() > deadline {
                end_holder(&mut lock);
            }
            thread::sleep(PAUSE);
        }
    }

    /// Kills the supervisor that holds the lock, and waits until it is gone. Its pods go with it.
    pub(super) fn end(&self) -> Result<(), FindError> {
        let mut lock = self.lock_file()?;
        while lock.try_lock().is_err() {
            end_holder(&mut lock);
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Starts one; returns when it listens.
    pub(super) fn start(&self, config: &Config) -> Result<Child, FindError> {
        let this = WatchdogCommand::this_program();
        let text = serde_json::to_string(config).map_err(io::Error::other);
        let text = text.map_err(FindError::system("a data directory whose name is no text"))?;
        let log = self.log().map_err(FindError::system("opening the supervisor's log"))?;
        let child = Command::new(&this.program)
            .arg0("stint")
            .args(&this.args)
            .args([SUBCOMMAND, &text])
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn();
        let mut child = child.map_err(FindError::system("starting the supervisor"))?;
        let mut ready = [0];
        let said = child.stdout.take().map(|mut stdout| stdout.read_exact(&mut ready));
        if matches!(said, Some(Ok(()))) && ready == [READY] {
            return Ok(child);
        }
        let _gone = child.kill().and_then(|()| child.wait());
        Err(FindError::NotStarted { log: self.path.join(LOG) })
    }

    fn log(&self) -> io::Result<File> {
        let path = self.path.join(LOG);
        if std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() > LOG_BYTES) {
            std::fs::remove_file(&path)?;
        }
        OpenOptions::new().create(true).append(true).open(path)
    }
}

fn end_holder(lock: &mut File) {
    let mut text = String::new();
    let read = lock.rewind().and_then(|()| lock.read_to_string(&mut text));
    let holder = read.ok().and_then(|_| text.trim().parse::<i32>().ok()).filter(|pid| *pid > 1);
    if let Some(pid) = holder {
        tracing::error!(pid, "the supervisor does not answer: it is killed, and its pods with it");
        let _gone = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}
