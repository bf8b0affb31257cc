//! The supervisor's whole life: one loop over its socket, its bell and its deadline.

use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::setsid;
use tokio::signal::unix::{SignalKind, signal};

use super::deadline::{Deadline, Turn, boottime_ms};
use super::find::{Config, FindError, Place};
use super::keep::Keep;
use super::peer::Peer;
use super::wire::{Command, Frame, PROTOCOL, Report, Welcome};
use crate::runtime::process::{self, ProcessRuntime};
use crate::runtime::{Abilities, Runtime as _, RuntimeEvent};

/// The name of the hidden subcommand.
pub const SUBCOMMAND: &str = "__supervise";
/// Written once it listens.
pub(super) const READY: u8 = b'!';
/// The deadline is looked at this often: far below the grace that a lost worker is given.
const LOOK: Duration = Duration::from_millis(250);
/// While runs stand in line, the agent has enough to do: what it is told waits this long for
/// company, and one write serves many runs.
const GATHER: Duration = Duration::from_millis(2);
/// Without an agent and with nothing to keep for one, it is of no use any more.
const IDLE: Duration = Duration::from_secs(10);

/// The supervisor's whole life. `args` are those after the subcommand: its [`Config`] as JSON. A
/// byte on standard output says that it listens. To be called on a second thread, as
/// [`with_main_thread`](process::with_main_thread) does it.
#[must_use]
pub fn main(args: &[String]) -> ExitCode {
    stint_common::telemetry::init_log("info", false);
    match start(args).map(Server::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let error: &dyn std::error::Error = &error;
            tracing::error!(error, "the supervisor cannot start");
            ExitCode::FAILURE
        }
    }
}

fn start(args: &[String]) -> Result<Server, FindError> {
    let system = |what| move |source: io::Error| FindError::System { what, source };
    let config: Option<Config> =
        args.first().and_then(|text| serde_json::from_str(text).ok()).filter(|_| args.len() == 1);
    let config = config.ok_or(FindError::Arguments)?;
    // Signals to the agent's group and a closed terminal do not reach it.
    let _leader = setsid();
    pass_over_signals().map_err(system("taking over signals"))?;
    let place = Place::new(&config.data_dir).map_err(system("opening the data directory"))?;
    let lock = place.lock()?;
    let keep = Keep::new().map_err(|errno| system("making a bell")(errno.into()))?;
    let keep = Arc::new(keep);
    let sink = keep.clone();
    let runtime = process::Config {
        host_paths: config.host_paths,
        agent: Some(nix::unistd::getppid().as_raw()).filter(|pid| *pid > 1),
        ..process::Config::new(config.data_dir.clone(), config.life)
    };
    let runtime = ProcessRuntime::open(runtime, move |event: RuntimeEvent| sink.heard(event))?;
    let abilities = runtime.abilities();
    let listener = place.listen().map_err(system("listening on a socket"))?;
    let mut ready = io::stdout();
    let said = ready.write_all(&[READY]).and_then(|()| ready.flush());
    said.map_err(system("saying that it listens"))?;
    Ok(Server {
        keep,
        runtime,
        abilities,
        listener,
        life: config.life,
        data_dir: config.data_dir,
        agent: None,
        deadline: Deadline::default(),
        alone_since: Instant::now(),
        send_at: None,
        has_last_agent: false,
        over: false,
        _lock: lock,
    })
}

/// What would end this process is passed over. Neither blocked nor ignored, since pods would
/// inherit that, and not heed a TERM: it has handlers, which stay when nobody listens any more.
fn pass_over_signals() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _in_it = runtime.enter();
    let kinds = [
        SignalKind::terminate(),
        SignalKind::interrupt(),
        SignalKind::hangup(),
        SignalKind::quit(),
    ];
    kinds.into_iter().try_for_each(|kind| signal(kind).map(drop))
}

struct Server {
    keep: Arc<Keep>,
    runtime: ProcessRuntime,
    abilities: Abilities,
    listener: UnixListener,
    life: stint_common::id::Incarnation,
    data_dir: PathBuf,
    agent: Option<Peer>,
    deadline: Deadline,
    /// When the last agent left.
    alone_since: Instant,
    /// Reports wait for company until then.
    send_at: Option<Instant>,
    has_last_agent: bool,
    over: bool,
    _lock: std::fs::File,
}

impl Server {
    fn run(mut self) {
        while !self.over {
            match self.wait() {
                Ok(Woken { listener, agent, bell }) => {
                    if bell {
                        let crowded = self.runtime.in_line() > 0;
                        let pause = if crowded { GATHER } else { Duration::ZERO };
                        self.send_at.get_or_insert(Instant::now() + pause);
                    }
                    if agent {
                        self.listen_to_agent();
                    }
                    if listener {
                        self.accept();
                    }
                }
                Err(error) => tracing::error!(%error, "waiting for something to do"),
            }
            if self.send_at.is_some_and(|at| at <= Instant::now()) {
                self.send_at = None;
                self.report();
            }
            self.send();
            self.look();
        }
        // What is left is killed; the agent sees the end of the socket when nothing is.
        drop(self.runtime);
        tracing::info!("the supervisor has ended, and nothing of its pods is left");
    }

