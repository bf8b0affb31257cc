//! The tree, for people: what matters of a Job of any size.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use stint_common::time::{human_seconds, since};

use super::path::Step;
use super::read::{Fate, JobTrace, PodTrace};
use crate::output::count::counted;
use crate::output::style::Style;

/// Slots that are shown of a large Job: what fits a screen or two.
const SHOWN: usize = 40;
/// Of these, as many that failed.
const FAILED: usize = 20;
/// Of these, as many of the slowest.
const SLOWEST: usize = 5;
/// Steps of the critical path that are named.
const STEPS: usize = 8;
/// Shorter bars say nothing.
const SHORTEST_BAR: usize = 12;
/// Columns kept for what stands behind a bar.
const END: usize = 18;
/// Longer ones say no more.
const LONGEST_BAR: usize = 60;

/// How to show it.
#[derive(Clone, Copy, Debug)]
pub struct Show {
    /// Every pod, however many there are.
    pub all: bool,
    /// Columns of the terminal; without one there are no bars.
    pub width: Option<usize>,
    /// Colour.
    pub style: Style,
}

/// The attempts of one index, or of one internal slot.
struct Slot<'a> {
    attempts: Vec<(usize, &'a PodTrace)>,
}

impl Slot<'_> {
    fn has_failed(&self) -> bool {
        self.attempts.iter().any(|(_, pod)| pod.fate == Fate::Failed)
    }

    fn is_open(&self) -> bool {
        self.attempts.iter().any(|(_, pod)| pod.fate == Fate::Open)
    }

    fn longest(&self, now: Timestamp) -> Duration {
        self.attempts.iter().filter_map(|(_, pod)| pod.ran(now)).max().unwrap_or_default()
    }
}

/// The whole text.
#[must_use]
pub fn render(job: &JobTrace, pods: &[PodTrace], path: &[Step], show: Show) -> String {
    let slots = slots(pods);
    let chosen = choose(&slots, path, job.until, show.all);
    let mut text = head(job, pods, show.style);
    text += &critical(job, pods, path, show.style);
    let rest: Vec<&PodTrace> = slots
        .iter()
        .enumerate()
        .filter(|(place, _)| !chosen.contains(place))
        .flat_map(|(_, slot)| slot.attempts.iter().map(|(_, pod)| *pod))
        .collect();
    let on_path: BTreeSet<usize> = path.iter().map(|step| step.pod).collect();
    let tree = Tree::new(job, show, chosen.iter().map(|place| &slots[*place]));
    for (number, place) in chosen.iter().enumerate() {
        let last = number + 1 == chosen.len() && rest.is_empty();
        tree.slot(&slots[*place], last, &on_path, &mut text);
    }
    if !rest.is_empty() {
        let branch = if show.width.is_some() { "└─ " } else { "  " };
        let rest = summary(&rest, job.until);
        let _ = writeln!(text, "{}", show.style.dim(&format!("{branch}{rest}")));
    }
    text
}

fn slots(pods: &[PodTrace]) -> Vec<Slot<'_>> {
    let mut slots: BTreeMap<(u32, &str), Vec<(usize, &PodTrace)>> = BTreeMap::new();
    for (place, pod) in pods.iter().enumerate() {
        let key = match pod.slot {
            Some(slot) => (slot, ""),
            None => (u32::MAX, pod.name.as_str()),
        };
        slots.entry(key).or_default().push((place, pod));
    }
    let mut slots: Vec<Slot<'_>> = slots.into_values().map(|attempts| Slot { attempts }).collect();
    slots.iter_mut().for_each(|slot| slot.attempts.sort_by_key(|(_, pod)| pod.attempt));
    slots
}

