//! `volumes` of a pod and `volumeMounts` of its containers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{
    Container, DownwardAPIVolumeFile, EmptyDirVolumeSource, HostPathVolumeSource, PodSpec,
};
use serde_json::Value;
use stint_common::id::PodId;
use stint_common::pod_meta::PodMetadata;
use stint_common::quantity;

use super::config_volumes::{self, IN_MEMORY, Inline};
use super::env::Variables;
use super::error::PrepareError;
use super::expand::Text;
use super::field::{Field, Fields, PodField};
use super::resources;
use super::setup::{FileContent, HostPathKind, Mount, Volume, VolumeSource};

/// Permissions of files whose volume says nothing of them.
const DEFAULT_MODE: i32 = 0o644;

/// The volumes of a Job's pods.
#[derive(Debug)]
pub(super) struct Volumes {
    prepared: Vec<(Arc<str>, Prepared)>,
    /// All of them, where no pod has its own.
    same: Option<Arc<[Volume]>>,
    places: HashMap<String, usize>,
}

#[derive(Debug)]
enum Prepared {
    Same(VolumeSource),
    Files { files: Vec<File>, memory: bool },
}

#[derive(Debug)]
struct File {
    path: String,
    mode: u32,
    content: Content,
}

/// Where a file's bytes come from.
#[derive(Debug)]
enum Content {
    Same(Arc<[u8]>),
    Own(PodField),
    Labels,
    Annotations,
}

impl Volumes {
    /// The volumes of a pod spec.
    ///
    /// `raw` are the same as JSON, in which the files of ConfigMaps and Secrets may stand.
    pub(super) fn of(pod: &PodSpec, raw: &Value, fields: Fields<'_>) -> Result<Self, PrepareError> {
        let mut prepared: Vec<(Arc<str>, Prepared)> = Vec::new();
        let mut places = HashMap::new();
        for (index, volume) in pod.volumes.iter().flatten().enumerate() {
            let path = format!("spec.volumes[{index}]");
            let raw = &raw[index];
            let source = if let Some(files) = inline(raw, None) {
                Prepared::Files { files, memory: raw[IN_MEMORY] == true }
            } else if let Some(empty) = &volume.empty_dir {
                Prepared::Same(empty_dir(empty, &path)?)
            } else if let Some(host) = &volume.host_path {
                Prepared::Same(host_path(host, &path)?)
            } else if let Some(downward) = &volume.downward_api {
                let default = downward.default_mode;
                let items = downward.items.iter().flatten();
                Prepared::Files {
                    files: downward_files(items, default, fields, &path)?,
                    memory: false,
                }
            } else if let Some(projected) = &volume.projected {
                let mut files = Vec::new();
                let mut memory = false;
                for (index, source) in projected.sources.iter().flatten().enumerate() {
                    let path = format!("{path}.projected.sources[{index}]");
                    let raw = &raw["projected"]["sources"][index];
                    if let Some(inline) = inline(raw, projected.default_mode) {
                        files.extend(inline);
                        memory |= raw[IN_MEMORY] == true;
                        continue;
                    }
                    let Some(downward) = &source.downward_api else {
                        return Err(PrepareError::Unsupported { field: path });
                    };
                    let items = downward.items.iter().flatten();
                    files.extend(downward_files(items, projected.default_mode, fields, &path)?);
                }
                Prepared::Files { files, memory }
            } else {
                return Err(PrepareError::Unsupported { field: path });
            };
            places.insert(volume.name.clone(), index);
            prepared.push((Arc::from(volume.name.as_str()), source));
        }
        let same = prepared.iter().map(|(name, source)| match source {
            Prepared::Same(source) => Some(Volume { name: name.clone(), source: source.clone() }),
            Prepared::Files { .. } => None,
        });
        Ok(Self { same: same.collect(), prepared, places })
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.prepared.is_empty()
    }

    /// The volumes of one pod.
    pub(super) fn of_pod(&self, pod: PodId, metadata: &PodMetadata) -> Arc<[Volume]> {
        if let Some(same) = &self.same {
            return same.clone();
        }
        let volumes = self.prepared.iter().map(|(name, source)| Volume {
            name: name.clone(),
            source: match source {
                Prepared::Same(source) => source.clone(),
                Prepared::Files { files, memory } => VolumeSource::Files {
                    files: files.iter().map(|file| file.of_pod(pod, metadata)).collect(),
                    memory: *memory,
                },
            },
        });
        volumes.collect()
    }

