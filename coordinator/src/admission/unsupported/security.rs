//! The table's lines on security contexts.

use super::Field;
use super::Rule::{Capabilities, Harmless, Inside, Only, Refused, Works};
use super::table::field;

const NO_MODULE: &str = "set it up on the machine";
const NOT_WINDOWS: &str = "workers run on Linux";

/// `securityContext` of a pod.
pub const POD_SECURITY: &[Field] = &[
    field("appArmorProfile", Refused(NO_MODULE)),
    field("fsGroup", Works),
    // There are only volumes that are new with the pod.
    field("fsGroupChangePolicy", Harmless),
    field("runAsGroup", Works),
    field("runAsNonRoot", Works),
    field("runAsUser", Works),
    field("seLinuxChangePolicy", Refused(NO_MODULE)),
    field("seLinuxOptions", Refused(NO_MODULE)),
    field("seccompProfile", Inside(SECCOMP)),
    field("supplementalGroups", Works),
    field("supplementalGroupsPolicy", Works),
    field("sysctls", Refused(NO_MODULE)),
    field("windowsOptions", Refused(NOT_WINDOWS)),
];

/// `securityContext` of a container.
pub const CONTAINER_SECURITY: &[Field] = &[
    field("allowPrivilegeEscalation", Works),
    field("appArmorProfile", Refused(NO_MODULE)),
    field("capabilities", Inside(CAPABILITIES)),
    field("privileged", Works),
    field("procMount", Only(&["Default"], "processes see the machine's /proc")),
    field("readOnlyRootFilesystem", Works),
    field("runAsGroup", Works),
    field("runAsNonRoot", Works),
    field("runAsUser", Works),
    field("seLinuxOptions", Refused(NO_MODULE)),
    field("seccompProfile", Inside(SECCOMP)),
    field("windowsOptions", Refused(NOT_WINDOWS)),
];

/// `capabilities` of a container.
pub const CAPABILITIES: &[Field] = &[field("add", Capabilities), field("drop", Capabilities)];

/// `seccompProfile`.
pub const SECCOMP: &[Field] = &[field("localhostProfile", Works), field("type", Works)];
