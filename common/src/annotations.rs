//! Annotations by which a Job asks for what Kubernetes does not have, and what their texts mean.
//!
//! Their prefix lies under `internal`, which is nobody's domain and never will be.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::backoff::Backoff;
use crate::index_set::IndexSet;

/// A name under the prefix.
macro_rules! own {
    ($name:literal) => {
        concat!("stint", ".internal/", $name)
    };
}

/// What all of them begin with.
pub const PREFIX: &str = own!("");
/// The delay after the first failure, such as `1s`.
pub const BACKOFF_BASE: &str = own!("backoff-base");
/// The longest delay, such as `1h`.
pub const BACKOFF_CAP: &str = own!("backoff-cap");
/// How long the Job is kept if it fails, in place of `ttlSecondsAfterFinished`.
pub const TTL_AFTER_FAILED: &str = own!("ttl-seconds-after-failed");
/// Names of Jobs of the same namespace that must be complete before this one starts.
pub const DEPENDS_ON: &str = own!("depends-on");
/// The only indexes that an Indexed Job runs.
pub const INDEXES: &str = own!("indexes");
/// The Job that this one runs again. Says where it came from, and nothing else.
pub const RERUN_OF: &str = own!("rerun-of");
/// The uid of that Job.
pub const RERUN_OF_UID: &str = own!("rerun-of-uid");

/// When a pod came into being, was claimed, started and finished, to the microsecond: on pods as
/// the API shows them, whose other times are whole seconds. `created=… claimed=… started=…
/// finished=…`, as far as known.
pub const TIMES: &str = own!("times");

/// How many pods that ask for nothing a worker runs at a time: on its Node.
pub const PLACES: &str = own!("places");

/// Type of the condition of a Job that waits for those that it depends on.
pub const WAITING_CONDITION: &str = own!("Waiting");
/// Condition of a Node: its worker has heard that it is to take no more pods.
pub const DRAINING_CONDITION: &str = own!("Draining");

/// All there are.
pub const KNOWN: [&str; 7] =
    [BACKOFF_BASE, BACKOFF_CAP, TTL_AFTER_FAILED, DEPENDS_ON, INDEXES, RERUN_OF, RERUN_OF_UID];

/// No delay may be longer: a day.
pub const MAX_BACKOFF: Duration = Duration::from_secs(24 * 60 * 60);
/// A Job depends on so many others at most: their names are in its condition's message.
pub const MAX_DEPENDENCIES: usize = 32;

/// What a Job's annotations ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extensions {
    /// The delays before failed pods are replaced.
    pub backoff: Backoff,
    /// How long the Job is kept if it fails.
    pub ttl_seconds_after_failed: Option<u64>,
    /// Names of Jobs that must be complete first, as given.
    pub depends_on: Vec<String>,
    /// The only indexes that run.
    pub indexes: Option<IndexSet>,
}

impl Default for Extensions {
    fn default() -> Self {
        Self {
            backoff: Backoff::POD_FAILURE,
            ttl_seconds_after_failed: None,
            depends_on: Vec::new(),
            indexes: None,
        }
    }
}

impl Extensions {
    /// Reads annotations; what cannot be read is told to `fault`, by its key, and counts as not
    /// said.
    pub fn read(
        annotations: Option<&BTreeMap<String, String>>,
        mut fault: impl FnMut(&str, &dyn fmt::Display),
    ) -> Self {
        let Some(annotations) = annotations else { return Self::default() };
        let read = |key: &'static str| Reader { key, text: annotations.get(key) };
        let base = read(BACKOFF_BASE).parse(parse_delay, &mut fault);
        let cap = read(BACKOFF_CAP).parse(parse_delay, &mut fault);
        if let (Some(base), Some(cap)) = (base, cap)
            && base > cap
        {
            fault(BACKOFF_CAP, &format_args!("must not be less than {BACKOFF_BASE}"));
        }
        Self {
            backoff: backoff(base, cap),
            ttl_seconds_after_failed: read(TTL_AFTER_FAILED).parse(parse_seconds, &mut fault),
            depends_on: read(DEPENDS_ON).parse(parse_names, &mut fault).unwrap_or_default(),
            indexes: read(INDEXES).parse(parse_indexes, &mut fault),
        }
    }
}

/// One of the two alone moves the other out of its way.
fn backoff(base: Option<Duration>, cap: Option<Duration>) -> Backoff {
    let default = Backoff::POD_FAILURE;
    match (base, cap) {
        (Some(base), Some(cap)) => Backoff { base: base.min(cap), cap },
        (Some(base), None) => Backoff { base, cap: default.cap.max(base) },
        (None, Some(cap)) => Backoff { base: default.base.min(cap), cap },
        (None, None) => default,
    }
}

struct Reader<'a> {
    key: &'static str,
    text: Option<&'a String>,
}

impl Reader<'_> {
    fn parse<T>(
        &self,
        parse: impl FnOnce(&str) -> Result<T, String>,
        fault: &mut impl FnMut(&str, &dyn fmt::Display),
    ) -> Option<T> {
        let outcome = parse(self.text?);
        outcome.map_err(|detail| fault(self.key, &detail)).ok()
    }
}

