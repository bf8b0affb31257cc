//! Termination messages: what containers leave in a file of their own run, named by
//! `STINT_TERMINATION_LOG`.
//!
//! The file is the container's to make, so one that leaves nothing costs a look. Whoever reads it
//! has more rights than who wrote it, so only a plain file of one name is read.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::fcntl::OFlag;

use crate::runtime::RunId;

/// So much of the end of the file is the message (the kubelet's
/// `MaxContainerTerminationMessageLength`).
const MOST_BYTES: u64 = 4096;
/// A pod's containers share this (the kubelet's `MaxPodTerminationMessageLogLength`).
const MOST_BYTES_OF_POD: usize = 12 * 1024;
/// Everybody may make files there, and nobody may take another's away.
const MODE: u32 = 0o1777;

/// Where the files of one life of a worker lie.
#[derive(Debug)]
pub(super) struct TerminationLogs {
    dir: PathBuf,
}

impl TerminationLogs {
    /// Makes an empty directory for them in the worker's own; or goes on with the one that is
    /// there, if an earlier agent's runs go on.
    ///
    /// # Errors
    ///
    /// When it cannot be made, or what an earlier life left there cannot be removed.
    pub(super) fn open(data_dir: &Path, goes_on: bool) -> io::Result<Self> {
        let dir = std::path::absolute(data_dir)?.join("termination");
        if goes_on && dir.is_dir() {
            return Ok(Self { dir });
        }
        match fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        fs::create_dir(&dir)?;
        fs::set_permissions(&dir, fs::Permissions::from_mode(MODE))?;
        Ok(Self { dir })
    }

    /// The file of a run.
    pub(super) fn path(&self, run: RunId) -> Arc<str> {
        Arc::from(format!("{}/{}", self.dir.display(), run.0))
    }

    /// What a run that is over has left; its file is gone then. Empty if it left nothing.
    pub(super) fn take(&self, run: RunId) -> String {
        let path = self.dir.join(run.0.to_string());
        let text = match read_end(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return String::new(),
            Err(error) => format!("Error on reading termination log {}: {error}", path.display()),
        };
        let removed = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
        if let Err(error) = removed {
            tracing::warn!(path = %path.display(), %error, "a termination log stays behind");
        }
        text
    }
}

fn read_end(path: &Path) -> io::Result<String> {
    // Neither a link to elsewhere nor a pipe that never ends.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = File::options().read(true).custom_flags(flags.bits()).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.nlink() != 1 {
        return Err(io::Error::other("it is not a plain file of its own"));
    }
    let length = metadata.len().min(MOST_BYTES);
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    file.read_exact_at(&mut bytes, metadata.len() - length)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A message cut to what one of `containers` containers of a pod may have.
pub(super) fn fit(mut message: String, containers: usize) -> String {
    let most = MOST_BYTES_OF_POD / containers.max(1);
    if message.len() > most {
        message.truncate(message.floor_char_boundary(most));
    }
    message
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_a_run_leaves_is_read_once_and_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let logs = TerminationLogs::open(dir.path(), false).unwrap();
        assert_eq!(logs.take(RunId(1)), "");
        let path = logs.path(RunId(2)).to_string();
        fs::write(&path, "x".repeat(10) + &"y".repeat(4096)).unwrap();
        assert_eq!(logs.take(RunId(2)), "y".repeat(4096));
        assert!(!Path::new(&path).exists());
        fs::write(&path, "left behind").unwrap();
        let logs = TerminationLogs::open(dir.path(), false).unwrap();
        assert_eq!(logs.take(RunId(2)), "");
    }

    #[test]
    fn nothing_but_a_plain_file_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let logs = TerminationLogs::open(dir.path(), false).unwrap();
        let secret = dir.path().join("secret");
        fs::write(&secret, "secret").unwrap();
        symlink(&secret, &*logs.path(RunId(1))).unwrap();
        fs::hard_link(&secret, &*logs.path(RunId(2))).unwrap();
        fs::create_dir(&*logs.path(RunId(3))).unwrap();
        nix::unistd::mkfifo(&*logs.path(RunId(4)), nix::sys::stat::Mode::S_IRWXU).unwrap();
        for run in 1..5 {
            let text = logs.take(RunId(run));
            assert!(text.starts_with("Error on reading termination log"), "{text}");
            assert!(!fs::exists(&*logs.path(RunId(run))).unwrap(), "{run}");
        }
        assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
    }

    #[test]
    fn containers_of_a_pod_share_twelve_kilobytes() {
        assert_eq!(fit("x".repeat(4096), 3).len(), 4096);
        assert_eq!(fit("x".repeat(4096), 4).len(), 3072);
        assert_eq!(fit("é".repeat(2048), 5).len(), 2456);
    }
}
