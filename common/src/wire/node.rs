//! What clients say of a worker, as far as the worker reads it: the record of its Node in the
//! objects' stream, which the coordinators write.

use serde::Deserialize;

#[derive(Deserialize)]
struct NodeRecord {
    object: NodeObject,
    #[serde(default)]
    gone: bool,
}

#[derive(Deserialize)]
struct NodeObject {
    #[serde(default)]
    spec: NodeSpec,
}

#[derive(Default, Deserialize)]
struct NodeSpec {
    #[serde(default)]
    unschedulable: bool,
}

/// Whether a Node's record says that the worker is to take no more pods.
///
/// # Errors
///
/// When the bytes are no record of a Node.
pub fn is_cordoned(record: &[u8]) -> Result<bool, serde_json::Error> {
    let record: NodeRecord = serde_json::from_slice(record)?;
    Ok(!record.gone && record.object.spec.unschedulable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_read() {
        let cordoned = |text: &str| is_cordoned(text.as_bytes()).unwrap();
        assert!(cordoned(r#"{"v":1,"object":{"spec":{"unschedulable":true}}}"#));
        assert!(!cordoned(r#"{"v":1,"object":{"metadata":{}}}"#));
        assert!(!cordoned(r#"{"v":1,"object":{"spec":{"unschedulable":true}},"gone":true}"#));
        assert!(is_cordoned(b"what").is_err());
    }
}
