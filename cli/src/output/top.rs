//! How busy workers and Jobs are, a screen of it.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::Value;
use stint_common::time::{human_seconds, since};

use super::count::counted;
use super::job::JobView;
use super::nodes::NodeView;
use super::style::Style;

/// Columns of a bar.
const BAR: usize = 20;
/// Workers that are shown at most; the fullest come first.
const WORKERS: usize = 12;
/// Lines that are not workers' or Jobs'.
const OTHERS: usize = 6;

/// What was seen at one moment.
#[derive(Clone, Debug, Default)]
pub struct Moment {
    /// The workers.
    pub nodes: Vec<Value>,
    /// How many pods run on each.
    pub running: Vec<(String, u64)>,
    /// Jobs that have not ended.
    pub jobs: Vec<Value>,
    /// More Jobs than were asked for.
    pub more_jobs: bool,
}

/// Counters of Jobs at an earlier moment, by uid: rates follow.
#[derive(Clone, Debug, Default)]
pub struct Before {
    at: Option<Timestamp>,
    ended: HashMap<String, u64>,
}

impl Before {
    /// As things stand now.
    #[must_use]
    pub fn of(moment: &Moment, now: Timestamp) -> Self {
        let ended = moment.jobs.iter().map(JobView);
        let ended = ended.map(|job| (job.uid().to_owned(), ended_pods(job))).collect();
        Self { at: Some(now), ended }
    }

    /// Ends a second of one Job.
    fn rate(&self, job: JobView<'_>, now: Timestamp) -> Option<f64> {
        let seconds = since(now, self.at?).as_secs_f64();
        let before = self.ended.get(job.uid())?;
        let ended = ended_pods(job).saturating_sub(*before);
        #[expect(clippy::cast_precision_loss, reason = "a rate, shown with one digit")]
        let ended = ended as f64;
        (seconds > 0.0).then_some(ended / seconds)
    }
}

fn ended_pods(job: JobView<'_>) -> u64 {
    job.count("succeeded") + job.count("failed")
}

/// A screen of at most `height` lines.
#[must_use]
pub fn render(
    moment: &Moment,
    before: &Before,
    now: Timestamp,
    height: usize,
    style: Style,
) -> String {
    let nodes: Vec<NodeView<'_>> = moment.nodes.iter().map(NodeView).collect();
    let mut text = head(moment, &nodes, before, now, style);
    let mut by_load: Vec<NodeView<'_>> = nodes.clone();
    by_load.sort_by_key(|node| {
        (!node.is_ready(), std::cmp::Reverse(node.running(&moment.running)), node.name())
    });
    let workers = WORKERS.min(height.saturating_sub(OTHERS) / 2).max(1);
    let width = nodes.iter().map(|node| node.name().chars().count()).max().unwrap_or(0);
    for node in by_load.iter().take(workers) {
        text.push_str(&worker(*node, &moment.running, width, style));
    }
    if by_load.len() > workers {
        text.push_str(&style.dim(&format!("… {} more\n", by_load.len() - workers)));
    }
    let shown = by_load.len().min(workers) + usize::from(by_load.len() > workers);
    text + &jobs(moment, before, now, height.saturating_sub(OTHERS + shown).max(3), style)
}

