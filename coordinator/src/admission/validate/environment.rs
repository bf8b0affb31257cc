//! Environment variables of a container, and where their values come from.

use k8s_openapi::api::core::v1::{EnvFromSource, EnvVar, EnvVarSource, ObjectFieldSelector};

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
        None if FIELDS.contains(&name) => return,
        None if OTHER_FIELDS.contains(&name) => {
            causes.not_supported(&field_path, name, &FIELDS);
            return;
        }
        None => format!("field label not supported: {name}"),
    };
    causes.invalid(&field_path, name, format!("error converting fieldPath: {error}"));
}

/// `metadata.labels['a']` as its path and its key.
pub(crate) fn subscript(field: &str) -> Option<(&str, &str)> {
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
