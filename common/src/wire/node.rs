//! What clients say of a worker, as far as the worker reads it: the record of its Node in the
//! objects' stream, which the coordinators write.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::class::{Offer, Taint};

/// What clients have said of a worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeWord {
    /// It is to take no more pods.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unschedulable: bool,
    /// Labels beside its own, or in their place.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Its taints, in place of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taints: Option<Vec<Taint>>,
}

#[derive(Deserialize)]
struct NodeRecord {
    object: NodeObject,
    #[serde(default)]
    gone: bool,
}

#[derive(Deserialize)]
struct NodeObject {
    #[serde(default)]
    metadata: NodeMetadata,
    #[serde(default)]
    spec: NodeSpec,
}

#[derive(Default, Deserialize)]
struct NodeMetadata {
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
struct NodeSpec {
    #[serde(default)]
    unschedulable: bool,
    #[serde(default)]
    taints: Option<Vec<Taint>>,
}

impl NodeWord {
    /// Reads a Node's record.
    ///
    /// # Errors
    ///
    /// When the bytes are no record of a Node.
    pub fn read(record: &[u8]) -> Result<Self, serde_json::Error> {
        let NodeRecord { object, gone } = serde_json::from_slice(record)?;
        if gone {
            return Ok(Self::default());
        }
        let NodeObject { metadata, spec } = object;
        let NodeSpec { unschedulable, taints } = spec;
        Ok(Self { unschedulable, labels: metadata.labels, taints })
    }

    /// What a worker offers of which this is said.
    #[must_use]
    pub fn apply_to(&self, own: &Offer) -> Offer {
        let mut offer = own.clone();
        offer.labels.extend(self.labels.clone());
        if let Some(taints) = &self.taints {
            offer.taints.clone_from(taints);
        }
        offer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_read() {
        let read = |text: &str| NodeWord::read(text.as_bytes()).unwrap();
        let cordoned = |text: &str| read(text).unschedulable;
        assert!(cordoned(r#"{"v":1,"object":{"spec":{"unschedulable":true}}}"#));
        assert!(!cordoned(r#"{"v":1,"object":{"metadata":{}}}"#));
        assert!(!cordoned(r#"{"v":1,"object":{"spec":{"unschedulable":true}},"gone":true}"#));
        assert!(NodeWord::read(b"what").is_err());
    }

    #[test]
    fn labels_are_added_and_taints_take_the_place_of_its_own() {
        let taint = |key: &str| Taint {
            key: key.into(),
            value: String::new(),
            effect: "NoSchedule".into(),
        };
        let own = Offer {
            labels: [("zone", "a"), ("disk", "hdd")].map(|(k, v)| (k.into(), v.into())).into(),
            taints: vec![taint("own")],
            ..Offer::default()
        };
        let text = br#"{"v":1,"object":{"metadata":{"labels":{"disk":"ssd"}}}}"#;
        let offer = NodeWord::read(text).unwrap().apply_to(&own);
        assert_eq!((&*offer.labels["zone"], &*offer.labels["disk"]), ("a", "ssd"));
        assert_eq!(offer.taints, own.taints);
        let text = br#"{"v":1,"object":{"spec":{"taints":[{"key":"k","effect":"NoSchedule"}]}}}"#;
        assert_eq!(NodeWord::read(text).unwrap().apply_to(&own).taints, [taint("k")]);
        let none = br#"{"v":1,"object":{"spec":{"taints":[]}}}"#;
        assert_eq!(NodeWord::read(none).unwrap().apply_to(&own).taints, []);
    }
}
