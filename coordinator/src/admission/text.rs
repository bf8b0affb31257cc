//! The forms that names, keys and values must have, and how Kubernetes says what is wrong with
//! them.
//!
//! Each function returns the list of complaints, empty for a good text. The forms are those of the
//! regular expressions in the messages, matched by hand.

const LABEL_FORM: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN_FORM: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const KEY_FORM: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const VALUE_FORM: &str = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";
const PATH_FORM: &str = "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+";

const LABEL_WORDS: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric \
    characters or '-', and must start and end with an alphanumeric character";
const SUBDOMAIN_WORDS: &str = "a lowercase RFC 1123 subdomain must consist of lower case \
    alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";
const KEY_WORDS: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start \
    and end with an alphanumeric character";
const VALUE_WORDS: &str = "a valid label must be an empty string or consist of alphanumeric \
    characters, '-', '_' or '.', and must start and end with an alphanumeric character";

/// Most bytes of a DNS label, a label's value, and the name part of its key.
const LABEL_LENGTH: usize = 63;
/// Most bytes of a DNS subdomain.
const SUBDOMAIN_LENGTH: usize = 253;
/// Most bytes of a port's name.
const PORT_NAME_LENGTH: usize = 15;

/// A DNS label: names of containers, namespaces, hosts.
#[must_use]
pub fn dns_label(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if text.len() > LABEL_LENGTH {
        faults.push(format!("must be no more than {LABEL_LENGTH} characters"));
    }
    if !is_dns_label(text) {
        faults.push(if is_subdomain(text) {
            "must not contain dots".to_owned()
        } else {
            explain(LABEL_WORDS, LABEL_FORM, &["my-name", "123-abc"])
        });
    }
    faults
}

/// A DNS subdomain: names of most objects.
#[must_use]
pub fn dns_subdomain(text: &str) -> Vec<String> {
    subdomain(text, "characters")
}

fn subdomain(text: &str, unit: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if text.len() > SUBDOMAIN_LENGTH {
        faults.push(format!("must be no more than {SUBDOMAIN_LENGTH} {unit}"));
    }
    if !is_subdomain(text) {
        faults.push(explain(SUBDOMAIN_WORDS, SUBDOMAIN_FORM, &["example.com"]));
    }
    faults
}

/// A qualified name, as keys of labels and annotations, finalizers and conditions are.
#[must_use]
pub fn qualified_name(text: &str) -> Vec<String> {
    let explained = explain(KEY_WORDS, KEY_FORM, &["MyName", "my.name", "123-abc"]);
    let mut faults = Vec::new();
    let name = match text.split('/').collect::<Vec<_>>().as_slice() {
        [name] => *name,
        [prefix, name] => {
            if prefix.is_empty() {
                faults.push("prefix part must be non-empty".to_owned());
            } else {
                let complaints = subdomain(prefix, "bytes").into_iter();
                faults.extend(complaints.map(|fault| format!("prefix part {fault}")));
            }
            *name
        }
        _ => {
            return vec![format!(
                "a valid label key {explained} with an optional DNS subdomain prefix and '/' (e.g. \
                 'example.com/MyName')"
            )];
        }
    };
    if name.is_empty() {
        faults.push("name part must be non-empty".to_owned());
    } else if name.len() > LABEL_LENGTH {
        faults.push(format!("name part must be no more than {LABEL_LENGTH} bytes"));
    }
    if !is_key(name) {
        faults.push(format!("name part {explained}"));
    }
    faults
}

/// A label's value.
#[must_use]
pub fn label_value(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if text.len() > LABEL_LENGTH {
        faults.push(format!("must be no more than {LABEL_LENGTH} bytes"));
    }
    if !text.is_empty() && !is_key(text) {
        faults.push(explain(VALUE_WORDS, VALUE_FORM, &["MyValue", "my_value", "12345"]));
    }
    faults
}

/// A key of a ConfigMap or Secret, which may become a file's name.
#[must_use]
pub fn config_key(text: &str) -> Vec<String> {
    let words = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let mut faults = Vec::new();
    if text.len() > SUBDOMAIN_LENGTH {
        faults.push(format!("must be no more than {SUBDOMAIN_LENGTH} bytes"));
    }
    if text.is_empty() || !text.bytes().all(allowed) {
        faults.push(explain(words, "[-._a-zA-Z0-9]+", &["key.name", "KEY_NAME", "key-name"]));
    }
    match text {
        "." | ".." => faults.push(format!("must not be '{text}'")),
        _ if text.starts_with("..") => faults.push("must not start with '..'".to_owned()),
        _ => {}
    }
    faults
}

