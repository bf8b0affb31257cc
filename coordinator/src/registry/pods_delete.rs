//! Deleting whatever pods match.

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::Error;
use super::jobs::Answer;
use super::options::Options;
use super::store::Registry;

/// Deletes that are under way at once.
const AT_ONCE: usize = 32;

impl Registry {
    /// Deletes every pod of a namespace that matches the selectors, each as
    /// [`Registry::delete_pod`] does; what is gone meanwhile is passed over.
    ///
    /// The answer lists them, as far as it fits a message; `metadata.remainingItemCount` tells how
    /// many others were deleted.
    ///
    /// # Errors
    ///
    /// As [`Registry::list_pods`] and [`Registry::delete_pod`].
    pub async fn delete_pods(&self, namespace: &str, options: &Options) -> Result<Answer, Error> {
        let mut list = self.list_pods(Some(namespace), options).await?;
        let names = list["items"].as_array().into_iter().flatten();
        let names: Vec<String> =
            names.filter_map(|pod| pod["metadata"]["name"].as_str()).map(str::to_owned).collect();
        let mut deletes = futures_util::stream::iter(names)
            .map(|name| async move { self.delete_pod(namespace, &name, options).await })
            .buffered(AT_ONCE);
        let (mut items, mut bytes, mut others) = (Vec::new(), 0, 0);
        while let Some(outcome) = deletes.next().await {
            let pod = match outcome {
                Ok(answer) => answer.object,
                Err(Error::NotFound { .. }) => continue,
                Err(error) => return Err(error),
            };
            bytes += pod.to_string().len();
            if others > 0 || bytes > self.page_bytes() {
                others += 1;
            } else {
                items.push(pod);
            }
        }
        if others > 0 {
            list["metadata"]["remainingItemCount"] = json!(others);
        }
        list["items"] = Value::Array(items);
        Ok(Answer { object: list, warnings: Vec::new() })
    }
}
