//! The agent's side: a [`Runtime`] whose processes are the supervisor's.
//!
//! What the agent says is gathered, and written by [`Runtime::flush`] as one frame. The write
//! returns when the bytes are the kernel's: they reach the supervisor also if the agent dies right
//! after.

use std::collections::HashMap;
use std::io::{self, BufReader, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::Duration;

use serde_json::value::RawValue;
use stint_common::id::Incarnation;

use super::find::{Config, FindError, Place};
use super::wire::{Command, Frame, PROTOCOL, Report, RunEnd, RunNow, Welcome, read_frame, words};
use crate::launch::LaunchSpec;
use crate::logs::{LogReader, RemoteFiles};
use crate::runtime::{
    Abilities, EventSink, Kept, KeptRun, Progress, RunId, Runtime, RuntimeEvent, StartError,
};

/// A supervisor that takes nothing for so long is stuck.
const STUCK: Duration = Duration::from_secs(30);
/// A supervisor that is told to end has killed everything within this time.
const END: Duration = Duration::from_secs(15);
/// A welcome comes within this time.
const WELCOME: Duration = Duration::from_secs(10);

/// Runs containers as processes of a supervisor.
pub struct SupervisedRuntime {
    /// Locked while a frame is written: two must not mix.
    socket: Mutex<UnixStream>,
    /// What the agent's loop says until it flushes.
    out: Mutex<Frame>,
    life: Incarnation,
    abilities: Abilities,
    is_current: bool,
    kept: Mutex<Option<Kept>>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// The supervisor is to end: that it does is no news.
    ending: AtomicBool,
    gone: Mutex<bool>,
    changed: Condvar,
}

impl SupervisedRuntime {
    /// Takes up the supervisor of a data directory with all that it has kept; else starts one,
    /// which begins the life that `config` names. Blocks for some milliseconds. Only who has the
    /// data directory's lock may.
    ///
    /// # Errors
    ///
    /// When there is none and none can be started.
    pub fn open(config: &Config, sink: impl EventSink) -> Result<Self, FindError> {
        let place = Place::new(&config.data_dir)
            .map_err(FindError::system("opening the data directory"))?;
        if let Some(socket) = place.connect()? {
            match Self::greet(socket, None) {
                Ok(greeted) => return Self::take_up(greeted, sink),
                Err(error) => {
                    tracing::error!(%error, "the supervisor that is there makes no sense");
                    place.end()?;
                }
            }
        }
        let child = place.start(config)?;
        let socket = place.connect()?.ok_or(FindError::Strange(io::ErrorKind::NotFound.into()))?;
        let greeted = Self::greet(socket, Some(child)).map_err(FindError::Strange)?;
        Self::take_up(greeted, sink)
    }

    fn greet(mut socket: UnixStream, child: Option<Child>) -> io::Result<Greeted> {
        let mut frame = Frame::default();
        frame.add(&Command::Hello { protocol: PROTOCOL });
        socket.set_write_timeout(Some(STUCK))?;
        socket.set_read_timeout(Some(WELCOME))?;
        socket.write_all(&frame.take().unwrap_or_default())?;
        let mut reader = BufReader::new(socket.try_clone()?);
        let mut list = Vec::new();
        read_frame(&mut reader, &mut list)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        socket.set_read_timeout(None)?;
        match words::<Report>(&list)?.into_iter().next() {
            Some(Report::Welcome(welcome)) => Ok(Greeted { socket, reader, welcome, child }),
            _ => Err(io::Error::other("it does not greet")),
        }
    }

    fn take_up(greeted: Greeted, sink: impl EventSink) -> Result<Self, FindError> {
        let Greeted { socket, reader, welcome, child } = greeted;
        let Welcome { protocol, version, process, life, abilities, notes, runs, last_run } =
            *welcome;
        if !notes.is_empty() || !runs.is_empty() {
            let (pods, runs) = (notes.len(), runs.len());
            tracing::info!(version, pods, runs, "taking up what the agent before left");
        }
        let mut outputs = HashMap::new();
        let runs = runs.into_iter().map(|run| kept(process, run, &mut outputs)).collect();
        let shared = Arc::new(Shared::default());
        let ears = Ears { reader, process, outputs, sink, shared: shared.clone(), child };
        let thread = Builder::new().name("supervised".to_owned());
        thread.spawn(move || ears.listen()).map_err(FindError::system("starting a thread"))?;
        Ok(Self {
            socket: Mutex::new(socket),
            out: Mutex::default(),
            life,
            abilities,
            is_current: protocol == PROTOCOL,
            kept: Mutex::new(Some(Kept { notes, runs, last_run })),
            shared,
        })
    }

    fn say(&self, command: &Command) {
        self.out().add(command);
    }

    fn out(&self) -> MutexGuard<'_, Frame> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says it at once, in a frame of its own: what the agent's loop has gathered is not torn
    /// apart.
    fn say_now(&self, command: &Command) {
        let mut frame = Frame::default();
        frame.add(command);
        frame.take().iter().for_each(|frame| self.write(frame));
    }

    fn write(&self, frame: &[u8]) {
        let mut socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = socket.write_all(frame) {
            if !self.shared.ending.load(Ordering::Acquire) {
                tracing::error!(%error, "the supervisor takes nothing");
            }
            // Perhaps half a frame was written: nothing can follow. Who hears it says that it died.
            let _closed_already = socket.shutdown(Shutdown::Both);
        }
    }

    fn ask(&self, run: RunId, spec: LaunchSpec, in_line: bool) {
        self.say(&Command::Start { run, spec, in_line });
    }
}

struct Greeted {
    socket: UnixStream,
    reader: BufReader<UnixStream>,
    welcome: Box<Welcome>,
    child: Option<Child>,
}

type Outputs = HashMap<RunId, Arc<RemoteFiles>>;

fn kept(process: i32, run: RunNow, outputs: &mut Outputs) -> KeptRun {
    let RunNow { run, started_at, files, out_of_memory, end, progress } = run;
    let started = started_at.map(|at| {
        let logs = files.map_or_else(LogReader::empty, |files| {
            let files = RemoteFiles::new(process, files);
            match &end {
                Some(RunEnd::Exited { silent: true, .. }) => files.are_empty(),
                Some(_) => {}
                None => drop(outputs.insert(run, files.clone())),
            }
            LogReader::of_another(files)
        });
        (at, logs)
    });
    let end = end.map(|end| match end {
        RunEnd::Exited { exit, at, .. } => Ok((exit, at)),
        RunEnd::NotStarted { fault } => Err(StartError::from(fault)),
    });
    KeptRun { run, started, out_of_memory, end, progress }
}

/// The thread that hears what the supervisor says.
struct Ears<S> {
    reader: BufReader<UnixStream>,
    process: i32,
    outputs: Outputs,
    sink: S,
    shared: Arc<Shared>,
    /// If it was started by this process, which has to reap it.
    child: Option<Child>,
}

impl<S: EventSink> Ears<S> {
    fn listen(mut self) {
        let mut list = Vec::new();
        loop {
            match read_frame(&mut self.reader, &mut list) {
                Ok(Some(())) => {}
                Ok(None) => break,
                Err(error) => {
                    tracing::error!(%error, "hearing what the supervisor says");
                    break;
                }
            }
            match words::<Report>(&list) {
                Ok(reports) => reports.into_iter().for_each(|report| self.heard(report)),
                Err(error) => tracing::error!(%error, "the supervisor cannot be understood"),
            }
        }
        // The sign of its end is the socket's; its exit follows.
        let _reaped = self.child.as_mut().map(Child::wait);
        *self.shared.gone.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.changed.notify_all();
        if !self.shared.ending.load(Ordering::Acquire) {
            self.sink.deliver(RuntimeEvent::Died);
        }
    }

    fn heard(&mut self, report: Report) {
        let event = match report {
            Report::Welcome(_) => return,
            Report::Started { run, at, files } => {
                let logs = files.map_or_else(LogReader::empty, |files| {
                    let files = RemoteFiles::new(self.process, files);
                    self.outputs.insert(run, files.clone());
                    LogReader::of_another(files)
                });
                RuntimeEvent::Started { run, at, logs }
            }
            Report::NotStarted { run, fault } => {
                RuntimeEvent::NotStarted { run, error: fault.into() }
            }
            Report::OutOfMemory { run } => RuntimeEvent::OutOfMemory { run },
            Report::Exited { run, exit, at, silent } => {
                if let Some(files) = self.outputs.remove(&run).filter(|_| silent) {
                    files.are_empty();
                }
                RuntimeEvent::Exited { run, exit, at }
            }
            Report::Overfull { pod, message } => {
                RuntimeEvent::Overfull { pod: pod.into(), message }
            }
        };
        self.sink.deliver(event);
    }
}

impl Runtime for SupervisedRuntime {
    fn start(&self, run: RunId, spec: LaunchSpec) -> Result<(), StartError> {
        self.ask(run, spec, false);
        Ok(())
    }

    fn line_up(&self, run: RunId, spec: LaunchSpec) -> Result<(), StartError> {
        self.ask(run, spec, true);
        Ok(())
    }

    fn set_places(&self, places: usize) {
        self.say(&Command::Places { places });
    }

    fn terminate(&self, run: RunId) {
        self.say(&Command::Terminate { run });
    }

    fn kill(&self, run: RunId) {
        self.say(&Command::Kill { run });
    }

    /// The supervisor does, by itself.
    fn freeze_all(&self) {}

    /// The supervisor does, by itself.
    fn thaw_all(&self) {}

    fn abilities(&self) -> Abilities {
        self.abilities
    }

    fn clear_away(&self, pod: Arc<str>) {
        self.say(&Command::ClearAway { pod: (*pod).to_owned() });
    }

    fn kill_all(&self) {
        self.say(&Command::KillAll);
        self.flush();
    }

    fn life(&self) -> Option<Incarnation> {
        Some(self.life)
    }

    fn has_kept(&self) -> bool {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().is_some_and(|kept| !kept.notes.is_empty() || !kept.runs.is_empty())
    }

    fn is_current(&self) -> bool {
        self.is_current
    }

    fn kept(&self) -> Kept {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.take().unwrap_or_default()
    }

    fn note(&self, pod: &str, note: Box<RawValue>) {
        self.say(&Command::Note { pod: pod.to_owned(), note });
    }

    fn forget(&self, pod: Option<&str>, runs: &[RunId]) {
        self.say(&Command::Forget { pod: pod.map(ToOwned::to_owned), runs: runs.to_vec() });
    }

    fn release(&self, runs: &[RunId]) {
        self.say(&Command::Release { runs: runs.to_vec() });
    }

    fn progress(&self, run: RunId, progress: Progress) {
        self.say_now(&Command::Progress { run, progress });
    }

    fn prove(&self, until_ms: i64) {
        self.say_now(&Command::Prove { until_ms });
    }

    fn is_last(&self) {
        self.say_now(&Command::Last);
    }

    fn flush(&self) {
        let frame = self.out().take();
        frame.iter().for_each(|frame| self.write(frame));
    }

    fn close(&self) {
        self.shared.ending.store(true, Ordering::Release);
        self.say(&Command::End);
        self.flush();
        let gone = self.shared.gone.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.shared.changed.wait_timeout_while(gone, END, |gone| !*gone);
        let (gone, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if !*gone {
            tracing::error!("the supervisor does not end");
        }
    }
}

impl Drop for SupervisedRuntime {
    /// The supervisor goes on; the thread that hears it ends.
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::Release);
        self.flush();
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        let _closed_already = socket.shutdown(Shutdown::Both);
    }
}
