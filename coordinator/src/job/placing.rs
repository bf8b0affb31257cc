//! Which class of pods a template's pods are: what they ask of the worker that runs them.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{
    Container, NodeSelectorRequirement, NodeSelectorTerm, PodSpec, PreferredSchedulingTerm,
    SecurityContext, Toleration as ApiToleration,
};
use stint_common::wire::{Class, Expression, Need, Preference, Request, Term, Toleration};
use stint_common::{pod_meta, quantity};

/// Priorities that every cluster knows by name.
const PRIORITIES: [(&str, i32); 2] =
    [("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)];

/// The class of the pods of this template.
#[must_use]
pub fn class(pod: &PodSpec) -> Class {
    let affinity = pod.affinity.as_ref().and_then(|it| it.node_affinity.as_ref());
    let required =
        affinity.and_then(|it| it.required_during_scheduling_ignored_during_execution.as_ref());
    let preferred = affinity
        .and_then(|it| it.preferred_during_scheduling_ignored_during_execution.as_ref())
        .into_iter()
        .flatten();
    let by_name = pod.priority_class_name.as_deref().and_then(|name| {
        PRIORITIES.iter().find(|(known, _)| *known == name).map(|(_, priority)| *priority)
    });
    Class {
        selector: pod.node_selector.clone().unwrap_or_default(),
        node_name: given(pod.node_name.as_deref()),
        affinity: required.iter().flat_map(|it| &it.node_selector_terms).map(term).collect(),
        preferred: preferred.filter_map(preference).collect(),
        tolerations: pod.tolerations.iter().flatten().map(toleration).collect(),
        runtime_class: given(pod.runtime_class_name.as_deref()),
        priority: pod.priority.or(by_name).unwrap_or(0),
        request: request(pod),
        needs: needs(pod),
        users: users(pod),
        host_paths: pod
            .volumes
            .iter()
            .flatten()
            .filter_map(|volume| Some(volume.host_path.as_ref()?.path.clone()))
            .collect(),
        ..Class::default()
    }
}

/// Go does not tell an empty text from an absent one.
fn given(text: Option<&str>) -> Option<String> {
    text.filter(|text| !text.is_empty()).map(ToOwned::to_owned)
}

fn term(term: &NodeSelectorTerm) -> Term {
    let all = |list: &Option<Vec<NodeSelectorRequirement>>| {
        list.iter().flatten().map(expression).collect::<Vec<_>>()
    };
    Term { labels: all(&term.match_expressions), fields: all(&term.match_fields) }
}

/// A term that says nothing is no preference, as in Kubernetes.
fn preference(it: &PreferredSchedulingTerm) -> Option<Preference> {
    let term = term(&it.preference);
    let weight = u32::try_from(it.weight).ok()?;
    (!term.labels.is_empty() || !term.fields.is_empty()).then_some(Preference { weight, term })
}

fn expression(it: &NodeSelectorRequirement) -> Expression {
    Expression {
        key: it.key.clone(),
        operator: it.operator.clone(),
        values: it.values.clone().unwrap_or_default(),
    }
}

/// `tolerationSeconds` says how long pods that run may stay: taints do not move those here.
fn toleration(it: &ApiToleration) -> Toleration {
    let any_value = it.operator.as_deref() == Some("Exists");
    Toleration {
        key: it.key.clone().unwrap_or_default(),
        value: (!any_value).then(|| it.value.clone().unwrap_or_default()),
        effect: it.effect.clone().unwrap_or_default(),
    }
}

/// What a pod takes up: its containers side by side, or the largest of its init containers.
///
/// Sidecars (init containers that restart always) run beside all that comes after them.
fn request(pod: &PodSpec) -> Request {
    let mut total = Amounts::default();
    for container in &pod.containers {
        total.add(&Amounts::of(container));
    }
    let (mut beside, mut largest) = (Amounts::default(), Amounts::default());
    for container in pod.init_containers.iter().flatten() {
        let mut own = Amounts::of(container);
        if container.restart_policy.as_deref() == Some("Always") {
            total.add(&own);
            beside.add(&own);
            largest.grow(&beside);
        } else {
            own.add(&beside);
            largest.grow(&own);
        }
    }
    total.grow(&largest);
    let mut amounts = total.0;
    let cpu = amounts.remove("cpu");
    let memory = amounts.remove("memory").unwrap_or(0);
    // Room on disk is not counted.
    amounts.remove("ephemeral-storage");
    amounts.retain(|_, amount| *amount > 0);
    Request { cpu_milli: cpu, memory, others: amounts }
}

/// Thousandths of CPUs, bytes, devices.
#[derive(Clone, Debug, Default)]
struct Amounts(BTreeMap<String, u64>);

impl Amounts {
    /// What a container requests; a limit without a request is one.
    fn of(container: &Container) -> Self {
        let resources = container.resources.as_ref();
        let limits = resources.and_then(|it| it.limits.as_ref()).into_iter().flatten();
        let requests = resources.and_then(|it| it.requests.as_ref()).into_iter().flatten();
        let amounts = limits.chain(requests).map(|(name, quantity)| {
            let milli = quantity::milli(&quantity.0).unwrap_or(0).max(0);
            let amount = if name == "cpu" { milli } else { quantity::ceil(milli, 1000) };
            (name.clone(), u64::try_from(amount).unwrap_or(u64::MAX))
        });
        Self(amounts.collect())
    }

    fn add(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            let own = self.0.entry(name.clone()).or_default();
            *own = own.saturating_add(*amount);
        }
    }

    fn grow(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            let own = self.0.entry(name.clone()).or_default();
            *own = (*own).max(*amount);
        }
    }
}