    fn wait(&self) -> io::Result<Woken> {
        let gathering = self.send_at.is_some();
        let bell = if gathering { PollFlags::empty() } else { PollFlags::POLLIN };
        let mut interest = PollFlags::POLLIN;
        if self.agent.as_ref().is_some_and(Peer::has_more) {
            interest |= PollFlags::POLLOUT;
        }
        let mut waited = vec![
            PollFd::new(self.listener.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.keep.bell(), bell),
        ];
        waited.extend(self.agent.as_ref().map(|peer| PollFd::new(peer.socket.as_fd(), interest)));
        let left = self.send_at.map(|at| at.saturating_duration_since(Instant::now()));
        // Rounded up: a wait of less than a millisecond would be none.
        let left = left.map_or(LOOK, |left| left + Duration::from_micros(999));
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
        match poll(&mut waited, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let woken = |index: usize| waited.get(index).is_some_and(|it| it.any() == Some(true));
        Ok(Woken { listener: woken(0), bell: woken(1) && !gathering, agent: woken(2) })
    }

    fn accept(&mut self) {
        let peer = self.listener.accept().and_then(|(socket, _)| Peer::new(socket));
        match peer {
            Ok(peer) => {
                // Only one has the data directory's lock: the one before is dead.
                self.keep.left();
                self.agent = Some(peer);
            }
            Err(error) => tracing::error!(%error, "taking a connection"),
        }
    }

    fn listen_to_agent(&mut self) {
        let received = self.agent.as_mut().map(Peer::receive);
        match received {
            Some(Ok(Some(commands))) => {
                for command in commands {
                    self.carry_out(command);
                }
            }
            Some(Ok(None)) => self.agent_left(),
            Some(Err(error)) => {
                tracing::error!(%error, "the agent cannot be understood");
                self.agent_left();
            }
            None => {}
        }
    }

    fn agent_left(&mut self) {
        self.agent = None;
        self.keep.left();
        self.send_at = None;
        self.alone_since = Instant::now();
        if self.has_last_agent {
            tracing::warn!("the last agent is gone: what is left of its pods is killed");
            self.over = true;
            return;
        }
        self.runtime.agent_left();
        tracing::info!("the agent is gone; its pods go on");
    }

    fn carry_out(&mut self, command: Command) {
        let runtime = &self.runtime;
        match command {
            Command::Hello { protocol } => self.welcome(protocol),
            Command::Note { pod, note } => self.keep.note(pod, note),
            Command::Start { run, spec, in_line } => {
                self.keep.asked(run);
                let asked =
                    if in_line { runtime.line_up(run, spec) } else { runtime.start(run, spec) };
                if let Err(error) = asked {
                    self.keep.not_taken(run, error);
                }
            }
            Command::Places { places } => runtime.set_places(places),
            Command::Terminate { run } => runtime.terminate(run),
            Command::Kill { run } => runtime.kill(run),
            Command::KillAll => runtime.kill_all(),
            Command::Release { runs } => self.keep.release(&runs),
            Command::Forget { pod, runs } => self.keep.forget(pod.as_deref(), &runs),
            Command::Progress { run, progress } => self.keep.progress(run, progress),
            Command::ClearAway { pod } => runtime.clear_away(pod.into()),
            Command::Prove { until_ms } => {
                self.deadline.prove(until_ms);
                runtime.prove(until_ms);
                self.look_at_deadline();
            }
            Command::Last => self.has_last_agent = true,
            Command::End => self.over = true,
        }
    }

    fn welcome(&mut self, protocol: u32) {
        tracing::info!(protocol, "an agent is there");
        self.runtime.agent_came();
        let (notes, runs, last_run) = self.keep.welcome();
        let welcome = Welcome {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            process: nix::unistd::getpid().as_raw(),
            life: self.life,
            abilities: self.abilities,
            notes,
            runs,
            last_run,
        };
        let mut frame = Frame::default();
        frame.add(&Report::Welcome(Box::new(welcome)));
        if let Some(peer) = &mut self.agent {
            peer.welcomed = true;
            frame.take().iter().for_each(|frame| peer.queue(frame));
        }
    }

    /// What the runtime has said since the last time goes out in one frame.
    fn report(&mut self) {
        let reports = self.keep.take_waiting();
        let mut frame = Frame::default();
        reports.iter().for_each(|report| frame.add(report));
        if let Some(peer) = self.agent.as_mut().filter(|peer| peer.welcomed) {
            frame.take().iter().for_each(|frame| peer.queue(frame));
        }
    }

    fn send(&mut self) {
        if let Some(Err(error)) = self.agent.as_mut().map(Peer::send) {
            tracing::info!(%error, "telling the agent");
            self.agent_left();
        }
    }

    fn look(&mut self) {
        self.look_at_deadline();
        let alone = self.agent.is_none() && self.alone_since.elapsed() >= IDLE;
        if alone && self.keep.is_empty() {
            tracing::info!("nobody needs this supervisor");
            self.over = true;
        }
        if self.agent.is_none() && !self.data_dir.exists() {
            tracing::error!("the data directory is gone");
            self.over = true;
        }
    }

    fn look_at_deadline(&mut self) {
        match self.deadline.look(boottime_ms()) {
            Turn::None => {}
            Turn::Freeze => {
                self.runtime.freeze_all();
                tracing::warn!("no proof of the lease: pods are frozen until it is back");
            }
            Turn::Thaw => {
                self.runtime.thaw_all();
                tracing::info!("the lease is proven: pods go on");
            }
            Turn::GiveUp => {
                tracing::error!("no proof of the lease for too long: pods are killed");
                self.over = true;
            }
        }
    }
}

/// What there is to be done.
struct Woken {
    listener: bool,
    agent: bool,
    bell: bool,
}
