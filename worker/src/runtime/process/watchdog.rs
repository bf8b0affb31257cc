//! The watchdog: a tiny process whose one task is to outlive the worker and kill what it left.
//!
//! It holds the reading end of a pipe whose other end only the worker has. The end of that pipe
//! means that the worker is dead, however it died. The watchdog is in a session of its own, deaf to
//! TERM, INT and HUP, and has neither threads nor memory to speak of; if it dies, the worker starts
//! another.

use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use nix::unistd::setsid;

use super::sweep::sweep;
use super::table::Life;

/// The name of the hidden subcommand.
pub const SUBCOMMAND: &str = "__watchdog";
/// What cannot be killed in this time is stuck in the kernel and will never run on.
const SWEEP_WITHIN: Duration = Duration::from_secs(60);
/// Written once everything is set up.
pub(super) const READY: u8 = b'!';

/// The watchdog's whole life. `args` are those after the subcommand: the worker's data directory.
/// Standard input is the pipe; a byte on standard output says that it watches.
#[must_use]
pub fn main(args: &[String]) -> ExitCode {
    let [data_dir] = args else { return ExitCode::from(2) };
    match watch(Path::new(data_dir)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _nobody_reads = writeln!(io::stderr(), "stint watchdog: {error}");
            ExitCode::FAILURE
        }
    }
}

fn watch(data_dir: &Path) -> io::Result<()> {
    // A session of its own: signals to the worker's group and a closed terminal do not reach it.
    // Failure means that it leads a group already, which does as well.
    let _leader = setsid();
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT]
        .into_iter()
        .collect::<SigSet>()
        .thread_block()?;
    let watched = Life::read(data_dir);
    let mut ready = io::stdout();
    // The worker may be dead already: then nobody reads this, and the pipe says it at once.
    let _nobody_reads = ready.write_all(&[READY]).and_then(|()| ready.flush());
    let mut byte = [0];
    while io::stdin().read(&mut byte)? > 0 {}
    // Read again, since the table changes with every run. But the directory may be gone, or be the
    // next life's by now: then what was read at the start tells the processes by their markers.
    let now = Life::read(data_dir);
    let same = |now: &Life| watched.as_ref().is_none_or(|watched| watched.id == now.id);
    let Some(life) = now.filter(same).or(watched) else {
        return Err(io::Error::other("there is no telling whose processes to kill"));
    };
    sweep(&life, SWEEP_WITHIN).map(drop).map_err(io::Error::other)
}
