//! JSON to a typed object, in one pass that also finds unknown members and says wrong types as Go
//! does.
//!
//! `serde_json::from_value` would drop unknown members silently and name neither the field nor its
//! Go type. This deserializer knows where it is: an unknown member arrives at
//! `deserialize_ignored_any`, and a struct's name at `deserialize_struct`.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};
use serde_json::Value;
use serde_json::map::Iter as Members;

use super::cause::Path;

/// A typed object, and the paths of members that its type does not have.
#[derive(Clone, Debug)]
pub struct Typed<T> {
    /// What the JSON says.
    pub object: T,
    /// Members that the type does not have, in the order of the JSON.
    pub unknown: Vec<Unknown>,
}

/// A member that the type does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// Its path, such as `spec.template.spec.containers[0].foo`.
    pub path: String,
    /// Its JSON pointer.
    pub pointer: String,
}

/// Takes unknown members out of the JSON in which they were found.
pub fn remove(value: &mut Value, unknown: &[Unknown]) {
    let mut by_parent: BTreeMap<&str, HashSet<String>> = BTreeMap::new();
    for member in unknown {
        let Some((parent, name)) = member.pointer.rsplit_once('/') else { continue };
        let name = name.replace("~1", "/").replace("~0", "~");
        by_parent.entry(parent).or_default().insert(name);
    }
    for (parent, names) in by_parent {
        if let Some(object) = value.pointer_mut(parent).and_then(Value::as_object_mut) {
            object.retain(|name, _| !names.contains(name));
        }
    }
}

/// Why JSON is not of a type, as the API server says it (`json: cannot unmarshal …`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeError {
    text: String,
    placed: bool,
}

impl fmt::Display for TypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for TypeError {}

impl serde::de::Error for TypeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { text: message.to_string(), placed: false }
    }
}

impl TypeError {
    /// Adds the place to what a visitor said, which knows none.
    fn at(self, path: &Path<'_>) -> Self {
        if self.placed {
            return self;
        }
        Self { text: format!("{path}: {}", self.text), placed: true }
    }
}

/// Reads `value` as a `T`.
///
/// # Errors
///
/// When a member has the wrong type; the first one found is named.
pub fn read<'de, T: Deserialize<'de>>(value: &'de Value) -> Result<Typed<T>, TypeError> {
    let unknown = RefCell::new(Vec::new());
    let object = T::deserialize(Node { value, path: None, owner: "", unknown: &unknown })?;
    Ok(Typed { object, unknown: unknown.into_inner() })
}

/// One value, where it is, and the struct that has it as a field.
#[derive(Clone, Copy)]
struct Node<'de, 'a> {
    value: &'de Value,
    path: Option<&'a Path<'a>>,
    owner: &'static str,
    unknown: &'a RefCell<Vec<Unknown>>,
}

impl Node<'_, '_> {
    fn wrong(&self, go_type: &str) -> TypeError {
        let kind = match self.value {
            Value::Null => "null".to_owned(),
            Value::Bool(_) => "bool".to_owned(),
            Value::Number(number) if go_type.starts_with("int") => format!("number {number}"),
            Value::Number(_) => "number".to_owned(),
            Value::String(_) => "string".to_owned(),
            Value::Array(_) => "array".to_owned(),
            Value::Object(_) => "object".to_owned(),
        };
        let field = self.path.map_or_else(String::new, Path::members);
        let target = match (self.owner, field.as_str()) {
            ("", _) | (_, "") => "Go value".to_owned(),
            (owner, field) => format!("Go struct field {owner}.{field}"),
        };
        let text = format!("json: cannot unmarshal {kind} into {target} of type {go_type}");
        TypeError { text, placed: true }
    }

    /// The Go type of a list is its items'; only the lists of plain texts are told apart.
    fn list_type(&self) -> String {
        let field = self.path.map_or_else(String::new, Path::members);
        let name = field.rsplit('.').next().unwrap_or_default();
        let item = match name {
            "containers" | "initContainers" => "v1.Container",
            "env" => "v1.EnvVar",
            "envFrom" => "v1.EnvFromSource",
            "volumes" => "v1.Volume",
            "volumeMounts" => "v1.VolumeMount",
            "ports" => "v1.ContainerPort",
            "tolerations" => "v1.Toleration",
            "rules" if field.contains("podFailurePolicy") => "v1.PodFailurePolicyRule",
            "rules" => "v1.SuccessPolicyRule",
            "conditions" => "v1.JobCondition",
            "ownerReferences" => "v1.OwnerReference",
            _ => "string",
        };
        format!("[]{item}")
    }
}

