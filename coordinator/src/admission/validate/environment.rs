//! Environment variables of a container, and where their values come from.

use k8s_openapi::api::core::v1::{
    EnvFromSource, EnvVar, EnvVarSource, ObjectFieldSelector, ResourceFieldSelector,
};

use super::pod::given;
use crate::admission::cause::{Causes, Path};
use crate::admission::text;

/// Fields of the pod that a variable can take.
const FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// Fields that a volume could take, but a variable cannot.
const OTHER_FIELDS: [&str; 6] = [
    "metadata.annotations",
    "metadata.labels",
    "spec.host",
    "spec.restartPolicy",
    "spec.schedulerName",
    "status.phase",
];

/// Fields of the pod that a file in a volume can hold.
const VOLUME_FIELDS: [&str; 5] = [
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
];
/// Fields that a variable could take, but no file.
const NO_VOLUME_FIELDS: [&str; 11] = [
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
    "spec.host",
    "spec.restartPolicy",
    "spec.schedulerName",
    "status.phase",
    "status.nominatedNodeName",
];
/// What `resourceFieldRef` can name.
const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];
/// What an amount of bytes can be divided by.
const DIVISORS: [&str; 15] =
    ["0", "", "1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];

/// `env`.
pub(super) fn variables(variables: &[EnvVar], path: &Path<'_>, causes: &mut Causes) {
    for (index, variable) in variables.iter().enumerate() {
        let path = path.index(index);
        if variable.name.is_empty() {
            causes.required(&path.child("name"), "");
        } else {
            let faults = text::environment_name(&variable.name);
            causes.invalid_each(&path.child("name"), &variable.name, faults);
        }
        if let Some(source) = &variable.value_from {
            value_from(source, given(variable.value.as_deref()), &path.child("valueFrom"), causes);
        }
    }
}

fn value_from(source: &EnvVarSource, value: Option<&str>, path: &Path<'_>, causes: &mut Causes) {
    if let Some(field) = &source.field_ref {
        field_ref(field, &path.child("fieldRef"), causes);
    }
    if let Some(field) = &source.resource_field_ref {
        resource_ref(field, &path.child("resourceFieldRef"), causes);
    }
    let keys = [
        ("configMapKeyRef", source.config_map_key_ref.as_ref().map(|it| (&it.name, &it.key))),
        ("secretKeyRef", source.secret_key_ref.as_ref().map(|it| (&it.name, &it.key))),
    ];
    for (name, key) in keys {
        let Some((object, key)) = key else { continue };
        let path = path.child(name);
        causes.invalid_each(&path.child("name"), object, text::dns_subdomain(object));
        if key.is_empty() {
            causes.required(&path.child("key"), "");
        }
    }
    let count = [
        source.field_ref.is_some(),
        source.resource_field_ref.is_some(),
        source.config_map_key_ref.is_some(),
        source.secret_key_ref.is_some(),
        source.file_key_ref.is_some(),
    ]
    .into_iter()
    .filter(|given| *given)
    .count();
    let fault = match (count, value) {
        (0, _) => {
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, \
             `secretKeyRef` or `fileKeyRef`"
        }
        (_, Some(_)) => "may not be specified when `value` is not empty",
        (1, None) => return,
        (_, None) => "may not have more than one field specified at a time",
    };
    causes.invalid(path, "", fault);
}

fn field_ref(field: &ObjectFieldSelector, path: &Path<'_>, causes: &mut Causes) {
    any_field_ref(field, &FIELDS, &OTHER_FIELDS, path, causes);
}

/// `fieldRef` of a file in a volume.
pub(super) fn volume_field_ref(field: &ObjectFieldSelector, path: &Path<'_>, causes: &mut Causes) {
    any_field_ref(field, &VOLUME_FIELDS, &NO_VOLUME_FIELDS, path, causes);
}

/// `resourceFieldRef`.
pub(super) fn resource_ref(field: &ResourceFieldSelector, path: &Path<'_>, causes: &mut Causes) {
    let name = field.resource.as_str();
    let resource = path.child("resource");
    if name.is_empty() {
        causes.required(&resource, "");
        return;
    }
    if !RESOURCES.contains(&name) {
        causes.not_supported(&resource, name, &RESOURCES);
        return;
    }
    let divisor = field.divisor.as_ref().map_or("0", |divisor| &divisor.0);
    let (known, kind): (&[&str], &str) = match name.split_once('.').map_or("", |(_, kind)| kind) {
        "cpu" => (&["0", "", "1m", "1"], "1m and 1 are supported with the cpu resource"),
        "memory" => (
            &DIVISORS,
            "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are \
                                 supported with the memory resource",
        ),
        _ => (
            &DIVISORS,
            "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are \
                          supported with the local ephemeral storage resource",
        ),
    };
    if !known.contains(&divisor) {
        let detail = format!("only divisor's values {kind}");
        causes.invalid(&path.child("divisor"), name, detail);
    }
}

fn any_field_ref(
    field: &ObjectFieldSelector,
    fields: &[&str],
    others: &[&str],
    path: &Path<'_>,
    causes: &mut Causes,
) {
    let version = field.api_version.as_deref().unwrap_or_default();
    let name = field.field_path.as_str();
    if version.is_empty() {
        causes.required(&path.child("apiVersion"), "");
        return;
    }
    let field_path = path.child("fieldPath");
    if name.is_empty() {
        causes.required(&field_path, "");
        return;
    }
    let error = match subscript(name) {
        _ if version != "v1" => format!("unsupported pod version: {version}"),
        Some(("metadata.annotations", key)) => {
            causes.invalid_each(
                path,
                &key.to_lowercase(),
                text::qualified_name(&key.to_lowercase()),
            );
            return;
        }
        Some(("metadata.labels", key)) => {
            causes.invalid_each(path, key, text::qualified_name(key));
            return;
        }
        Some(_) => format!("field label does not support subscript: {name}"),
        None if fields.contains(&name) => return,
        None if others.contains(&name) => {
            causes.not_supported(&field_path, name, fields);
            return;
        }
        None => format!("field label not supported: {name}"),
    };
    causes.invalid(&field_path, name, format!("error converting fieldPath: {error}"));
}

/// `metadata.labels['a']` as its path and its key.
fn subscript(field: &str) -> Option<(&str, &str)> {
    let (path, key) = field.strip_suffix("']")?.split_once("['")?;
    (!path.is_empty()).then_some((path, key))
}

/// `envFrom`.
pub(super) fn sources(sources: &[EnvFromSource], path: &Path<'_>, causes: &mut Causes) {
    for (index, source) in sources.iter().enumerate() {
        let item = path.index(index);
        if let Some(prefix) = given(source.prefix.as_deref()) {
            let faults = text::environment_name(prefix);
            causes.invalid_each(&item.child("prefix"), prefix, faults);
        }
        for (name, object) in [
            ("configMapRef", source.config_map_ref.as_ref().map(|it| &it.name)),
            ("secretRef", source.secret_ref.as_ref().map(|it| &it.name)),
        ] {
            if object.is_some_and(String::is_empty) {
                causes.required(&item.child(name).child("name"), "");
            }
        }
        match (&source.config_map_ref, &source.secret_ref) {
            (None, None) => {
                causes.invalid(path, "", "must specify one of: `configMapRef` or `secretRef`");
            }
            (Some(_), Some(_)) => {
                causes.invalid(path, "", "may not have more than one field specified at a time");
            }
            _ => {}
        }
    }
}
