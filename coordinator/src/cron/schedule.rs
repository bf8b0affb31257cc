//! Schedules: five fields, a descriptor (`@daily`), or an interval (`@every 90m`), and the times
//! that they name.
//!
//! Reads what the parser that Kubernetes uses (robfig/cron, standard form) reads, with its
//! messages.

use std::time::Duration;

use jiff::civil::{Date, Time, date};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan, Zoned};

use super::field::{Bounds, DAYS, HOURS, MINUTES, MONTHS, Numbers, WEEKDAYS};
use super::zone::time_zone;

/// A schedule that names no time within so many years names none.
const YEARS: i16 = 5;

/// When something is due.
#[derive(Clone, Debug, PartialEq)]
pub enum Schedule {
    /// At the times that fit all fields.
    Fields(Box<Fields>),
    /// Again and again after so many seconds.
    Every(i64),
}

/// The five fields.
#[derive(Clone, Debug, PartialEq)]
pub struct Fields {
    minute: Numbers,
    hour: Numbers,
    day: Numbers,
    month: Numbers,
    weekday: Numbers,
    zone: TimeZone,
}

impl Schedule {
    /// Reads a schedule; without a zone in it, its times are those of `zone`.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(text: &str, zone: &TimeZone) -> Result<Self, String> {
        if text.is_empty() {
            return Err("empty spec string".to_owned());
        }
        let (zone, text) = match text.strip_prefix("TZ=").or(text.strip_prefix("CRON_TZ=")) {
            None => (zone.clone(), text),
            Some(rest) => {
                let Some((name, rest)) = rest.split_once(' ') else {
                    return Err(
                        "invalid schedule format: no schedule follows the time zone".to_owned()
                    );
                };
                let zone = time_zone(name)
                    .map_err(|error| format!("provided bad location {name}: {error}"))?;
                (zone, rest.trim())
            }
        };
        if text.starts_with('@') {
            return descriptor(text, zone);
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else {
            let count = fields.len();
            return Err(format!(
                "expected exactly 5 fields, found {count}: [{}]",
                fields.join(" ")
            ));
        };
        Ok(Self::Fields(Box::new(Fields {
            minute: Numbers::read(minute, MINUTES)?,
            hour: Numbers::read(hour, HOURS)?,
            day: Numbers::read(day, DAYS)?,
            month: Numbers::read(month, MONTHS)?,
            weekday: Numbers::read(weekday, WEEKDAYS)?,
            zone,
        })))
    }

    /// The first time after `after`; none if there is none for years.
    #[must_use]
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Every(seconds) => {
                Timestamp::from_second(after.as_second().checked_add(*seconds)?).ok()
            }
            Self::Fields(fields) => fields.next(after),
        }
    }
}

fn descriptor(text: &str, zone: TimeZone) -> Result<Schedule, String> {
    let all = |bounds: Bounds| Numbers::all(bounds);
    let fields = |hour: Numbers, day: Numbers, month: Numbers, weekday: Numbers| {
        let minute = Numbers::only(0);
        Ok(Schedule::Fields(Box::new(Fields { minute, hour, day, month, weekday, zone })))
    };
    let (first, midnight) = (Numbers::only(1), Numbers::only(0));
    match text {
        "@yearly" | "@annually" => fields(midnight, first, first, all(WEEKDAYS)),
        "@monthly" => fields(midnight, first, all(MONTHS), all(WEEKDAYS)),
        "@weekly" => fields(midnight, all(DAYS), all(MONTHS), Numbers::only(0)),
        "@daily" | "@midnight" => fields(midnight, all(DAYS), all(MONTHS), all(WEEKDAYS)),
        "@hourly" => fields(all(HOURS), all(DAYS), all(MONTHS), all(WEEKDAYS)),
        _ => match text.strip_prefix("@every ") {
            Some(interval) => {
                let seconds = duration(interval).ok_or_else(|| {
                    format!("failed to parse duration {text}: time: invalid duration {interval:?}")
                })?;
                Ok(Schedule::Every(i64::try_from(seconds.as_secs()).unwrap_or(i64::MAX).max(1)))
            }
            None => Err(format!("unrecognized descriptor: {text}")),
        },
    }
}

/// Go's form of a duration: `1h30m`, `1.5s`.
fn duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, f64); 8] = [
        ("ns", 1e-9),
        ("us", 1e-6),
        ("µs", 1e-6),
        ("μs", 1e-6),
        ("ms", 1e-3),
        ("s", 1.0),
        ("m", 60.0),
        ("h", 3600.0),
    ];
    let (mut rest, mut seconds) = (text.strip_prefix('+').unwrap_or(text), 0.0);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|letter: char| letter.is_ascii_digit() || letter == '.');
        let unit = &rest[..end.unwrap_or(rest.len())];
        seconds += number * UNITS.iter().find(|(name, _)| *name == unit)?.1;
        rest = &rest[unit.len()..];
    }
    Duration::try_from_secs_f64(seconds).ok()
}

