//! Lists of a strategic merge patch: merged by key or by value, and put in an order.
//!
//! Items are found by their text, not by looking at all others: a patch may have many thousands.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::PatchError;
use super::schema::Schema;
use super::strategic::{DIRECTIVE, drop_directives, merge_object};

/// Two lists as one, in no particular order yet.
pub(super) struct Merged {
    /// The items.
    items: Vec<Value>,
    /// What is left of the patch's list: its order counts.
    given: Vec<Value>,
    /// What is left of the list that was there.
    there: Vec<Value>,
}

impl Merged {
    /// Items of the patch in the patch's order; where there is a choice, the others keep their
    /// places.
    pub(super) fn arranged(self, key: Option<&str>) -> Result<Vec<Value>, PatchError> {
        arrange(self.items, &self.given, &self.there, key)
    }

    /// In an order of its own, given beside the list. `length` is that of the list that was there.
    ///
    /// Where items were deleted, new ones count as being in their places: Kubernetes appends to
    /// what it has just shortened, and looks at as many items as there were.
    pub(super) fn ordered(
        self,
        order: &[Value],
        length: usize,
        key: Option<&str>,
    ) -> Result<Vec<Value>, PatchError> {
        let before: Vec<Value> = self.items.iter().take(length).cloned().collect();
        arrange(self.items, order, &before, key)
    }
}

/// Merges two lists: objects by `key`, plain values each once.
pub(super) fn merge_lists(
    there: Vec<Value>,
    given: Vec<Value>,
    key: Option<&str>,
    schema: Option<&Schema>,
) -> Result<Merged, PatchError> {
    one_type(&there, &given)?;
    let Some(key) = key.filter(|_| are_objects(&there, &given)) else {
        let mut seen = HashSet::new();
        let all = there.iter().chain(&given);
        let items = all.filter(|value| seen.insert(value.to_string())).cloned().collect();
        return Ok(Merged { items, given, there });
    };
    let (there, given) = obey_directives(there, given, key)?;
    let mut items = there.clone();
    let mut known = places(&items, |item| Ok(item.get(key).map(Value::to_string)))?;
    for item in &given {
        let value = key_of(item, key)?.to_string();
        let found = known.get(&value).and_then(|place| items.get_mut(*place));
        match (found, item) {
            (Some(Value::Object(found)), Value::Object(item)) => {
                merge_object(found, item.clone(), schema)?;
            }
            _ => {
                let mut item = item.clone();
                if drop_directives(&mut item) {
                    known.insert(value, items.len());
                    items.push(item);
                }
            }
        }
    }
    Ok(Merged { items, given, there })
}

fn are_objects(there: &[Value], given: &[Value]) -> bool {
    there.iter().chain(given).any(Value::is_object)
}

/// Refuses lists of lists, and lists of several types.
fn one_type(there: &[Value], given: &[Value]) -> Result<(), PatchError> {
    let mut items = there.iter().chain(given);
    let Some(first) = items.next() else { return Ok(()) };
    if first.is_array() {
        return Err(PatchError::ListOfLists);
    }
    let kind = std::mem::discriminant(first);
    if items.all(|item| std::mem::discriminant(item) == kind) {
        return Ok(());
    }
    Err(PatchError::MixedList(format!("[{} {}]", go_list(there), go_list(given))))
}

/// Carries out `$patch` of items; what is left of both lists.
fn obey_directives(
    mut there: Vec<Value>,
    given: Vec<Value>,
    key: &str,
) -> Result<(Vec<Value>, Vec<Value>), PatchError> {
    let mut replaces = false;
    let mut deleted = HashSet::new();
    let mut rest = Vec::with_capacity(given.len());
    for item in given {
        match item.get(DIRECTIVE).map(Value::as_str) {
            None => rest.push(item),
            Some(Some("delete")) => {
                deleted.insert(key_of(&item, key)?.to_string());
            }
            Some(Some("replace")) => replaces = true,
            Some(_) => return Err(PatchError::UnknownDirective(item[DIRECTIVE].to_string())),
        }
    }
    if !deleted.is_empty() {
        there.retain(|item| !item.get(key).is_some_and(|key| deleted.contains(&key.to_string())));
    }
    Ok(if replaces { (rest, Vec::new()) } else { (there, rest) })
}