fn containers(pod: &PodSpec) -> impl Iterator<Item = &Container> {
    pod.init_containers.iter().flatten().chain(&pod.containers)
}

fn needs(pod: &PodSpec) -> BTreeSet<Need> {
    let mut needs = BTreeSet::new();
    let context = pod.security_context.as_ref();
    let whole_user = context.and_then(|it| it.run_as_user);
    let not_root = context.and_then(|it| it.run_as_non_root);
    let groups = context.is_some_and(|it| {
        it.run_as_group.is_some()
            || it.fs_group.is_some()
            || it.supplemental_groups.as_ref().is_some_and(|groups| !groups.is_empty())
    });
    if groups {
        needs.insert(Need::Root);
    }
    for container in containers(pod) {
        let default = SecurityContext::default();
        let own = container.security_context.as_ref().unwrap_or(&default);
        let mounts = container.volume_mounts.as_ref().is_some_and(|mounts| !mounts.is_empty());
        let commands = container.command.iter().chain(&container.args).flatten();
        let variables = container.env.iter().flatten().filter_map(|it| it.value.as_ref());
        let texts = commands.chain(variables).map(String::as_str);
        let path = container.termination_message_path.as_deref();
        let message = pod_meta::message_path(path, texts);
        if mounts || message.is_some() || own.read_only_root_filesystem == Some(true) {
            needs.insert(Need::Views);
        }
        let added = own.capabilities.as_ref().and_then(|it| it.add.as_ref());
        if own.run_as_group.is_some()
            || own.privileged == Some(true)
            || added.is_some_and(|added| !added.is_empty())
        {
            needs.insert(Need::Root);
        }
        let anybody = own.run_as_user.or(whole_user).is_none();
        if own.run_as_non_root.or(not_root) == Some(true) && anybody {
            needs.insert(Need::NotRoot);
        }
        let limits = container.resources.as_ref().and_then(|it| it.limits.as_ref());
        for (name, need) in [("memory", Need::MemoryLimits), ("cpu", Need::CpuLimits)] {
            if limits.is_some_and(|limits| limits.contains_key(name)) {
                needs.insert(need);
            }
        }
    }
    let mut empty = pod.volumes.iter().flatten().filter_map(|volume| volume.empty_dir.as_ref());
    if empty.any(|it| it.medium.as_deref() == Some("Memory") && it.size_limit.is_some()) {
        needs.insert(Need::MemoryVolumes);
    }
    needs
}

