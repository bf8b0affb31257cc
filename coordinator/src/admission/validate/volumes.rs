//! `volumes` of a pod and `volumeMounts` of its containers.

use std::collections::HashSet;

use k8s_openapi::api::core::v1::{
    DownwardAPIVolumeFile, HostPathVolumeSource, KeyToPath, PodSpec, ProjectedVolumeSource, Volume,
    VolumeMount,
};
use serde_json::Value;
use stint_common::quantity;

use super::environment::{resource_ref, volume_field_ref};
use super::pod::given;
use crate::admission::cause::{Causes, Path};
use crate::admission::text;

const HOST_PATH_TYPES: [&str; 8] = [
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
];
const PROPAGATIONS: [&str; 3] = ["Bidirectional", "HostToContainer", "None"];
/// Two files of a projected volume would be one.
const TWICE: &str = "conflicting duplicate paths";
const MODE: &str = "must be a number between 0 and 0777 (octal), both inclusive";

/// Checks volumes, and gives the names that mounts may use.
pub(super) fn volumes<'a>(
    pod: &'a PodSpec,
    path: &Path<'_>,
    causes: &mut Causes,
) -> HashSet<&'a str> {
    let mut names = HashSet::new();
    for (index, volume) in pod.volumes.iter().flatten().enumerate() {
        let mut found = Causes::default();
        check(volume, &names, &path.index(index), &mut found);
        if found.is_empty() {
            names.insert(volume.name.as_str());
        } else {
            causes.append(found);
        }
    }
    names
}

fn check(volume: &Volume, seen: &HashSet<&str>, path: &Path<'_>, causes: &mut Causes) {
    let json = serde_json::to_value(volume).unwrap_or(Value::Null);
    let sources = json.as_object().into_iter().flatten().filter(|(name, _)| *name != "name");
    match sources.map(|(name, _)| name).collect::<Vec<_>>().as_slice() {
        [] => causes.required(path, "must specify a volume type"),
        [_] => {}
        [_, others @ ..] => {
            for name in others {
                causes.forbidden(&path.child(name), "may not specify more than 1 volume type");
            }
        }
    }
    source(volume, path, causes);
    let name = path.child("name");
    if volume.name.is_empty() {
        causes.required(&name, "");
    } else {
        causes.invalid_each(&name, &volume.name, text::dns_label(&volume.name));
    }
    if seen.contains(volume.name.as_str()) {
        causes.duplicate(&name, &volume.name);
    }
}

fn source(volume: &Volume, path: &Path<'_>, causes: &mut Causes) {
    if let Some(empty) = &volume.empty_dir {
        let path = path.child("emptyDir");
        let path = path.child("sizeLimit");
        let limit = empty.size_limit.as_ref().map(|limit| quantity::milli(&limit.0));
        if limit.is_some_and(|limit| limit.is_none_or(|limit| limit < 0)) {
            causes.forbidden(&path, "SizeLimit field must be a valid resource quantity");
        }
    }
    if let Some(host) = &volume.host_path {
        host_path(host, &path.child("hostPath"), causes);
    }
    if let Some(downward) = &volume.downward_api {
        let path = path.child("downwardAPI");
        mode(downward.default_mode, &path.child("defaultMode"), causes);
        for file in downward.items.iter().flatten() {
            downward_file(file, &path, causes);
        }
    }
    if let Some(map) = &volume.config_map {
        let path = path.child("configMap");
        if map.name.is_empty() {
            causes.required(&path.child("name"), "");
        }
        mode(map.default_mode, &path.child("defaultMode"), causes);
        keys(map.items.as_deref(), &path, causes);
    }
    if let Some(secret) = &volume.secret {
        let path = path.child("secret");
        if given(secret.secret_name.as_deref()).is_none() {
            causes.required(&path.child("secretName"), "");
        }
        mode(secret.default_mode, &path.child("defaultMode"), causes);
        keys(secret.items.as_deref(), &path, causes);
    }
    if let Some(projected) = &volume.projected {
        sources(projected, &path.child("projected"), causes);
    }
}

/// The sources of a projected volume, which share one directory.
fn sources(projected: &ProjectedVolumeSource, whole: &Path<'_>, causes: &mut Causes) {
    mode(projected.default_mode, &whole.child("defaultMode"), causes);
    let list = whole.child("sources");
    let mut paths = HashSet::new();
    for (index, source) in projected.sources.iter().flatten().enumerate() {
        let path = list.index(index);
        let secret = source.secret.as_ref().map(|it| (&it.name, it.items.as_deref()));
        let config_map = source.config_map.as_ref().map(|it| (&it.name, it.items.as_deref()));
        for (kind, object) in [("secret", secret), ("configMap", config_map)] {
            let Some((name, items)) = object else { continue };
            let path = path.child(kind);
            if name.is_empty() {
                causes.required(&path.child("name"), "");
            }
            keys(items, &path, causes);
            let items = items.into_iter().flatten().filter(|item| !item.path.is_empty());
            for _ in items.filter(|item| !paths.insert(item.path.as_str())) {
                causes.invalid(whole, name, TWICE);
            }
        }
        for file in source.downward_api.iter().flat_map(|it| &it.items).flatten() {
            downward_file(file, &path.child("downwardAPI"), causes);
            if !file.path.is_empty() && !paths.insert(file.path.as_str()) {
                causes.invalid(whole, &file.path, TWICE);
            }
        }
        let kinds = [secret.is_some(), config_map.is_some(), source.downward_api.is_some()];
        if kinds.into_iter().filter(|given| *given).count() > 1 {
            causes.forbidden(&path, "may not specify more than 1 volume type per source");
        }
    }
}

