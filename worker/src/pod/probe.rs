//! One probe of one run of a container: when it is tried, and what its tries add up to.
//!
//! As the kubelet's prober: so many equal results in a row change what is believed; a container is
//! believed to be alive, not ready and not started until a probe says otherwise.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use stint_common::time;

use super::event::{ActionId, ActionOutcome, ProbeKind};
use super::settings::{ContainerSettings, ProbeSettings};

/// The probes of one run of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Probes {
    pub(super) startup: Option<Prober>,
    pub(super) liveness: Option<Prober>,
    pub(super) readiness: Option<Prober>,
}

/// One probe of one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Prober {
    pub(super) kind: ProbeKind,
    settings: ProbeSettings,
    /// When the next try is due, unless one is under way.
    pub(super) next: Timestamp,
    pub(super) under_way: Option<Try>,
    last: Option<bool>,
    in_a_row: u32,
    /// What is believed.
    result: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Try {
    action: ActionId,
    pub(super) began: Timestamp,
    /// The processes may have stood still meanwhile.
    void: bool,
}

/// What is believed now and was not before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Good,
    Bad,
}

impl Probes {
    /// The probes of a container whose process was started at `since`, once it is up.
    pub(super) fn of(container: &ContainerSettings, since: Timestamp) -> Option<Box<Self>> {
        let prober = |kind, settings: Option<ProbeSettings>| {
            settings.map(|settings| Prober::new(kind, settings, since))
        };
        container.has_probes().then(|| {
            Box::new(Self {
                startup: prober(ProbeKind::Startup, container.startup),
                liveness: prober(ProbeKind::Liveness, container.liveness),
                readiness: prober(ProbeKind::Readiness, container.readiness),
            })
        })
    }

    pub(super) fn is_started(&self) -> bool {
        self.startup.as_ref().is_none_or(|probe| probe.result == Some(true))
    }

    pub(super) fn is_ready(&self) -> bool {
        self.readiness.as_ref().is_none_or(|probe| probe.result == Some(true))
    }

    /// The probes that are to be tried now and then: the others once the first one is content; of a
    /// container that is being stopped only whether it is ready.
    pub(super) fn in_use(&self, stopping: bool) -> impl Iterator<Item = &Prober> {
        let started = self.is_started();
        let all = [&self.startup, &self.liveness, &self.readiness];
        all.into_iter().flatten().filter(move |probe| probe.kind.is_used(started, stopping))
    }

    /// As [`in_use`](Self::in_use).
    pub(super) fn in_use_mut(&mut self, stopping: bool) -> impl Iterator<Item = &mut Prober> {
        let started = self.is_started();
        let all = [&mut self.startup, &mut self.liveness, &mut self.readiness];
        all.into_iter().flatten().filter(move |probe| probe.kind.is_used(started, stopping))
    }

    pub(super) fn get_mut(&mut self, kind: ProbeKind) -> Option<&mut Prober> {
        match kind {
            ProbeKind::Startup => self.startup.as_mut(),
            ProbeKind::Liveness => self.liveness.as_mut(),
            ProbeKind::Readiness => self.readiness.as_mut(),
        }
    }

    /// Tries that are under way prove nothing.
    pub(super) fn void(&mut self) {
        for probe in [&mut self.startup, &mut self.liveness, &mut self.readiness] {
            if let Some(running) = probe.as_mut().and_then(|probe| probe.under_way.as_mut()) {
                running.void = true;
            }
        }
    }
}

impl ProbeKind {
    fn is_used(self, started: bool, stopping: bool) -> bool {
        match self {
            Self::Startup => !started && !stopping,
            Self::Liveness => started && !stopping,
            Self::Readiness => started,
        }
    }
}

impl Prober {
    fn new(kind: ProbeKind, settings: ProbeSettings, since: Timestamp) -> Self {
        Self {
            kind,
            settings,
            next: time::after(since, settings.initial_delay),
            under_way: None,
            last: None,
            in_a_row: 0,
            result: None,
        }
    }

    /// When it is to be looked at next: its try is due, or has taken too long.
    pub(super) fn next_wake(&self, paused: bool) -> Option<Timestamp> {
        match self.under_way {
            Some(running) => Some(time::after(running.began, self.settings.timeout)),
            None => (!paused).then_some(self.next),
        }
    }

