//! Pods that failed: one with its reason and last words, many by reason.

use std::collections::BTreeMap;

use serde_json::Value;

use super::pod::PodView;
use super::style::Style;

/// Indexes that are named in a summary line before it says `…`.
const NAMED: usize = 8;

/// One failed pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its name.
    pub pod: String,
    /// Its completion index, if it has one.
    pub index: Option<u32>,
    /// Which attempt it was.
    pub attempt: Option<u32>,
    /// Where it ran.
    pub node: Option<String>,
    /// What happened: `exit code 3`, `OOMKilled (exit code 137)`, `DeadlineExceeded`.
    pub what: String,
    /// The container that failed.
    pub container: Option<String>,
}

impl Failure {
    /// Reads it from a pod that failed.
    #[must_use]
    pub fn read(pod: PodView<'_>) -> Self {
        let failed = pod.containers().chain(pod.init_containers()).find(|container| {
            container["state"]["terminated"]["exitCode"].as_i64().is_some_and(|code| code != 0)
        });
        let reason = pod.0["status"]["reason"].as_str().filter(|reason| !reason.is_empty());
        let message = pod.0["status"]["message"].as_str().filter(|message| !message.is_empty());
        let what = match (reason, failed) {
            (Some(reason), _) => {
                message.map_or_else(|| reason.to_owned(), |text| format!("{reason}: {text}"))
            }
            (None, Some(container)) => container_end(&container["state"]["terminated"]),
            (None, None) => "failed".to_owned(),
        };
        Self {
            pod: pod.name().to_owned(),
            index: pod.index(),
            attempt: pod.attempt(),
            node: pod.node().map(str::to_owned),
            what,
            container: failed.and_then(|c| c["name"].as_str()).map(str::to_owned),
        }
    }

    /// The pod's line, and under it the last lines of its standard error.
    #[must_use]
    pub fn render(&self, stderr: &str, style: Style) -> String {
        let mut place = match self.index {
            Some(index) => format!("index {index}"),
            None => self.pod.clone(),
        };
        if let Some(attempt) = self.attempt {
            place.push_str(&format!(", attempt {attempt}"));
        }
        if let Some(node) = &self.node {
            place.push_str(&format!(" on {node}"));
        }
        let mut text = format!("{} {place}: {}\n", style.bad("failed"), self.what);
        for line in stderr.lines() {
            text.push_str(&format!("    {} {line}\n", style.dim("|")));
        }
        text
    }
}

/// `exit code 3`, `OOMKilled (exit code 137)`, `StartError: no such file`.
fn container_end(terminated: &Value) -> String {
    let reason = terminated["reason"].as_str().unwrap_or_default();
    let message = terminated["message"].as_str().unwrap_or_default().trim();
    let exit = match terminated["signal"].as_u64().filter(|signal| *signal != 0) {
        Some(signal) => format!("signal {signal}"),
        None => format!("exit code {}", terminated["exitCode"]),
    };
    match (reason, message) {
        ("" | "Error", _) => exit,
        (reason, "") => format!("{reason} ({exit})"),
        (reason, message) => format!("{reason}: {message}"),
    }
}

/// Failures grouped by what happened, the most frequent first; one line each.
#[must_use]
pub fn summary(failures: &[Failure]) -> String {
    let mut groups: BTreeMap<&str, Vec<&Failure>> = BTreeMap::new();
    for failure in failures {
        groups.entry(&failure.what).or_default().push(failure);
    }
    let mut groups: Vec<(&str, Vec<&Failure>)> = groups.into_iter().collect();
    groups.sort_by_key(|(_, members)| std::cmp::Reverse(members.len()));
    groups.iter().map(|(what, members)| group_line(what, members)).collect()
}

fn group_line(what: &str, members: &[&Failure]) -> String {
    let mut indexes: Vec<u32> = members.iter().filter_map(|failure| failure.index).collect();
    indexes.sort_unstable();
    indexes.dedup();
    let named: Vec<String> = indexes.iter().take(NAMED).map(u32::to_string).collect();
    let more = if indexes.len() > NAMED { ",…" } else { "" };
    let place = if named.is_empty() {
        String::new()
    } else {
        format!(" (index {}{more})", named.join(","))
    };
    format!("  {} × {what}{place}\n", members.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn failure(index: u32, what: &str) -> Failure {
        Failure {
            pod: format!("pi-{index}-abcde"),
            index: Some(index),
            attempt: Some(0),
            node: Some("vm-1".to_owned()),
            what: what.to_owned(),
            container: None,
        }
    }

    fn what(terminated: Value) -> String {
        let pod = json!({"status": {"containerStatuses": [
            {"name": "ok", "state": {"terminated": {"exitCode": 0}}},
            {"name": "main", "state": {"terminated": terminated}}]}});
        let failure = Failure::read(PodView(&pod));
        assert_eq!(failure.container.as_deref(), Some("main"));
        failure.what
    }

    #[test]
    fn a_failure_says_what_happened() {
        assert_eq!(what(json!({"exitCode": 3, "reason": "Error"})), "exit code 3");
        assert_eq!(what(json!({"exitCode": 137, "signal": 9, "reason": "Error"})), "signal 9");
        assert_eq!(
            what(json!({"exitCode": 137, "reason": "OOMKilled"})),
            "OOMKilled (exit code 137)"
        );
        let start = json!({"exitCode": 128, "reason": "StartError", "message": "no such file\n"});
        assert_eq!(what(start), "StartError: no such file");
        let lost = json!({"status": {"reason": "WorkerLost", "message": "lease ran out"}});
        assert_eq!(Failure::read(PodView(&lost)).what, "WorkerLost: lease ran out");
    }

    #[test]
    fn its_last_words_stand_under_it() {
        let text = failure(7, "exit code 3").render("one\ntwo\n", Style::Plain);
        assert_eq!(text, "failed index 7, attempt 0 on vm-1: exit code 3\n    | one\n    | two\n");
    }

    #[test]
    fn many_are_grouped() {
        let mut failures: Vec<Failure> =
            (0..10).map(|index| failure(index, "exit code 3")).collect();
        failures.push(failure(3, "signal 9"));
        let text = "  10 × exit code 3 (index 0,1,2,3,4,5,6,7,…)\n  1 × signal 9 (index 3)\n";
        assert_eq!(summary(&failures), text);
        assert_eq!(summary(&[]), "");
    }
}
