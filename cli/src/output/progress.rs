//! How far a Job is, how fast it goes, and how it ended: in words.

use std::collections::VecDeque;
use std::time::Duration;

use stint_common::time::human_seconds;

use super::job::{End, JobView};
use super::style::Style;

/// Over how long the speed is measured.
const WINDOW: Duration = Duration::from_secs(10);
/// Over less than this a speed says nothing.
const SHORTEST: Duration = Duration::from_secs(1);
/// Samples kept of it; a flood of updates is thinned out.
const SAMPLES: usize = 256;

/// How far a Job is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Pods or indexes that succeeded.
    pub succeeded: u64,
    /// Pods that failed.
    pub failed: u64,
    /// Pods that are pending or running.
    pub active: u64,
    /// Pods that run.
    pub ready: u64,
    /// How many have to succeed; nothing for a work queue.
    pub total: Option<u64>,
    /// `Running`, `Suspended`, `Complete`…
    pub status: &'static str,
}

impl Progress {
    /// Reads it from a Job.
    #[must_use]
    pub fn read(job: JobView<'_>) -> Self {
        Self {
            succeeded: job.count("succeeded"),
            failed: job.count("failed"),
            active: job.count("active"),
            ready: job.count("ready"),
            total: job.completions(),
            status: job.status(),
        }
    }

    /// Pods that have ended.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.succeeded + self.failed
    }

    /// `3/10 succeeded, 2 running, 1 failed`.
    #[must_use]
    pub fn counts(&self) -> String {
        let succeeded = match self.total {
            Some(total) => format!("{}/{total} succeeded", self.succeeded),
            None => format!("{} succeeded", self.succeeded),
        };
        let mut text = succeeded;
        let pending = self.active.saturating_sub(self.ready);
        for (count, word) in
            [(self.ready, "running"), (pending, "pending"), (self.failed, "failed")]
        {
            if count > 0 {
                text.push_str(&format!(", {count} {word}"));
            }
        }
        text
    }

    /// One line of progress, with speed and time left when they are known.
    #[must_use]
    pub fn line(&self, name: &str, pace: &Pace) -> String {
        let state =
            if self.status == "Running" { String::new() } else { format!(" {}:", self.status) };
        format!("job/{name}:{state} {}{}", self.counts(), self.speed(pace))
    }

    /// `, 4.0 pods/s, about 12s left`; empty when nothing is known.
    #[must_use]
    pub fn speed(&self, pace: &Pace) -> String {
        let (ended, succeeded) = pace.rates();
        if ended <= 0.0 {
            return String::new();
        }
        let left = self.total.map_or(0, |total| total.saturating_sub(self.succeeded));
        // Failed pods bring nothing nearer to its end.
        let seconds = if left == 0 || succeeded <= 0.0 { 0.0 } else { float(left) / succeeded };
        let eta = Duration::try_from_secs_f64(seconds).unwrap_or_default().as_secs();
        let eta =
            if eta == 0 { String::new() } else { format!(", about {} left", human_seconds(eta)) };
        format!(", {} pods/s{eta}", rate_text(ended))
    }
}

/// How fast pods end, over the last seconds.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    samples: VecDeque<Sample>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Duration,
    ended: u64,
    succeeded: u64,
}

impl Pace {
    /// Notes how many pods had ended at a time, counted from any fixed beginning.
    pub fn note(&mut self, at: Duration, progress: &Progress) {
        let oldest_needed = at.saturating_sub(WINDOW);
        // One sample from before the window stays: the window begins there.
        while self.samples.get(1).is_some_and(|sample| sample.at <= oldest_needed)
            || self.samples.len() >= SAMPLES
        {
            self.samples.pop_front();
        }
        let (ended, succeeded) = (progress.ended(), progress.succeeded);
        self.samples.push_back(Sample { at, ended, succeeded });
    }

    /// Pods a second that ended, and that succeeded; zero while too little is known.
    #[must_use]
    pub fn rates(&self) -> (f64, f64) {
        let (Some(from), Some(to)) = (self.samples.front(), self.samples.back()) else {
            return (0.0, 0.0);
        };
        let time = to.at.saturating_sub(from.at);
        if time < SHORTEST {
            return (0.0, 0.0);
        }
        let rate = |before: u64, now: u64| per_second(now.saturating_sub(before), time);
        (rate(from.ended, to.ended), rate(from.succeeded, to.succeeded))
    }
}

/// How many a second; zero when no time has passed.
#[must_use]
pub fn per_second(count: u64, time: Duration) -> f64 {
    let seconds = time.as_secs_f64();
    if seconds < 0.001 { 0.0 } else { float(count) / seconds }
}

