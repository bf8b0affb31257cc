//! The table itself, in the order of the API's documentation: alphabetical within each type.

use super::Rule::{
    Each, EachBut, Harmless, Inside, Needed, NotNegative, Only, OnlyTrue, Refused, Works,
};
use super::files::{MOUNT, VOLUME};
use super::security::{CONTAINER_SECURITY, POD_SECURITY};
use super::{Field, Rule};

pub(super) const fn field(name: &'static str, rule: Rule) -> Field {
    Field { name, rule }
}

pub(super) const NO_FILES: &str = "read files of the host by their paths";
const NO_PLACING: &str = "use nodeSelector, nodeAffinity and tolerations";
const NO_LIMITS: &str = "run the worker in a cgroup that has the limits";
const NO_NETWORK: &str = "processes use the network of the host";
pub(super) const NO_NAMESPACES: &str = "processes see those of the host";

/// The object.
pub const JOB: &[Field] = &[
    field("apiVersion", Works),
    field("kind", Works),
    field("metadata", Inside(JOB_METADATA)),
    field("spec", Inside(JOB_SPEC)),
    field("status", Works),
];

/// `metadata`. Owners are recorded, with a warning.
pub const JOB_METADATA: &[Field] = &[
    field("annotations", Works),
    field("creationTimestamp", Works),
    field("deletionGracePeriodSeconds", Works),
    field("deletionTimestamp", Works),
    field("finalizers", Works),
    field("generateName", Works),
    field("generation", Works),
    field("labels", Works),
    field("managedFields", Harmless),
    field("name", Works),
    field("namespace", Works),
    field("ownerReferences", Harmless),
    field("resourceVersion", Works),
    field("selfLink", Harmless),
    field("uid", Works),
];

/// `spec`.
pub const JOB_SPEC: &[Field] = &[
    field("activeDeadlineSeconds", Works),
    field("backoffLimit", Works),
    field("backoffLimitPerIndex", Works),
    field("completionMode", Works),
    field("completions", Works),
    field("managedBy", Works),
    field("manualSelector", Works),
    field("maxFailedIndexes", Works),
    field("parallelism", Works),
    field("podFailurePolicy", Works),
    field("podReplacementPolicy", Works),
    field("scheduling", Refused(NO_PLACING)),
    field("selector", Works),
    field("successPolicy", Works),
    field("suspend", Works),
    field("template", Inside(TEMPLATE)),
    field("ttlSecondsAfterFinished", Works),
];

/// `spec.template`.
pub const TEMPLATE: &[Field] =
    &[field("metadata", Inside(TEMPLATE_METADATA)), field("spec", Inside(POD_SPEC))];

/// `spec.template.metadata`. What is harmless here has no effect in Kubernetes either.
pub const TEMPLATE_METADATA: &[Field] = &[
    field("annotations", Works),
    field("creationTimestamp", Harmless),
    field("deletionGracePeriodSeconds", Harmless),
    field("deletionTimestamp", Harmless),
    field("finalizers", Refused("a pod is gone when its Job is deleted")),
    field("generateName", Harmless),
    field("generation", Harmless),
    field("labels", Works),
    field("managedFields", Harmless),
    field("name", Harmless),
    field("namespace", Harmless),
    field("ownerReferences", Harmless),
    field("resourceVersion", Harmless),
    field("selfLink", Harmless),
    field("uid", Harmless),
];

/// `spec.template.spec`.
pub const POD_SPEC: &[Field] = &[
    field("activeDeadlineSeconds", Works),
    field("affinity", Inside(AFFINITY)),
    field("automountServiceAccountToken", Harmless),
    field("containers", Each(CONTAINER)),
    field("dnsConfig", Refused(NO_NETWORK)),
    field("dnsPolicy", Only(&["ClusterFirst", "ClusterFirstWithHostNet", "Default"], NO_NETWORK)),
    field("enableServiceLinks", Harmless),
    field("ephemeralContainers", Refused("a template has none in Kubernetes either")),
    field("evictionResponders", Refused("handle SIGTERM in the program")),
    field("hostAliases", Refused(NO_NETWORK)),
    // Processes of the host use the host's, whether it is said or not.
    field("hostIPC", Works),
    field("hostNetwork", Works),
    field("hostPID", Works),
    field("hostUsers", OnlyTrue(NO_NAMESPACES)),
    field("hostname", Works),
    field("hostnameOverride", Refused(NO_NAMESPACES)),
    field("imagePullSecrets", Harmless),
    field("initContainers", EachBut(CONTAINER, "restartPolicy")),
    field("nodeName", Works),
    field("nodeSelector", Works),
    field("os", Inside(&[field("name", Only(&["linux"], "workers run on Linux"))])),
    field("overhead", Refused(NO_LIMITS)),
    field(
        "preemptionPolicy",
        Only(&["PreemptLowerPriority", "Never"], "leave it out: no pod makes way for another"),
    ),
    field("priority", Works),
    field("priorityClassName", Works),
    field("readinessGates", Refused("a pod is ready when its processes run")),
    field("resourceClaims", Refused(NO_LIMITS)),
    field("resources", Refused(NO_LIMITS)),
    field("restartPolicy", Works),
    field("runtimeClassName", Works),
    field(
        "schedulerName",
        Only(&["default-scheduler"], "leave it out: workers take what there is"),
    ),
    field("schedulingGates", Refused("use spec.suspend")),
    field("schedulingGroup", Refused(NO_PLACING)),
    field("securityContext", Inside(POD_SECURITY)),
    field("serviceAccount", Only(&["default"], "there is no account's token to be had")),
    field("serviceAccountName", Only(&["default"], "there is no account's token to be had")),
    // Without a subdomain, the name is the same in Kubernetes.
    field("setHostnameAsFQDN", Harmless),
    field("shareProcessNamespace", Harmless),
    field("subdomain", Refused(NO_NETWORK)),
    field("terminationGracePeriodSeconds", NotNegative),
    field("tolerations", Works),
    field("topologySpreadConstraints", Refused(NO_PLACING)),
    field("volumes", Each(VOLUME)),
];

