//! Deleting whatever pods match.

use super::Error;
use super::jobs::Answer;
use super::options::Options;
use super::store::Registry;

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
        let list = self.list_pods(Some(namespace), options).await?;
        self.delete_each(
            list,
            |name| async move { self.delete_pod(namespace, &name, options).await },
        )
        .await
    }
}
