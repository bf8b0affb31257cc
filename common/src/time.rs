//! The only callers of a clock, and Kubernetes' form of a time.
//!
//! Pure code takes `now` as an argument; edges get it here.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use nix::time::{ClockId, clock_gettime};
/// The monotonic clock: tokio's, which stands still while nothing happens in a simulation.
pub use tokio::time::Instant;

/// The wall clock, now.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place that asks the clock")]
pub fn now() -> Timestamp {
    #[cfg(feature = "test-util")]
    if let Some(stage) = crate::stage::current() {
        return stage.now();
    }
    Timestamp::now()
}

/// Milliseconds on a clock that goes on while the machine sleeps: what leases count on.
#[must_use]
pub fn boottime_ms() -> i64 {
    #[cfg(feature = "test-util")]
    if let Some(stage) = crate::stage::current() {
        return stage.boottime_ms();
    }
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default();
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// What a clock may be off for reasons of its own.
const TOLERANCE: SignedDuration = SignedDuration::from_millis(100);

/// The time of day, for whatever waits: it goes on evenly when the machine's clock is set, until
/// somebody [asks](Self::was_set) and sets all that waits with it.
#[derive(Clone, Copy, Debug)]
pub struct WallClock {
    /// What it is before the time since the machine's start.
    ahead_ms: i64,
}

impl WallClock {
    /// As the machine's clock is now.
    #[must_use]
    pub fn look() -> Self {
        Self { ahead_ms: now().as_millisecond() - boottime_ms() }
    }

    /// The time by it.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let millis = self.ahead_ms.saturating_add(boottime_ms());
        Timestamp::from_millisecond(millis).unwrap_or_else(|_| now())
    }

    /// What another process of this machine has to know to make sense of times of this one.
    #[must_use]
    pub fn ahead_ms(&self) -> i64 {
        self.ahead_ms
    }

    /// By how much the clock was set since `ahead_ms` held, if it was.
    #[must_use]
    pub fn set_since(&self, ahead_ms: i64) -> Option<SignedDuration> {
        let by = SignedDuration::from_millis(self.ahead_ms.saturating_sub(ahead_ms));
        (by.abs() > TOLERANCE).then_some(by)
    }

    /// By how much the machine's clock was set since it was last asked, if it was. From now on this
    /// one goes by it.
    pub fn was_set(&mut self) -> Option<SignedDuration> {
        let found = Self::look();
        let by = found.set_since(self.ahead_ms)?;
        *self = found;
        Some(by)
    }

    /// When something happened, as somebody says whose clock may have been set meanwhile.
    #[must_use]
    pub fn not_to_come(&self, at: Timestamp) -> Timestamp {
        let now = self.now();
        let to_come = at.duration_since(now) > TOLERANCE;
        if to_come { now } else { at }
    }
}

/// The time cut to whole seconds: `metav1::Time` holds no more, and a status written with more
/// never settles.
#[must_use]
pub fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// Kubernetes' text form of a time: RFC 3339 in UTC, whole seconds.
#[must_use]
pub fn format_seconds(time: Timestamp) -> String {
    whole_seconds(time).to_string()
}

/// A nanosecond count since 1970 (JetStream's message time) as a timestamp; out of range
/// gives 1970.
#[must_use]
pub fn from_nanos(nanos: i64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(nanos)).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// How long after `earlier` `later` is; zero when it is not after it.
#[must_use]
pub fn since(later: Timestamp, earlier: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(earlier)).unwrap_or(Duration::ZERO)
}

/// `time + duration`, held at the end of time instead of overflowing.
#[must_use]
pub fn after(time: Timestamp, duration: Duration) -> Timestamp {
    time.checked_add(duration).unwrap_or(Timestamp::MAX)
}

/// `duration.HumanDuration` of Kubernetes: two units at most, and only one when it is long.
#[must_use]
pub fn human_seconds(seconds: u64) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let (minutes, hours, days) = (seconds / MINUTE, seconds / HOUR, seconds / DAY);
    if seconds < 2 * MINUTE {
        format!("{seconds}s")
    } else if minutes < 10 {
        two(minutes, "m", seconds % MINUTE, "s")
    } else if minutes < 180 {
        format!("{minutes}m")
    } else if hours < 8 {
        two(hours, "h", minutes % 60, "m")
    } else if hours < 48 {
        format!("{hours}h")
    } else if hours < 192 {
        two(days, "d", hours % 24, "h")
    } else if days < 730 {
        format!("{days}d")
    } else if days < 2920 {
        two(days / 365, "y", days % 365, "d")
    } else {
        format!("{}y", days / 365)
    }
}

fn two(first: u64, unit: &str, second: u64, smaller: &str) -> String {
    if second == 0 { format!("{first}{unit}") } else { format!("{first}{unit}{second}{smaller}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_kubectls() {
        let cases = [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (121, "2m1s"),
            (599, "9m59s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (10_860, "3h1m"),
            (28_800, "8h"),
            (172_800, "2d"),
            (176_400, "2d1h"),
            (691_200, "8d"),
            (63_072_000, "2y"),
            (63_158_400, "2y1d"),
            (252_288_000, "8y"),
        ];
        for (seconds, text) in cases {
            assert_eq!(human_seconds(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn a_clock_that_was_set_is_noticed() {
        let clock = WallClock { ahead_ms: 5000 };
        let since = |ahead_ms| clock.set_since(ahead_ms).map(|by| by.as_millis());
        assert_eq!((since(5000), since(5100), since(4901)), (None, None, None));
        assert_eq!((since(4000), since(3_605_000)), (Some(1000), Some(-3_600_000)));
    }

    #[test]
    fn what_is_to_come_has_happened_now() {
        let clock = WallClock::look();
        let hour = SignedDuration::from_hours(1);
        let (before, later) = (clock.now() - hour, clock.now() + hour);
        assert_eq!(clock.not_to_come(before), before);
        assert!(clock.not_to_come(later) < later - hour / 2);
    }

    #[test]
    fn times_are_cut_not_rounded() {
        let time: Timestamp = "2026-01-15T12:00:00.999Z".parse().unwrap();
        assert_eq!(format_seconds(time), "2026-01-15T12:00:00Z");
    }

    #[test]
    fn a_time_before_is_zero_after() {
        let time = Timestamp::UNIX_EPOCH;
        assert_eq!(since(time, after(time, Duration::from_secs(3))), Duration::ZERO);
        assert_eq!(since(after(time, Duration::from_secs(3)), time), Duration::from_secs(3));
        assert_eq!(after(Timestamp::MAX, Duration::from_secs(1)), Timestamp::MAX);
    }
}
