//! Lends the process' main thread to the reaper.
//!
//! The kernel hands orphans to the *first thread* of their subreaper, and `waitid` with
//! `__WNOTHREAD` asks for the caller's own children only. On the main thread, whose children are
//! orphans and nothing else, one system call tells that there are none. So the program itself moves
//! to a second thread.

use std::io;
use std::panic::resume_unwind;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, scope};

type Task = Box<dyn FnOnce() + Send>;

/// As much as the main thread itself would have.
const STACK_BYTES: usize = 8 * 1024 * 1024;

static MAIN: Mutex<Option<Sender<Task>>> = Mutex::new(None);

/// Runs `program` on a second thread, and lends the main thread to the process runtime that it
/// opens. To be called in `main`. No child may be spawned on the main thread.
///
/// # Errors
///
/// When no thread can be made.
pub fn with_main_thread<T: Send>(program: impl FnOnce() -> T + Send) -> io::Result<T> {
    let (sender, tasks) = channel::<Task>();
    let lend = |sender| *MAIN.lock().unwrap_or_else(PoisonError::into_inner) = sender;
    lend(Some(sender));
    scope(|scope| {
        let thread = Builder::new().name("stint".to_owned()).stack_size(STACK_BYTES);
        let thread = thread.spawn_scoped(scope, || {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(program));
            // Ends the loop below.
            lend(None);
            result
        });
        let thread = match thread {
            Ok(thread) => thread,
            Err(error) => {
                lend(None);
                return Err(error);
            }
        };
        tasks.iter().for_each(|task| task());
        thread.join().and_then(|result| result).map_or_else(|panic| resume_unwind(panic), Ok)
    })
}

/// Runs `task` on the main thread. Whether that was lent.
pub(super) fn run(task: Task) -> bool {
    let main = MAIN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    main.is_some_and(|main| main.send(task).is_ok())
}