impl<'de> Deserializer<'de> for Node<'de, '_> {
    type Error = TypeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(value), ..) => visitor.visit_u64(value),
                (_, Some(value), _) => visitor.visit_i64(value),
                (.., value) => visitor.visit_f64(value.unwrap_or_default()),
            },
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(_) => self.deserialize_seq(visitor),
            Value::Object(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, TypeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        self.value.as_bool().ok_or_else(|| self.wrong("bool")).and_then(|it| visitor.visit_bool(it))
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        let number = self.value.as_i64().and_then(|number| i32::try_from(number).ok());
        number.ok_or_else(|| self.wrong("int32")).and_then(|number| visitor.visit_i32(number))
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        let number = self.value.as_i64().ok_or_else(|| self.wrong("int64"));
        number.and_then(|number| visitor.visit_i64(number))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        let text = self.value.as_str().ok_or_else(|| self.wrong("string"));
        text.and_then(|text| visitor.visit_borrowed_str(text))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        let Some(items) = self.value.as_array() else { return Err(self.wrong(&self.list_type())) };
        visitor.visit_seq(Items { rest: items.iter().enumerate(), node: self })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        let Some(members) = self.value.as_object() else {
            return Err(self.wrong("map[string]string"));
        };
        visitor.visit_map(Fields { rest: members.iter(), current: None, owner: None, node: self })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TypeError> {
        let Some(members) = self.value.as_object() else {
            return Err(self.wrong(&format!("v1.{name}")));
        };
        let owner = Some(name);
        visitor.visit_map(Fields { rest: members.iter(), current: None, owner, node: self })
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        if let Some(path) = self.path {
            let member = Unknown { path: path.to_string(), pointer: path.pointer() };
            self.unknown.borrow_mut().push(member);
        }
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i8 i16 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct tuple
        tuple_struct enum identifier
    }
}

struct Items<'de, 'a> {
    rest: std::iter::Enumerate<std::slice::Iter<'de, Value>>,
    node: Node<'de, 'a>,
}

impl<'de> SeqAccess<'de> for Items<'de, '_> {
    type Error = TypeError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, TypeError> {
        let Some((index, value)) = self.rest.next() else { return Ok(None) };
        let above = self.node.path.copied().unwrap_or(Path::root(""));
        let path = above.index(index);
        let item = Node { value, path: Some(&path), ..self.node };
        seed.deserialize(item).map(Some).map_err(|error| error.at(&path))
    }
}

/// The members of an object. With an owner it is a struct, without one a map.
struct Fields<'de, 'a> {
    rest: Members<'de>,
    current: Option<(&'de str, &'de Value)>,
    owner: Option<&'static str>,
    node: Node<'de, 'a>,
}

impl<'de> MapAccess<'de> for Fields<'de, '_> {
    type Error = TypeError;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, TypeError> {
        let Some((name, value)) = self.rest.next() else { return Ok(None) };
        self.current = Some((name, value));
        let key: StrDeserializer<'_, TypeError> = name.as_str().into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, TypeError> {
        let Some((name, value)) = self.current.take() else {
            return Err(TypeError::custom("a value was asked for before its key"));
        };
        let above = self.node.path.copied().unwrap_or(Path::root(""));
        let path = match self.owner {
            Some(_) => Path::member(self.node.path, name),
            None => above.key(name),
        };
        let owner = self.owner.unwrap_or(self.node.owner);
        let member = Node { value, path: Some(&path), owner, unknown: self.node.unknown };
        seed.deserialize(member).map_err(|error| error.at(&path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::batch::v1::Job;
    use serde_json::json;

    fn error(value: &Value) -> String {
        read::<Job>(value).unwrap_err().to_string()
    }

    #[test]
    fn unknown_members_are_found_with_their_paths() {
        let containers = json!([{"name": "a", "bar": {"x": 1}}]);
        let job = json!({"spec": {"foo": 1, "template": {"spec": {"containers": containers}}}});
        let typed = read::<Job>(&job).unwrap();
        let paths: Vec<&str> = typed.unknown.iter().map(|member| &*member.path).collect();
        assert_eq!(paths, ["spec.foo", "spec.template.spec.containers[0].bar"]);
        let mut job = job;
        remove(&mut job, &typed.unknown);
        assert_eq!(job, json!({"spec": {"template": {"spec": {"containers": [{"name": "a"}]}}}}));
    }

    #[test]
    fn wrong_types_are_said_as_go_says_them() {
        assert_eq!(
            error(&json!({"spec": {"parallelism": "2"}})),
            "json: cannot unmarshal string into Go struct field JobSpec.spec.parallelism of type \
             int32"
        );
        assert_eq!(
            error(&json!({"spec": {"parallelism": 1.5}})),
            "json: cannot unmarshal number 1.5 into Go struct field JobSpec.spec.parallelism of \
             type int32"
        );
        assert_eq!(
            error(&json!({"spec": {"template": {"spec": {"containers": [{"image": 7}]}}}})),
            "json: cannot unmarshal number into Go struct field \
             Container.spec.template.spec.containers.image of type string"
        );
        assert_eq!(
            error(&json!({"metadata": {"labels": {"a": true}}})),
            "json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.labels of type \
             string"
        );
        assert_eq!(
            error(&json!({"spec": []})),
            "json: cannot unmarshal array into Go struct field Job.spec of type v1.JobSpec"
        );
        assert_eq!(
            error(&json!({"spec": {"template": {"spec": {"containers": {}}}}})),
            "json: cannot unmarshal object into Go struct field \
             PodSpec.spec.template.spec.containers of type []v1.Container"
        );
    }

    #[test]
    fn what_a_visitor_refuses_gets_its_place() {
        let text = error(&json!({"metadata": {"creationTimestamp": "yesterday"}}));
        assert!(text.starts_with("metadata.creationTimestamp: "), "{text}");
    }
}
