//! Leases: by which clients choose who of them leads. What they mean is the clients' affair.

use k8s_openapi::api::coordination::v1::Lease;
use serde_json::Value;

use super::rules::{Rules, carry_nothing, judge_no_change, read_plainly};
use crate::admission::cause::{Causes, Path};
use crate::admission::read::Identity;
use crate::admission::text;

/// Leases.
pub static LEASE: Rules = Rules {
    identity: Identity { api_version: "coordination.k8s.io/v1", kind: "Lease" },
    namespaced: true,
    name: text::dns_subdomain,
    read: read_plainly::<Lease>,
    complete,
    carry: carry_nothing,
    judge,
    judge_change: judge_no_change,
};

/// Nobody chooses a holder here: what would ask for it is dropped, as it is in a cluster whose
/// feature `CoordinatedLeaderElection` is off, which it is unless somebody turns it on.
fn complete(lease: &mut Value) {
    if let Some(spec) = lease.get_mut("spec").and_then(Value::as_object_mut) {
        spec.shift_remove("strategy");
        spec.shift_remove("preferredHolder");
    }
}

fn judge(lease: &Value, causes: &mut Causes) {
    let (root, spec) = (Path::root("spec"), &lease["spec"]);
    for (name, least, detail) in [
        ("leaseDurationSeconds", 1, "must be greater than 0"),
        ("leaseTransitions", 0, "must be greater than or equal to 0"),
    ] {
        if let Some(number) = spec[name].as_i64().filter(|number| *number < least) {
            causes.invalid(&root.child(name), number, detail);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wrong(spec: &Value) -> Vec<String> {
        let mut causes = Causes::default();
        judge(&json!({"spec": spec}), &mut causes);
        causes.into_vec().iter().map(|cause| cause.field.clone()).collect()
    }

    #[test]
    fn durations_are_positive_and_transitions_counted() {
        assert!(wrong(&json!({"leaseDurationSeconds": 1, "leaseTransitions": 0})).is_empty());
        assert!(wrong(&Value::Null).is_empty());
        let both = wrong(&json!({"leaseDurationSeconds": 0, "leaseTransitions": -1}));
        assert_eq!(both, ["spec.leaseDurationSeconds", "spec.leaseTransitions"]);
    }

    #[test]
    fn what_would_have_a_holder_chosen_is_dropped() {
        let mut lease = json!({"spec": {"holderIdentity": "a", "strategy": "OldestEmulationVersion",
            "preferredHolder": "b"}});
        complete(&mut lease);
        assert_eq!(lease, json!({"spec": {"holderIdentity": "a"}}));
        let mut bare = json!({"metadata": {}});
        complete(&mut bare);
        assert_eq!(bare, json!({"metadata": {}}));
    }
}