/// Exact up to 2^32, which is more than a Job can have.
fn float(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// `1234`, `12.3`, `0.25`: three digits that mean something.
#[must_use]
pub fn rate_text(rate: f64) -> String {
    match rate {
        rate if rate >= 100.0 => format!("{rate:.0}"),
        rate if rate >= 1.0 => format!("{rate:.1}"),
        rate => format!("{rate:.2}"),
    }
}

/// `850 ms`, `12.3 s`, `4m10s`.
#[must_use]
pub fn wall_text(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{} ms", time.as_millis()),
        1..=119 => format!("{:.1} s", time.as_secs_f64()),
        seconds => human_seconds(seconds),
    }
}

/// What is said when a Job has ended: outcome, counts, wall time, speed, trace.
#[must_use]
pub fn outcome(job: JobView<'_>, end: &End, wall: Duration, trace: &str, style: Style) -> String {
    let progress = Progress::read(job);
    let word = match end {
        End::Complete => style.good("complete"),
        End::Failed(..) => style.bad("failed"),
    };
    let rate = rate_text(per_second(progress.ended(), wall));
    let mut text = format!(
        "job/{} {word}: {} succeeded, {} failed, in {} ({rate} pods/s), trace {trace}\n",
        job.name(),
        progress.succeeded,
        progress.failed,
        wall_text(wall),
    );
    if let End::Failed(reason, message) = end {
        text.push_str(&format!("  {reason}: {message}\n"));
    }
    if let Some(indexes) = job.0["status"]["failedIndexes"].as_str().filter(|text| !text.is_empty())
    {
        text.push_str(&format!("  failed indexes: {indexes}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn job(status: Value) -> Value {
        json!({"metadata": {"name": "pi"}, "spec": {"completions": 10}, "status": status})
    }

    fn counted(succeeded: u64, failed: u64) -> Progress {
        Progress { succeeded, failed, ..Progress::default() }
    }

    #[test]
    fn a_line_says_what_is_known() {
        let running = job(json!({"succeeded": 3, "active": 4, "ready": 2, "failed": 1}));
        let progress = Progress::read(JobView(&running));
        let mut pace = Pace::default();
        let counts = "job/pi: 3/10 succeeded, 2 running, 2 pending, 1 failed";
        assert_eq!(progress.line("pi", &pace), counts);
        pace.note(Duration::ZERO, &counted(0, 0));
        pace.note(Duration::from_millis(900), &counted(3, 1));
        assert_eq!(progress.line("pi", &pace), counts);
        pace.note(Duration::from_secs(2), &counted(4, 0));
        assert_eq!(progress.line("pi", &pace), format!("{counts}, 2.0 pods/s, about 3s left"));
        let suspended = job(json!({"conditions": [{"type": "Suspended", "status": "True"}]}));
        let progress = Progress::read(JobView(&suspended));
        assert_eq!(progress.line("pi", &Pace::default()), "job/pi: Suspended: 0/10 succeeded");
    }

    #[test]
    fn the_pace_is_that_of_the_last_seconds() {
        let mut pace = Pace::default();
        let mut note =
            |seconds: u64, ended| pace.note(Duration::from_secs(seconds), &counted(ended, 0));
        (0..60).for_each(|second| note(second, second * 100));
        assert!((pace.rates().0 - 100.0).abs() < 1e-9);
        let mut note =
            |seconds: u64, ended| pace.note(Duration::from_secs(seconds), &counted(ended, 0));
        (60..80).for_each(|second| note(second, 6000));
        assert!(pace.rates().0 < 1e-9);
        let millis = (0..1000).map(|step| Duration::from_millis(80_000 + step));
        millis.for_each(|at| pace.note(at, &counted(6000, 0)));
        assert!(pace.samples.len() <= SAMPLES);
    }

    #[test]
    fn an_end_says_everything() {
        let status = json!({"succeeded": 9, "failed": 2, "failedIndexes": "4"});
        let end = End::Failed("FailedIndexes".to_owned(), "Job has failed indexes".to_owned());
        let wall = Duration::from_millis(5500);
        let text = outcome(JobView(&job(status)), &end, wall, "abc", Style::Plain);
        let expect = "job/pi failed: 9 succeeded, 2 failed, in 5.5 s (2.0 pods/s), trace abc\n  \
                      FailedIndexes: Job has failed indexes\n  failed indexes: 4\n";
        assert_eq!(text, expect);
    }

    #[test]
    fn numbers_have_three_digits() {
        assert_eq!(
            [rate_text(1234.5), rate_text(12.34), rate_text(0.251)],
            ["1234", "12.3", "0.25"]
        );
        let wall = |millis| wall_text(Duration::from_millis(millis));
        assert_eq!([wall(850), wall(12_340), wall(250_000)], ["850 ms", "12.3 s", "4m10s"]);
    }
}
