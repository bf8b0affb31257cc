//! Volumes whose files are in ConfigMaps and Secrets: which a template asks for, and the template
//! with the files in it.
//!
//! A source that is resolved is replaced by a member that no manifest has ([`FILES`]): the paths of
//! its files, each with contents and permissions. It never leaves the worker.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use stint_common::wire::Entries;

use super::config::{Found, Reference};

/// The member that stands for a resolved source.
pub(super) const FILES: &str = "stintFiles";
/// Beside it: the files are to be kept in memory.
pub(super) const IN_MEMORY: &str = "stintInMemory";

/// The objects that the volumes of a template ask for.
pub(super) fn references(template: &Value) -> Vec<Reference> {
    let mut found = Vec::new();
    for volume in volumes(template) {
        found.extend(reference(volume));
        found.extend(sources(volume).filter_map(reference));
    }
    found
}

/// Puts the files into the volumes of a template. `lenient` leaves out what is missing.
pub(super) fn resolve(template: &mut Value, found: &Found, lenient: bool) -> Result<(), String> {
    let volumes = template["spec"].get_mut("volumes").and_then(Value::as_array_mut);
    for volume in volumes.into_iter().flatten() {
        let name = volume["name"].as_str().unwrap_or_default().to_owned();
        let failed =
            |what: String| format!("MountVolume.SetUp failed for volume {name:?} : {what}");
        put_files(volume, found, lenient).map_err(failed)?;
        let sources = volume["projected"].get_mut("sources").and_then(Value::as_array_mut);
        for source in sources.into_iter().flatten() {
            put_files(source, found, lenient).map_err(failed)?;
        }
    }
    Ok(())
}

fn volumes(template: &Value) -> impl Iterator<Item = &Value> {
    template["spec"]["volumes"].as_array().into_iter().flatten()
}

fn sources(volume: &Value) -> impl Iterator<Item = &Value> {
    volume["projected"]["sources"].as_array().into_iter().flatten()
}

/// The object that a volume, or a source of a projected one, is made from.
fn reference(source: &Value) -> Option<Reference> {
    let name = |name: &Value| name.as_str().filter(|name| !name.is_empty()).map(ToOwned::to_owned);
    if let Some(name) = name(&source["configMap"]["name"]) {
        return Some(Reference::ConfigMap(name));
    }
    let secret = &source["secret"];
    // A volume calls it otherwise than a projected source does.
    name(&secret["secretName"]).or_else(|| name(&secret["name"])).map(Reference::Secret)
}

fn put_files(holder: &mut Value, found: &Found, lenient: bool) -> Result<(), String> {
    let Some(reference) = reference(holder) else { return Ok(()) };
    let (kind, key, name) = match &reference {
        Reference::ConfigMap(name) => ("configMap", "config key", name),
        Reference::Secret(name) => ("secret", "secret key", name),
    };
    let source = &holder[kind];
    let optional = lenient || source["optional"] == true;
    let files = match found.get(&reference).and_then(Option::as_ref) {
        Some(entries) => match files(source, entries, optional) {
            Ok(files) => files,
            Err(missing) => return Err(format!("references non-existent {key}: {missing}")),
        },
        None if optional => Map::new(),
        None => return Err(format!("{} {name:?} not found", kind.to_lowercase())),
    };
    let is_secret = matches!(reference, Reference::Secret(_));
    if let Some(members) = holder.as_object_mut() {
        members.shift_remove(kind);
        members.insert(FILES.to_owned(), Value::Object(files));
        if is_secret {
            members.insert(IN_MEMORY.to_owned(), json!(true));
        }
    }
    Ok(())
}