    /// What a container sees of them.
    pub(super) fn mounts(
        &self,
        container: &Container,
        variables: &Variables,
        path: &str,
    ) -> Result<Vec<PreparedMount>, PrepareError> {
        let mounts = container.volume_mounts.iter().flatten().enumerate();
        let mut prepared = Vec::new();
        for (index, mount) in mounts {
            let Some(volume) = self.places.get(&mount.name).copied() else {
                let field = format!("{path}.volumeMounts[{index}].name");
                return Err(PrepareError::NoVolume { field, name: mount.name.clone() });
            };
            let slash = if mount.mount_path.starts_with('/') { "" } else { "/" };
            let expression = mount.sub_path_expr.as_deref().filter(|text| !text.is_empty());
            let plain = Text::Fixed(Arc::from(mount.sub_path.as_deref().unwrap_or_default()));
            let files = matches!(self.prepared[volume].1, Prepared::Files { .. });
            let mut references = Vec::new();
            let sub_path = expression.map_or(plain, |text| {
                variables.parse_noting(text, |name, place| {
                    references.push((Arc::from(name), place));
                })
            });
            prepared.push(PreparedMount {
                references,
                volume,
                path: Arc::from(format!("{slash}{}", mount.mount_path)),
                sub_path,
                read_only: files || mount.read_only.unwrap_or(false),
            });
        }
        Ok(prepared)
    }
}

/// A mount, but for what each pod has of its own.
#[derive(Debug)]
pub(super) struct PreparedMount {
    volume: usize,
    path: Arc<str>,
    sub_path: Text,
    /// The variables that it asks for, with their places; unlike elsewhere, each has to be there,
    /// and not empty.
    references: Vec<(Arc<str>, Option<usize>)>,
    read_only: bool,
}

impl PreparedMount {
    /// The mount of one pod, by the values of its variables.
    pub(super) fn of_pod(&self, values: &[Arc<str>]) -> Mount {
        Mount {
            volume: self.volume,
            path: self.path.clone(),
            sub_path: self.sub_path.render(values),
            read_only: self.read_only,
            missing: self.missing(values),
        }
    }

    fn missing(&self, values: &[Arc<str>]) -> Option<Arc<str>> {
        let value = |place: Option<usize>| place.and_then(|place| values.get(place));
        let without = self.references.iter().filter(|(_, place)| {
            let value = value(*place);
            value.is_none_or(|value| value.is_empty())
        });
        let names: BTreeSet<&str> = without.map(|(name, _)| &**name).collect();
        let names = Vec::from_iter(names).join(", ");
        (!names.is_empty()).then(|| Arc::from(names))
    }
}

impl File {
    fn of_pod(&self, pod: PodId, metadata: &PodMetadata) -> (String, FileContent) {
        let bytes = match &self.content {
            Content::Same(bytes) => bytes.clone(),
            Content::Own(field) => Arc::from(field.value(pod, metadata).as_bytes()),
            Content::Labels => Arc::from(listed(&metadata.labels).as_bytes()),
            Content::Annotations => Arc::from(listed(&metadata.annotations).as_bytes()),
        };
        (self.path.clone(), FileContent { bytes, mode: self.mode })
    }
}

/// As Kubernetes writes maps into files: `key="value"`, a line each, in order.
fn listed(map: &BTreeMap<String, String>) -> String {
    let lines: Vec<String> =
        map.iter().map(|(key, value)| format!("{key}={}", quoted(value))).collect();
    lines.join("\n")
}

/// A text as Go's `%q` writes it, whose escapes are not quite those of Rust.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        let code = u32::from(character);
        match character {
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{b}' => quoted.push_str("\\v"),
            '\u{c}' => quoted.push_str("\\f"),
            '\'' => quoted.push(character),
            '\n' | '\r' | '\t' | '"' | '\\' => quoted.extend(character.escape_debug()),
            _ if is_printable(character) => quoted.push(character),
            _ if code < 0x80 => quoted.extend(format!("\\x{code:02x}").chars()),
            _ if code > 0xffff => quoted.extend(format!("\\U{code:08x}").chars()),
            _ => quoted.extend(format!("\\u{code:04x}").chars()),
        }
    }
    quoted.push('"');
    quoted
}

fn is_printable(character: char) -> bool {
    // Behind a letter, since Rust escapes a mark that has nothing to stand on.
    let text = String::from_iter(['x', character]);
    text.escape_debug().count() == 2
}