fn parse_delay(text: &str) -> Result<Duration, String> {
    let delay = parse_time(text)
        .ok_or_else(|| "must be a time, such as 500ms, 10s, 5m, 1h30m".to_owned())?;
    if delay > MAX_BACKOFF {
        return Err(format!("must not be more than {}h", MAX_BACKOFF.as_secs() / 3600));
    }
    Ok(delay)
}

fn parse_seconds(text: &str) -> Result<u64, String> {
    // No larger than `ttlSecondsAfterFinished` can be.
    let seconds = text.parse::<u64>().ok().filter(|seconds| i32::try_from(*seconds).is_ok());
    seconds.ok_or_else(|| format!("must be a number of seconds from 0 to {}", i32::MAX))
}

fn parse_names(text: &str) -> Result<Vec<String>, String> {
    let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
    if names.iter().any(String::is_empty) {
        return Err("must be names of Jobs of this namespace, separated by commas".to_owned());
    }
    if names.len() > MAX_DEPENDENCIES {
        return Err(format!("must have at most {MAX_DEPENDENCIES} names"));
    }
    let twice = names.iter().enumerate().find(|(place, name)| names[..*place].contains(name));
    match twice {
        Some((_, name)) => Err(format!("names {name} twice")),
        None => Ok(names),
    }
}

fn parse_indexes(text: &str) -> Result<IndexSet, String> {
    let indexes: IndexSet =
        text.parse().map_err(|error| format!("must be indexes, such as 1,3-5: {error}"))?;
    if indexes.is_empty() {
        return Err("must name at least one index".to_owned());
    }
    Ok(indexes)
}

/// Reads `500ms`, `10s`, `5m`, `1h30m`: whole numbers with units, the larger units first.
#[must_use]
pub fn parse_time(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut least = u64::MAX;
    let mut rest = text;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        let letters = rest[digits..].find(|letter: char| letter.is_ascii_digit());
        let end = letters.map_or(rest.len(), |letters| digits + letters);
        let unit = match &rest[digits..end] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60 * 1000,
            "h" => 60 * 60 * 1000,
            _ => return None,
        };
        if unit >= least {
            return None;
        }
        least = unit;
        total = total.checked_add(Duration::from_millis(number.checked_mul(unit)?))?;
        rest = &rest[end..];
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> (Extensions, Vec<String>) {
        let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let annotations: BTreeMap<String, String> = pairs.collect();
        let mut faults = Vec::new();
        let read = Extensions::read(Some(&annotations), |key, detail| {
            faults.push(format!("{key}: {detail}"));
        });
        (read, faults)
    }

    #[test]
    fn times_are_numbers_with_units() {
        let check = |text, expect: Option<u64>| {
            assert_eq!(parse_time(text), expect.map(Duration::from_millis), "{text}");
        };
        check("500ms", Some(500));
        check("0s", Some(0));
        check("10s", Some(10_000));
        check("1h30m", Some(5_400_000));
        check("1m1s1ms", Some(61_001));
        for wrong in ["", "10", "s", "1s1m", "1s1s", "1.5s", "-1s", "1 s", "1d", "99999999999999h"]
        {
            check(wrong, None);
        }
    }

    #[test]
    fn nothing_said_is_what_kubernetes_does() {
        assert_eq!(Extensions::read(None, |_, _| panic!()), Extensions::default());
        assert_eq!(read(&[("example.com/x", "y")]), (Extensions::default(), Vec::new()));
    }

    #[test]
    fn one_delay_alone_moves_the_other_out_of_its_way() {
        let delays = |pairs: &[(&str, &str)]| {
            let (read, faults) = read(pairs);
            assert!(faults.is_empty(), "{faults:?}");
            (read.backoff.base.as_secs(), read.backoff.cap.as_secs())
        };
        assert_eq!(delays(&[(BACKOFF_BASE, "1s")]), (1, 600));
        assert_eq!(delays(&[(BACKOFF_BASE, "1h")]), (3600, 3600));
        assert_eq!(delays(&[(BACKOFF_CAP, "5s")]), (5, 5));
        assert_eq!(delays(&[(BACKOFF_BASE, "2s"), (BACKOFF_CAP, "1m")]), (2, 60));
    }

    #[test]
    fn everything_that_is_wrong_is_said() {
        let (_, faults) = read(&[
            (BACKOFF_BASE, "1m"),
            (BACKOFF_CAP, "1s"),
            (TTL_AFTER_FAILED, "-1"),
            (DEPENDS_ON, "a, b,a"),
            (INDEXES, "3-1"),
        ]);
        assert_eq!(
            faults,
            [
                "stint.internal/backoff-cap: must not be less than stint.internal/backoff-base",
                "stint.internal/ttl-seconds-after-failed: must be a number of seconds from 0 to \
                 2147483647",
                "stint.internal/depends-on: names a twice",
                "stint.internal/indexes: must be indexes, such as 1,3-5: non-increasing order, \
                 previous: 3, current: 1",
            ]
        );
        assert_eq!(read(&[(DEPENDS_ON, "a, b")]).0.depends_on, ["a", "b"]);
        assert_eq!(read(&[(DEPENDS_ON, "a,,b")]).1.len(), 1);
        assert_eq!(read(&[(INDEXES, "")]).1.len(), 1);
        assert_eq!(read(&[(BACKOFF_CAP, "25h")]).1.len(), 1);
    }
}
