//! Subjects with wildcards.

/// Whether a subject with wildcards means this one, too: `*` stands for one token, `>` at the end
/// for one or more.
pub(super) fn matches(pattern: &str, subject: &str) -> bool {
    let mut tokens = subject.split('.');
    for wanted in pattern.split('.') {
        match (wanted, tokens.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (wanted, Some(token)) if wanted == token => {}
            _ => return false,
        }
    }
    tokens.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn wildcards_stand_for_tokens() {
        for (pattern, subject) in [("a.b", "a.b"), ("a.*", "a.b"), (">", "a"), ("a.>", "a.b.c")] {
            assert!(matches(pattern, subject), "{pattern} {subject}");
        }
        let others =
            [("a.b", "a"), ("a.b", "a.b.c"), ("a.*", "a.b.c"), ("a.>", "a"), ("a.b", "a.bc")];
        for (pattern, subject) in others {
            assert!(!matches(pattern, subject), "{pattern} {subject}");
        }
    }
}
