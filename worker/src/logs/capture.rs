//! The files that output goes to, and the pool they come from.
//!
//! A file has no name, so nothing is left of it when the last holder is gone, the worker's death
//! included. Making one costs an inode and a journal entry; most pods write nothing or little, so
//! files are used again when the runtime knows that no process of the earlier pod is left
//! ([`Capture::release`]).

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::statvfs::statvfs;

/// Files kept for use again. Few, since the kernel copies the table of open files at every spawn.
const KEEP: usize = 64;
/// A file that held more is closed, since cutting it would cost more than making a new one.
const CUT_BYTES: u64 = 64 * 1024;
/// For the streams of one run, and nobody else.
const MODE: u32 = 0o600;

/// With less room on its disk no run is begun: it would fail of that.
const LEAST_FREE_BYTES: u64 = 16 << 20;

/// Whether the file system of `dir` has room for the output of further runs. One that cannot tell
/// has.
#[must_use]
pub fn has_room(dir: &Path) -> bool {
    let Ok(found) = statvfs(dir) else { return true };
    found.blocks_available().saturating_mul(found.fragment_size()) >= LEAST_FREE_BYTES
}

/// Makes the files that output goes to.
#[derive(Debug)]
pub struct CapturePool {
    dir: PathBuf,
    free: Mutex<Vec<File>>,
    /// Names files where the file system has no nameless ones.
    made: AtomicU64,
}

impl CapturePool {
    /// A pool whose files live in the file system of `dir`, which must exist.
    #[must_use]
    pub fn new(dir: &Path) -> Arc<Self> {
        Arc::new(Self {
            dir: dir.to_owned(),
            free: Mutex::new(Vec::new()),
            made: AtomicU64::new(0),
        })
    }

    /// Two empty files for one run.
    ///
    /// # Errors
    ///
    /// When there is no room: disk, inodes or open files.
    pub fn capture(self: &Arc<Self>) -> io::Result<Arc<Capture>> {
        if !has_room(&self.dir) {
            return Err(io::Error::from_raw_os_error(nix::libc::ENOSPC));
        }
        let (first, second) = {
            let mut free = self.free();
            (free.pop(), free.pop())
        };
        let open = |file: Option<File>| file.map_or_else(|| self.make(), Ok);
        Ok(Arc::new(Capture {
            files: Some([open(first)?, open(second)?]),
            pool: Some(self.clone()),
            released: AtomicBool::new(false),
        }))
    }

    fn free(&self) -> MutexGuard<'_, Vec<File>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn make(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).mode(MODE);
        // Reading must not dirty the inode: O_NOATIME. O_EXCL: the file can never be given a name.
        let flags = OFlag::O_TMPFILE | OFlag::O_EXCL | OFlag::O_NOATIME;
        match options.clone().custom_flags(flags.bits()).open(&self.dir) {
            Err(error) if nameless_unsupported(&error) => self.make_and_unlink(&options),
            result => result,
        }
    }

    fn make_and_unlink(&self, options: &OpenOptions) -> io::Result<File> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.join(format!(".output-{}-{number}", std::process::id()));
        let file = options.clone().create_new(true).open(&path)?;
        std::fs::remove_file(&path)?;
        Ok(file)
    }

    fn give_back(&self, file: File) {
        if self.free().len() < KEEP && is_as_new(&file) {
            self.free().push(file);
        }
    }
}

/// NFS, overlayfs of old kernels and FUSE have no nameless files.
fn nameless_unsupported(error: &io::Error) -> bool {
    let unsupported = [nix::libc::EOPNOTSUPP, nix::libc::EISDIR, nix::libc::ENOENT];
    error.raw_os_error().is_some_and(|code| unsupported.contains(&code))
}

/// Empties a file that was little used. A process may have changed the flags of what it was given;
/// such a file is not used again.
fn is_as_new(file: &File) -> bool {
    let Ok(metadata) = file.metadata() else { return false };
    let cut = metadata.len() == 0 || (metadata.len() <= CUT_BYTES && file.set_len(0).is_ok());
    let flags = fcntl(file, FcntlArg::F_GETFL).map(OFlag::from_bits_truncate);
    cut && flags.is_ok_and(|flags| {
        flags.contains(OFlag::O_APPEND) && !flags.intersects(OFlag::O_NONBLOCK | OFlag::O_ASYNC)
    })
}

/// The two files of one run. Shared by the runtime, which gives them to the process, and the
/// reader.
#[derive(Debug)]
pub struct Capture {
    files: Option<[File; 2]>,
    /// Where they came from; nowhere if another process has made them.
    pool: Option<Arc<CapturePool>>,
    released: AtomicBool,
}

impl Capture {
    /// The files that another process has made for a run: standard output, standard error.
    pub(super) fn of_another(files: [File; 2]) -> Arc<Self> {
        Arc::new(Self { files: Some(files), pool: None, released: AtomicBool::new(false) })
    }

    /// The file of standard output.
    #[must_use]
    pub fn stdout(&self) -> &File {
        &self.files()[0]
    }

    /// The file of standard error.
    #[must_use]
    pub fn stderr(&self) -> &File {
        &self.files()[1]
    }

    /// No process holds the files any more: when the last holder drops this they may serve another
    /// run.
    pub fn release(&self) {
        self.released.store(true, Ordering::Release);
    }

    fn files(&self) -> &[File; 2] {
        self.files.as_ref().expect("the files are taken out only by drop")
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let released = self.released.load(Ordering::Acquire);
        if let Some(pool) = self.pool.as_ref().filter(|_| released) {
            self.files.take().into_iter().flatten().for_each(|file| pool.give_back(file));
        }
    }
}
