//! Devices that pods get for themselves: which of them are free. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Devices of one kind, as the worker is told of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceKind {
    /// How many there are; they are numbered from 0.
    pub count: u64,
    /// The variable by which a container learns the numbers of those that it has.
    pub variable: Arc<str>,
}

/// All devices, by the name of their resource.
#[derive(Clone, Debug, Default)]
pub(super) struct Devices {
    kinds: BTreeMap<String, (DeviceKind, BTreeSet<u64>)>,
}

/// Devices that a pod has, by the name of their resource.
pub(super) type Assigned = BTreeMap<String, Vec<u64>>;

impl Devices {
    pub(super) fn new(kinds: &BTreeMap<String, DeviceKind>) -> Self {
        let free = |kind: &DeviceKind| (0..kind.count).collect();
        let all = kinds.iter().map(|(name, kind)| (name.clone(), (kind.clone(), free(kind))));
        Self { kinds: all.collect() }
    }

    /// Takes the first free ones for a pod that asks for so many of each. There are enough: its
    /// room was counted before.
    pub(super) fn assign(&mut self, asked: &BTreeMap<String, u64>) -> Assigned {
        let mut assigned = Assigned::new();
        for (name, count) in asked {
            let Some((_, free)) = self.kinds.get_mut(name) else { continue };
            let taken: Vec<u64> =
                free.iter().copied().take(usize::try_from(*count).unwrap_or(usize::MAX)).collect();
            free.retain(|number| !taken.contains(number));
            assigned.insert(name.clone(), taken);
        }
        assigned
    }

    /// A pod that had these is over.
    /// Takes those that a pod of an earlier agent has.
    pub(super) fn take(&mut self, assigned: &Assigned) {
        for (name, numbers) in assigned {
            if let Some((_, free)) = self.kinds.get_mut(name) {
                free.retain(|number| !numbers.contains(number));
            }
        }
    }

    pub(super) fn release(&mut self, assigned: Assigned) {
        for (name, numbers) in assigned {
            if let Some((_, free)) = self.kinds.get_mut(&name) {
                free.extend(numbers);
            }
        }
    }

    /// The variables of a container that asks for `own` of the pod's devices, after containers that
    /// ask for `before`.
    pub(super) fn variables(
        &self,
        assigned: &Assigned,
        before: &BTreeMap<String, u64>,
        own: &BTreeMap<String, u64>,
    ) -> Vec<(Arc<str>, Arc<str>)> {
        let mut variables = Vec::new();
        for (name, count) in own {
            let (Some((kind, _)), Some(numbers)) = (self.kinds.get(name), assigned.get(name))
            else {
                continue;
            };
            let number = |it: Option<&u64>| it.copied().unwrap_or(0);
            let skip = usize::try_from(number(before.get(name))).unwrap_or(0);
            let take = usize::try_from(*count).unwrap_or(0);
            // Containers that run before the others begin from the first one again.
            let shown = numbers.iter().cycle().skip(skip).take(take.min(numbers.len()));
            let shown: Vec<String> = shown.map(ToString::to_string).collect();
            variables.push((kind.variable.clone(), Arc::from(shown.join(","))));
        }
        variables
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(count: u64) -> BTreeMap<String, u64> {
        BTreeMap::from([("gpu".to_owned(), count)])
    }

    #[test]
    fn no_device_is_given_twice_and_each_container_has_its_own() {
        let kind = DeviceKind { count: 4, variable: Arc::from("GPUS") };
        let mut devices = Devices::new(&BTreeMap::from([("gpu".to_owned(), kind)]));
        let first = devices.assign(&map(3));
        let second = devices.assign(&map(1));
        assert_eq!((&first["gpu"], &second["gpu"]), (&vec![0, 1, 2], &vec![3]));
        let shown = |before, own| {
            let variables = devices.variables(&first, &map(before), &map(own));
            variables.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
        };
        assert_eq!(shown(0, 2), ["GPUS=0,1"]);
        assert_eq!(shown(2, 1), ["GPUS=2"]);
        devices.release(first);
        assert_eq!(devices.assign(&map(1))["gpu"], [0]);
        assert!(devices.assign(&BTreeMap::from([("other".to_owned(), 1)])).is_empty());
    }
}
