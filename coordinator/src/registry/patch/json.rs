//! JSON patch (RFC 6902): operations that are carried out in order, all or none.
//!
//! Small enough to be written here. Takes negative places in lists (`-1` is the last item), as
//! Kubernetes' API server does.

use serde_json::{Map, Value};

use super::PatchError;

/// Kubernetes takes no more operations.
const MAX_OPERATIONS: usize = 10_000;
/// And copies no more bytes, which would otherwise double with each operation.
const MAX_COPIED: usize = 3 << 20;
/// How deep the result may be nested, as a body.
const MAX_DEPTH: usize = 100;

/// One operation.
#[derive(Clone, Debug, PartialEq)]
enum Operation {
    Add(Pointer, Value),
    Remove(Pointer),
    Replace(Pointer, Value),
    Move { from: Pointer, to: Pointer },
    Copy { from: Pointer, to: Pointer },
    Test(Pointer, Value),
}

/// A JSON patch, read.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPatch(Vec<Operation>);

/// A JSON pointer (RFC 6901), taken apart.
#[derive(Clone, Debug, PartialEq)]
struct Pointer {
    text: String,
    tokens: Vec<String>,
}

impl Pointer {
    fn read(text: &str) -> Result<Self, PatchError> {
        if !text.is_empty() && !text.starts_with('/') {
            return Err(PatchError::Malformed(format!("{text:?} is not a JSON pointer")));
        }
        let token = |token: &str| token.replace("~1", "/").replace("~0", "~");
        Ok(Self { text: text.to_owned(), tokens: text.split('/').skip(1).map(token).collect() })
    }

    fn is_within(&self, other: &Self) -> bool {
        self.tokens.len() > other.tokens.len() && self.tokens.starts_with(&other.tokens)
    }
}

impl JsonPatch {
    /// Reads a patch.
    ///
    /// # Errors
    ///
    /// When it is not a list of operations, or has too many.
    pub fn read(body: &Value) -> Result<Self, PatchError> {
        let malformed = || PatchError::Malformed("a JSON patch must be a list".to_owned());
        let items = body.as_array().ok_or_else(malformed)?;
        if items.len() > MAX_OPERATIONS {
            let (limit, given) = (MAX_OPERATIONS, items.len());
            return Err(PatchError::TooManyOperations { limit, given });
        }
        items.iter().map(operation).collect::<Result<_, _>>().map(Self)
    }

    /// Carries the operations out.
    ///
    /// # Errors
    ///
    /// At the first operation that does not apply; `target` is then half changed.
    pub fn apply(&self, target: &mut Value) -> Result<(), PatchError> {
        let mut copied = 0;
        for operation in &self.0 {
            match operation {
                Operation::Add(path, value) => add(target, path, value.clone(), "add")?,
                Operation::Remove(path) => drop(take(target, path, "remove")?),
                Operation::Replace(path, value) => replace(target, path, value.clone())?,
                Operation::Move { from, to } => {
                    if to.is_within(from) {
                        return Err(cannot("move", to, "it would be inside itself"));
                    }
                    let value = take(target, from, "move")?;
                    add(target, to, value, "move")?;
                }
                Operation::Copy { from, to } => {
                    let value = find(target, from, "copy")?.clone();
                    copied += value.to_string().len();
                    if copied > MAX_COPIED {
                        return Err(PatchError::TooMuchCopied(MAX_COPIED));
                    }
                    add(target, to, value, "copy")?;
                }
                Operation::Test(path, value) => test(target, path, value)?,
            }
        }
        Ok(())
    }
}

fn operation(item: &Value) -> Result<Operation, PatchError> {
    let text = |name: &str| {
        let missing = || PatchError::Malformed(format!("an operation needs a {name:?}: {item}"));
        item.get(name).and_then(Value::as_str).ok_or_else(missing)
    };
    let value = || {
        let missing = || PatchError::Malformed(format!("an operation needs a \"value\": {item}"));
        item.get("value").cloned().ok_or_else(missing)
    };
    let path = Pointer::read(text("path")?)?;
    let from = || Pointer::read(text("from")?);
    Ok(match text("op")? {
        "add" => Operation::Add(path, value()?),
        "remove" => Operation::Remove(path),
        "replace" => Operation::Replace(path, value()?),
        "move" => Operation::Move { from: from()?, to: path },
        "copy" => Operation::Copy { from: from()?, to: path },
        "test" => Operation::Test(path, value()?),
        other => return Err(PatchError::Malformed(format!("unexpected kind: {other}"))),
    })
}

fn cannot(operation: &'static str, path: &Pointer, why: &'static str) -> PatchError {
    PatchError::DoesNotApply { operation, path: path.text.clone(), why }
}

