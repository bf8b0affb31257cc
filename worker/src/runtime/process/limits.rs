//! Open files: their limit is raised only as far as the worker needs it, and none of them is a
//! container's.

use std::io;

use nix::libc;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Two for each run, and no more than this for everything else.
const OTHER_FILES: u64 = 256;

/// The limit cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("{runs} pods at a time need {needed} open files, and this machine allows {hard}")]
pub struct FilesError {
    runs: u64,
    needed: u64,
    hard: u64,
}

/// Makes room for the output files of `runs` runs at a time.
///
/// Containers inherit the limit, and it can be set back for them only by a program between us and
/// them. So it is not raised to what the system allows at most, but to what is needed and no
/// further: below some 380 runs it stays at the usual 1024, beyond which programs that call
/// `select` break.
///
/// # Errors
///
/// When the system does not allow so many.
pub fn raise_file_limit(runs: u64) -> Result<(), FilesError> {
    let needed = runs.saturating_mul(2).saturating_add(OTHER_FILES);
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((u64::MAX, u64::MAX));
    if soft >= needed {
        return Ok(());
    }
    let raised = setrlimit(Resource::RLIMIT_NOFILE, needed, hard).map_err(io::Error::from);
    raised.map_err(|_| FilesError { runs, needed, hard })
}

/// Files that this process has inherited from whoever started it, and that are no business of its
/// pods: not passed on any further. What Rust opens is never passed on.
///
/// By the system call's number: not every C library has the function.
#[expect(unsafe_code, reason = "there is no safe close_range")]
pub(super) fn keep_files_to_ourselves() {
    const FIRST: libc::c_uint = 3;
    const LAST: libc::c_uint = libc::c_uint::MAX;
    const CLOEXEC: libc::c_uint = 1 << 2;
    // SAFETY: no file is closed; it only says that the next program does not get them.
    let done = unsafe { libc::syscall(libc::SYS_close_range, FIRST, LAST, CLOEXEC) };
    if done != 0 {
        // Linux before 5.11.
        tracing::debug!(error = %io::Error::last_os_error(), "inherited files stay inheritable");
    }
}
