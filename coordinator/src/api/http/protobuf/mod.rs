//! Bodies as Protocol Buffers, which Go clients send by default (`kubectl create job` among them):
//! made JSON, as the same client would have written it. Answers are JSON, which they take, too.
//!
//! ```text
//! k8s\0  Unknown { typeMeta { apiVersion, kind }, raw }  ─▶  {"apiVersion": …, "kind": …, …}
//! ```
//!
//! What numbers mean stands in `fields.txt`: numbers, names and kinds of members of Kubernetes'
//! types, as the tags in `k8s.io/api` and `k8s.io/apimachinery` have them.

mod special;
mod table;
mod wire;

use serde_json::{Map, Value};

use table::{Field, Kind, MESSAGES, Presence, Shape};
use wire::{Reader, Wire};

use crate::registry::Error;

/// The media type, and the first bytes of every body.
pub(super) const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";
const MAGIC: &[u8] = b"k8s\0";
/// Deeper messages are refused; no type of Kubernetes is so deep.
const MAX_DEPTH: usize = 40;

/// Why a body is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("it does not begin with the letters k8s and a zero")]
    NoMagic,
    #[error("it ends too early, or is none")]
    Cut,
    #[error("a text in it is not UTF-8")]
    NoText,
    #[error("it is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    #[error("kind {0:?} is not known here: send JSON")]
    UnknownKind(String),
    #[error("member {number} of {message} is not known here: send JSON")]
    UnknownMember { message: &'static str, number: u32 },
    #[error("member {number} of {message} is of another type here")]
    WrongType { message: &'static str, number: u32 },
    #[error("what it holds is encoded as {0:?}, which is not known here")]
    Encoded(String),
}

/// Whether a content type says so.
pub(super) fn is_meant(content_type: Option<&str>) -> bool {
    let media_type = content_type.and_then(|text| text.split(';').next()).unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case(MEDIA_TYPE)
}

/// The object of a body.
///
/// # Errors
///
/// 400 when it cannot be read.
pub(super) fn decode(body: &[u8]) -> Result<Value, Error> {
    envelope(body)
        .map_err(|fault| Error::BadRequest(format!("reading the body as {MEDIA_TYPE}: {fault}")))
}

fn envelope(body: &[u8]) -> Result<Value, Fault> {
    let unknown = body.strip_prefix(MAGIC).ok_or(Fault::NoMagic)?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for field in Reader::new(unknown) {
        match field? {
            (1, Wire::Bytes(type_meta)) => {
                for field in Reader::new(type_meta) {
                    match field? {
                        (1, Wire::Bytes(text)) => api_version = wire::text(text)?,
                        (2, Wire::Bytes(text)) => kind = wire::text(text)?,
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(bytes)) => raw = bytes,
            (3 | 4, Wire::Bytes(encoding)) if !encoding.is_empty() => {
                return Err(Fault::Encoded(wire::text(encoding)?));
            }
            _ => {}
        }
    }
    let found = MESSAGES.get_key_value(kind.as_str());
    // Another type of the same name.
    let Some((name, _)) = found.filter(|_| api_version != "events.k8s.io/v1") else {
        return Err(Fault::UnknownKind(kind));
    };
    let mut object = Map::new();
    object.insert("apiVersion".to_owned(), Value::from(api_version));
    object.insert("kind".to_owned(), Value::from(kind));
    message(name, raw, &mut object, 0)?;
    Ok(Value::Object(object))
}

/// Puts the members of a message into `object`.
fn message(
    name: &'static str,
    bytes: &[u8],
    object: &mut Map<String, Value>,
    depth: usize,
) -> Result<(), Fault> {
    if depth > MAX_DEPTH {
        return Err(Fault::TooDeep);
    }
    let fields = MESSAGES.get(name).ok_or_else(|| Fault::UnknownKind(name.to_owned()))?;
    for field in Reader::new(bytes) {
        let (number, wire) = field?;
        let unknown = Fault::UnknownMember { message: name, number };
        let field = fields.iter().find(|field| field.number == number).ok_or(unknown)?;
        member(name, field, &wire, object, depth).map_err(|fault| match fault {
            Fault::WrongType { message: "", .. } => Fault::WrongType { message: name, number },
            other => other,
        })?;
    }
    Ok(())
}

fn member(
    message_name: &'static str,
    field: &Field,
    wire: &Wire<'_>,
    object: &mut Map<String, Value>,
    depth: usize,
) -> Result<(), Fault> {
    if field.kind == Kind::Unknown {
        return Err(Fault::UnknownMember { message: message_name, number: field.number });
    }
    match field.shape {
        Shape::Inline => {
            let (Wire::Bytes(bytes), Kind::Message(name)) = (wire, field.kind) else {
                return Err(WRONG);
            };
            message(name, bytes, object, depth + 1)
        }
        Shape::List => {
            let list = object.entry(field.name).or_insert_with(|| Value::Array(Vec::new()));
            let Value::Array(list) = list else { return Err(WRONG) };
            match (wire, field.kind) {
                // Numbers may come one behind the other.
                (Wire::Bytes(bytes), Kind::Int) => {
                    list.extend(wire::varints(bytes)?.into_iter().map(int));
                }
                (wire, kind) => list.push(value(kind, wire, depth)?),
            }
            Ok(())
        }
        Shape::Map => {
            let Wire::Bytes(entry) = wire else { return Err(WRONG) };
            let (mut key, mut entry_value) = (String::new(), None);
            for part in Reader::new(entry) {
                match part? {
                    (1, Wire::Bytes(text)) => key = wire::text(text)?,
                    (2, wire) => entry_value = Some(value(field.kind, &wire, depth)?),
                    _ => {}
                }
            }
            // An empty text need not be sent.
            let entry_value = entry_value.unwrap_or_else(|| Value::from(""));
            let map = object.entry(field.name).or_insert_with(|| Value::Object(Map::new()));
            let Value::Object(map) = map else { return Err(WRONG) };
            map.insert(key, entry_value);
            Ok(())
        }
        Shape::One => {
            let value = value(field.kind, wire, depth)?;
            if !field.is_left_out(&value) {
                object.insert(field.name.to_owned(), value);
            }
            Ok(())
        }
    }
}

/// Of which member, the caller knows.
const WRONG: Fault = Fault::WrongType { message: "", number: 0 };

fn value(kind: Kind, wire: &Wire<'_>, depth: usize) -> Result<Value, Fault> {
    match (kind, wire) {
        (Kind::Text, Wire::Bytes(bytes)) => Ok(Value::from(wire::text(bytes)?)),
        (Kind::Bytes, Wire::Bytes(bytes)) => Ok(special::base64(bytes)),
        (Kind::Int, Wire::Varint(number)) => Ok(int(*number)),
        (Kind::Flag, Wire::Varint(number)) => Ok(Value::from(*number != 0)),
        (Kind::Message(name), Wire::Bytes(bytes)) => {
            if let Some(read) = special::reader(name) {
                return read(bytes);
            }
            let mut object = Map::new();
            message(name, bytes, &mut object, depth + 1)?;
            Ok(Value::Object(object))
        }
        _ => Err(WRONG),
    }
}

fn int(number: u64) -> Value {
    Value::from(number.cast_signed())
}

impl Field {
    /// Whether JSON would not say this: a Go client writes a member that is not there as zero.
    fn is_left_out(&self, value: &Value) -> bool {
        match self.presence {
            Presence::Pointer | Presence::Always => value.is_null(),
            Presence::NotZero => match value {
                Value::Null => true,
                Value::Bool(flag) => !flag,
                Value::Number(number) => number.as_i64() == Some(0),
                Value::String(text) => text.is_empty(),
                Value::Array(items) => items.is_empty(),
                Value::Object(members) => members.is_empty(),
            },
        }
    }
}

#[cfg(test)]
mod tests;
