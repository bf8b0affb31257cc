//! Output files that another process holds: opened only when somebody wants to look at them.
//!
//! They have no name, so they are reached through that process' table of open files. It holds them
//! until it is told that nobody will look again, so a number there stays what it was.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::OFlag;

use super::capture::Capture;

/// The two files of one run, in another process.
#[derive(Debug)]
pub struct RemoteFiles {
    process: i32,
    descriptors: [i32; 2],
    silent: AtomicBool,
}

impl RemoteFiles {
    /// Standard output and standard error of a run, as `process` has them open.
    #[must_use]
    pub fn new(process: i32, descriptors: [i32; 2]) -> Arc<Self> {
        Arc::new(Self { process, descriptors, silent: AtomicBool::new(false) })
    }

    /// The run is over and has written nothing: there is no need to look.
    pub fn are_empty(&self) {
        self.silent.store(true, Ordering::Release);
    }

    pub(super) fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Acquire)
    }

    pub(super) fn open(&self) -> io::Result<Arc<Capture>> {
        let [stdout, stderr] = self.descriptors;
        Ok(Capture::of_another([self.open_one(stdout)?, self.open_one(stderr)?]))
    }

    /// Written to only in order to give room back.
    fn open_one(&self, descriptor: i32) -> io::Result<File> {
        OpenOptions::new()
            .read(true)
            .append(true)
            .custom_flags(OFlag::O_NOATIME.bits())
            .open(format!("/proc/{}/fd/{descriptor}", self.process))
    }
}