/// `spec.template.spec.containers[]`, and of `initContainers[]`, where `restartPolicy` works:
/// validation lets only Always in.
pub const CONTAINER: &[Field] = &[
    field("args", Works),
    field(
        "command",
        Needed(
            "images are not pulled, so the program of the image is not known: say what is to be \
             run",
        ),
    ),
    field("env", Each(ENV_VAR)),
    field("envFrom", Works),
    field("image", Harmless),
    field("imagePullPolicy", Harmless),
    field("lifecycle", Inside(LIFECYCLE)),
    field("livenessProbe", Inside(PROBE)),
    field("name", Works),
    field("ports", Harmless),
    field("readinessProbe", Inside(PROBE)),
    field("resizePolicy", Refused(NO_LIMITS)),
    field("resources", Inside(RESOURCES)),
    field("restartPolicy", Refused("use the pod's restartPolicy; Always is for initContainers")),
    field("restartPolicyRules", Refused("use the pod's restartPolicy")),
    field("securityContext", Inside(CONTAINER_SECURITY)),
    field("startupProbe", Inside(PROBE)),
    field("stdin", Refused("nothing can be attached: let the program read a file")),
    field("stdinOnce", Refused("nothing can be attached: let the program read a file")),
    field("terminationMessagePath", Works),
    field("terminationMessagePolicy", Works),
    field("tty", Refused("use script(1) for a program that wants a terminal")),
    field("volumeDevices", Refused(NO_FILES)),
    field("volumeMounts", Each(MOUNT)),
    field("workingDir", Works),
];

/// `affinity` of a pod.
pub const AFFINITY: &[Field] = &[
    field("nodeAffinity", Works),
    field("podAffinity", Refused(NO_PLACING)),
    field("podAntiAffinity", Refused(NO_PLACING)),
];

/// `resources` of a container.
pub const RESOURCES: &[Field] = &[
    field("claims", Refused("ask for devices by name, in limits")),
    field("limits", Rule::Limits),
    field("requests", Works),
];

/// `resourceFieldRef` of a variable or a file.
pub const RESOURCE_FIELD_REF: &[Field] = &[
    field("containerName", Works),
    field("divisor", Works),
    field(
        "resource",
        Only(
            &["limits.cpu", "limits.memory", "requests.cpu", "requests.memory"],
            "room on disk is not counted",
        ),
    ),
];

/// `lifecycle` of a container.
pub const LIFECYCLE: &[Field] = &[
    field("postStart", Inside(HOOK)),
    field("preStop", Inside(HOOK)),
    field("stopSignal", Refused("handle SIGTERM in the program")),
];

/// A hook of `lifecycle`.
pub const HOOK: &[Field] = &[
    field("exec", Works),
    field("httpGet", Inside(HTTP_GET)),
    field("sleep", Works),
    field("tcpSocket", Refused("it always fails in Kubernetes: use exec or httpGet")),
];

/// A probe of a container.
pub const PROBE: &[Field] = &[
    field("exec", Works),
    field("failureThreshold", Works),
    field("grpc", Works),
    field("httpGet", Inside(HTTP_GET)),
    field("initialDelaySeconds", Works),
    field("periodSeconds", Works),
    field("successThreshold", Works),
    field("tcpSocket", Works),
    field("terminationGracePeriodSeconds", Works),
    field("timeoutSeconds", Works),
];

/// `httpGet` of a hook or probe.
pub const HTTP_GET: &[Field] = &[
    field("host", Works),
    field("httpHeaders", Works),
    field("path", Works),
    field("port", Works),
    field("protocol", Refused("leave it out: HTTP/1.1 is spoken")),
    field("scheme", Works),
];

/// `env[]` of a container.
pub const ENV_VAR: &[Field] =
    &[field("name", Works), field("value", Works), field("valueFrom", Inside(ENV_VAR_SOURCE))];

/// `valueFrom` of a variable.
pub const ENV_VAR_SOURCE: &[Field] = &[
    field("configMapKeyRef", Works),
    field("fieldRef", Inside(FIELD_REF)),
    field("fileKeyRef", Refused("let the program read the file")),
    field("resourceFieldRef", Inside(RESOURCE_FIELD_REF)),
    field("secretKeyRef", Works),
];

/// `fieldRef` of a variable.
pub const FIELD_REF: &[Field] = &[field("apiVersion", Works), field("fieldPath", Works)];
