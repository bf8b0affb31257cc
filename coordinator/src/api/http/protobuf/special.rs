//! Types whose JSON is not an object of their members.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Value;

use super::Fault;
use super::wire::{self, Reader, Wire};

/// Reads one message.
type Read = fn(&[u8]) -> Result<Value, Fault>;

/// How a message of this name is read, if it is one of these.
pub(super) fn reader(name: &str) -> Option<Read> {
    Some(match name {
        "Time" => |bytes| time(bytes, 0),
        "MicroTime" => |bytes| time(bytes, 6),
        "Quantity" => quantity,
        "IntOrString" => int_or_string,
        "FieldsV1" | "Raw" => raw_json,
        _ => return None,
    })
}

/// Bytes, as JSON has them.
pub(super) fn base64(bytes: &[u8]) -> Value {
    Value::from(STANDARD.encode(bytes))
}

/// Seconds and nanoseconds since 1970; nothing when both are zero.
fn time(bytes: &[u8], digits: usize) -> Result<Value, Fault> {
    let (mut seconds, mut nanos) = (0_i64, 0_i64);
    for field in Reader::new(bytes) {
        match field? {
            (1, Wire::Varint(number)) => seconds = number.cast_signed(),
            (2, Wire::Varint(number)) => nanos = number.cast_signed(),
            _ => {}
        }
    }
    if seconds == 0 && nanos == 0 {
        return Ok(Value::Null);
    }
    let nanos = i32::try_from(nanos).map_err(|_| Fault::Cut)?;
    let time = Timestamp::new(seconds, nanos).map_err(|_| Fault::Cut)?;
    Ok(Value::from(format!("{time:.digits$}")))
}

fn quantity(bytes: &[u8]) -> Result<Value, Fault> {
    for field in Reader::new(bytes) {
        if let (1, Wire::Bytes(text)) = field? {
            return Ok(Value::from(wire::text(text)?));
        }
    }
    Ok(Value::from("0"))
}

fn int_or_string(bytes: &[u8]) -> Result<Value, Fault> {
    let (mut is_text, mut number, mut text) = (false, 0_i64, String::new());
    for field in Reader::new(bytes) {
        match field? {
            (1, Wire::Varint(kind)) => is_text = kind == 1,
            (2, Wire::Varint(value)) => number = value.cast_signed(),
            (3, Wire::Bytes(value)) => text = wire::text(value)?,
            _ => {}
        }
    }
    Ok(if is_text { Value::from(text) } else { Value::from(number) })
}

/// JSON as it stands.
fn raw_json(bytes: &[u8]) -> Result<Value, Fault> {
    for field in Reader::new(bytes) {
        if let (1, Wire::Bytes(json)) = field? {
            return serde_json::from_slice(json).map_err(|_| Fault::Cut);
        }
    }
    Ok(Value::Null)
}
