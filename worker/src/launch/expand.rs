//! `$(NAME)` and `$$`, exactly as Kubernetes' `third_party/forked/golang/expansion`: parsed once
//! per Job.

use std::sync::Arc;

/// A piece of a text with references.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Stands for itself.
    Literal(String),
    /// Stands for the variable at this place of the list.
    Variable(usize),
}

/// A text, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Text {
    /// No references to anything: the same for every pod.
    Fixed(Arc<str>),
    /// To be put together from the values of variables.
    Pieces(Vec<Piece>),
}

impl Text {
    /// The text with the values put in.
    pub(super) fn render(&self, values: &[Arc<str>]) -> Arc<str> {
        let pieces = match self {
            Self::Fixed(text) => return text.clone(),
            Self::Pieces(pieces) => pieces,
        };
        let mut text = String::new();
        for piece in pieces {
            text.push_str(match piece {
                Piece::Literal(literal) => literal,
                Piece::Variable(place) => values.get(*place).map_or("", |value| &**value),
            });
        }
        Arc::from(text)
    }
}

/// Parses `text`. `lookup` says where a variable stands; a reference to a name that it does not
/// know stays as it was written, and so does everything that is not a whole reference. `$$` becomes
/// `$`.
pub(super) fn parse(text: &str, mut lookup: impl FnMut(&str) -> Option<usize>) -> Text {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        literal.push_str(before);
        let reference = after.strip_prefix('(').and_then(|inside| inside.split_once(')'));
        if let Some((name, behind)) = reference {
            match lookup(name) {
                Some(place) => {
                    if !literal.is_empty() {
                        pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                    }
                    pieces.push(Piece::Variable(place));
                }
                None => literal.extend(["$(", name, ")"]),
            }
            rest = behind;
        } else {
            literal.push('$');
            rest = after.strip_prefix('$').unwrap_or(after);
        }
    }
    literal.push_str(rest);
    if pieces.is_empty() {
        return Text::Fixed(Arc::from(literal));
    }
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    Text::Pieces(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The variables of Kubernetes' own `TestMapping`.
    const VARIABLES: [(&str, &str); 6] = [
        ("VAR_A", "A"),
        ("VAR_B", "B"),
        ("VAR_C", "C"),
        ("VAR_REF", "$(VAR_A)"),
        ("VAR_EMPTY", ""),
        ("foo.bar", "dots"),
    ];

    fn check(text: &str, expect: &str) {
        let lookup = |name: &str| VARIABLES.iter().position(|(known, _)| *known == name);
        let values: Vec<Arc<str>> = VARIABLES.iter().map(|(_, value)| Arc::from(*value)).collect();
        assert_eq!(&*parse(text, lookup).render(&values), expect, "{text}");
    }

    #[test]
    fn as_in_kubernetes_own_test_table() {
        check("$(VAR_A)", "A");
        check("___$(VAR_B)___", "___B___");
        check("___$(VAR_C)", "___C");
        check("$(VAR_A)-$(VAR_A)", "A-A");
        check("$(VAR_A)-1", "A-1");
        check("$(VAR_A)_$(VAR_B)_$(VAR_C)", "A_B_C");
        check("$$(VAR_B)_$(VAR_A)", "$(VAR_B)_A");
        check("$$(VAR_A)_$$(VAR_B)", "$(VAR_A)_$(VAR_B)");
        check("f000-$$VAR_A", "f000-$VAR_A");
        check("foo\\$(VAR_C)bar", "foo\\Cbar");
        check("foo\\\\$(VAR_C)bar", "foo\\\\Cbar");
        check("foo$(VAR_EMPTY)bar", "foobar");
        check("$(VAR_A", "$(VAR_A");
        check("$(VAR_DNE)", "$(VAR_DNE)");
        check("$$(VAR_DNE)", "$(VAR_DNE)");
        check("$(VAR_REF)", "$(VAR_A)");
        check("$$$(VAR_A)", "$A");
        check("$$$$(VAR_A)", "$$(VAR_A)");
        check("$$$$$(VAR_A)", "$$A");
        check("$VAR_A)", "$VAR_A)");
        check("${VAR_A}", "${VAR_A}");
        check("$(VAR_B)_______$(A", "B_______$(A");
        check("$(VAR_C)_______$(A", "C_______$(A");
        check("$(VAR_A)_______$$(A", "A_______$(A");
        check("$?_boo_$!", "$?_boo_$!");
        check("foo$", "foo$");
        check("$(foo.bar)$()", "dots$()");
        check("$é$(VAR_A)", "$éA");
        check("$($(VAR_A)", "$($(VAR_A)");
        check("", "");
    }
}
