//! `stint top`: looks every other second, and draws what it saw.

use std::io::{IsTerminal as _, Write as _};

use stint_common::names::ALL_NAMESPACES;
use stint_common::time::now;

use super::print::out;
use super::session::Session;
use crate::args::TopArgs;
use crate::client::{Call, Error, PAGE};
use crate::exit::Exit;
use crate::output::explain::by_node;
use crate::output::job::JobView;
use crate::output::nodes::TAKEN;
use crate::output::style::{Style, terminal_height};
use crate::output::top::{Before, Moment, render};
use crate::signals::Interrupts;

/// Pages of pods that workers have: a screen is not worth more.
const POD_PAGES: usize = 20;
/// Pages of Jobs.
const JOB_PAGES: usize = 10;
/// Lines of a screen whose size is not known.
const LINES: usize = 40;
/// To the other screen and back, so that what stood there stays.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// To the top, and away with what is below.
const HOME: &str = "\x1b[H\x1b[J";

pub(super) async fn run(args: TopArgs) -> anyhow::Result<Exit> {
    let session = Session::open(&args.connect).await?;
    let live = std::io::stdout().is_terminal() && !args.once;
    let style = Style::of_stdout();
    if !live {
        let moment = look(&session, &args).await?;
        out(&render(&moment, &Before::default(), now(), LINES, style))?;
        return Ok(Exit::Success);
    }
    let mut interrupts = Interrupts::listen()?;
    let _screen = Screen::enter()?;
    let mut before = Before::default();
    loop {
        let moment = tokio::select! {
            moment = look(&session, &args) => moment,
            () = interrupts.next() => return Ok(Exit::Success),
        };
        let at = now();
        let text = match &moment {
            Ok(moment) => render(moment, &before, at, terminal_height(), style),
            Err(error) if error.is_transient() => format!("{error}; looking again\n"),
            Err(_) => return Ok(moment.map(|_| Exit::Success)?),
        };
        if let Ok(moment) = &moment {
            before = Before::of(moment, at);
        }
        out(&format!("{HOME}{text}"))?;
        std::io::stdout().flush()?;
        tokio::select! {
            () = tokio::time::sleep(args.every) => {}
            () = interrupts.next() => return Ok(Exit::Success),
        }
    }
}

/// The terminal's other screen, left when dropped.
struct Screen;

impl Screen {
    fn enter() -> std::io::Result<Self> {
        out(ENTER)?;
        Ok(Self)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // If it cannot be written to there is nothing to be left.
        drop(out(LEAVE));
    }
}

async fn look(session: &Session, args: &TopArgs) -> Result<Moment, Error> {
    let of = |resource: &str, namespace: &str| Call::new("list", resource, namespace);
    let nodes = session.list(of("nodes", ALL_NAMESPACES), 0).await?;
    let pods = of("pods", ALL_NAMESPACES).option("fieldSelector", TAKEN);
    let pods = session.list_pages(pods, PAGE, POD_PAGES).await?;
    let namespace = args.only.as_deref().unwrap_or(ALL_NAMESPACES);
    let mut jobs = session.list_pages(of("jobs", namespace), PAGE, JOB_PAGES).await?;
    let more_jobs = jobs.len() >= PAGE * JOB_PAGES;
    jobs.retain(|job| JobView(job).end().is_none());
    Ok(Moment { nodes, running: by_node(&pods), jobs, more_jobs })
}
