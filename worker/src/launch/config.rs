//! Variables and files whose contents are in ConfigMaps and Secrets: which a template asks for, and
//! the template with their contents in it.
//!
//! Files are the whole pod's and hold up all of it, variables are a container's own.
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

/// The objects that a template asks for, each once in its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References {
    /// By its volumes.
    pub files: Vec<Reference>,
    /// By the variables of its containers, which are called so.
    pub variables: BTreeMap<String, Vec<Reference>>,
}

impl References {
    /// Whether it asks for nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.variables.is_empty()
    }
}

/// The variables of containers that were read: by container, as they stand in a template.
pub type Values = BTreeMap<String, Value>;

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

/// What a pod template asks for.
#[must_use]
pub fn references(template: &Value) -> References {
    let sorted = |mut found: Vec<Reference>| {
        found.sort();
        found.dedup();
        found
    };
    let named = containers(template).map(|it| (name_of(it).to_owned(), sorted(asked_by(it))));
    References {
        files: sorted(config_volumes::references(template)),
        variables: named.filter(|(_, asked)| !asked.is_empty()).collect(),
    }
}

/// What the variables of a container ask for.
fn asked_by(container: &Value) -> Vec<Reference> {
    let mut found = Vec::new();
    let mut add = |kinds: &[&str], place: &Value| {
        found.extend(kinds.iter().filter_map(|kind| Reference::of(kind, &place[kind])));
    };
    list(container, "envFrom").for_each(|source| add(&WHOLE, source));
    list(container, "env").for_each(|variable| add(&ONE_KEY, &variable["valueFrom"]));
    found
}

/// The template with the files of its volumes in it.
///
/// # Errors
///
/// When an object or a key is not there, and has to be: in kubelet's words.
pub fn with_files(template: &Value, found: &Found) -> Result<Value, String> {
    let mut resolved = template.clone();
    config_volumes::resolve(&mut resolved, found, false)?;
    Ok(resolved)
}

/// The template without the files of its volumes: they are there already, or not yet.
#[must_use]
pub fn without_files(template: &Value) -> Value {
    let mut plain = template.clone();
    // Nothing can be missing.
    let _nothing = config_volumes::resolve(&mut plain, &BTreeMap::new(), true);
    plain
}

/// The variables of one container, with the values in them.
///
/// # Errors
///
/// When an object or a key is not there, and has to be: in kubelet's words.
pub fn variables_of(template: &Value, container: &str, found: &Found) -> Result<Value, String> {
    let asking = containers(template).find(|it| name_of(it) == container);
    let env = asking.map(|it| variables(it, found, false)).transpose()?;
    Ok(Value::Array(env.unwrap_or_default()))
}

/// The template with these variables in it; those that it asks for besides are left out.
#[must_use]
pub fn with_variables(template: &Value, known: &Values) -> Value {
    let mut template = template.clone();
    for list in ["initContainers", "containers"] {
        let containers = template["spec"].get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let env = known.get(name_of(container)).cloned().unwrap_or_else(|| {
                // Nothing can be missing.
                let plain = variables(container, &BTreeMap::new(), true);
                Value::Array(plain.unwrap_or_default())
            });
            let Some(members) = container.as_object_mut() else { continue };
            members.shift_remove("envFrom");
            members.insert("env".to_owned(), env);
        }
    }
    template
}

fn name_of(container: &Value) -> &str {
    container["name"].as_str().unwrap_or_default()
}

fn containers(template: &Value) -> impl Iterator<Item = &Value> {
    let spec = &template["spec"];
    list(spec, "initContainers").chain(list(spec, "containers"))
}

