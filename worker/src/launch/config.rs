//! Variables and files whose contents are in ConfigMaps and Secrets: which a template asks for, and
//! the template with their contents in it.
//!
//! The values are put in as plain ones, before anything else is made of the template, so that the
//! rest of launching knows nothing of where they came from. They are never part of a message.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use stint_common::wire::{Content, Entries};

use super::config_volumes;

/// An object that a template asks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    /// A ConfigMap of this name.
    ConfigMap(String),
    /// A Secret of this name.
    Secret(String),
}

/// What was found of the objects: `None` for those that are not there.
pub type Found = BTreeMap<Reference, Option<Entries>>;

/// Why a pod cannot be started yet, in kubelet's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The container that lacks a variable; `None` if the pod lacks a volume.
    pub container: Option<String>,
    /// What is missing.
    pub message: String,
}

impl Reference {
    fn of(kind: &str, source: &Value) -> Option<Self> {
        let name = source["name"].as_str().filter(|name| !name.is_empty())?.to_owned();
        Some(if kind.starts_with("secret") { Self::Secret(name) } else { Self::ConfigMap(name) })
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::ConfigMap(_) => "ConfigMap",
            Self::Secret(_) => "Secret",
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::ConfigMap(name) | Self::Secret(name) => name,
        }
    }
}

/// The two places in `envFrom`, and in `valueFrom`.
const WHOLE: [&str; 2] = ["configMapRef", "secretRef"];
const ONE_KEY: [&str; 2] = ["configMapKeyRef", "secretKeyRef"];

/// The objects that a pod template asks for, each once.
#[must_use]
pub fn references(template: &Value) -> Vec<Reference> {
    let mut found = Vec::new();
    let mut add = |kinds: &[&str], place: &Value| {
        found.extend(kinds.iter().filter_map(|kind| Reference::of(kind, &place[kind])));
    };
    for container in containers(template) {
        list(container, "envFrom").for_each(|source| add(&WHOLE, source));
        list(container, "env").for_each(|variable| add(&ONE_KEY, &variable["valueFrom"]));
    }
    found.extend(config_volumes::references(template));
    found.sort();
    found.dedup();
    found
}

/// The template without the variables that come from objects: what is the same for all pods of it
/// can be told from it.
#[must_use]
pub fn without(template: &Value) -> Value {
    let nothing = BTreeMap::new();
    let plain = rewritten(template, &mut |container| variables(container, &nothing, true));
    let mut plain = plain.unwrap_or_else(|_| template.clone());
    // Nothing can be missing.
    let _nothing = config_volumes::resolve(&mut plain, &nothing, true);
    plain
}

/// The template with the values in it.
///
/// # Errors
///
/// When an object or a key is not there, and need not be missing.
pub fn resolve(template: &Value, found: &Found) -> Result<Value, Missing> {
    let mut resolved = template.clone();
    config_volumes::resolve(&mut resolved, found, false)?;
    rewritten(&resolved, &mut |container| variables(container, found, false))
}

fn containers(template: &Value) -> impl Iterator<Item = &Value> {
    let spec = &template["spec"];
    list(spec, "initContainers").chain(list(spec, "containers"))
}

fn list<'a>(object: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    object.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn rewritten(
    template: &Value,
    env_of: &mut impl FnMut(&Value) -> Result<Vec<Value>, Missing>,
) -> Result<Value, Missing> {
    let mut template = template.clone();
    for name in ["initContainers", "containers"] {
        let containers = template["spec"].get_mut(name).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let env = env_of(container)?;
            let Some(members) = container.as_object_mut() else { continue };
            members.shift_remove("envFrom");
            members.insert("env".to_owned(), Value::Array(env));
        }
    }
    Ok(template)
}

/// A container's variables with plain values. `lenient` leaves out what is missing.
fn variables(container: &Value, found: &Found, lenient: bool) -> Result<Vec<Value>, Missing> {
    let missing = |message: String| Missing {
        container: Some(container["name"].as_str().unwrap_or_default().to_owned()),
        message,
    };
    let optional = |source: &Value| lenient || source["optional"] == true;
    let mut env = Vec::new();
    for source in list(container, "envFrom") {
        let prefix = source["prefix"].as_str().unwrap_or_default();
        for kind in WHOLE {
            let Some(reference) = Reference::of(kind, &source[kind]) else { continue };
            match found.get(&reference).and_then(Option::as_ref) {
                Some(entries) => {
                    // What is binary is no variable, nor a reason to wait.
                    for (key, value) in entries.iter().filter(|(_, value)| !value.is_binary) {
                        let name = format!("{prefix}{key}");
                        env.push(variable(&name, &value.bytes, &reference).map_err(missing)?);
                    }
                }
                None if optional(&source[kind]) => {}
                None => return Err(missing(absent(&reference))),
            }
        }
    }
    for given in list(container, "env") {
        let source = &given["valueFrom"];
        let reference = ONE_KEY
            .iter()
            .find_map(|kind| Reference::of(kind, &source[kind]).map(|it| (it, &source[kind])));
        let Some((reference, source)) = reference else {
            env.push(given.clone());
            continue;
        };
        let key = source["key"].as_str().unwrap_or_default();
        let name = given["name"].as_str().unwrap_or_default();
        let entries = found.get(&reference).and_then(Option::as_ref);
        let value = |entries: &Entries| entries.get(key).filter(|it| !it.is_binary).cloned();
        match entries.map(value) {
            Some(Some(Content { bytes, .. })) => {
                env.push(variable(name, &bytes, &reference).map_err(missing)?);
            }
            Some(None) | None if optional(source) => {}
            None => return Err(missing(absent(&reference))),
            Some(None) => {
                let (kind, name) = (reference.kind(), reference.name());
                return Err(missing(format!("couldn't find key {key} in {kind} {name}")));
            }
        }
    }
    Ok(env)
}

