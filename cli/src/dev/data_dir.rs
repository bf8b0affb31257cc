//! The data directory of `stint dev`: locked while it is in use, and known who uses it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{sleep, timeout};

/// A killed `stint dev` takes its server with it, a moment later.
const LEFTOVER_LIMIT: Duration = Duration::from_secs(5);
/// Between two looks at a process that is not our child.
const LOOK: Duration = Duration::from_millis(10);

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// It is in use.
    #[error("it is in use by {holder}; stop that one first, or name another directory with --data")]
    InUse {
        /// By whom, as that one wrote it down.
        holder: String,
    },
    /// A server that an earlier start left behind still runs on it.
    #[error("a nats-server of an earlier start still runs on it (process {pid})")]
    Leftover {
        /// Its process id.
        pid: u32,
    },
    /// It cannot be read or written.
    #[error("reading or writing {path}")]
    Io {
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A locked data directory. The lock ends with this value, or with this process.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    lock: File,
}

impl DataDir {
    /// Creates it if need be, and locks it.
    pub(crate) fn lock(path: &Path) -> Result<Self, LockError> {
        fs::create_dir_all(path).map_err(io_error(path))?;
        let path = path.canonicalize().map_err(io_error(path))?;
        let lock_path = path.join("lock");
        // Not truncated: until it is locked, the words in it are somebody else's.
        let mut lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&lock_path)
            .map_err(io_error(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                lock.read_to_string(&mut holder).map_err(io_error(&lock_path))?;
                let holder = holder.trim();
                let holder = if holder.is_empty() { "another stint dev" } else { holder };
                return Err(LockError::InUse { holder: holder.to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(io_error(&lock_path)(source)),
        }
        let mut directory = Self { path, lock };
        directory.note(&format!("stint dev, process {}", std::process::id()))?;
        Ok(directory)
    }

    /// Where it is; absolute.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the server writes its process id.
    pub(crate) fn nats_pid_file(&self) -> PathBuf {
        self.path.join("nats-server.pid")
    }

    /// Writes down at which address this one answers, for whoever finds the directory locked.
    pub(crate) fn note_url(&mut self, url: &str) -> Result<(), LockError> {
        self.note(&format!("stint dev, process {}, NATS_URL={url}", std::process::id()))
    }

    fn note(&mut self, text: &str) -> Result<(), LockError> {
        let path = self.path.join("lock");
        self.lock
            .set_len(0)
            .and_then(|()| self.lock.rewind())
            .and_then(|()| writeln!(self.lock, "{text}"))
            .map_err(io_error(&path))
    }

    /// Waits until a server that an earlier start left behind is gone: two on one store would ruin
    /// it.
    pub(crate) async fn wait_for_leftovers(&self) -> Result<(), LockError> {
        let Ok(text) = fs::read_to_string(self.nats_pid_file()) else { return Ok(()) };
        let Ok(pid) = text.trim().parse::<u32>() else { return Ok(()) };
        let gone = async {
            while self.serves(pid) {
                sleep(LOOK).await;
            }
        };
        timeout(LEFTOVER_LIMIT, gone).await.map_err(|_| LockError::Leftover { pid })
    }

    /// Whether this process is a nats-server on this directory; process ids are used again.
    fn serves(&self, pid: u32) -> bool {
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let config = self.path.join("nats-server.conf");
        command.split(|byte| *byte == 0).any(|word| word == config.as_os_str().as_encoded_bytes())
    }
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> LockError {
    let path = path.to_owned();
    move |source| LockError::Io { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    #[tokio::test]
    async fn the_second_is_refused_with_who_holds_it() {
        let root = TempDir::new().unwrap();
        let mut first = DataDir::lock(root.path()).unwrap();
        first.note_url("nats://127.0.0.1:1").unwrap();
        let error = DataDir::lock(root.path()).unwrap_err().to_string();
        assert!(error.contains(&format!("process {}, NATS_URL=", std::process::id())), "{error}");
        drop(first);
        DataDir::lock(root.path()).unwrap();
    }

    #[tokio::test]
    async fn a_process_id_that_is_used_again_is_no_leftover() {
        let root = TempDir::new().unwrap();
        let directory = DataDir::lock(root.path()).unwrap();
        fs::write(directory.nats_pid_file(), std::process::id().to_string()).unwrap();
        directory.wait_for_leftovers().await.unwrap();
    }
}