/// The name of an HTTP header.
#[must_use]
pub fn http_header_name(text: &str) -> Vec<String> {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if !text.is_empty() && text.bytes().all(inside) {
        return Vec::new();
    }
    let words = "a valid HTTP header must consist of alphanumeric characters or '-'";
    vec![explain(words, "[-A-Za-z0-9]+", &["X-Header-Name"])]
}

/// An environment variable's name: printable ASCII without `=`.
#[must_use]
pub fn environment_name(text: &str) -> Vec<String> {
    if text.is_empty() {
        return vec!["environment variable name must be non-empty".to_owned()];
    }
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'=') {
        return Vec::new();
    }
    let words = "a valid environment variable name must consist only of printable ASCII characters \
        other than '='";
    vec![words.to_owned()]
}

/// A port's name.
#[must_use]
pub fn port_name(text: &str) -> Vec<String> {
    let allowed = |byte: u8| byte == b'-' || is_lower(byte);
    [
        (text.len() > PORT_NAME_LENGTH, "must be no more than 15 characters"),
        (
            text.is_empty() || !text.bytes().all(allowed),
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
        ),
        (
            !text.bytes().any(|byte| byte.is_ascii_lowercase()),
            "must contain at least one letter (a-z)",
        ),
        (text.contains("--"), "must not contain consecutive hyphens"),
        (text.starts_with('-') || text.ends_with('-'), "must not begin or end with a hyphen"),
    ]
    .into_iter()
    .filter(|(fault, _)| *fault)
    .map(|(_, words)| words.to_owned())
    .collect()
}

/// The complaint about a path after a domain that has other letters than a URL's path; `None` for a
/// good one.
#[must_use]
pub fn http_path(text: &str) -> Option<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&byte);
    let good = !text.is_empty() && text.bytes().all(allowed);
    (!good).then(|| explain("Invalid path", PATH_FORM, &[]))
}

/// `words (e.g. 'a',  or 'b', regex used for validation is 'form')`: the odd comma is Kubernetes'
/// own.
fn explain(words: &str, form: &str, examples: &[&str]) -> String {
    let examples: Vec<String> = examples.iter().map(|example| format!("'{example}', ")).collect();
    let lead = if examples.is_empty() { "" } else { "e.g. " };
    format!("{words} ({lead}{}regex used for validation is '{form}')", examples.join(" or "))
}

fn is_lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn is_dns_label(text: &str) -> bool {
    bounded(text, is_lower, |byte| is_lower(byte) || byte == b'-')
}

fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_dns_label)
}

fn is_key(text: &str) -> bool {
    let end = |byte: u8| byte.is_ascii_alphanumeric();
    bounded(text, end, |byte| end(byte) || b"-_.".contains(&byte))
}

/// Not empty, with `end` letters at both ends and `inner` ones between.
fn bounded(text: &str, end: impl Fn(u8) -> bool, inner: impl Fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    let ends = bytes.first().zip(bytes.last());
    ends.is_some_and(|(first, last)| end(*first) && end(*last)) && bytes.iter().all(|it| inner(*it))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dns_names() {
        assert!(dns_label("a-1").is_empty());
        assert_eq!(dns_label("a.b"), ["must not contain dots"]);
        assert_eq!(
            dns_label("A"),
            ["a lowercase RFC 1123 label must consist of lower case alphanumeric characters or \
                '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or \
                '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"]
        );
        assert_eq!(dns_label(&"a".repeat(64)), ["must be no more than 63 characters"]);
        assert!(dns_subdomain("a.b-c.d").is_empty());
        for bad in ["", "a..b", "-a", "a-", "a_b", "a.-b"] {
            assert_eq!(dns_subdomain(bad).len(), 1, "{bad}");
        }
    }

    #[test]
    fn keys_and_values() {
        assert!(qualified_name("example.com/My_Name.1").is_empty());
        assert!(qualified_name("a").is_empty());
        assert_eq!(qualified_name("/a"), ["prefix part must be non-empty"]);
        assert_eq!(qualified_name("").len(), 2);
        assert!(qualified_name("a/b/c")[0].starts_with("a valid label key must consist"));
        assert!(qualified_name("Upper.com/a")[0].starts_with("prefix part a lowercase RFC 1123"));
        assert!(label_value("").is_empty() && label_value("a_B.c-1").is_empty());
        assert_eq!(label_value("-").len(), 1);
        assert_eq!(label_value(&"a".repeat(64)), ["must be no more than 63 bytes"]);
    }

    #[test]
    fn other_names() {
        assert!(environment_name("MY.var 1").is_empty());
        assert_eq!(environment_name("a=b").len(), 1);
        assert_eq!(environment_name("ä").len(), 1);
        assert!(port_name("http-1").is_empty());
        assert_eq!(port_name("-1--").len(), 3);
        assert_eq!(http_path("a/b"), None);
        assert!(http_path("a b").is_some_and(|text| text.starts_with("Invalid path (regex used")));
    }
}