fn list<'a>(object: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    object.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// A container's variables with plain values. `lenient` leaves out what is missing.
fn variables(container: &Value, found: &Found, lenient: bool) -> Result<Vec<Value>, String> {
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
                        env.push(variable(&name, &value.bytes, &reference)?);
                    }
                }
                None if optional(&source[kind]) => {}
                None => return Err(absent(&reference)),
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
                env.push(variable(name, &bytes, &reference)?);
            }
            Some(None) | None if optional(source) => {}
            None => return Err(absent(&reference)),
            Some(None) => {
                let (kind, name) = (reference.kind(), reference.name());
                return Err(format!("couldn't find key {key} in {kind} {name}"));
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

    fn resolved(template: &Value, found: &Found) -> Result<Value, String> {
        variables_of(template, "main", found)
    }

    #[test]
    fn values_are_put_in_and_mean_themselves() {
        let asked = references(&template());
        assert_eq!((asked.files.len(), asked.variables["main"].len()), (0, 3));
        let all = found(entries(&[("x", "1"), ("y", "a$(b)")]), entries(&[("k", "pa$$")]));
        let env = resolved(&template(), &all).unwrap();
        assert_eq!(
            env,
            json!([
                {"name": "C_x", "value": "1"},
                {"name": "C_y", "value": "a$$(b)"},
                {"name": "PLAIN", "value": "$(C_x)"},
                {"name": "S", "value": "pa$$$$"},
                {"name": "F", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            ])
        );
        let known = Values::from([("main".to_owned(), env.clone())]);
        let whole = with_variables(&template(), &known);
        let container = &whole["spec"]["containers"][0];
        assert_eq!((&container["env"], container.get("envFrom")), (&env, None));
        assert!(references(&whole).is_empty());
    }

    #[test]
    fn a_container_asks_for_its_own_variables_alone() {
        let mut template = template();
        let other = json!({"name": "other", "env": [{"name": "PLAIN", "value": "1"}]});
        template["spec"]["initContainers"] = json!([other, {
            "name": "init", "envFrom": [{"configMapRef": {"name": "i"}}],
        }]);
        let volume = json!({"name": "v", "secret": {"secretName": "files"}});
        template["spec"]["volumes"] = json!([volume]);
        let asked = references(&template);
        assert_eq!(asked.files, [Reference::Secret("files".into())]);
        assert_eq!(asked.variables.keys().collect::<Vec<_>>(), ["init", "main"]);
        assert_eq!(asked.variables["init"], [Reference::ConfigMap("i".into())]);
        let known = BTreeMap::from([(Reference::ConfigMap("i".into()), entries(&[("a", "1")]))]);
        let env = variables_of(&template, "init", &known).unwrap();
        assert_eq!(env, json!([{"name": "a", "value": "1"}]));
        let whole = with_variables(&template, &Values::from([("init".to_owned(), env)]));
        assert_eq!(whole["spec"]["initContainers"][1]["env"][0]["value"], "1");
        assert_eq!(whole["spec"]["containers"][0]["env"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn binary_data_is_no_variable() {
        let binary = || Content { bytes: vec![0xff], is_binary: true };
        let all = found(entries(&[("x", "1")]), entries(&[("k", "v")]));
        let mut some = all.clone();
        let map = some.get_mut(&Reference::ConfigMap("c".into())).unwrap().as_mut().unwrap();
        map.insert("b".to_owned(), binary());
        assert_eq!(resolved(&template(), &some), resolved(&template(), &all));
        let one = json!({"name": "B", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "b"}}});
        let mut template = template();
        template["spec"]["containers"][0]["env"] = json!([one]);
        let missing = resolved(&template, &some).unwrap_err();
        assert_eq!(missing, "couldn't find key b in ConfigMap c");
    }

    #[test]
    fn what_is_missing_is_said_without_values() {
        let missing = |config, secret| resolved(&template(), &found(config, secret)).unwrap_err();
        let all = || entries(&[("x", "1")]);
        assert_eq!(missing(None, all()), "configmap \"c\" not found");
        assert_eq!(missing(all(), None), "secret \"s\" not found");
        assert_eq!(missing(all(), all()), "couldn't find key k in Secret s");
        let binary = Some(Entries::from([("k".to_owned(), Content::plain(vec![0xff]))]));
        assert!(missing(all(), binary).contains("not UTF-8"));
        let left = with_variables(&template(), &Values::default());
        assert_eq!(left["spec"]["containers"][0]["env"].as_array().unwrap().len(), 2);
    }
}