fn key_of<'a>(item: &'a Value, key: &str) -> Result<&'a Value, PatchError> {
    let missing = || PatchError::NoMergeKey { item: go_text(item), key: key.to_owned() };
    item.get(key).ok_or_else(missing)
}

/// What of a list is not among `values`.
pub(super) fn without_values(mut there: Vec<Value>, values: &[Value]) -> Vec<Value> {
    let values: HashSet<String> = values.iter().map(Value::to_string).collect();
    there.retain(|value| !values.contains(&value.to_string()));
    there
}

/// Checks that the items of a patch's list are in the order that it gives itself.
pub(super) fn element_order(
    given: &[Value],
    order: &[Value],
    key: Option<&str>,
) -> Result<(), PatchError> {
    let kept: Vec<&Value> = given.iter().filter(|item| item.get(DIRECTIVE).is_none()).collect();
    let mut next = kept.iter().peekable();
    for place in order {
        let Some(item) = next.peek() else { return Ok(()) };
        if identity(item, key)? == identity(place, key)? {
            next.next();
        }
    }
    if next.peek().is_none() || order.is_empty() {
        return Ok(());
    }
    Err(PatchError::OrderMismatch { list: go_list(given), order: go_list(order) })
}

/// What an item is known by: its key's value, or itself.
fn identity<'a>(item: &'a Value, key: Option<&str>) -> Result<&'a Value, PatchError> {
    key.map_or(Ok(item), |key| key_of(item, key))
}

/// Puts a merged list in order: items that `order` names in that order, and the others among them
/// where `before` has them.
pub(super) fn arrange(
    merged: Vec<Value>,
    order: &[Value],
    before: &[Value],
    key: Option<&str>,
) -> Result<Vec<Value>, PatchError> {
    let text = |item: &Value| identity(item, key).map(|it| Some(it.to_string()));
    let (order, before) = (places(order, text)?, places(before, text)?);
    let mut placed = Vec::with_capacity(merged.len());
    for item in merged {
        let own = identity(&item, key)?.to_string();
        placed.push(Placed {
            order: order.get(&own).copied(),
            before: before.get(&own).copied(),
            item,
        });
    }
    let (mut named, mut others): (Vec<Placed>, Vec<Placed>) =
        placed.into_iter().partition(|placed| placed.order.is_some());
    named.sort_by_key(|placed| placed.order);
    others.sort_by_key(|placed| placed.before.unwrap_or(usize::MAX));
    let mut arranged = Vec::with_capacity(named.len() + others.len());
    let (mut named, mut others) = (named.into_iter().peekable(), others.into_iter().peekable());
    loop {
        let other_first = match (others.peek(), named.peek()) {
            (Some(other), Some(named)) => {
                other.before.zip(named.before).is_some_and(|(other, named)| other < named)
            }
            (other, _) => other.is_some(),
        };
        let next = if other_first { others.next() } else { named.next() };
        match next {
            Some(placed) => arranged.push(placed.item),
            None => return Ok(arranged),
        }
    }
}

/// An item, and where two lists have it.
struct Placed {
    item: Value,
    order: Option<usize>,
    before: Option<usize>,
}

/// Where in a list what is known by a text stands first.
fn places(
    list: &[Value],
    text: impl Fn(&Value) -> Result<Option<String>, PatchError>,
) -> Result<HashMap<String, usize>, PatchError> {
    let mut places = HashMap::with_capacity(list.len());
    for (place, item) in list.iter().enumerate() {
        if let Some(text) = text(item)? {
            places.entry(text).or_insert(place);
        }
    }
    Ok(places)
}

/// A value as Go prints it: `map[a:1 b:[x y]]`.
fn go_text(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => go_list(items),
        Value::Object(members) => go_map(members),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

fn go_list(items: &[Value]) -> String {
    let items: Vec<String> = items.iter().map(go_text).collect();
    format!("[{}]", items.join(" "))
}

fn go_map(members: &Map<String, Value>) -> String {
    let mut members: Vec<String> =
        members.iter().map(|(name, value)| format!("{name}:{}", go_text(value))).collect();
    members.sort();
    format!("map[{}]", members.join(" "))
}
