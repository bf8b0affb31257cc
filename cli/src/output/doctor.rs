//! What is well with an installation, what is not, and which promises hold on it. Pure: answers in,
//! findings out.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::count::{counted, do_so};
use super::nodes::NodeView;
use super::style::Style;

mod judge;

pub use judge::judge;

/// How good it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Cannot be told from here.
    Unknown,
    /// Works, and could be better.
    Warning,
    /// Somebody must act.
    Bad,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What was looked at.
    pub about: &'static str,
    /// How good it is.
    pub level: Level,
    /// What was seen.
    pub what: String,
    /// What can be done about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Whether a promise of the README holds here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Promise {
    /// Its number.
    pub number: u8,
    /// What it says, in short.
    pub what: &'static str,
    /// Whether it holds; absent if that cannot be told.
    pub holds: Option<bool>,
    /// Why, or under which condition.
    pub why: String,
}

/// Everything that was found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// In the order in which it was looked at.
    pub findings: Vec<Finding>,
    /// All five.
    pub promises: Vec<Promise>,
}

/// What was seen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Where.
    pub url: String,
    /// Of the server that answers.
    pub server_version: String,
    /// Time of one round trip.
    pub round_trip: Duration,
    /// `JetStream`'s answer to `INFO`, or why there is none.
    pub account: Result<Value, String>,
    /// The streams by name: `STREAM.INFO`, or why there is none.
    pub streams: Vec<(String, Result<Value, String>)>,
    /// Consumers of the work queue.
    pub consumers: Result<Vec<Value>, String>,
    /// How far the server's clock is ahead of ours, in milliseconds.
    pub skew_ms: Option<i64>,
    /// Coordinators that answered.
    pub coordinators: Vec<Value>,
    /// The owner's lease, and how old its last renewal is by the server's clock.
    pub owner: Result<Option<(Value, Duration)>, String>,
    /// How long the API took for one small list, or why it did not answer.
    pub api: Result<Duration, String>,
    /// The workers.
    pub nodes: Vec<Value>,
    /// What nat-server's monitoring says of JetStream's settings, if it was asked.
    pub monitor: Option<Result<Value, String>>,
    /// This program's version.
    pub own_version: &'static str,
}

impl Report {
    /// Whether somebody must act.
    #[must_use]
    pub fn is_bad(&self) -> bool {
        self.findings.iter().any(|finding| finding.level == Level::Bad)
    }

    /// For people.
    #[must_use]
    pub fn render(&self, style: Style) -> String {
        let mut text = String::new();
        for finding in &self.findings {
            let mark = match finding.level {
                Level::Ok => style.good("ok     "),
                Level::Unknown => style.dim("unknown"),
                Level::Warning => style.strong("warning"),
                Level::Bad => style.bad("BAD    "),
            };
            text.push_str(&format!("{mark}  {:<14}  {}\n", finding.about, finding.what));
            if let Some(next) = &finding.next {
                text.push_str(&format!("{:25}{}\n", "", style.dim(next)));
            }
        }
        text.push_str("\nPromises on this installation:\n");
        for promise in &self.promises {
            let mark = match promise.holds {
                Some(true) => style.good("holds  "),
                Some(false) => style.bad("BROKEN "),
                None => style.dim("unknown"),
            };
            let Promise { number, what, why, .. } = promise;
            let why = if why.is_empty() { String::new() } else { format!(": {why}") };
            text.push_str(&format!("{mark}  {number}. {what}{why}\n"));
        }
        text
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

#[cfg(test)]
mod tests;
