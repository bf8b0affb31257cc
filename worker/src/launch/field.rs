//! `fieldRef`: what a container may learn of its own pod.

use std::sync::Arc;

use k8s_openapi::api::core::v1::PodSpec;
use stint_common::id::PodId;
use stint_common::pod_meta::PodMetadata;
use stint_common::wire::Template;

use super::host::Host;

/// Something that is known of a pod only when there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PodField {
    /// `metadata.name`.
    Name,
    /// `metadata.uid`.
    Uid,
    /// `metadata.labels['…']`.
    Label(String),
    /// `metadata.annotations['…']`.
    Annotation(String),
    /// The pod's attempt: a fencing token for what it writes elsewhere.
    Attempt,
}

impl PodField {
    /// Its value; a label that a pod does not have is empty, as in Kubernetes.
    pub(super) fn value(&self, pod: PodId, metadata: &PodMetadata) -> Arc<str> {
        let found = match self {
            Self::Name => Some(&metadata.name),
            Self::Uid => return Arc::from(pod.uid().to_string()),
            Self::Label(key) => metadata.labels.get(key),
            Self::Annotation(key) => metadata.annotations.get(key),
            Self::Attempt => return Arc::from(pod.attempt.to_string()),
        };
        found.map_or_else(|| Arc::from(""), |text| Arc::from(text.as_str()))
    }
}

/// What a field path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// The same for all pods of the Job on this machine.
    Fixed(Arc<str>),
    /// Each pod's own.
    Own(PodField),
}

/// Where field paths lead, for the pods of one Job on one machine.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    pub(super) template: &'a Template,
    pub(super) spec: &'a PodSpec,
    pub(super) host: &'a Host,
}

impl Fields<'_> {
    /// Follows a path that Kubernetes allows in `env[].valueFrom.fieldRef`; `None` for any other.
    pub(super) fn follow(self, path: &str) -> Option<Field> {
        let fixed = |text: &str| Some(Field::Fixed(Arc::from(text)));
        match path {
            "metadata.name" => Some(Field::Own(PodField::Name)),
            "metadata.namespace" => fixed(&self.template.namespace),
            "metadata.uid" => Some(Field::Own(PodField::Uid)),
            "spec.nodeName" => fixed(&self.host.node_name),
            "spec.serviceAccountName" => fixed(self.service_account()),
            "status.hostIP" | "status.hostIPs" | "status.podIP" | "status.podIPs" => {
                fixed(&self.host.ip)
            }
            _ => subscript(path, "metadata.labels")
                .map(PodField::Label)
                .or_else(|| subscript(path, "metadata.annotations").map(PodField::Annotation))
                .map(Field::Own),
        }
    }

    /// The API server would have put `default` into every pod.
    fn service_account(&self) -> &str {
        let name = self.spec.service_account_name.as_deref();
        name.filter(|name| !name.is_empty()).unwrap_or("default")
    }
}

/// The key of `map['key']`.
fn subscript(path: &str, map: &str) -> Option<String> {
    let key = path.strip_prefix(map)?.strip_prefix("['")?.strip_suffix("']")?;
    (!key.is_empty()).then(|| key.to_owned())
}