impl Fields {
    /// Goes on from the next second, field by field from the largest: to the first month that fits,
    /// in it to the first day, and so on; whenever a larger unit turns over, from the beginning.
    fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let start = Timestamp::from_second(after.as_second().checked_add(1)?).ok()?;
        let mut at = start.to_zoned(self.zone.clone());
        let last_year = at.year().checked_add(YEARS)?;
        // Whether what is below the unit looked at was set to its beginning.
        let mut cut = false;
        'turn: while at.year() <= last_year {
            while !self.month.has(at.month()) {
                if !cut {
                    cut = true;
                    at = self.at(date(at.year(), at.month(), 1), Time::midnight())?;
                }
                at = add(&at, 1.month())?;
                if at.month() == 1 {
                    continue 'turn;
                }
            }
            while !self.has_day(&at) {
                if !cut {
                    cut = true;
                    at = self.at(at.date(), Time::midnight())?;
                }
                at = self.next_day(&at)?;
                if at.day() == 1 {
                    continue 'turn;
                }
            }
            while !self.hour.has(at.hour()) {
                if !cut {
                    cut = true;
                    at = self.at(at.date(), Time::new(at.hour(), 0, 0, 0).ok()?)?;
                }
                at = later(&at, 3600)?;
                if at.hour() == 0 {
                    continue 'turn;
                }
            }
            while !self.minute.has(at.minute()) {
                if !cut {
                    cut = true;
                    at = later(&at, -i64::from(at.second()))?;
                }
                at = later(&at, 60)?;
                if at.minute() == 0 {
                    continue 'turn;
                }
            }
            if at.second() == 0 {
                return Some(at.timestamp());
            }
            at = later(&at, 60 - i64::from(at.second()))?;
            cut = true;
        }
        None
    }

    /// The day after. Where a day does not begin at midnight, its first moment is taken for it.
    fn next_day(&self, at: &Zoned) -> Option<Zoned> {
        let next = add(at, 1.day())?;
        match i64::from(next.hour()) {
            0 => Some(next),
            hour @ 13.. => later(&next, (24 - hour) * 3600),
            hour => later(&next, -hour * 3600),
        }
    }

    /// Either field for days decides alone if the other leaves the choice open, else any of both.
    fn has_day(&self, at: &Zoned) -> bool {
        let day = self.day.has(at.day());
        let weekday = self.weekday.has(at.weekday().to_sunday_zero_offset());
        if self.day.any || self.weekday.any { day && weekday } else { day || weekday }
    }

    fn at(&self, date: Date, time: Time) -> Option<Zoned> {
        date.to_datetime(time).to_zoned(self.zone.clone()).ok()
    }
}

fn add(at: &Zoned, span: Span) -> Option<Zoned> {
    at.checked_add(span).ok()
}

/// So many seconds later on the clock that knows no zones.
fn later(at: &Zoned, seconds: i64) -> Option<Zoned> {
    let moved = at.timestamp().as_second().checked_add(seconds)?;
    Some(Timestamp::from_second(moved).ok()?.to_zoned(at.time_zone().clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(schedule: &str, zone: &str, after: &str) -> String {
        let schedule = Schedule::parse(schedule, &time_zone(zone).unwrap()).unwrap();
        let next = schedule.next(after.parse().unwrap());
        next.map_or_else(|| "never".to_owned(), |next| next.to_string())
    }

    #[test]
    fn times_follow_each_other() {
        for (schedule, after, expect) in [
            ("*/15 * * * *", "2026-07-09T14:45:00Z", "2026-07-09T15:00:00Z"),
            ("*/15 * * * *", "2026-07-09T14:59:59.9Z", "2026-07-09T15:00:00Z"),
            ("20-35/15 * * * *", "2026-07-09T14:45:00Z", "2026-07-09T15:20:00Z"),
            ("0 0 31 12 *", "2026-01-01T00:00:00Z", "2026-12-31T00:00:00Z"),
            ("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("59 23 31 2 *", "2026-01-01T00:00:00Z", "never"),
            ("30 6-16/4 * * 1-5", "2026-11-27T14:30:00Z", "2026-11-30T06:30:00Z"),
            // Both kinds of day given: either will do.
            ("0 12 13 * fri", "2026-11-27T13:00:00Z", "2026-12-04T12:00:00Z"),
            ("@hourly", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"),
            ("@weekly", "2026-11-27T00:00:00Z", "2026-11-29T00:00:00Z"),
            ("@every 1h30m", "2026-01-01T00:00:00.7Z", "2026-01-01T01:30:00Z"),
            ("@every 10ms", "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"),
            ("TZ=Asia/Tokyo 30 4 * * *", "2026-01-01T00:00:00Z", "2026-01-01T19:30:00Z"),
        ] {
            assert_eq!(next(schedule, "UTC", after), expect, "{schedule}");
        }
    }

    #[test]
    fn zones_keep_their_own_time() {
        let berlin = "Europe/Berlin";
        let day = next("30 2 * * *", berlin, "2026-06-01T12:00:00Z");
        assert_eq!(day, "2026-06-02T00:30:00Z");
        // 2:30 does not exist on the day on which clocks go forward.
        let skipped = next("30 2 * * *", berlin, "2026-03-28T12:00:00Z");
        assert_eq!(skipped, "2026-03-30T00:30:00Z");
        let after = next("0 3 * * *", berlin, "2026-03-28T12:00:00Z");
        assert_eq!(after, "2026-03-29T01:00:00Z");
    }

    #[test]
    fn what_is_no_schedule_is_said() {
        let fault = |text: &str| Schedule::parse(text, &TimeZone::UTC).unwrap_err();
        assert_eq!(fault(""), "empty spec string");
        assert_eq!(fault("error"), "expected exactly 5 fields, found 1: [error]");
        assert_eq!(fault("@now"), "unrecognized descriptor: @now");
        assert_eq!(
            fault("@every soon"),
            "failed to parse duration @every soon: time: invalid duration \"soon\""
        );
        let zone = "provided bad location Nowhere: unknown time zone Nowhere";
        assert_eq!(fault("TZ=Nowhere * * * * *"), zone);
        assert!(fault("TZ=0").starts_with("invalid schedule format"));
    }
}
