//! `securityContext` of a pod and of its containers.

use k8s_openapi::api::core::v1::{
    Container, PodSecurityContext, PodSpec, SeccompProfile, SecurityContext,
};

use super::pod::given;
use super::volumes;
use crate::admission::cause::{Causes, Path};

/// Users and groups are numbers up to here.
const MOST_ID: i64 = 2_147_483_647;
const ID: &str = "must be between 0 and 2147483647, inclusive";
const GROUP_POLICIES: [&str; 2] = ["Merge", "Strict"];
const CHANGE_POLICIES: [&str; 2] = ["Always", "OnRootMismatch"];
const PROFILES: [&str; 3] = ["Localhost", "RuntimeDefault", "Unconfined"];

/// The pod's.
pub(super) fn of_pod(pod: &PodSpec, path: &Path<'_>, causes: &mut Causes) {
    let Some(context) = &pod.security_context else { return };
    if pod.share_process_namespace == Some(true) && pod.host_pid == Some(true) {
        let detail = "ShareProcessNamespace and HostPID cannot both be enabled";
        causes.invalid(&path.child("shareProcessNamespace"), true, detail);
    }
    let path = path.child("securityContext");
    let PodSecurityContext {
        fs_group,
        fs_group_change_policy,
        run_as_group,
        run_as_user,
        seccomp_profile,
        supplemental_groups,
        supplemental_groups_policy,
        ..
    } = context;
    id(*fs_group, &path.child("fsGroup"), causes);
    id(*run_as_user, &path.child("runAsUser"), causes);
    id(*run_as_group, &path.child("runAsGroup"), causes);
    let groups = path.child("supplementalGroups");
    for (index, group) in supplemental_groups.iter().flatten().enumerate() {
        id(Some(*group), &groups.index(index), causes);
    }
    let known = |value: Option<&str>, known: &[&str], path: Path<'_>, causes: &mut Causes| {
        if let Some(value) = value.filter(|value| !known.contains(value)) {
            causes.not_supported(&path, value, known);
        }
    };
    let policy = supplemental_groups_policy.as_deref();
    known(policy, &GROUP_POLICIES, path.child("supplementalGroupsPolicy"), causes);
    let policy = fs_group_change_policy.as_deref();
    known(policy, &CHANGE_POLICIES, path.child("fsGroupChangePolicy"), causes);
    seccomp(seccomp_profile.as_ref(), &path.child("seccompProfile"), causes);
}

/// A container's.
pub(super) fn of_container(container: &Container, path: &Path<'_>, causes: &mut Causes) {
    let Some(context) = &container.security_context else { return };
    let path = path.child("securityContext");
    let SecurityContext {
        allow_privilege_escalation,
        capabilities,
        privileged,
        run_as_group,
        run_as_user,
        seccomp_profile,
        ..
    } = context;
    id(*run_as_user, &path.child("runAsUser"), causes);
    id(*run_as_group, &path.child("runAsGroup"), causes);
    seccomp(seccomp_profile.as_ref(), &path.child("seccompProfile"), causes);
    if *allow_privilege_escalation != Some(false) {
        return;
    }
    if *privileged == Some(true) {
        let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
        causes.invalid(&path, context, detail);
    }
    let mut added = capabilities.iter().flat_map(|it| &it.add).flatten();
    if added.any(|name| name == "CAP_SYS_ADMIN") {
        let detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` \
                      CAP_SYS_ADMIN";
        causes.invalid(&path, context, detail);
    }
}

fn id(id: Option<i64>, path: &Path<'_>, causes: &mut Causes) {
    if let Some(id) = id.filter(|id| !(0..=MOST_ID).contains(id)) {
        causes.invalid(path, id, ID);
    }
}

fn seccomp(profile: Option<&SeccompProfile>, path: &Path<'_>, causes: &mut Causes) {
    let Some(profile) = profile else { return };
    let file = given(profile.localhost_profile.as_deref());
    match profile.type_.as_str() {
        "" => causes.required(path, "type is required when seccompProfile is set"),
        "Localhost" if file.is_none() => {
            let detail = "must be set when seccomp type is Localhost";
            causes.required(&path.child("localhostProfile"), detail);
        }
        kind if !PROFILES.contains(&kind) => {
            causes.not_supported(&path.child("type"), kind, &PROFILES);
        }
        kind => {
            let path = path.child("localhostProfile");
            match file {
                Some(file) if kind == "Localhost" => {
                    volumes::descending(file, &path, causes);
                }
                Some(file) => {
                    let detail = "can only be set when seccomp type is Localhost";
                    causes.invalid(&path, file, detail);
                }
                None => {}
            }
        }
    }
}