/// The files of a ConfigMap or Secret that were put into a volume, or a source of one.
fn inline(holder: &Value, default_mode: Option<i32>) -> Option<Vec<File>> {
    let files = config_volumes::read(holder)?.into_iter().map(|Inline { path, bytes, mode }| {
        let mode = mode.or(default_mode.map(i64::from)).unwrap_or(i64::from(DEFAULT_MODE));
        let mode = u32::try_from(mode).unwrap_or(0) & 0o777;
        File { path, mode, content: Content::Same(Arc::from(bytes)) }
    });
    Some(files.collect())
}

fn empty_dir(source: &EmptyDirVolumeSource, path: &str) -> Result<VolumeSource, PrepareError> {
    let medium = source.medium.as_deref().unwrap_or_default();
    if !["", "Memory"].contains(&medium) {
        return Err(PrepareError::Unsupported { field: format!("{path}.emptyDir.medium") });
    }
    let limit = source.size_limit.as_ref().and_then(|limit| quantity::whole(&limit.0));
    let limit = limit.and_then(|bytes| u64::try_from(bytes).ok()).filter(|bytes| *bytes > 0);
    Ok(VolumeSource::Empty { memory: medium == "Memory", limit })
}

fn host_path(source: &HostPathVolumeSource, path: &str) -> Result<VolumeSource, PrepareError> {
    let kind = match source.type_.as_deref().unwrap_or_default() {
        "" => HostPathKind::Any,
        "DirectoryOrCreate" => HostPathKind::DirectoryOrCreate,
        "Directory" => HostPathKind::Directory,
        "FileOrCreate" => HostPathKind::FileOrCreate,
        "File" => HostPathKind::File,
        "Socket" => HostPathKind::Socket,
        "CharDevice" => HostPathKind::CharDevice,
        "BlockDevice" => HostPathKind::BlockDevice,
        _ => return Err(PrepareError::Unsupported { field: format!("{path}.hostPath.type") }),
    };
    Ok(VolumeSource::Host { path: Arc::from(source.path.as_str()), kind })
}

fn downward_files<'a>(
    items: impl Iterator<Item = &'a DownwardAPIVolumeFile>,
    default_mode: Option<i32>,
    fields: Fields<'_>,
    path: &str,
) -> Result<Vec<File>, PrepareError> {
    let mut files = Vec::new();
    for (index, item) in items.enumerate() {
        let Some(reference) = &item.field_ref else {
            files.push(resource_file(
                item,
                default_mode,
                fields,
                &format!("{path}.items[{index}]"),
            )?);
            continue;
        };
        let content = match reference.field_path.as_str() {
            "metadata.labels" => Content::Labels,
            "metadata.annotations" => Content::Annotations,
            other => match fields.follow(other) {
                Some(Field::Fixed(text)) => Content::Same(Arc::from(text.as_bytes())),
                Some(Field::Own(field)) => Content::Own(field),
                None => {
                    let field = format!("{path}.items[{index}].fieldRef.fieldPath");
                    return Err(PrepareError::FieldPath { field, path: other.to_owned() });
                }
            },
        };
        files.push(file(item, default_mode, content));
    }
    Ok(files)
}

fn resource_file(
    item: &DownwardAPIVolumeFile,
    default_mode: Option<i32>,
    fields: Fields<'_>,
    path: &str,
) -> Result<File, PrepareError> {
    let Some(reference) = &item.resource_field_ref else {
        return Err(PrepareError::Unsupported { field: path.to_owned() });
    };
    let text = resources::field(fields.spec, None, reference, &fields.host.allocatable);
    let text = text.ok_or_else(|| PrepareError::FieldPath {
        field: format!("{path}.resourceFieldRef.resource"),
        path: reference.resource.clone(),
    })?;
    Ok(file(item, default_mode, Content::Same(Arc::from(text.as_bytes()))))
}

fn file(item: &DownwardAPIVolumeFile, default_mode: Option<i32>, content: Content) -> File {
    let mode = item.mode.or(default_mode).unwrap_or(DEFAULT_MODE);
    File { path: item.path.clone(), mode: u32::try_from(mode).unwrap_or(0) & 0o777, content }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_as_go_does() {
        for (text, expect) in [
            ("", r#""""#),
            ("a \"b\" c\\d's", r#""a \"b\" c\\d's""#),
            ("\t\n\r\u{7}\u{8}\u{b}\u{c}", r#""\t\n\r\a\b\v\f""#),
            ("\0\u{1b}\u{7f}", r#""\x00\x1b\x7f""#),
            ("é日e\u{301}🦀", "\"é日e\u{301}🦀\""),
            ("\u{a0}\u{200b}\u{85}\u{e0001}", r#""\u00a0\u200b\u0085\U000e0001""#),
        ] {
            assert_eq!(quoted(text), expect);
        }
    }
}
