//! A patch as it comes in: which kind it is, read once, applied as often as others write in
//! between.

use serde_json::Value;

use super::json::JsonPatch;
use super::merge::merge;
use super::schema::Schema;
use super::{PatchError, strategic};
use crate::admission::{Body, Rejection, decode};

/// The kinds of patch, by their media types.
pub const ACCEPTED: [&str; 3] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

/// Larger patches are refused, as larger bodies are.
const MAX_BYTES: usize = crate::admission::MAX_BODY_BYTES;

/// A patch, read.
#[derive(Clone, Debug)]
pub enum Patch {
    /// `application/json-patch+json`.
    Json(JsonPatch),
    /// `application/merge-patch+json`.
    Merge(Body),
    /// `application/strategic-merge-patch+json`.
    Strategic(Body),
}

/// Why a body is no patch.
#[derive(Clone, Debug, PartialEq)]
pub enum Unreadable {
    /// Its media type is none of [`ACCEPTED`].
    MediaType,
    /// It is no body at all.
    Rejected(Rejection),
    /// It is no patch of its kind.
    Patch(PatchError),
}

impl Patch {
    /// Reads a body. Without a content type it is a merge patch.
    ///
    /// # Errors
    ///
    /// When the kind is unknown, or the body is none of it.
    pub fn read(body: &[u8], content_type: Option<&str>) -> Result<Self, Unreadable> {
        let kind = content_type.and_then(|text| text.split(';').next()).map_or("", str::trim);
        let object = || decode(body, None).map_err(Unreadable::Rejected);
        match kind.to_ascii_lowercase().as_str() {
            "application/json-patch+json" => operations(body).map(Self::Json),
            "" | "application/merge-patch+json" => object().map(Self::Merge),
            "application/strategic-merge-patch+json" => object().map(Self::Strategic),
            _ => Err(Unreadable::MediaType),
        }
    }

    /// The object with the patch in it, and the members that the patch has twice.
    ///
    /// # Errors
    ///
    /// When the patch does not go with the object.
    pub fn apply(&self, object: &Value, schema: &Schema) -> Result<Body, PatchError> {
        let mut value = object.clone();
        let duplicates = match self {
            Self::Json(patch) => {
                patch.apply(&mut value)?;
                Vec::new()
            }
            Self::Merge(patch) => {
                merge(&mut value, &patch.value);
                patch.duplicates.clone()
            }
            Self::Strategic(patch) => {
                strategic::apply(&mut value, &patch.value, schema)?;
                patch.duplicates.clone()
            }
        };
        Ok(Body { value, duplicates })
    }
}

fn operations(body: &[u8]) -> Result<JsonPatch, Unreadable> {
    if body.len() > MAX_BYTES {
        return Err(Unreadable::Rejected(Rejection::TooLarge { limit: MAX_BYTES }));
    }
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        Unreadable::Patch(PatchError::Malformed(format!("the JSON patch is no JSON: {error}")))
    })?;
    JsonPatch::read(&value).map_err(Unreadable::Patch)
}