/// Which slots are shown, in their order: those that failed, those that the end waited for, those
/// that go on, the slowest; then as many others as there is room for.
fn choose(slots: &[Slot<'_>], path: &[Step], now: Timestamp, all: bool) -> BTreeSet<usize> {
    if all || slots.len() <= SHOWN {
        return (0..slots.len()).collect();
    }
    let mut chosen = BTreeSet::new();
    let on_path: BTreeSet<usize> = path.iter().rev().take(STEPS).map(|step| step.pod).collect();
    let has = |slot: &Slot<'_>| slot.attempts.iter().any(|(place, _)| on_path.contains(place));
    let places = || slots.iter().enumerate();
    chosen.extend(places().filter(|(_, slot)| slot.has_failed()).map(|(at, _)| at).take(FAILED));
    chosen.extend(places().filter(|(_, slot)| has(slot)).map(|(at, _)| at));
    let mut by_time: Vec<usize> = (0..slots.len()).collect();
    by_time.sort_by_key(|at| std::cmp::Reverse(slots[*at].longest(now)));
    chosen.extend(by_time.into_iter().take(SLOWEST));
    let open = places().filter(|(_, slot)| slot.is_open()).map(|(at, _)| at);
    for at in open.chain(0..slots.len()) {
        if chosen.len() >= SHOWN {
            break;
        }
        chosen.insert(at);
    }
    chosen
}

fn head(job: &JobTrace, pods: &[PodTrace], style: Style) -> String {
    let took = short(since(job.until, job.created));
    let status = match job.status {
        "Complete" => style.good(job.status),
        "Failed" => style.bad(job.status),
        other => other.to_owned(),
    };
    let word = if job.over { "after" } else { "since" };
    let mut text = format!("job {}  {status} {word} {took}\n", style.strong(&job.name));
    if let Some(why) = &job.why {
        let _ = writeln!(text, "  {}", style.bad(why));
    }
    if let Some(trace) = &job.trace {
        let own = format!("  trace {trace}, unless its submitter gave it another");
        let _ = writeln!(text, "{}", style.dim(&own));
    }
    let workers: BTreeSet<&str> = pods.iter().filter_map(|pod| pod.node.as_deref()).collect();
    let retries = pods.iter().filter(|pod| pod.attempt > 0).count();
    let open = pods.iter().filter(|pod| pod.fate == Fate::Open).count();
    let _ = writeln!(
        text,
        "  {}: {} succeeded, {} failed, {open} open; {}; on {}",
        counted(pods.len(), "pod"),
        job.succeeded,
        job.failed,
        counted(retries, "retry"),
        counted(workers.len(), "worker"),
    );
    let queued = spread(pods.iter().filter_map(PodTrace::queued));
    let ran = spread(pods.iter().filter_map(|pod| pod.ran(job.until)));
    for (what, spread) in [("wait in the queue", queued), ("run time", ran)] {
        if let Some(spread) = spread {
            let _ = writeln!(text, "  {what}: {spread}");
        }
    }
    text
}

fn critical(job: &JobTrace, pods: &[PodTrace], path: &[Step], style: Style) -> String {
    if path.is_empty() {
        return String::new();
    }
    let sum = |part: fn(&Step) -> Duration| short(path.iter().map(part).sum());
    let mut text = format!(
        "  critical path: {}, {} of running and {} of waiting\n",
        counted(path.len(), "pod"),
        sum(|step| step.ran),
        sum(|step| step.waited),
    );
    if path.len() > STEPS {
        let _ = writeln!(text, "    … {} before", path.len() - STEPS);
    }
    for step in &path[path.len().saturating_sub(STEPS)..] {
        let pod = &pods[step.pod];
        let attempt =
            if pod.attempt > 0 { format!(" (attempt {})", pod.attempt) } else { String::new() };
        let why = pod.what.as_ref().map(|what| format!(", {}", style.bad(what)));
        let _ = writeln!(
            text,
            "    {}{attempt}: waited {}, ran {}{}",
            pod.place(),
            short(step.waited),
            short(step.ran),
            why.unwrap_or_default(),
        );
    }
    let _ = job;
    text
}

/// What is the same for all lines.
struct Tree<'a> {
    job: &'a JobTrace,
    show: Show,
    place_width: usize,
    node_width: usize,
    bar: Option<usize>,
}

