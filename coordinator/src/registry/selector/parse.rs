//! Reads a label selector's text: `a=b,c!=d,e in (f,g),!h,i>1`.
//!
//! Accepts what Kubernetes accepts, odd lists such as `(a,,)` included, and complains in its words.

use std::collections::BTreeSet;
use std::str::FromStr;

use super::requirement::{LabelSelector, Operator, Requirement};
use crate::admission::text;

/// Why a text is no selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseSelectorError(pub(super) String);

fn found<T>(literal: &str, expected: &str) -> Result<T, ParseSelectorError> {
    Err(ParseSelectorError(format!("found '{literal}', expected: {expected}")))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    End,
    Close,
    Comma,
    Not,
    Open,
    Operator(Operator, &'a str),
    Word(&'a str),
    Unknown(&'a str),
}

impl<'a> Token<'a> {
    fn literal(self) -> &'a str {
        match self {
            Self::End => "",
            Self::Close => ")",
            Self::Comma => ",",
            Self::Not => "!",
            Self::Open => "(",
            Self::Operator(_, text) | Self::Word(text) | Self::Unknown(text) => text,
        }
    }

    /// `in` and `notin` are words where a value or a key may stand.
    fn as_word(self) -> Self {
        match self {
            Self::Operator(Operator::In | Operator::NotIn, text) => Self::Word(text),
            other => other,
        }
    }
}

/// Cuts a text into tokens.
struct Lexer<'a>(&'a str);

fn is_blank(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\r' | '\n')
}

fn is_special(letter: char) -> bool {
    matches!(letter, '=' | '!' | '(' | ')' | ',' | '>' | '<')
}

impl<'a> Lexer<'a> {
    fn next(&mut self) -> Token<'a> {
        self.0 = self.0.trim_start_matches(is_blank);
        let Some(first) = self.0.chars().next() else { return Token::End };
        if is_special(first) {
            return self.special(first);
        }
        let end = self.0.find(|it| is_special(it) || is_blank(it)).unwrap_or(self.0.len());
        match self.take(end) {
            "in" => Token::Operator(Operator::In, "in"),
            "notin" => Token::Operator(Operator::NotIn, "notin"),
            word => Token::Word(word),
        }
    }

    fn special(&mut self, first: char) -> Token<'a> {
        for (text, operator) in [("==", Operator::DoubleEquals), ("!=", Operator::NotEquals)] {
            if self.0.starts_with(text) {
                return Token::Operator(operator, self.take(text.len()));
            }
        }
        let text = self.take(1);
        match first {
            '(' => Token::Open,
            ')' => Token::Close,
            ',' => Token::Comma,
            '!' => Token::Not,
            '=' => Token::Operator(Operator::Equals, text),
            '>' => Token::Operator(Operator::GreaterThan, text),
            '<' => Token::Operator(Operator::LessThan, text),
            _ => Token::Unknown(text),
        }
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    ahead: Token<'a>,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        let mut lexer = Lexer(text);
        let ahead = lexer.next();
        Self { lexer, ahead }
    }

    fn take(&mut self) -> Token<'a> {
        std::mem::replace(&mut self.ahead, self.lexer.next())
    }

    fn selector(&mut self) -> Result<Vec<Requirement>, ParseSelectorError> {
        let mut requirements = Vec::new();
        loop {
            match self.ahead.as_word() {
                Token::End => return Ok(requirements),
                Token::Word(_) | Token::Not => {
                    let requirement = self.requirement().map_err(|error| {
                        ParseSelectorError(format!("unable to parse requirement: {error}"))
                    })?;
                    requirements.push(requirement);
                }
                other => return found(other.literal(), "!, identifier, or 'end of string'"),
            }
            match self.take() {
                Token::End => return Ok(requirements),
                Token::Comma => match self.ahead.as_word() {
                    Token::Word(_) | Token::Not => {}
                    other => return found(other.literal(), "identifier after ','"),
                },
                other => return found(other.literal(), "',' or 'end of string'"),
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, ParseSelectorError> {
        let absent = self.ahead == Token::Not;
        if absent {
            self.take();
        }
        let Token::Word(key) = self.ahead.as_word() else {
            return found(self.ahead.literal(), "identifier");
        };
        self.take();
        let faults = text::qualified_name(key);
        if !faults.is_empty() {
            let message = format!("<nil>: Invalid value: {key:?}: {}", faults.join("; "));
            return Err(ParseSelectorError(message));
        }
        let (operator, values) = if absent {
            (Operator::DoesNotExist, Vec::new())
        } else if matches!(self.ahead, Token::End | Token::Comma) {
            (Operator::Exists, Vec::new())
        } else {
            self.comparison()?
        };
        Requirement::new(key, operator, values).map_err(|causes| {
            let texts: Vec<String> = causes.iter().map(ToString::to_string).collect();
            ParseSelectorError(texts.join(", "))
        })
    }

    fn comparison(&mut self) -> Result<(Operator, Vec<String>), ParseSelectorError> {
        match self.take() {
            Token::Operator(operator @ (Operator::In | Operator::NotIn), _) => {
                Ok((operator, self.values()?))
            }
            Token::Operator(operator, _) => Ok((operator, vec![self.exact_value()?])),
            other => found(other.literal(), "in, notin, =, ==, !=, gt, lt"),
        }
    }

    fn exact_value(&mut self) -> Result<String, ParseSelectorError> {
        match self.ahead.as_word() {
            Token::End | Token::Comma => Ok(String::new()),
            Token::Word(value) => {
                self.take();
                Ok(value.to_owned())
            }
            other => found(other.literal(), "identifier"),
        }
    }

    /// `(a,b)`. Every place between commas is a value, the empty one too.
    fn values(&mut self) -> Result<Vec<String>, ParseSelectorError> {
        let open = self.take();
        if open != Token::Open {
            let literal = open.literal();
            return Err(ParseSelectorError(format!("found '{literal}' expected: '('")));
        }
        if !matches!(self.ahead.as_word(), Token::Word(_) | Token::Comma | Token::Close) {
            return found(self.ahead.literal(), "',', ')' or identifier");
        }
        let mut values = BTreeSet::new();
        loop {
            let value = match self.ahead.as_word() {
                Token::Word(value) => {
                    self.take();
                    value
                }
                _ => "",
            };
            values.insert(value.to_owned());
            match self.take() {
                Token::Close => return Ok(values.into_iter().collect()),
                Token::Comma => {}
                other if value.is_empty() => return found(other.literal(), "',', or identifier"),
                other => return found(other.literal(), "',' or ')'"),
            }
        }
    }
}

impl FromStr for LabelSelector {
    type Err = ParseSelectorError;

    fn from_str(text: &str) -> Result<Self, ParseSelectorError> {
        let mut requirements = Parser::new(text).selector()?;
        requirements.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(Self(requirements))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn check(selector: &str, printed: &str) {
        let parsed: LabelSelector = selector.parse().unwrap();
        assert_eq!(parsed.to_string(), printed, "{selector}");
    }

    #[test]
    fn selectors_are_read_and_printed() {
        check("", "");
        check("x=a,y!=b,z in (h,i,j)", "x=a,y!=b,z in (h,i,j)");
        check("x notin (abc,,def),bar,z in (),w", "bar,w,x notin (,abc,def),z in ()");
        check("x in (a,,a,,)", "x in (,a)");
        check("a in (x,y,notin, z,in)", "a in (in,notin,x,y,z)");
        check("x= ,z= ", "x=,z=");
        check("!x,y>1", "!x,y>1");
    }

    #[test]
    fn what_is_no_selector_is_said() {
        for (selector, complaint) in [
            ("x,,y", "found ',', expected: identifier after ','"),
            ("a in (xyz)b notin ()", "found 'b', expected: ',' or 'end of string'"),
            ("a in (xyz abc)", "unable to parse requirement: found 'abc', expected: ',' or ')'"),
            ("a notin(", "unable to parse requirement: found '', expected: ',', ')' or identifier"),
            ("(", "found '(', expected: !, identifier, or 'end of string'"),
            ("x==a==b", "found '==', expected: ',' or 'end of string'"),
            ("!x=a", "found '=', expected: ',' or 'end of string'"),
        ] {
            let error = selector.parse::<LabelSelector>().unwrap_err();
            assert_eq!(error.to_string(), complaint, "{selector}");
        }
    }

    #[test]
    fn an_objects_labels_are_compared() {
        let object = json!({"metadata": {"labels": {"app": "a", "n": "5"}}});
        for (selector, matches) in [
            ("", true),
            ("app=a,n>4", true),
            ("n<5", false),
            ("app in (b,c)", false),
            ("tier notin (x),!tier", true),
            ("tier", false),
        ] {
            let parsed: LabelSelector = selector.parse().unwrap();
            assert_eq!(parsed.matches_object(&object), matches, "{selector}");
        }
    }

    /// Something that may be asked for; signs alone hardly ever make a list.
    fn requirement() -> impl Strategy<Value = String> {
        let keys = prop::sample::select(vec!["a", "b.c/d", "in", "notin"]);
        let operators = vec!["", "!", "=", "==", "!=", ">", "<", " in ", " notin "];
        let values = prop::collection::vec("[a-z0-9]{0,2}", 0..4);
        (keys, prop::sample::select(operators), values).prop_map(|(key, operator, values)| {
            let values = values.join(",");
            match operator.trim() {
                "!" => format!("!{key}"),
                "" => key.to_owned(),
                "in" | "notin" => format!("{key}{operator}({values})"),
                _ => format!("{key}{operator}{values}"),
            }
        })
    }

    fn text() -> impl Strategy<Value = String> {
        let several = prop::collection::vec(requirement(), 0..4).prop_map(|it| it.join(","));
        prop_oneof![several, "[a-z!=<>(), \t]{0,24}"]
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in text()) {
            if let Ok(selector) = text.parse::<LabelSelector>() {
                let printed = selector.to_string();
                prop_assert_eq!(printed.parse::<LabelSelector>().unwrap(), selector);
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            drop(text.parse::<LabelSelector>());
        }
    }
}
