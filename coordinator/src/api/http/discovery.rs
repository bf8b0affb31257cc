//! Which groups, versions and resources there are: the documents by which `kubectl` finds out, in
//! the old form (one for each group's version) and the new one (all in one).

use serde_json::{Value, json};

use crate::api::resources::{ApiResource, Subresource, Verb, group_version, groups, of_group};

/// `/`.
pub(super) fn paths() -> Value {
    let mut paths: Vec<String> = vec!["/api".to_owned(), "/apis".to_owned()];
    for (group, version) in groups() {
        if group.is_empty() {
            paths.push(format!("/api/{version}"));
        } else {
            paths.push(format!("/apis/{group}"));
            paths.push(format!("/apis/{group}/{version}"));
        }
    }
    paths.extend(
        [
            "/healthz",
            "/livez",
            "/metrics",
            "/openapi/v2",
            "/openapi/v3",
            "/readyz",
            "/ui/",
            "/version",
        ]
        .map(str::to_owned),
    );
    paths.sort();
    json!({"paths": paths})
}

/// `/api`, in the old form.
pub(super) fn core_versions(server: &str) -> Value {
    let core = groups().into_iter().filter(|(group, _)| group.is_empty());
    json!({
        "kind": "APIVersions",
        "versions": core.map(|(_, version)| version).collect::<Vec<_>>(),
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": server}],
    })
}

/// `/apis`, in the old form.
pub(super) fn group_list() -> Value {
    let mut names: Vec<&str> = Vec::new();
    for (group, _) in groups() {
        if !group.is_empty() && !names.contains(&group) {
            names.push(group);
        }
    }
    let groups: Vec<Value> = names.into_iter().map(group_members).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/GROUP`.
pub(super) fn group(name: &str) -> Value {
    let mut document = json!({"kind": "APIGroup", "apiVersion": "v1"});
    if let (Some(document), Value::Object(members)) =
        (document.as_object_mut(), group_members(name))
    {
        document.extend(members);
    }
    document
}

fn group_members(name: &str) -> Value {
    let versions: Vec<Value> = groups()
        .into_iter()
        .filter(|(group, _)| *group == name)
        .map(|(group, version)| {
            json!({"groupVersion": group_version(group, version), "version": version})
        })
        .collect();
    json!({"name": name, "preferredVersion": versions.first(), "versions": versions})
}

/// `/api/v1`, `/apis/GROUP/VERSION`.
pub(super) fn resources(group: &str, version: &str) -> Value {
    let mut list = Vec::new();
    for resource in of_group(group, version) {
        list.push(own(resource));
        list.extend(resource.subresources.iter().map(|sub| part(resource, sub)));
    }
    json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version(group, version),
        "resources": list,
    })
}

fn own(resource: &ApiResource) -> Value {
    let mut value = json!({
        "name": resource.about.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.about.kind,
        "verbs": verbs(resource.verbs),
    });
    add_names(&mut value, resource);
    value
}

fn part(resource: &ApiResource, sub: &Subresource) -> Value {
    let mut value = json!({
        "name": format!("{}/{}", resource.about.plural, sub.part.name()),
        "singularName": "",
        "namespaced": resource.namespaced,
    });
    if let Some((group, version)) = sub.group_version {
        value["group"] = json!(group);
        value["version"] = json!(version);
    }
    value["kind"] = json!(sub.kind);
    value["verbs"] = verbs(sub.verbs);
    value
}

/// Members that are left out when empty.
fn add_names(value: &mut Value, resource: &ApiResource) {
    let lists = [("shortNames", resource.short_names), ("categories", resource.categories)];
    for (member, names) in lists {
        if !names.is_empty() {
            value[member] = json!(names);
        }
    }
}

fn verbs(verbs: &[Verb]) -> Value {
    verbs.iter().map(|verb| verb.name()).collect()
}

/// Which part of the aggregated document is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Half {
    /// `/api`.
    Core,
    /// `/apis`.
    Named,
}

/// `/api` or `/apis`, in the new form.
pub(super) fn aggregated(half: Half, of: &str) -> Value {
    let mut items: Vec<(&str, Vec<Value>)> = Vec::new();
    for (group, version) in groups() {
        if group.is_empty() != (half == Half::Core) {
            continue;
        }
        let resources: Vec<Value> = of_group(group, version).map(aggregated_resource).collect();
        let entry = json!({"version": version, "resources": resources, "freshness": "Current"});
        match items.iter_mut().find(|(name, _)| *name == group) {
            Some((_, versions)) => versions.push(entry),
            None => items.push((group, vec![entry])),
        }
    }
    let items: Vec<Value> = items
        .into_iter()
        .map(|(name, versions)| {
            let mut item = json!({"metadata": {"creationTimestamp": null}, "versions": versions});
            if !name.is_empty() {
                item["metadata"]["name"] = json!(name);
            }
            item
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{of}"),
        "metadata": {},
        "items": items,
    })
}

fn aggregated_resource(resource: &'static ApiResource) -> Value {
    let about = resource.about;
    let mut value = json!({
        "resource": about.plural,
        "responseKind": kind(about.group, resource.version, about.kind),
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular,
        "verbs": verbs(resource.verbs),
    });
    add_names(&mut value, resource);
    let parts: Vec<Value> = resource
        .subresources
        .iter()
        .map(|sub| {
            let (group, version) = sub.group_version.unwrap_or((about.group, resource.version));
            json!({
                "subresource": sub.part.name(),
                "responseKind": kind(group, version, sub.kind),
                "verbs": verbs(sub.verbs),
            })
        })
        .collect();
    if !parts.is_empty() {
        value["subresources"] = Value::Array(parts);
    }
    value
}

fn kind(group: &str, version: &str, kind: &str) -> Value {
    json!({"group": group, "version": version, "kind": kind})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_name_the_same() {
        let legacy = resources("batch", "v1");
        let names: Vec<&str> = legacy["resources"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|resource| resource["name"].as_str())
            .collect();
        assert!(names.contains(&"jobs") && names.contains(&"jobs/status"), "{names:?}");
        let batch = aggregated(Half::Named, "v2");
        let item = batch["items"]
            .as_array()
            .unwrap()
            .iter()
            .find(|item| item["metadata"]["name"] == "batch")
            .unwrap();
        let jobs = item["versions"][0]["resources"]
            .as_array()
            .unwrap()
            .iter()
            .find(|resource| resource["resource"] == "jobs")
            .unwrap();
        assert_eq!(jobs["subresources"][0]["subresource"], "status");
        assert_eq!(jobs["responseKind"]["kind"], "Job");
        let core = aggregated(Half::Core, "v2");
        assert_eq!(core["items"].as_array().map(Vec::len), Some(1));
        assert!(core["items"][0]["metadata"].get("name").is_none());
    }
}
