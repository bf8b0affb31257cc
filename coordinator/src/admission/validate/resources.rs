//! `resources` of a container.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Container;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use stint_common::quantity;

use crate::admission::cause::{Causes, Path};
use crate::admission::text;

type Amounts = BTreeMap<String, Quantity>;

/// What a container may ask for under a name without a domain.
const STANDARD: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
const HUGE_PAGES: &str = "hugepages-";

/// `resources`: limits, then requests.
pub(super) fn resources(container: &Container, path: &Path<'_>, causes: &mut Causes) {
    let Some(resources) = &container.resources else { return };
    let path = path.child("resources");
    let (limits_path, requests_path) = (path.child("limits"), path.child("requests"));
    let none = Amounts::new();
    let limits = resources.limits.as_ref().unwrap_or(&none);
    let requests = resources.requests.as_ref().unwrap_or(&none);
    for (name, amount) in limits {
        resource(name, amount, &limits_path.key(name), causes);
    }
    for (name, amount) in requests {
        let at = requests_path.key(name);
        resource(name, amount, &at, causes);
        let Some(limit) = limits.get(name) else {
            if !may_overcommit(name) {
                let detail = "Limit must be set for non overcommitable resources";
                causes.required(&limits_path, detail);
            }
            continue;
        };
        let (asked, most) = (quantity::milli(&amount.0), quantity::milli(&limit.0));
        if !may_overcommit(name) && asked != most {
            let detail = format!("must be equal to {name} limit of {}", limit.0);
            causes.invalid(&requests_path, &amount.0, detail);
        } else if asked > most {
            let detail = format!("must be less than or equal to {name} limit of {}", limit.0);
            causes.invalid(&requests_path, &amount.0, detail);
        }
    }
}

/// Devices and huge pages are either there or not.
fn may_overcommit(name: &str) -> bool {
    !name.contains('/') && !name.starts_with(HUGE_PAGES)
}

fn resource(name: &str, amount: &Quantity, path: &Path<'_>, causes: &mut Causes) {
    causes.invalid_each(path, name, text::qualified_name(name));
    let standard = STANDARD.contains(&name) || name.starts_with(HUGE_PAGES);
    if !name.contains('/') && !standard {
        causes.invalid(path, name, "must be a standard resource for containers");
    }
    match quantity::milli(&amount.0) {
        // Differs from Kubernetes: there this is a fault of decoding (400), without a path.
        None => causes.invalid(path, &amount.0, "must be a quantity, such as 500m, 1.5 or 64Mi"),
        Some(amount_milli) if amount_milli < 0 => {
            causes.invalid(path, &amount.0, "must be greater than or equal to 0");
        }
        Some(amount_milli) if name.contains('/') && amount_milli % 1000 != 0 => {
            causes.invalid(path, &amount.0, "must be an integer");
        }
        Some(_) => {}
    }
}