/// The files of a source: every key, or those that it lists. Fails with a key that is missing.
fn files<'a>(
    source: &'a Value,
    entries: &Entries,
    optional: bool,
) -> Result<Map<String, Value>, &'a str> {
    let default = source["defaultMode"].as_i64();
    let file = |bytes: &[u8], mode: Option<i64>| json!({"data": STANDARD.encode(bytes), "mode": mode.or(default)});
    let items: Vec<&Value> = source["items"].as_array().into_iter().flatten().collect();
    if items.is_empty() {
        return Ok(entries.iter().map(|(key, it)| (key.clone(), file(&it.bytes, None))).collect());
    }
    let mut files = Map::new();
    for item in items {
        let key = item["key"].as_str().unwrap_or_default();
        let path = item["path"].as_str().unwrap_or_default();
        match entries.get(key) {
            Some(it) => {
                files.insert(path.to_owned(), file(&it.bytes, item["mode"].as_i64()));
            }
            None if optional => {}
            None => return Err(key),
        }
    }
    Ok(files)
}

/// A file of a resolved source.
#[derive(PartialEq, Eq)]
pub(super) struct Inline {
    pub(super) path: String,
    pub(super) bytes: Vec<u8>,
    /// Its permissions, if the source says any.
    pub(super) mode: Option<i64>,
}

/// The files that a resolved source holds.
pub(super) fn read(holder: &Value) -> Option<Vec<Inline>> {
    let files = holder[FILES].as_object()?;
    let one = |(path, file): (&String, &Value)| {
        let bytes = STANDARD.decode(file["data"].as_str()?).ok()?;
        Some(Inline { path: path.clone(), bytes, mode: file["mode"].as_i64() })
    };
    files.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use stint_common::wire::Content;

    use super::*;

    fn found() -> Found {
        let entries = |of: &[(&str, &str)]| {
            let content = |value: &str| Content::plain(value.as_bytes().to_vec());
            of.iter().map(|(key, value)| ((*key).to_owned(), content(value))).collect()
        };
        BTreeMap::from([
            (Reference::ConfigMap("c".into()), Some(entries(&[("a", "1"), ("b", "2")]))),
            (Reference::Secret("s".into()), Some(entries(&[("k", "hidden")]))),
        ])
    }

    fn shown(files: &Value) -> Vec<(String, String, Option<i64>)> {
        let files = read(files).unwrap().into_iter();
        files.map(|it| (it.path, String::from_utf8(it.bytes).unwrap(), it.mode)).collect()
    }

    fn resolved(volume: Value) -> Result<Value, String> {
        let mut template = json!({"spec": {"containers": [{"name": "m"}], "volumes": [volume]}});
        resolve(&mut template, &found(), false)?;
        Ok(template["spec"]["volumes"][0].take())
    }

    #[test]
    fn files_are_put_in_by_key_or_by_item() {
        let whole = resolved(json!({"name": "v", "configMap": {"name": "c", "defaultMode": 256}}));
        let whole = shown(&whole.unwrap());
        assert_eq!(whole[0], ("a".to_owned(), "1".to_owned(), Some(256)));
        assert_eq!(whole.len(), 2);
        let items = json!([{"key": "k", "path": "x/y", "mode": 384}]);
        let one = resolved(json!({"name": "v", "secret": {"secretName": "s", "items": items}}));
        let one = one.unwrap();
        assert_eq!(shown(&one), [("x/y".to_owned(), "hidden".to_owned(), Some(384))]);
        assert_eq!(one[IN_MEMORY], true);
        let sources = json!([{"secret": {"name": "s"}}, {"configMap": {"name": "c"}}]);
        let projected = resolved(json!({"name": "v", "projected": {"sources": sources}})).unwrap();
        assert_eq!(read(&projected["projected"]["sources"][0]).unwrap().len(), 1);
    }

    #[test]
    fn what_is_missing_is_said_unless_it_may_be() {
        let gone = resolved(json!({"name": "v", "configMap": {"name": "none"}})).unwrap_err();
        assert_eq!(
            gone,
            "MountVolume.SetUp failed for volume \"v\" : configmap \"none\" not found"
        );
        let key = json!({"name": "c", "items": [{"key": "z", "path": "z"}]});
        let gone = resolved(json!({"name": "v", "configMap": key})).unwrap_err();
        assert!(gone.ends_with("references non-existent config key: z"), "{gone}");
        let maybe = json!({"name": "none", "optional": true});
        let empty = resolved(json!({"name": "v", "configMap": maybe})).unwrap();
        assert_eq!(read(&empty).unwrap().len(), 0);
    }
}
