//! What this worker's pods take up, and what is left. Pure.
//!
//! Pods that do not say what they take up are *plain*: they count as so and so many places, and the
//! runtime lets one follow the other by itself. Others are *apart*: they are added up.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stint_common::wire::{Allocatable, Request};

/// Amounts of what a machine has. A pod takes one of `pods`, always.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Amounts {
    cpu_milli: u64,
    memory: u64,
    pods: u64,
    others: BTreeMap<String, u64>,
}

impl Amounts {
    /// What a pod takes up; `default_cpu_milli` if it does not say how much CPU.
    pub(super) fn of(request: &Request, default_cpu_milli: u64) -> Self {
        Self {
            cpu_milli: request.cpu_milli.unwrap_or(default_cpu_milli),
            memory: request.memory,
            pods: 1,
            others: request.others.clone(),
        }
    }

    /// Everything that a machine has.
    pub(super) fn all(allocatable: &Allocatable) -> Self {
        let Allocatable { cpu_milli, memory, pods, others } = allocatable.clone();
        Self { cpu_milli, memory, pods, others }
    }

    /// The same `count` times.
    pub(super) fn times(&self, count: usize) -> Self {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        let mut product = self.clone();
        product.each(self, |own, _| *own = own.saturating_mul(count));
        product
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.each(other, |own, other| *own = own.saturating_add(other));
    }

    pub(super) fn take_away(&mut self, other: &Self) {
        self.each(other, |own, other| *own = own.saturating_sub(other));
    }

    /// What is left without `other`.
    pub(super) fn without(&self, other: &Self) -> Self {
        let mut rest = self.clone();
        rest.take_away(other);
        rest
    }

    /// How many of `pod` fit into this.
    pub(super) fn holds(&self, pod: &Self) -> usize {
        let times = |has: u64, asked: u64| has.checked_div(asked).unwrap_or(u64::MAX);
        let others = pod.others.iter();
        let others =
            others.map(|(name, asked)| times(self.others.get(name).copied().unwrap_or(0), *asked));
        let count = [
            times(self.cpu_milli, pod.cpu_milli),
            times(self.memory, pod.memory),
            times(self.pods, pod.pods),
        ];
        let least = count.into_iter().chain(others).min().unwrap_or(0);
        usize::try_from(least).unwrap_or(usize::MAX)
    }

    fn each(&mut self, other: &Self, change: impl Fn(&mut u64, u64)) {
        change(&mut self.cpu_milli, other.cpu_milli);
        change(&mut self.memory, other.memory);
        change(&mut self.pods, other.pods);
        for (name, amount) in &other.others {
            change(self.others.entry(name.clone()).or_default(), *amount);
        }
    }
}

/// What there is, and what pods take up of it.
#[derive(Clone, Debug)]
pub(super) struct Room {
    all: Amounts,
    /// What a plain pod takes up.
    plain: Amounts,
    /// Taken up by pods that run.
    used: Amounts,
    /// Of this, by those that are apart.
    apart: Amounts,
    /// Will be taken up by pods that were claimed and do not run yet.
    claimed: Amounts,
}

impl Room {
    pub(super) fn new(allocatable: &Allocatable, default_cpu_milli: u64) -> Self {
        Self {
            all: Amounts::all(allocatable),
            plain: Amounts::of(&Request::default(), default_cpu_milli),
            used: Amounts::default(),
            apart: Amounts::default(),
            claimed: Amounts::default(),
        }
    }

    /// How many plain pods fit if nothing else runs.
    pub(super) fn places(&self) -> usize {
        self.all.holds(&self.plain)
    }

    /// How many plain pods fit beside those that are apart.
    pub(super) fn places_beside_apart(&self) -> usize {
        self.all.without(&self.apart).holds(&self.plain)
    }

    /// How many plain pods fit beside those that run.
    pub(super) fn free_places(&self) -> usize {
        self.all.without(&self.used).holds(&self.plain)
    }

    /// How many of `pod` fit beside all that run or were claimed, and `more`.
    pub(super) fn fits(&self, pod: &Amounts, more: &Amounts) -> usize {
        self.all.without(&self.used).without(&self.claimed).without(more).holds(pod)
    }

    /// Whether `pod` fits now beside those that run, and `lined_up` plain ones that are next.
    pub(super) fn fits_now(&self, pod: &Amounts, lined_up: usize) -> bool {
        let next = self.plain.times(lined_up);
        self.all.without(&self.used).without(&next).holds(pod) > 0
    }

    /// A pod was claimed.
    pub(super) fn claim(&mut self, pod: &Amounts) {
        self.claimed.add(pod);
    }

    /// A claimed pod will not run.
    pub(super) fn unclaim(&mut self, pod: &Amounts) {
        self.claimed.take_away(pod);
    }

    /// A claimed pod runs.
    pub(super) fn run(&mut self, pod: &Amounts, apart: bool) {
        self.claimed.take_away(pod);
        self.used.add(pod);
        if apart {
            self.apart.add(pod);
        }
    }

    /// A pod that ran is over.
    pub(super) fn leave(&mut self, pod: &Amounts, apart: bool) {
        self.used.take_away(pod);
        if apart {
            self.apart.take_away(pod);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room() -> Room {
        let others = BTreeMap::from([("gpu".to_owned(), 2)]);
        Room::new(&Allocatable { cpu_milli: 4000, memory: 100, pods: 10, others }, 1000)
    }

    fn pod(cpu: u64, memory: u64, gpus: u64) -> Amounts {
        let others =
            if gpus > 0 { BTreeMap::from([("gpu".to_owned(), gpus)]) } else { BTreeMap::new() };
        Amounts::of(&Request { cpu_milli: Some(cpu), memory, others }, 1000)
    }

    #[test]
    fn nothing_is_ever_given_twice() {
        let mut room = room();
        let none = Amounts::default();
        assert_eq!((room.places(), room.fits(&pod(100, 0, 0), &none)), (4, 10));
        let large = pod(2500, 60, 1);
        room.claim(&large);
        assert_eq!(room.fits(&large, &none), 0);
        assert_eq!((room.free_places(), room.fits(&pod(1500, 40, 1), &none)), (4, 1));
        room.run(&large, true);
        assert_eq!((room.free_places(), room.places_beside_apart()), (1, 1));
        assert!(room.fits_now(&pod(1500, 0, 0), 0) && !room.fits_now(&pod(1500, 0, 0), 1));
        assert_eq!(room.fits(&pod(0, 0, 1), &pod(0, 0, 1)), 0);
        room.leave(&large, true);
        assert_eq!((room.free_places(), room.places_beside_apart()), (4, 4));
        assert_eq!(room.fits(&pod(0, 0, 1), &none), 2);
        assert_eq!(room.fits(&pod(0, 0, 3), &none), 0);
    }

    #[test]
    fn a_resource_that_is_not_there_holds_nothing() {
        let room = Room::new(&Allocatable { cpu_milli: 1, pods: 1, ..Allocatable::default() }, 1);
        assert_eq!(room.fits(&pod(0, 0, 1), &Amounts::default()), 0);
        assert_eq!(room.places(), 1);
    }
}