impl<'a> Tree<'a> {
    fn new<'s>(
        job: &'a JobTrace,
        show: Show,
        slots: impl Iterator<Item = &'s Slot<'s>> + Clone,
    ) -> Self {
        let pods = || slots.clone().flat_map(|slot| slot.attempts.iter().map(|(_, pod)| *pod));
        let width = |text: &str| text.chars().count();
        let place_width = pods().map(|pod| width(&pod.place())).max().unwrap_or(0).max(12);
        let node = |pod: &PodTrace| pod.node.as_deref().map_or(1, width);
        let node_width = pods().map(node).max().unwrap_or(0);
        // Branch, place, two times, the worker, the frame of the bar, and a mark behind it.
        let others = 3 + place_width + 2 + 8 + 2 + 15 + 2 + node_width + 2 + 2;
        let room = show.width.map(|width| width.saturating_sub(others + END));
        let bar = room.filter(|room| *room >= SHORTEST_BAR).map(|room| room.min(LONGEST_BAR));
        Self { job, show, place_width, node_width, bar }
    }

    fn slot(&self, slot: &Slot<'_>, last: bool, on_path: &BTreeSet<usize>, text: &mut String) {
        let drawn = self.show.width.is_some();
        for (number, (place, pod)) in slot.attempts.iter().enumerate() {
            let branch = match (drawn, number, last) {
                (false, 0, _) => "  ",
                (false, ..) => "    ",
                (true, 0, false) => "├─ ",
                (true, 0, true) => "└─ ",
                (true, _, false) => "│  ",
                (true, _, true) => "   ",
            };
            let what = match (number, pod.attempt) {
                (0, 0) => pod.place(),
                (0, attempt) => format!("{} ({attempt})", pod.place()),
                (_, attempt) => format!("attempt {attempt}"),
            };
            text.push_str(branch);
            // Deeper lines are as wide as the others.
            let width = self.place_width - branch.chars().count() + 3;
            let line = self.line(&format!("{what:width$}"), pod, on_path.contains(place));
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }

    fn line(&self, what: &str, pod: &PodTrace, critical: bool) -> String {
        let style = self.show.style;
        let ran = pod.ran(self.job.until).map_or_else(|| "-".to_owned(), short);
        let queued = match pod.queued() {
            Some(queued) => format!("queued {}", short(queued)),
            None => "waits".to_owned(),
        };
        let node = pod.node.as_deref().unwrap_or("-");
        let width = self.node_width;
        let mut line = format!("{what}  {ran:>8}  {queued:<15}  {node:width$}");
        if let Some(bar) = self.bar {
            let _ = write!(line, "  {}", self.bar_of(pod, bar));
        }
        let end = match (pod.fate, &pod.what) {
            (Fate::Failed, Some(what)) => style.bad(&format!("✗ {what}")),
            (Fate::Failed, None) => style.bad("✗ failed"),
            (Fate::Open, _) if pod.started.is_some() => "running".to_owned(),
            (Fate::Open, _) => "waiting".to_owned(),
            (Fate::Succeeded, _) => style.good("✓"),
        };
        let _ = write!(line, "  {end}");
        if pod.restarts > 0 {
            let _ = write!(line, "  {}", counted(pod.restarts, "restart"));
        }
        if critical {
            let _ = write!(line, "  {}", style.strong("◆"));
        }
        line
    }

    /// Where in the Job's time the pod waited and ran.
    fn bar_of(&self, pod: &PodTrace, width: usize) -> String {
        let whole = since(self.job.until, self.job.created).as_secs_f64().max(1e-6);
        let at = |time: Timestamp| {
            let share = since(time, self.job.created).as_secs_f64() / whole;
            let columns = u32::try_from(width).unwrap_or(0);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "between 0 and the width"
            )]
            let column = (share.clamp(0.0, 1.0) * f64::from(columns)) as usize;
            column.min(width - 1)
        };
        let end = pod.finished.unwrap_or(self.job.until);
        let created = at(pod.created);
        let started = at(pod.started.unwrap_or(end)).max(created);
        let mut cells: Vec<char> = vec![' '; width];
        cells[created..started].fill('·');
        let mut ran = String::new();
        if pod.started.is_some() {
            let last = at(end).max(started);
            ran = "█".repeat(last - started + 1);
            cells.truncate(started);
        }
        let (before, after) = match ran.chars().count() {
            0 => (cells.iter().collect::<String>(), 0),
            count => (cells.iter().collect(), width.saturating_sub(started + count)),
        };
        let ran = match pod.fate {
            Fate::Failed => self.show.style.bad(&ran),
            Fate::Succeeded => self.show.style.good(&ran),
            Fate::Open => ran,
        };
        format!("▕{before}{ran}{}▏", " ".repeat(after))
    }
}

fn summary(rest: &[&PodTrace], now: Timestamp) -> String {
    let of = |fate: Fate| rest.iter().filter(move |pod| pod.fate == fate).count();
    let mut parts = Vec::new();
    for (fate, word) in
        [(Fate::Succeeded, "succeeded"), (Fate::Failed, "failed"), (Fate::Open, "open")]
    {
        if of(fate) > 0 {
            parts.push(format!("{} {word}", of(fate)));
        }
    }
    let ran = spread(rest.iter().filter_map(|pod| pod.ran(now)));
    let ran = ran.map(|spread| format!("; run time: {spread}")).unwrap_or_default();
    format!("{} more: {}{ran} (--all shows them)", counted(rest.len(), "pod"), parts.join(", "))
}

/// `1.2s median, 2.0s at 99 %, 2.4s at most`.
fn spread(times: impl Iterator<Item = Duration>) -> Option<String> {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    let last = times.last().copied()?;
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
    if times.len() == 1 {
        return Some(short(last));
    }
    let high =
        if times.len() >= 100 { format!(", {} at 99 %", short(at(99))) } else { String::new() };
    Some(format!("{} median{high}, {} at most", short(at(50)), short(last)))
}

/// `850µs`, `12ms`, `3.25s`, `2m5s`.
fn short(duration: Duration) -> String {
    match duration.as_millis() {
        0 if duration.is_zero() => "0".to_owned(),
        0 => format!("{}µs", duration.as_micros()),
        millis @ 1..1000 => format!("{millis}ms"),
        1000..60_000 => format!("{:.2}s", duration.as_secs_f64()),
        _ => human_seconds(duration.as_secs()),
    }
}

#[cfg(test)]
mod tests;
