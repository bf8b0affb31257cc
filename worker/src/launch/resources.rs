//! `resources` of a container: its limits, and what it may learn of them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PodSpec, ResourceFieldSelector};
use stint_common::quantity;
use stint_common::wire::Allocatable;

use super::setup::Limits;

/// No kernel takes more.
const MOST_MEMORY: u64 = i64::MAX.unsigned_abs();
/// A million CPUs; a kernel takes about a hundred times as many.
const MOST_CPU_MILLI: u64 = 1_000_000_000;

/// What a container may use at most. A limit of zero is none, as the kubelet has it.
pub(super) fn limits(container: &Container) -> Limits {
    let milli = |name: &str| amount(container, Kind::Limits, name).filter(|milli| *milli > 0);
    let number = |amount: i128, most: u64| u64::try_from(amount).unwrap_or(most).min(most);
    Limits {
        memory: milli("memory").map(|milli| number(quantity::ceil(milli, 1000), MOST_MEMORY)),
        cpu_milli: milli("cpu").map(|milli| number(milli, MOST_CPU_MILLI)),
        pids: None,
    }
}

/// Bytes of disk that a pod may take up, where its containers have limits: all of them together, or
/// the largest one that runs before them.
pub(super) fn disk(pod: &PodSpec) -> Option<u64> {
    let of = |container: &Container| amount(container, Kind::Limits, "ephemeral-storage");
    let (sidecars, early): (Vec<&Container>, Vec<&Container>) = pod
        .init_containers
        .iter()
        .flatten()
        .partition(|it| it.restart_policy.as_deref() == Some("Always"));
    let beside = pod.containers.iter().chain(sidecars).filter_map(of);
    let beside = beside.reduce(i128::saturating_add);
    let milli = beside.into_iter().chain(early.into_iter().filter_map(of)).max()?;
    Some(u64::try_from(quantity::ceil(milli, 1000)).unwrap_or(u64::MAX))
}

/// Devices that a container asks for, by the name of their resource.
pub(super) fn devices(container: &Container) -> BTreeMap<String, u64> {
    let limits = container.resources.as_ref().and_then(|it| it.limits.as_ref());
    let devices = limits.into_iter().flatten().filter(|(name, _)| name.contains('/'));
    let count = |text: &str| quantity::whole(text).and_then(|count| u64::try_from(count).ok());
    devices.filter_map(|(name, amount)| Some((name.clone(), count(&amount.0)?))).collect()
}

/// What a `resourceFieldRef` of `own` leads to, as text; `None` if it leads nowhere.
pub(super) fn field(
    pod: &PodSpec,
    own: Option<&Container>,
    selector: &ResourceFieldSelector,
    machine: &Allocatable,
) -> Option<String> {
    let named = selector.container_name.as_deref().filter(|name| !name.is_empty());
    let container = match named {
        Some(name) => pod
            .containers
            .iter()
            .chain(pod.init_containers.iter().flatten())
            .find(|container| container.name == name)?,
        None => own?,
    };
    let (kind, name) = selector.resource.split_once('.')?;
    let milli = match kind {
        // Without a limit, all that the machine has.
        "limits" => amount(container, Kind::Limits, name).or_else(|| whole(machine, name))?,
        "requests" => amount(container, Kind::Requests, name)
            .or_else(|| amount(container, Kind::Limits, name))
            .unwrap_or(0),
        _ => return None,
    };
    let divisor = selector.divisor.as_ref().and_then(|divisor| quantity::milli(&divisor.0));
    let divisor = divisor.filter(|divisor| *divisor > 0).unwrap_or(1000);
    Some(quantity::ceil(milli, divisor).to_string())
}

#[derive(Clone, Copy)]
enum Kind {
    Limits,
    Requests,
}

fn amount(container: &Container, kind: Kind, name: &str) -> Option<i128> {
    let resources = container.resources.as_ref()?;
    let amounts = match kind {
        Kind::Limits => resources.limits.as_ref()?,
        Kind::Requests => resources.requests.as_ref()?,
    };
    quantity::milli(&amounts.get(name)?.0)
}

fn whole(machine: &Allocatable, name: &str) -> Option<i128> {
    match name {
        "cpu" => Some(machine.cpu_milli.into()),
        "memory" => Some(i128::from(machine.memory) * 1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(resource: &str, divisor: &str) -> Option<String> {
        let pod: PodSpec = serde_json::from_value(json!({"containers": [
            {"name": "a", "resources": {"limits": {"memory": "100Mi"}, "requests": {"cpu": "250m"}}},
        ]}))
        .unwrap();
        let selector = json!({"resource": resource, "divisor": divisor});
        let machine = Allocatable { cpu_milli: 4000, memory: 1 << 30, ..Allocatable::default() };
        let selector = serde_json::from_value(selector).unwrap();
        field(&pod, pod.containers.first(), &selector, &machine)
    }

    #[test]
    fn amounts_are_divided_and_rounded_up() {
        for (resource, divisor, expect) in [
            ("requests.cpu", "1m", Some("250")),
            ("requests.cpu", "1", Some("1")),
            ("requests.cpu", "0", Some("1")),
            ("limits.cpu", "1", Some("4")),
            ("limits.memory", "1Mi", Some("100")),
            ("limits.memory", "0", Some("104857600")),
            ("requests.memory", "1Gi", Some("1")),
            ("limits.ephemeral-storage", "1", None),
            ("requests.ephemeral-storage", "1", Some("0")),
        ] {
            assert_eq!(read(resource, divisor).as_deref(), expect, "{resource} / {divisor}");
        }
    }

    #[test]
    fn limits_are_read() {
        let container =
            json!({"name": "a", "resources": {"limits": {"cpu": "1.5", "memory": "1k"}}});
        let found = limits(&serde_json::from_value(container).unwrap());
        let expect = Limits { memory: Some(1000), cpu_milli: Some(1500), pids: None };
        assert_eq!(found, expect);
        let all = json!({"name": "a", "resources": {"limits": {"cpu": "1P", "memory": "16E"}}});
        let found = limits(&serde_json::from_value(all).unwrap());
        assert_eq!(found.memory, Some(MOST_MEMORY));
        assert_eq!(found.cpu_milli, Some(MOST_CPU_MILLI));
        let none = json!({"name": "a", "resources": {"limits": {"cpu": "0", "memory": "0"}}});
        assert!(limits(&serde_json::from_value(none).unwrap()).is_empty());
    }
}
