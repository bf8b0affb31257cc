//! What workers read of ConfigMaps and Secrets: the records in the objects' stream that the
//! coordinators write. Nothing here shows a value.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// Values by their keys.
pub type Entries = BTreeMap<String, Content>;

/// One value.
#[derive(Clone, PartialEq, Eq)]
pub struct Content {
    /// What is in it.
    pub bytes: Vec<u8>,
    /// It stands in a ConfigMap's `binaryData`: it can be a file, and never a variable.
    pub is_binary: bool,
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.bytes.len())
    }
}

impl Content {
    /// A value that can be a variable.
    #[must_use]
    pub fn plain(bytes: Vec<u8>) -> Self {
        Self { bytes, is_binary: false }
    }
}

#[derive(Deserialize)]
struct Record {
    object: Object,
    #[serde(default)]
    gone: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Object {
    kind: String,
    #[serde(default)]
    data: BTreeMap<String, String>,
    #[serde(default)]
    binary_data: BTreeMap<String, String>,
}

/// Why bytes are no record of a ConfigMap or Secret. Says nothing of what they are instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoEntries;

impl fmt::Display for NoEntries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is no record of a ConfigMap or Secret")
    }
}

impl std::error::Error for NoEntries {}

/// Reads a record; `None` when the object is gone.
///
/// # Errors
///
/// When the bytes are no such record.
pub fn read_entries(record: &[u8]) -> Result<Option<Entries>, NoEntries> {
    let Record { object, gone } = serde_json::from_slice(record).map_err(|_| NoEntries)?;
    if gone {
        return Ok(None);
    }
    let is_binary = object.kind != "Secret";
    let decode = |(key, text): (String, String)| {
        let bytes = STANDARD.decode(text).map_err(|_| NoEntries)?;
        Ok((key, Content { bytes, is_binary }))
    };
    if object.kind == "Secret" {
        return object.data.into_iter().map(decode).collect::<Result<_, _>>().map(Some);
    }
    let plain = object.data.into_iter();
    let plain = plain.map(|(key, text)| Ok((key, Content::plain(text.into_bytes()))));
    plain.chain(object.binary_data.into_iter().map(decode)).collect::<Result<_, _>>().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_are_read() {
        let read = |text: &str| read_entries(text.as_bytes());
        let secret = read(r#"{"v":1,"object":{"kind":"Secret","data":{"a":"aGk="}}}"#).unwrap();
        let hi = Content::plain(b"hi".to_vec());
        assert_eq!(secret, Some(Entries::from([("a".to_owned(), hi.clone())])));
        assert_eq!(format!("{hi:?}"), "2 bytes", "values are in no log");
        let map = r#"{"object":{"kind":"ConfigMap","data":{"a":"b"},"binaryData":{"c":"aGk="}}}"#;
        let map = read(map).unwrap().unwrap();
        assert_eq!(map["a"], Content::plain(b"b".to_vec()));
        assert_eq!(map["c"], Content { is_binary: true, ..hi });
        assert_eq!(read(r#"{"object":{"kind":"Secret"},"gone":true}"#), Ok(None));
        assert_eq!(read("{}"), Err(NoEntries));
    }
}
