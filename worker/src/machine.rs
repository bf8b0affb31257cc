//! What a worker has for pods: what it is told of its machine, and what it finds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use nix::unistd::geteuid;
use stint_common::wire::{Allocatable, Need, Offer, Taint};

use crate::agent::DeviceKind;
use crate::runtime::Abilities;

/// Pods that run at a time, whatever they ask for: kubelet's default.
const MOST_PODS: u64 = 110;
/// A pod that does not say how much CPU it takes up takes one.
const DEFAULT_CPU_MILLI: u64 = 1000;
/// The one runtime.
const RUNTIME: &str = "process";

/// What a worker is told of its machine.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// Directories of the machine that pods may see as `hostPath` volumes.
    pub host_paths: Vec<PathBuf>,
    /// Labels, beside the well-known ones.
    pub labels: BTreeMap<String, String>,
    /// Taints.
    pub taints: Vec<Taint>,
    /// Devices, by the name of their resource.
    pub devices: BTreeMap<String, DeviceKind>,
    /// Bytes of memory for pods; all that there is when absent.
    pub memory: Option<u64>,
    /// Pods that run at a time, whatever they ask for.
    pub pods: Option<u64>,
    /// Thousandths of a CPU that a pod takes up which does not say; one CPU when absent.
    pub default_cpu_milli: Option<u64>,
    /// Pods with limits are run where these cannot be enforced, too.
    pub best_effort_limits: bool,
    /// Processes and threads that each container may have.
    pub pids: Option<u64>,
}

impl Machine {
    /// What the worker of this name offers, with `cpus` CPUs' worth of pods, where the runtime can
    /// do this. As with a kubelet whose host name is overridden, clients may take the name of a
    /// node for its host name: Kubernetes' own tests choose a node by it.
    #[must_use]
    pub fn offer(&self, cpus: u32, name: &str, can: &Abilities) -> Offer {
        let mut labels = self.labels.clone();
        for (key, value) in [
            ("kubernetes.io/hostname", name),
            ("kubernetes.io/os", "linux"),
            ("kubernetes.io/arch", architecture()),
        ] {
            labels.entry(key.to_owned()).or_insert_with(|| value.to_owned());
        }
        Offer {
            labels,
            taints: self.taints.clone(),
            runtimes: BTreeSet::from([RUNTIME.to_owned()]),
            allocatable: self.allocatable(cpus),
            default_cpu_milli: self.default_cpu_milli.unwrap_or(DEFAULT_CPU_MILLI),
            user: geteuid().as_raw(),
            abilities: self.abilities(can),
            host_paths: self.host_paths.iter().map(|path| path.display().to_string()).collect(),
        }
    }

    fn allocatable(&self, cpus: u32) -> Allocatable {
        let devices = self.devices.iter().map(|(name, kind)| (name.clone(), kind.count));
        Allocatable {
            cpu_milli: u64::from(cpus) * 1000,
            memory: self.memory.or_else(memory_of_machine).unwrap_or(u64::MAX),
            pods: self.pods.unwrap_or(MOST_PODS.max(u64::from(cpus))),
            others: devices.collect(),
        }
    }

    fn abilities(&self, can: &Abilities) -> BTreeSet<Need> {
        let limits = self.best_effort_limits;
        if limits && !(can.memory_limits && can.cpu_limits) {
            tracing::warn!(
                memory = can.memory_limits,
                cpu = can.cpu_limits,
                "limits of pods are enforced only as far as this machine can"
            );
        }
        if self.pids.is_some() && !can.pids_limits {
            tracing::warn!(
                "--pids is not kept: this worker may not use the control group that counts \
                 processes; under systemd its unit needs Delegate="
            );
        }
        let all = [
            (Need::Views, can.views),
            (Need::MemoryVolumes, can.memory_volumes),
            (Need::Root, can.root),
            (Need::NotRoot, !geteuid().is_root()),
            (Need::MemoryLimits, can.memory_limits || limits),
            (Need::CpuLimits, can.cpu_limits || limits),
        ];
        all.into_iter().filter(|(_, can)| *can).map(|(need, _)| need).collect()
    }
}

/// As Kubernetes writes it: Go's name.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// `MemTotal:       16384 kB`
fn memory_of_machine() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_told_is_found() {
        let machine = Machine {
            labels: BTreeMap::from([("zone".into(), "a".into())]),
            devices: BTreeMap::from([(
                "example.com/gpu".into(),
                DeviceKind { count: 2, variable: "GPUS".into() },
            )]),
            ..Machine::default()
        };
        let offer = machine.offer(3, "w-1", &Abilities { views: true, ..Abilities::default() });
        assert_eq!(offer.labels["zone"], "a");
        assert_eq!(offer.labels["kubernetes.io/hostname"], "w-1");
        assert_eq!((offer.allocatable.cpu_milli, offer.allocatable.pods), (3000, 110));
        assert!(offer.allocatable.memory > 1 << 20);
        assert_eq!(offer.allocatable.others["example.com/gpu"], 2);
        assert!(offer.abilities.contains(&Need::Views));
        assert!(!offer.abilities.contains(&Need::MemoryLimits));
        let lenient = Machine { best_effort_limits: true, ..machine };
        let offer = lenient.offer(300, "w-1", &Abilities::default());
        assert!(offer.abilities.contains(&Need::MemoryLimits));
        assert_eq!(offer.allocatable.pods, 300);
    }
}