const MISSING: &str = "there is nothing at this path";
const NO_PARENT: &str = "there is no object or list that it could be in";

/// Where in a list an item is; with `end` also the place behind the last one.
fn place(token: &str, length: usize, end: bool) -> Option<usize> {
    if token == "-" {
        return end.then_some(length);
    }
    let most = if end { length } else { length.checked_sub(1)? };
    let plain = |digits: &str| {
        let canonical = digits == "0" || !digits.starts_with('0');
        let number = digits.bytes().all(|digit| digit.is_ascii_digit()) && canonical;
        number.then(|| digits.parse::<usize>().ok()).flatten()
    };
    match token.strip_prefix('-') {
        Some(back) => plain(back)
            .filter(|back| *back > 0)?
            .checked_sub(1)
            .and_then(|back| most.checked_sub(back)),
        None => plain(token).filter(|place| *place <= most),
    }
}

fn step<'a>(value: &'a mut Value, token: &str) -> Option<&'a mut Value> {
    match value {
        Value::Object(members) => members.get_mut(token),
        Value::Array(items) => {
            let place = place(token, items.len(), false)?;
            items.get_mut(place)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn find<'a>(
    target: &'a mut Value,
    path: &Pointer,
    operation: &'static str,
) -> Result<&'a mut Value, PatchError> {
    let found = path.tokens.iter().try_fold(target, |value, token| step(value, token));
    found.ok_or_else(|| cannot(operation, path, MISSING))
}

/// The object or list that a path's last token is in.
fn parent<'a, 'b>(
    target: &'a mut Value,
    path: &'b Pointer,
    operation: &'static str,
) -> Result<Option<(&'a mut Value, &'b str)>, PatchError> {
    let Some((last, above)) = path.tokens.split_last() else { return Ok(None) };
    let found = above.iter().try_fold(target, |value, token| step(value, token));
    let found = found.ok_or_else(|| cannot(operation, path, NO_PARENT))?;
    Ok(Some((found, last)))
}

fn add(
    target: &mut Value,
    path: &Pointer,
    value: Value,
    operation: &'static str,
) -> Result<(), PatchError> {
    if path.tokens.len() + depth(&value) > MAX_DEPTH {
        return Err(PatchError::TooDeep(MAX_DEPTH));
    }
    match parent(target, path, operation)? {
        None => *target = value,
        Some((Value::Object(members), name)) => drop(members.insert(name.to_owned(), value)),
        Some((Value::Array(items), token)) => {
            let place = place(token, items.len(), true)
                .ok_or_else(|| cannot(operation, path, "the list has no such place"))?;
            items.insert(place, value);
        }
        Some(_) => return Err(cannot(operation, path, NO_PARENT)),
    }
    Ok(())
}

/// How deep a value is nested. What is there is never deeper than [`MAX_DEPTH`].
fn depth(value: &Value) -> usize {
    let deepest = match value {
        Value::Object(members) => members.values().map(depth).max(),
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return 0,
    };
    deepest.unwrap_or(0) + 1
}

fn take(target: &mut Value, path: &Pointer, operation: &'static str) -> Result<Value, PatchError> {
    let missing = || cannot(operation, path, MISSING);
    match parent(target, path, operation)? {
        None => Ok(std::mem::replace(target, Value::Object(Map::new()))),
        Some((Value::Object(members), name)) => members.shift_remove(name).ok_or_else(missing),
        Some((Value::Array(items), token)) => {
            let place = place(token, items.len(), false).ok_or_else(missing)?;
            Ok(items.remove(place))
        }
        Some(_) => Err(missing()),
    }
}

fn replace(target: &mut Value, path: &Pointer, value: Value) -> Result<(), PatchError> {
    if path.tokens.len() + depth(&value) > MAX_DEPTH {
        return Err(PatchError::TooDeep(MAX_DEPTH));
    }
    *find(target, path, "replace")? = value;
    Ok(())
}

/// What is absent equals `null`, as in Kubernetes' API server.
fn test(target: &mut Value, path: &Pointer, value: &Value) -> Result<(), PatchError> {
    let found = find(target, path, "test").ok();
    let same = match found {
        Some(found) => equal(found, value),
        None => value.is_null(),
    };
    if same { Ok(()) } else { Err(PatchError::TestFailed(path.text.clone())) }
}

/// Equal values; numbers by what they are worth.
fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other || one.as_f64().is_some_and(|one| Some(one) == other.as_f64())
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| equal(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let there = |name: &String| other.get(name);
            one.len() == other.len()
                && one.iter().all(|(name, one)| there(name).is_some_and(|it| equal(one, it)))
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests;