fn absent(reference: &Reference) -> String {
    format!("{} \"{}\" not found", reference.kind().to_lowercase(), reference.name())
}

/// A variable with a value as it is: nothing in it is a reference.
fn variable(name: &str, value: &[u8], reference: &Reference) -> Result<Value, String> {
    let text = std::str::from_utf8(value).ok().filter(|text| !text.contains('\0'));
    let Some(text) = text else {
        let (kind, object) = (reference.kind(), reference.name());
        return Err(format!(
            "the value for {name} in {kind} {object} cannot be a variable: it is not UTF-8 text, \
             or has a zero byte"
        ));
    };
    let mut variable = Map::new();
    variable.insert("name".to_owned(), json!(name));
    variable.insert("value".to_owned(), json!(text.replace('$', "$$")));
    Ok(Value::Object(variable))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template() -> Value {
        json!({"spec": {"containers": [{
            "name": "main",
            "envFrom": [
                {"prefix": "C_", "configMapRef": {"name": "c"}},
                {"secretRef": {"name": "maybe", "optional": true}},
            ],
            "env": [
                {"name": "PLAIN", "value": "$(C_x)"},
                {"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                {"name": "F", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            ],
        }]}})
    }

    fn entries(of: &[(&str, &str)]) -> Option<Entries> {
        let content = |value: &str| Content::plain(value.as_bytes().to_vec());
        Some(of.iter().map(|(key, value)| ((*key).to_owned(), content(value))).collect())
    }

    fn found(config: Option<Entries>, secret: Option<Entries>) -> Found {
        BTreeMap::from([
            (Reference::ConfigMap("c".into()), config),
            (Reference::Secret("maybe".into()), None),
            (Reference::Secret("s".into()), secret),
        ])
    }

    #[test]
    fn values_are_put_in_and_mean_themselves() {
        let asked = references(&template());
        assert_eq!(asked.len(), 3);
        let all = found(entries(&[("x", "1"), ("y", "a$(b)")]), entries(&[("k", "pa$$")]));
        let resolved = resolve(&template(), &all).unwrap();
        let container = &resolved["spec"]["containers"][0];
        assert_eq!(
            container["env"],
            json!([
                {"name": "C_x", "value": "1"},
                {"name": "C_y", "value": "a$$(b)"},
                {"name": "PLAIN", "value": "$(C_x)"},
                {"name": "S", "value": "pa$$$$"},
                {"name": "F", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            ])
        );
        assert_eq!(container.get("envFrom"), None);
        assert!(references(&resolved).is_empty());
    }

    #[test]
    fn binary_data_is_no_variable() {
        let binary = || Content { bytes: vec![0xff], is_binary: true };
        let all = found(entries(&[("x", "1")]), entries(&[("k", "v")]));
        let mut some = all.clone();
        let map = some.get_mut(&Reference::ConfigMap("c".into())).unwrap().as_mut().unwrap();
        map.insert("b".to_owned(), binary());
        assert_eq!(resolve(&template(), &some), resolve(&template(), &all));
        let one = json!({"name": "B", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "b"}}});
        let mut template = template();
        template["spec"]["containers"][0]["env"] = json!([one]);
        let missing = resolve(&template, &some).unwrap_err();
        assert_eq!(missing.message, "couldn't find key b in ConfigMap c");
    }

    #[test]
    fn what_is_missing_is_said_without_values() {
        let missing = |config, secret| resolve(&template(), &found(config, secret)).unwrap_err();
        let all = || entries(&[("x", "1")]);
        assert_eq!(missing(None, all()).message, "configmap \"c\" not found");
        assert_eq!(missing(all(), None).message, "secret \"s\" not found");
        assert_eq!(missing(all(), all()).message, "couldn't find key k in Secret s");
        assert_eq!(missing(all(), all()).container.as_deref(), Some("main"));
        let binary = Some(Entries::from([("k".to_owned(), Content::plain(vec![0xff]))]));
        assert!(missing(all(), binary).message.contains("not UTF-8"));
        let left = without(&template());
        assert_eq!(left["spec"]["containers"][0]["env"].as_array().unwrap().len(), 2);
    }
}