fn host_path(host: &HostPathVolumeSource, path: &Path<'_>, causes: &mut Causes) {
    if host.path.is_empty() {
        causes.required(&path.child("path"), "");
        return;
    }
    no_backsteps(&host.path, &path.child("path"), causes);
    let kind = host.type_.as_deref().unwrap_or_default();
    if !HOST_PATH_TYPES.contains(&kind) {
        causes.not_supported(&path.child("type"), kind, &HOST_PATH_TYPES);
    }
}

/// Kubernetes leaves the item's place out of these paths.
fn downward_file(file: &DownwardAPIVolumeFile, path: &Path<'_>, causes: &mut Causes) {
    let name = path.child("path");
    if file.path.is_empty() {
        causes.required(&name, "");
    }
    if descending(&file.path, &name, causes) && file.path.starts_with("..") {
        causes.invalid(&name, &file.path, "must not start with '..'");
    }
    match (&file.field_ref, &file.resource_field_ref) {
        (Some(_), Some(_)) => {
            let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
            causes.invalid(path, "resource", detail);
        }
        (Some(field), None) => volume_field_ref(field, &path.child("fieldRef"), causes),
        (None, Some(field)) => {
            let path = path.child("resourceFieldRef");
            if given(field.container_name.as_deref()).is_none() {
                causes.required(&path.child("containerName"), "");
            }
            resource_ref(field, &path, causes);
        }
        (None, None) => causes.required(path, "one of fieldRef and resourceFieldRef is required"),
    }
    mode(file.mode, &path.child("mode"), causes);
}

/// `items` of a ConfigMap or Secret.
fn keys(items: Option<&[KeyToPath]>, path: &Path<'_>, causes: &mut Causes) {
    let list = path.child("items");
    for (index, item) in items.into_iter().flatten().enumerate() {
        let path = list.index(index);
        if item.key.is_empty() {
            causes.required(&path.child("key"), "");
        }
        let name = path.child("path");
        if item.path.is_empty() {
            causes.required(&name, "");
        }
        if descending(&item.path, &name, causes) && item.path.starts_with("..") {
            causes.invalid(&name, &item.path, "must not start with '..'");
        }
        mode(item.mode, &path.child("mode"), causes);
    }
}

fn mode(mode: Option<i32>, path: &Path<'_>, causes: &mut Causes) {
    if let Some(mode) = mode.filter(|mode| !(0..=0o777).contains(mode)) {
        causes.invalid(path, mode, MODE);
    }
}

/// Whether a path stays below where it begins.
pub(super) fn descending(name: &str, path: &Path<'_>, causes: &mut Causes) -> bool {
    if name.starts_with('/') {
        causes.invalid(path, name, "must be a relative path");
        return false;
    }
    no_backsteps(name, path, causes)
}

fn no_backsteps(name: &str, path: &Path<'_>, causes: &mut Causes) -> bool {
    let steps_back = name.split('/').any(|part| part == "..");
    if steps_back {
        causes.invalid(path, name, "must not contain '..'");
    }
    !steps_back
}

/// The mounts of a container. `privileged` containers may mount for the machine, too.
pub(super) fn mounts(
    mounts: &[VolumeMount],
    volumes: &HashSet<&str>,
    privileged: bool,
    path: &Path<'_>,
    causes: &mut Causes,
) {
    let mut paths = HashSet::new();
    for (index, mount) in mounts.iter().enumerate() {
        let path = path.index(index);
        if mount.name.is_empty() {
            causes.required(&path.child("name"), "");
        }
        if !volumes.contains(mount.name.as_str()) {
            causes.not_found(&path.child("name"), &mount.name);
        }
        if mount.mount_path.is_empty() {
            causes.required(&path.child("mountPath"), "");
        }
        if !paths.insert(mount.mount_path.as_str()) {
            causes.invalid(&path.child("mountPath"), &mount.mount_path, "must be unique");
        }
        let sub_path = given(mount.sub_path.as_deref());
        if let Some(sub_path) = sub_path {
            descending(sub_path, &path.child("subPath"), causes);
        }
        if let Some(expression) = given(mount.sub_path_expr.as_deref()) {
            let path = path.child("subPathExpr");
            if sub_path.is_some() {
                let detail = "subPathExpr and subPath are mutually exclusive";
                causes.invalid(&path, expression, detail);
            }
            descending(expression, &path, causes);
        }
        if let Some(propagation) = mount.mount_propagation.as_deref() {
            let path = path.child("mountPropagation");
            if !PROPAGATIONS.contains(&propagation) {
                causes.not_supported(&path, propagation, &PROPAGATIONS);
            } else if propagation == "Bidirectional" && !privileged {
                let detail =
                    "Bidirectional mount propagation is available only to privileged containers";
                causes.forbidden(&path, detail);
            }
        }
    }
}
