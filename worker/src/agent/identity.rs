//! Who this worker is: an identity in its data directory, which one process at a time may use.

use std::fs::{self, File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stint_common::id::Incarnation;

/// Between two looks at whether the lock is free: the kernel tells nobody.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// It cannot be made, read or written.
    #[error("using the data directory {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another process uses it.
    #[error("another worker uses the data directory {}; give this one its own with --data, or let it take the other's place with --take-over", path.display())]
    InUse {
        /// Which.
        path: PathBuf,
    },
}

/// A data directory, locked for as long as this lives.
#[derive(Debug)]
pub struct Home {
    /// The directory.
    pub path: PathBuf,
    /// Drawn once, when the directory was first used.
    pub id: Incarnation,
    _lock: File,
}

impl Home {
    /// Makes the directory if there is none, and locks it. Whoever uses it is told to hand over,
    /// and given so long, if `take_over` says so.
    ///
    /// # Errors
    ///
    /// When it cannot be used, or another process uses it.
    pub fn open(path: &Path, take_over: Option<Duration>) -> Result<Self, HomeError> {
        let error = |source| HomeError::Io { path: path.to_owned(), source };
        // The supervisor is at home nowhere: it must find what it is told from anywhere.
        let path = &std::path::absolute(path).map_err(error)?;
        fs::create_dir_all(path).map_err(error)?;
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let mut lock = options.open(path.join("lock")).map_err(error)?;
        let deadline = take_over.map(|within| Instant::now() + within);
        let mut asked = false;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock)
                    if deadline.is_some_and(|deadline| Instant::now() < deadline) =>
                {
                    if !std::mem::replace(&mut asked, true) {
                        ask_to_hand_over(&mut lock).map_err(error)?;
                    }
                    std::thread::sleep(LOOK_AGAIN);
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(HomeError::InUse { path: path.to_owned() });
                }
                Err(TryLockError::Error(source)) => return Err(error(source)),
            }
        }
        lock.set_len(0).and_then(|()| lock.rewind()).map_err(error)?;
        writeln!(lock, "{}", std::process::id()).map_err(error)?;
        Ok(Self { path: path.to_owned(), id: identity(path).map_err(error)?, _lock: lock })
    }
}

/// The holder of a lock has written its process into it.
fn ask_to_hand_over(lock: &mut File) -> std::io::Result<()> {
    let mut text = String::new();
    lock.rewind()?;
    lock.read_to_string(&mut text)?;
    let pid = text.trim().parse().ok().filter(|pid| *pid > 1);
    let pid = pid.ok_or_else(|| std::io::Error::other("nobody knows who uses it"))?;
    kill(Pid::from_raw(pid), Signal::SIGUSR1).map_err(Into::into)
}

fn identity(path: &Path) -> std::io::Result<Incarnation> {
    let file = path.join("identity");
    if let Some(id) = fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok()) {
        return Ok(id);
    }
    let id = Incarnation::random();
    let draft = path.join("identity.new");
    let mut new = File::create(&draft)?;
    writeln!(new, "{id}")?;
    new.sync_all()?;
    fs::rename(draft, file)?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_keeps_its_identity_and_its_one_user() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(dir.path(), None).unwrap();
        assert!(matches!(Home::open(dir.path(), None), Err(HomeError::InUse { .. })));
        let id = home.id;
        drop(home);
        assert_eq!(Home::open(dir.path(), None).unwrap().id, id);
    }
}
