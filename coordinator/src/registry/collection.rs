//! Many objects at once: the page that a list gives, and deleting whatever a list has found.

use std::future::Future;

use futures_util::StreamExt as _;
use serde_json::{Map, Value, json};

use super::Error;
use super::job_list::write_continue;
use super::jobs::Answer;
use super::options::Options;
use super::store::Registry;

/// Deletes of a collection that are under way at once.
pub(super) const AT_ONCE: usize = 32;

/// One page of a list. Without a limit it takes everything.
pub(super) struct Page {
    limit: usize,
    most_bytes: usize,
    items: Vec<Value>,
    bytes: usize,
    /// The list goes on behind it.
    cut: bool,
}

impl Page {
    /// Takes one more object, if there is room. Whether there is room for another.
    pub(super) fn take(&mut self, object: Value) -> bool {
        if self.limit > 0 {
            if self.items.len() == self.limit {
                self.cut = true;
                return false;
            }
            self.bytes += object.to_string().len();
            self.cut = self.bytes > self.most_bytes;
        }
        self.items.push(object);
        !self.cut
    }

    /// `metadata` of the list, and its `items`.
    pub(super) fn finish(self, revision: u64) -> (Value, Vec<Value>) {
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        if let Some(last) = self.items.last().filter(|_| self.cut) {
            metadata["continue"] = Value::from(write_continue(last));
        }
        (metadata, self.items)
    }
}

/// A list. Made by hand, since `json!` copies what it is given, and lists are long.
pub(super) fn list(api_version: &str, kind: &str, metadata: Value, items: Vec<Value>) -> Value {
    Value::Object(Map::from_iter([
        ("apiVersion".to_owned(), Value::from(api_version)),
        ("kind".to_owned(), Value::from(kind)),
        ("metadata".to_owned(), metadata),
        ("items".to_owned(), Value::Array(items)),
    ]))
}

impl Registry {
    /// An empty page.
    pub(super) fn page(&self, options: &Options) -> Page {
        let (limit, most_bytes) = (options.limit, self.page_bytes());
        Page { limit, most_bytes, items: Vec::new(), bytes: 0, cut: false }
    }

    /// Deletes each object of a list by its name; what is gone meanwhile is passed over. The answer
    /// is the list with what each delete gave, as far as that fits a message;
    /// `metadata.remainingItemCount` tells how many others were deleted.
    ///
    /// # Errors
    ///
    /// The first that `delete` gives: objects before that one are deleted then.
    pub(super) async fn delete_each<D>(
        &self,
        mut list: Value,
        delete: impl Fn(String) -> D,
    ) -> Result<Answer, Error>
    where
        D: Future<Output = Result<Answer, Error>>,
    {
        let found = list["items"].as_array().into_iter().flatten();
        let names: Vec<String> =
            found.filter_map(|it| it["metadata"]["name"].as_str()).map(str::to_owned).collect();
        let mut deletes = futures_util::stream::iter(names).map(delete).buffered(AT_ONCE);
        let (mut items, mut bytes, mut others) = (Vec::new(), 0, 0);
        while let Some(outcome) = deletes.next().await {
            let object = match outcome {
                Ok(answer) => answer.object,
                Err(Error::NotFound { .. }) => continue,
                Err(error) => return Err(error),
            };
            bytes += object.to_string().len();
            if others > 0 || bytes > self.page_bytes() {
                others += 1;
            } else {
                items.push(object);
            }
        }
        if others > 0 {
            list["metadata"]["remainingItemCount"] = Value::from(others);
        }
        list["items"] = Value::Array(items);
        Ok(Answer { object: list, warnings: Vec::new() })
    }
}
