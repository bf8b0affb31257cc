//! `securityContext` of a pod and of a container, made one: the container's word goes first.

use k8s_openapi::api::core::v1::{Container, PodSpec, SeccompProfile};
use stint_common::capability::Capabilities;

use super::setup::{Filter, Security};

/// What `container` of `pod` runs as.
pub(super) fn security(pod: &PodSpec, container: &Container) -> Security {
    let whole = pod.security_context.as_ref();
    let own = container.security_context.as_ref();
    let id = |id: Option<i64>| id.and_then(|id| u32::try_from(id).ok());
    let groups = whole.and_then(|it| it.supplemental_groups.as_ref()).into_iter().flatten();
    let groups = groups.copied().chain(whole.and_then(|it| it.fs_group));
    let policy = whole.and_then(|it| it.supplemental_groups_policy.as_deref());
    let capabilities = own.and_then(|it| it.capabilities.as_ref()).map(|wanted| {
        Capabilities::of_container(&texts(wanted.add.as_deref()), &texts(wanted.drop.as_deref()))
    });
    let privileged = own.and_then(|it| it.privileged).unwrap_or(false);
    let filter = own
        .and_then(|it| it.seccomp_profile.as_ref())
        .or_else(|| whole.and_then(|it| it.seccomp_profile.as_ref()))
        .filter(|_| !privileged);
    Security {
        user: id(own.and_then(|it| it.run_as_user).or(whole.and_then(|it| it.run_as_user))),
        group: id(own.and_then(|it| it.run_as_group).or(whole.and_then(|it| it.run_as_group))),
        groups: groups.filter_map(|group| u32::try_from(group).ok()).collect(),
        merge_groups: policy != Some("Strict"),
        non_root: own
            .and_then(|it| it.run_as_non_root)
            .or(whole.and_then(|it| it.run_as_non_root))
            .unwrap_or(false),
        no_new_privileges: own.and_then(|it| it.allow_privilege_escalation) == Some(false),
        read_only_root: own.and_then(|it| it.read_only_root_filesystem).unwrap_or(false),
        capabilities: capabilities.filter(|_| !privileged),
        filter: filter.and_then(filter_of),
    }
}

fn filter_of(profile: &SeccompProfile) -> Option<Filter> {
    match profile.type_.as_str() {
        "RuntimeDefault" => Some(Filter::Usual),
        "Localhost" => Some(Filter::Profile(profile.localhost_profile.clone().unwrap_or_default())),
        _ => None,
    }
}

fn texts(names: Option<&[String]>) -> Vec<&str> {
    names.unwrap_or_default().iter().map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(pod: serde_json::Value, container: serde_json::Value) -> Security {
        let pod = json!({"securityContext": pod, "containers": []});
        let container = json!({"name": "c", "securityContext": container});
        security(&serde_json::from_value(pod).unwrap(), &serde_json::from_value(container).unwrap())
    }

    #[test]
    fn the_containers_word_goes_before_the_pods() {
        let pod = json!({
            "runAsUser": 1000, "runAsGroup": 1000, "runAsNonRoot": true,
            "supplementalGroups": [7], "fsGroup": 8,
        });
        let security = of(pod.clone(), json!({"runAsUser": 5, "runAsNonRoot": false}));
        assert_eq!((security.user, security.group), (Some(5), Some(1000)));
        assert_eq!((security.groups, security.non_root), (vec![7, 8], false));
        assert!(of(pod, json!({})).non_root);
    }

    #[test]
    fn what_says_nothing_asks_for_nothing() {
        assert!(of(json!({}), json!({})).is_empty());
        assert!(of(json!({}), json!({"allowPrivilegeEscalation": true})).is_empty());
        let security = of(json!({}), json!({"allowPrivilegeEscalation": false}));
        assert!(security.no_new_privileges && !security.is_empty());
        let security = of(json!({}), json!({"capabilities": {"drop": ["ALL"]}}));
        assert_eq!(security.capabilities, Some(Capabilities(0)));
        assert!(of(json!({}), json!({"seccompProfile": {"type": "Unconfined"}})).is_empty());
        let pod = json!({"seccompProfile": {"type": "RuntimeDefault"}});
        assert_eq!(of(pod.clone(), json!({})).filter, Some(Filter::Usual));
        let local = json!({"seccompProfile": {"type": "Localhost", "localhostProfile": "a/b"}});
        assert_eq!(of(pod.clone(), local).filter, Some(Filter::Profile("a/b".to_owned())));
        assert_eq!(of(pod, json!({"privileged": true})).filter, None);
    }
}
