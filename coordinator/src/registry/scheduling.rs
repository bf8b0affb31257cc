//! Why pods that nobody has claimed are still waiting: said when they are read, never stored.

use k8s_openapi::api::core::v1::PodSpec;
use serde::Deserialize as _;
use serde_json::{Value, json};
use stint_common::placing;
use stint_common::wire::{WorkerLease, WorkerState};

use super::Registry;
use super::convert::StoredJob;
use crate::job::class;

impl Registry {
    /// Why no live worker takes the pods of a Job; `None` if one does.
    pub(super) fn refused(&self, job: &StoredJob) -> Option<String> {
        let spec = PodSpec::deserialize(&job.object["spec"]["template"]["spec"]).ok()?;
        let class = class(&spec);
        let (leases, _) = self.replica.list("leases", Some("_workers"));
        let leases: Vec<WorkerLease> = leases
            .iter()
            .filter_map(|lease| serde_json::from_slice(&lease.payload).ok())
            .filter(|lease: &WorkerLease| lease.state == WorkerState::Ready)
            .collect();
        let workers = leases.iter().map(|lease| (lease.worker.as_str(), lease.offers()));
        let refusals = placing::refusals(&class, workers);
        (refusals.len() == leases.len()).then(|| placing::describe(&refusals))
    }
}

/// Says of a pod that nobody has claimed that nobody can.
pub(super) fn unschedulable(pod: &mut Value, why: &str) {
    if is_unclaimed(pod) {
        pod["status"]["conditions"] = json!([{
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": why,
            "lastProbeTime": null,
            "lastTransitionTime": pod["metadata"]["creationTimestamp"],
        }]);
    }
}

/// Whether nobody has claimed it.
pub(super) fn is_unclaimed(pod: &Value) -> bool {
    let status = &pod["status"];
    status["phase"] == "Pending" && status["conditions"].is_null()
}

/// `status.qosClass`: how surely the pod's containers have what they ask for.
pub(super) fn qos_class(spec: &Value) -> &'static str {
    let lists = ["initContainers", "containers"];
    let containers = || lists.iter().flat_map(|list| spec[*list].as_array().into_iter().flatten());
    let amounts = |container: &Value, kind: &str| {
        let amount = |name: &str| {
            let text = match &container["resources"][kind][name] {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                _ => return 0,
            };
            stint_common::quantity::milli(&text).unwrap_or(0)
        };
        [amount("cpu"), amount("memory")]
    };
    let mut any = false;
    let mut guaranteed = true;
    for container in containers() {
        let limits = amounts(container, "limits");
        let asked = amounts(container, "requests");
        any |= limits.iter().chain(&asked).any(|amount| *amount > 0);
        // A limit without a request is one.
        let equal = limits
            .iter()
            .zip(&asked)
            .all(|(limit, asked)| *limit > 0 && (*asked == 0 || asked == limit));
        guaranteed &= equal;
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quality_of_service_follows_from_requests_and_limits() {
        let pod = |resources: &[Value]| {
            let containers: Vec<Value> =
                resources.iter().map(|resources| json!({"resources": resources})).collect();
            qos_class(&json!({"containers": containers}))
        };
        let full = json!({"limits": {"cpu": 1, "memory": "1Gi"}, "requests": {"cpu": "1000m"}});
        let less = json!({"limits": {"cpu": 1, "memory": "1Gi"}, "requests": {"cpu": "500m"}});
        for (resources, expect) in [
            (vec![json!({})], "BestEffort"),
            (vec![json!({"limits": {"example.com/gpu": 1}})], "BestEffort"),
            (vec![full.clone()], "Guaranteed"),
            (vec![full, json!({})], "Burstable"),
            (vec![less], "Burstable"),
            (vec![json!({"requests": {"memory": "1"}})], "Burstable"),
        ] {
            assert_eq!(pod(&resources), expect, "{resources:?}");
        }
    }

    #[test]
    fn only_pods_that_nobody_has_say_that_nobody_can() {
        let mut pod = json!({
            "metadata": {"creationTimestamp": "2026-01-15T12:00:00Z"},
            "status": {"phase": "Pending"},
        });
        assert!(is_unclaimed(&pod));
        unschedulable(&mut pod, "0/1 nodes are available: 1 Insufficient cpu.");
        let condition = pod["status"]["conditions"][0].clone();
        assert_eq!(
            (&condition["reason"], &condition["status"]),
            (&json!("Unschedulable"), &json!("False"))
        );
        assert!(!is_unclaimed(&pod));
    }
}