    /// Whether a try is due at `now`.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.under_way.is_none() && self.next <= now
    }

    pub(super) fn begin(&mut self, action: ActionId, now: Timestamp) {
        self.under_way = Some(Try { action, began: now, void: false });
        self.next = time::after(now, self.settings.period.max(Duration::from_millis(1)));
    }

    /// The last try is not quite gone, so the next one is left out.
    pub(super) fn skip(&mut self, now: Timestamp) {
        self.next = time::after(now, self.settings.period.max(Duration::from_millis(1)));
    }

    /// The try under way, if it has taken too long.
    pub(super) fn overdue(&self, now: Timestamp) -> Option<ActionId> {
        let running = self.under_way?;
        (time::after(running.began, self.settings.timeout) <= now).then_some(running.action)
    }

    /// A try is over; whether that changes what is believed.
    pub(super) fn done(&mut self, action: ActionId, outcome: ActionOutcome) -> Option<Turn> {
        let running = self.under_way.filter(|running| running.action == action)?;
        self.under_way = None;
        let good = match outcome {
            ActionOutcome::Unknown => return None,
            _ if running.void => return None,
            ActionOutcome::Succeeded => true,
            ActionOutcome::Failed => false,
        };
        self.in_a_row = if self.last == Some(good) { self.in_a_row.saturating_add(1) } else { 1 };
        self.last = Some(good);
        let threshold =
            if good { self.settings.success_threshold } else { self.settings.failure_threshold };
        if self.in_a_row < threshold || self.result == Some(good) {
            return None;
        }
        self.result = Some(good);
        Some(if good { Turn::Good } else { Turn::Bad })
    }

    pub(super) fn grace_seconds(&self) -> Option<u32> {
        self.settings.grace_seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prober(success: u32, failure: u32) -> Prober {
        let settings = ProbeSettings {
            initial_delay: Duration::from_secs(3),
            period: Duration::from_secs(10),
            timeout: Duration::from_secs(1),
            success_threshold: success,
            failure_threshold: failure,
            grace_seconds: None,
        };
        Prober::new(ProbeKind::Readiness, settings, Timestamp::UNIX_EPOCH)
    }

    fn at(seconds: u64) -> Timestamp {
        time::after(Timestamp::UNIX_EPOCH, Duration::from_secs(seconds))
    }

    fn turns(prober: &mut Prober, outcomes: &[ActionOutcome]) -> Vec<Option<Turn>> {
        let each = outcomes.iter().zip(1..).map(|(outcome, number)| {
            prober.begin(ActionId(number), at(number));
            prober.done(ActionId(number), *outcome)
        });
        each.collect()
    }

    #[test]
    fn only_so_many_in_a_row_change_what_is_believed() {
        use ActionOutcome::{Failed, Succeeded, Unknown};
        let mut probe = prober(2, 3);
        let given = [Succeeded, Failed, Succeeded, Unknown, Succeeded, Succeeded];
        assert_eq!(
            turns(&mut probe, &given),
            [None, None, None, None, Some(Turn::Good), None],
            "one that could not be tried breaks no row"
        );
        let given = [Failed, Failed, Succeeded, Failed, Failed, Failed, Failed];
        let bad = Some(Turn::Bad);
        assert_eq!(turns(&mut probe, &given), [None, None, None, None, None, bad, None]);
    }

    #[test]
    fn tries_are_a_period_apart_and_end_in_time() {
        let mut probe = prober(1, 1);
        assert!(!probe.is_due(at(2)) && probe.is_due(at(3)));
        probe.begin(ActionId(1), at(3));
        assert_eq!(probe.next_wake(false), Some(at(4)));
        assert_eq!((probe.overdue(at(3)), probe.overdue(at(4))), (None, Some(ActionId(1))));
        assert_eq!(probe.done(ActionId(1), ActionOutcome::Failed), Some(Turn::Bad));
        assert_eq!(probe.done(ActionId(1), ActionOutcome::Failed), None);
        assert_eq!((probe.next_wake(false), probe.next_wake(true)), (Some(at(13)), None));
    }

    #[test]
    fn what_stood_still_proves_nothing() {
        let mut probes = Probes { readiness: Some(prober(1, 1)), ..Probes::default() };
        probes.readiness.as_mut().unwrap().begin(ActionId(1), at(3));
        probes.void();
        let probe = probes.readiness.as_mut().unwrap();
        assert_eq!(probe.done(ActionId(1), ActionOutcome::Failed), None);
        probe.begin(ActionId(2), at(13));
        assert_eq!(probe.done(ActionId(2), ActionOutcome::Failed), Some(Turn::Bad));
    }
}