fn users(pod: &PodSpec) -> BTreeSet<u32> {
    let whole = pod.security_context.as_ref().and_then(|it| it.run_as_user);
    let own = |container: &Container| {
        container.security_context.as_ref().and_then(|it| it.run_as_user).or(whole)
    };
    containers(pod).filter_map(own).filter_map(|user| u32::try_from(user).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn of(pod: Value) -> Class {
        class(&serde_json::from_value(pod).unwrap())
    }

    fn container(resources: &Value) -> Value {
        json!({"name": "a", "resources": resources})
    }

    #[test]
    fn a_plain_template_is_of_the_default_class() {
        let class = of(json!({
            "containers": [{"name": "a", "resources": {}, "securityContext": {}}],
            "securityContext": {},
            "volumes": [{"name": "v", "emptyDir": {}}],
            "hostname": "h",
        }));
        assert_eq!(class, Class::default());
        assert_eq!(class.name(), "default");
    }

    #[test]
    fn requests_add_up_as_in_kubernetes() {
        let request = |pod: Value| of(pod).request;
        let both = json!([
            container(&json!({"requests": {"cpu": "500m", "memory": "1Mi"}})),
            container(&json!({"limits": {"cpu": 1, "example.com/gpu": 1}})),
        ]);
        let found = request(json!({"containers": both}));
        assert_eq!((found.cpu_milli, found.memory), (Some(1500), 1 << 20));
        assert_eq!(found.others, BTreeMap::from([("example.com/gpu".to_owned(), 1)]));
        let sidecar = json!({
            "name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": "100m"}},
        });
        let init = container(&json!({"requests": {"cpu": 3}}));
        let main = container(&json!({"requests": {"cpu": 1}}));
        let found = request(json!({"initContainers": [sidecar, init], "containers": [main]}));
        assert_eq!(found.cpu_milli, Some(3100));
        let found = request(json!({"initContainers": [sidecar], "containers": [main]}));
        assert_eq!(found.cpu_milli, Some(1100));
        let found = request(json!({"containers": [container(&json!({"requests": {"cpu": 0}}))]}));
        assert_eq!(found.cpu_milli, Some(0));
        let disk = json!({"requests": {"ephemeral-storage": "1Gi"}});
        assert!(request(json!({"containers": [container(&disk)]})).is_default());
    }

    #[test]
    fn needs_follow_from_what_containers_ask_for() {
        let needs = |pod: Value| of(pod).needs.into_iter().collect::<Vec<_>>();
        let own =
            |context: Value| json!({"containers": [{"name": "a", "securityContext": context}]});
        assert_eq!(needs(own(json!({"readOnlyRootFilesystem": true}))), [Need::Views]);
        assert_eq!(needs(own(json!({"runAsNonRoot": true}))), [Need::NotRoot]);
        assert_eq!(needs(own(json!({"runAsNonRoot": true, "runAsUser": 5}))), []);
        assert_eq!(of(own(json!({"runAsUser": 5}))).users, [5].into());
        assert_eq!(needs(own(json!({"capabilities": {"drop": ["ALL"]}}))), []);
        assert_eq!(needs(own(json!({"capabilities": {"add": ["CHOWN"]}}))), [Need::Root]);
        assert_eq!(needs(own(json!({"allowPrivilegeEscalation": false}))), []);
        let limits = container(&json!({"limits": {"cpu": 1, "memory": "1Gi"}}));
        let found = needs(json!({"containers": [limits]}));
        assert_eq!(found, [Need::MemoryLimits, Need::CpuLimits]);
    }

    #[test]
    fn placing_is_read_as_it_is_written() {
        let class = of(json!({
            "containers": [],
            "nodeSelector": {"a": "b"},
            "nodeName": "one",
            "priorityClassName": "system-node-critical",
            "runtimeClassName": "",
            "tolerations": [{"operator": "Exists"}, {"key": "k", "value": "v", "effect": "NoSchedule"}],
            "affinity": {"nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                    {"matchExpressions": [{"key": "x", "operator": "Exists"}]},
                ]},
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 7, "preference": {}},
                    {"weight": 5, "preference": {"matchFields": [
                        {"key": "metadata.name", "operator": "In", "values": ["two"]},
                    ]}},
                ],
            }},
        }));
        assert_eq!((class.priority, class.runtime_class), (2_000_001_000, None));
        assert_eq!(class.tolerations[0].value, None);
        assert_eq!(class.tolerations[1].value.as_deref(), Some("v"));
        assert_eq!(class.affinity[0].labels[0].operator, "Exists");
        assert_eq!((class.preferred.len(), class.preferred[0].weight), (1, 5));
        assert_eq!(class.preferred[0].term.fields[0].values, ["two"]);
        assert_eq!(class.node_name.as_deref(), Some("one"));
    }
}
