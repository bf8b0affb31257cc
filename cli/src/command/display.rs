//! Progress on standard error: a bar on a terminal, lines elsewhere.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle as Template};
use tokio::time::{Instant, sleep_until};

use crate::args::ProgressStyle;
use crate::output::progress::{Pace, Progress};

/// Lines do not come faster than this.
const LINE_EVERY: Duration = Duration::from_secs(2);
/// How often the bar moves although nothing happened.
const TICK: Duration = Duration::from_millis(120);

/// Where progress goes.
pub(super) struct Display {
    name: String,
    form: Form,
}

enum Form {
    Bar(ProgressBar),
    Lines(Lines),
    Nothing,
}

#[derive(Default)]
struct Lines {
    waiting: Option<String>,
    last: String,
    not_before: Option<Instant>,
}

impl Display {
    pub(super) fn new(style: ProgressStyle, name: &str) -> Self {
        let form = match style {
            ProgressStyle::Auto if std::io::stderr().is_terminal() => Form::Bar(bar(name)),
            ProgressStyle::Bar => Form::Bar(bar(name)),
            ProgressStyle::Auto | ProgressStyle::Lines => Form::Lines(Lines::default()),
            ProgressStyle::None => Form::Nothing,
        };
        Self { name: name.to_owned(), form }
    }

    /// Shows how far the Job is; lines wait for their time.
    pub(super) fn show(&mut self, progress: &Progress, pace: &Pace) {
        match &mut self.form {
            Form::Bar(bar) => {
                bar.set_length(progress.total.unwrap_or(0).max(progress.succeeded));
                bar.set_position(progress.succeeded);
                bar.set_message(format!("{}{}", progress.counts(), progress.speed(pace)));
            }
            Form::Lines(lines) => {
                lines.waiting = Some(progress.line(&self.name, pace));
                if lines.not_before.is_none_or(|time| time <= Instant::now()) {
                    self.flush();
                }
            }
            Form::Nothing => {}
        }
    }

    /// Waits until a line may be printed that waits for its time.
    pub(super) async fn due(&self) {
        match &self.form {
            Form::Lines(Lines { waiting: Some(_), not_before: Some(time), .. }) => {
                sleep_until(*time).await;
            }
            Form::Bar(_) | Form::Lines(_) | Form::Nothing => std::future::pending().await,
        }
    }

    /// Prints the line that waits.
    pub(super) fn flush(&mut self) {
        let Form::Lines(lines) = &mut self.form else { return };
        if let Some(line) = lines.waiting.take().filter(|line| *line != lines.last) {
            eprintln!("{line}");
            lines.last = line;
            lines.not_before = Some(Instant::now() + LINE_EVERY);
        }
    }

    /// Prints something that stays.
    pub(super) fn print(&mut self, text: &str) {
        match &self.form {
            Form::Bar(bar) => bar.suspend(|| eprint!("{text}")),
            Form::Lines(_) => {
                self.flush();
                eprint!("{text}");
            }
            Form::Nothing => {}
        }
    }

    /// Takes away what does not stay.
    pub(super) fn clear(&mut self) {
        match &self.form {
            Form::Bar(bar) => bar.finish_and_clear(),
            Form::Lines(_) => self.flush(),
            Form::Nothing => {}
        }
    }
}

fn bar(name: &str) -> ProgressBar {
    let bar = ProgressBar::new(0);
    let template = "{spinner} {prefix} {wide_bar:.green} {msg} [{elapsed}]";
    if let Ok(template) = Template::with_template(template) {
        bar.set_style(template.progress_chars("█▉▊▋▌▍▎▏ "));
    }
    bar.set_prefix(format!("job/{name}"));
    bar.enable_steady_tick(TICK);
    bar
}