fn head(
    moment: &Moment,
    nodes: &[NodeView<'_>],
    before: &Before,
    now: Timestamp,
    style: Style,
) -> String {
    let ready = nodes.iter().filter(|node| node.is_ready()).count();
    let slots: u64 = nodes.iter().filter(|node| node.is_ready()).map(|node| node.slots()).sum();
    let running: u64 = moment.running.iter().map(|(_, count)| count).sum();
    let jobs = moment.jobs.iter().map(JobView);
    let wanted: u64 = jobs.clone().map(|job| job.count("active")).sum();
    // The sum of nothing is -0.
    let rate = 0.0 + jobs.filter_map(|job| before.rate(job, now)).sum::<f64>();
    let more = if moment.more_jobs { " and more" } else { "" };
    let lead = format!(
        "{ready} of {} ready   {running} of {} taken   {} waiting   {:.1} pods/s   {}{more}",
        counted(nodes.len(), "worker"),
        counted(slots, "place"),
        counted(wanted.saturating_sub(running), "pod"),
        rate,
        counted(moment.jobs.len(), "open Job"),
    );
    format!("{}\n\n", style.strong(&lead))
}

fn worker(node: NodeView<'_>, running: &[(String, u64)], width: usize, style: Style) -> String {
    let (count, slots) = (node.running(running), node.slots().max(1));
    let filled = usize::try_from(count * BAR as u64 / slots).unwrap_or(BAR).min(BAR);
    let bar = format!("{}{}", "█".repeat(filled), "·".repeat(BAR - filled));
    let name = format!("{:width$}", node.name());
    let status = node.status();
    let (bar, status) = match status.as_str() {
        "Ready" => (style.good(&bar), String::new()),
        _ => (style.dim(&bar), style.bad(&status)),
    };
    format!("{name}  {bar}  {:>7}  {status}", format!("{count}/{}", node.slots()))
        .trim_end()
        .to_owned()
        + "\n"
}

fn jobs(moment: &Moment, before: &Before, now: Timestamp, most: usize, style: Style) -> String {
    let mut jobs: Vec<JobView<'_>> = moment.jobs.iter().map(JobView).collect();
    jobs.sort_by_key(|job| {
        (std::cmp::Reverse(job.count("active")), job.namespace().to_owned(), job.name().to_owned())
    });
    let heading = ["JOB", "STATUS", "COMPLETE", "ACTIVE", "READY", "FAILED", "PODS/S", "LEFT"];
    let rows: Vec<Vec<String>> = jobs
        .iter()
        .take(most)
        .map(|job| {
            let rate = before.rate(*job, now);
            vec![
                format!("{}/{}", job.namespace(), job.name()),
                job.status().to_owned(),
                job.completions_text(),
                job.count("active").to_string(),
                job.count("ready").to_string(),
                job.count("failed").to_string(),
                rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}")),
                left(*job, rate).unwrap_or_else(|| "-".to_owned()),
            ]
        })
        .collect();
    if rows.is_empty() {
        return style.dim("\nno Job is open\n");
    }
    let table = super::table::Table::default().render(&heading, &rows);
    let more = jobs.len().saturating_sub(most);
    let more = if more > 0 { style.dim(&format!("… {more} more\n")) } else { String::new() };
    format!("\n{table}{more}")
}

/// How long it will take at this rate.
fn left(job: JobView<'_>, rate: Option<f64>) -> Option<String> {
    let rate = rate.filter(|rate| *rate > 0.0)?;
    let left = job.completions()?.saturating_sub(job.count("succeeded"));
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate; never negative"
    )]
    let seconds = (left as f64 / rate).ceil() as u64;
    Some(human_seconds(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn moment(succeeded: u64) -> Moment {
        let node = |name: &str, ready: &str| {
            json!({"metadata": {"name": name}, "status": {"capacity": {"pods": "4"},
                "conditions": [{"type": "Ready", "status": ready}]}})
        };
        Moment {
            nodes: vec![node("w-1", "True"), node("w-2", "True"), node("w-3", "Unknown")],
            running: vec![("w-2".to_owned(), 2)],
            jobs: vec![
                json!({"metadata": {"name": "idle", "namespace": "a", "uid": "1"}}),
                json!({"metadata": {"name": "busy", "namespace": "a", "uid": "2"},
                    "spec": {"completions": 100},
                    "status": {"active": 5, "ready": 2, "succeeded": succeeded}}),
            ],
            more_jobs: false,
        }
    }

    #[test]
    fn the_busiest_come_first() {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let later = "2026-01-01T00:00:02Z".parse().unwrap();
        let before = Before::of(&moment(10), start);
        let text = render(&moment(30), &before, later, 24, Style::Plain);
        let expect = "\
2 of 3 workers ready   2 of 8 places taken   3 pods waiting   10.0 pods/s   2 open Jobs

w-2  ██████████··········      2/4
w-1  ····················      0/4
w-3  ····················      0/4  Lost

JOB      STATUS    COMPLETE   ACTIVE   READY   FAILED   PODS/S   LEFT
a/busy   Running   30/100     5        2       0        10.0     7s
a/idle   Running   0/1        0        0       0        0.0      -
";
        assert_eq!(text, expect);
        let short = render(&moment(30), &Before::default(), later, 5, Style::Plain);
        assert!(short.contains("… 2 more"), "{short}");
    }
}
