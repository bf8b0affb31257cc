//! Bytes to JSON: format detection, limits, and which members came twice.
//!
//! Says nothing about what the members mean; that is [`typed`](super::typed)'s part.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::cause::Path;
use super::rejection::Rejection;

/// Larger bodies are refused: JetStream's largest message by default, and room for status beside
/// the spec.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;
/// How many doubled members are told apart in one answer.
const MAX_DUPLICATES: usize = 100;
/// How deep a body may be nested; `serde_json` itself stops at 128.
const MAX_DEPTH: usize = 100;

/// A request's body, read but not understood.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Body {
    /// What was sent; of members that came twice the last.
    pub value: Value,
    /// Paths of members that came twice.
    pub duplicates: Vec<String>,
}

impl From<Value> for Body {
    fn from(value: Value) -> Self {
        Self { value, duplicates: Vec::new() }
    }
}

enum Format {
    Json,
    Yaml,
}

/// Reads JSON or YAML. What it is follows from the content type, or from its first letter.
///
/// # Errors
///
/// [`Rejection::TooLarge`], [`Rejection::UnsupportedMediaType`], or [`Rejection::BadRequest`] for a
/// body that does not parse or is no object.
pub fn decode(bytes: &[u8], content_type: Option<&str>) -> Result<Body, Rejection> {
    decode_as(bytes, content_type, "Job")
}

/// Reads JSON or YAML of an object of another kind.
///
/// # Errors
///
/// As [`decode`].
pub fn decode_as(bytes: &[u8], content_type: Option<&str>, kind: &str) -> Result<Body, Rejection> {
    if bytes.len() > MAX_BODY_BYTES {
        return Err(Rejection::TooLarge { limit: MAX_BODY_BYTES });
    }
    let duplicates = RefCell::new(Vec::new());
    let seed = Node { path: None, depth: 0, duplicates: &duplicates };
    let value = match format_of(bytes, content_type)? {
        Format::Json => from_json(bytes, seed).map_err(|error| unreadable(kind, &error))?,
        Format::Yaml => from_yaml(bytes, seed).map_err(|error| unreadable(kind, &*error))?,
    };
    if !value.is_object() {
        return Err(Rejection::BadRequest("the body of the request is not an object".to_owned()));
    }
    Ok(Body { value, duplicates: duplicates.into_inner() })
}

fn format_of(bytes: &[u8], content_type: Option<&str>) -> Result<Format, Rejection> {
    let media_type = content_type.and_then(|text| text.split(';').next()).map_or("", str::trim);
    match media_type.to_ascii_lowercase().as_str() {
        "" if bytes.trim_ascii_start().first() == Some(&b'{') => Ok(Format::Json),
        "" | "application/yaml" | "application/x-yaml" | "text/yaml" => Ok(Format::Yaml),
        "application/json" => Ok(Format::Json),
        _ => Err(Rejection::UnsupportedMediaType),
    }
}

fn from_json(bytes: &[u8], seed: Node<'_>) -> Result<Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    seed.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value))
}

fn from_yaml(bytes: &[u8], seed: Node<'_>) -> Result<Value, Box<dyn std::error::Error>> {
    let text = std::str::from_utf8(bytes)?;
    let options = serde_saphyr::options! {
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::PassThrough,
        // As in YAML 1.1, which Kubernetes reads: `mode: 0400`.
        legacy_octal_numbers: true,
        with_snippet: false,
    };
    Ok(serde_saphyr::with_deserializer_from_str_with_options(text, options, |deserializer| {
        seed.deserialize(deserializer)
    })?)
}

fn unreadable(kind: &str, error: &dyn fmt::Display) -> Rejection {
    Rejection::BadRequest(format!(
        "the object provided is unrecognized (must be of type {kind}): {error}"
    ))
}

/// One value of a body: builds JSON and notes doubled members on the way.
#[derive(Clone, Copy)]
struct Node<'a> {
    path: Option<&'a Path<'a>>,
    depth: usize,
    duplicates: &'a RefCell<Vec<String>>,
}

impl<'a> Node<'a> {
    fn inside<E: serde::de::Error>(self, path: &'a Path<'a>) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom(format!("nested deeper than {MAX_DEPTH} levels")));
        }
        Ok(Self { path: Some(path), depth: self.depth + 1, ..self })
    }

    fn note_duplicate(self, name: &str) {
        let mut duplicates = self.duplicates.borrow_mut();
        let path = Path::member(self.path, name).to_string();
        if duplicates.len() < MAX_DUPLICATES && !duplicates.contains(&path) {
            duplicates.push(path);
        }
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that JSON has")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value);
        number.map(Value::Number).ok_or_else(|| E::custom("a number that JSON does not have"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            // A body that is a list is refused later, so an item always has a parent.
            let above = self.path.copied().unwrap_or(Path::root(""));
            let path = above.index(list.len());
            let Some(item) = items.next_element_seed(self.inside::<A::Error>(&path)?)? else {
                return Ok(Value::Array(list));
            };
            list.push(item);
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let path = Path::member(self.path, &name);
            let value = members.next_value_seed(self.inside(&path)?)?;
            if object.contains_key(&name) {
                self.note_duplicate(&name);
            }
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}
