//! `fields.txt`, read once: a line for each message, and below it one for each of its members.
//!
//! ```text
//! JobSpec
//!  1 parallelism *int            a pointer: what is sent is meant, zero as well
//!  2 conditions ?[]JobCondition  left out of JSON when it is zero
//!  3 - ^VolumeSource             its members are members of the message itself
//!  4 data ?{}bytes               a map from texts
//! ```

use std::collections::HashMap;
use std::sync::LazyLock;

static TEXT: &str = include_str!("fields.txt");

/// Members of messages, by the message's name.
pub(super) static MESSAGES: LazyLock<HashMap<&'static str, Vec<Field>>> = LazyLock::new(read);

/// One member.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) number: u32,
    pub(super) name: &'static str,
    pub(super) presence: Presence,
    pub(super) shape: Shape,
    pub(super) kind: Kind,
}

/// What a zero means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// Itself: the member is there.
    Pointer,
    /// Itself: the member is always there.
    Always,
    /// That the member is not there.
    NotZero,
}

/// How many values there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    One,
    List,
    Map,
    /// One, whose members are those of the message around it.
    Inline,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Bytes,
    Int,
    Flag,
    Message(&'static str),
    /// A message of an API that is not served.
    Unknown,
}

fn read() -> HashMap<&'static str, Vec<Field>> {
    let mut messages: HashMap<&str, Vec<Field>> = HashMap::new();
    let mut current = "";
    for line in TEXT.lines() {
        match line.strip_prefix(' ') {
            None => {
                current = line;
                messages.entry(current).or_default();
            }
            Some(member) => messages.entry(current).or_default().extend(field(member)),
        }
    }
    messages
}

fn field(line: &'static str) -> Option<Field> {
    let mut words = line.split(' ');
    let number = words.next()?.parse().ok()?;
    let name = words.next()?;
    let mut rest = words.next()?;
    let mut has = |prefix: &str| {
        let stripped = rest.strip_prefix(prefix);
        rest = stripped.unwrap_or(rest);
        stripped.is_some()
    };
    let inline = has("^");
    let presence = match (has("*"), has("?")) {
        (true, _) => Presence::Pointer,
        (_, true) => Presence::NotZero,
        _ => Presence::Always,
    };
    let shape = match (inline, has("[]"), has("{}")) {
        (true, ..) => Shape::Inline,
        (_, true, _) => Shape::List,
        (_, _, true) => Shape::Map,
        _ => Shape::One,
    };
    let kind = match rest {
        "text" => Kind::Text,
        "bytes" => Kind::Bytes,
        "int" => Kind::Int,
        "flag" => Kind::Flag,
        "unknown" => Kind::Unknown,
        message => Kind::Message(message),
    };
    Some(Field { number, name, presence, shape, kind })
}

#[cfg(test)]
mod tests {
    use super::super::special;
    use super::*;

    #[test]
    fn every_line_is_read_and_every_message_is_there() {
        let lines = TEXT.lines().filter(|line| line.starts_with(' ')).count();
        assert_eq!(MESSAGES.values().map(Vec::len).sum::<usize>(), lines);
        for (message, fields) in &*MESSAGES {
            for field in fields {
                if let Kind::Message(name) = field.kind {
                    let known = MESSAGES.contains_key(name) || special::reader(name).is_some();
                    assert!(known, "{message}.{}: there is no {name}", field.name);
                }
            }
        }
    }
}
