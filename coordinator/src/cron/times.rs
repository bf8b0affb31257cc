//! Which of a schedule's times count: the latest one that has come, how many were missed, and when
//! the next one comes.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::schedule::Schedule;
use super::view::CronJob;

/// More missed times than this are worth a warning.
const MANY: i64 = 100;
/// Clocks of machines differ a little: a CronJob is looked at so much later than it is due.
const PADDING: Duration = Duration::from_millis(100);

/// How many times were missed, roughly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed {
    /// None.
    None,
    /// Some.
    Few,
    /// More than a hundred.
    Many,
}

/// The latest time of a schedule that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecentTime {
    /// From when on times count.
    pub earliest: Timestamp,
    /// The latest since then, if one has come.
    pub latest: Option<Timestamp>,
    /// How many were missed.
    pub missed: Missed,
}

/// The latest time that has come since the CronJob last made a Job, or was created; with
/// `within_deadline`, only of those that are not too late.
///
/// # Errors
///
/// When the schedule names no times, with the time from which on they would count.
pub fn most_recent(
    cron: &CronJob,
    now: Timestamp,
    schedule: &Schedule,
    within_deadline: bool,
) -> Result<RecentTime, (Timestamp, String)> {
    let mut earliest = cron.status.last_schedule.unwrap_or(cron.created);
    if let Some(seconds) = cron.starting_deadline.filter(|_| within_deadline) {
        let deadline = now.checked_sub(SignedDuration::from_secs(seconds));
        earliest = earliest.max(deadline.unwrap_or(Timestamp::MIN));
    }
    let none = RecentTime { earliest, latest: None, missed: Missed::None };
    let first = schedule.next(earliest);
    let second = first.and_then(|first| schedule.next(first));
    if first.is_some_and(|first| now < first) {
        return Ok(none);
    }
    if second.is_some_and(|second| now < second) {
        return Ok(RecentTime { latest: first, ..none });
    }
    let (Some(first), Some(second)) = (first, second) else {
        let fault = "time difference between two schedules is less than 1 second";
        return Err((earliest, fault.to_owned()));
    };
    let between = second.as_second() - first.as_second();
    let missed = (now.as_second() - first.as_second()) / between.max(1) + 1;
    // From about there on each time is looked at: schedules need not be regular.
    let about = first.as_second() + (missed - 2) * between;
    let mut at = schedule.next(Timestamp::from_second(about).unwrap_or(earliest));
    let mut latest = None;
    while let Some(time) = at.filter(|time| *time <= now) {
        latest = Some(time);
        at = schedule.next(time);
    }
    let missed = if missed > MANY {
        Missed::Many
    } else if missed > 0 {
        Missed::Few
    } else {
        Missed::None
    };
    Ok(RecentTime { earliest, latest, missed })
}

/// How long until the CronJob must be looked at again; none if it never must.
#[must_use]
pub fn next_after(cron: &CronJob, now: Timestamp, schedule: &Schedule) -> Option<Duration> {
    let from = match most_recent(cron, now, schedule, false) {
        Ok(RecentTime { latest: Some(latest), .. }) => latest,
        Ok(RecentTime { earliest, missed: Missed::None, .. }) => earliest,
        Ok(_) | Err(_) => now,
    };
    let next = schedule.next(from)?;
    Some(stint_common::time::since(stint_common::time::after(next, PADDING), now))
}
