//! Namespaces: furnishes those that are used, empties those that are being deleted.

use std::time::Duration;

use crate::registry::Registry;

/// Looked at again this often though nothing was heard: somebody may have deleted what every
/// namespace has.
const CALM: Duration = Duration::from_secs(60);
/// While a namespace is being emptied, what is in it is looked at this often: Jobs may wait for
/// finalizers.
const EMPTYING: Duration = Duration::from_millis(500);
/// After JetStream did not answer.
const AGAIN: Duration = Duration::from_secs(1);

/// Looks after the namespaces; never ends by itself.
pub(super) async fn tend_namespaces(registry: &Registry) {
    let mut changes = registry.namespace_changes();
    loop {
        let pause = match registry.tend_namespaces().await {
            Ok(0) => CALM,
            Ok(_) => EMPTYING,
            Err(error) => {
                tracing::warn!(%error, "tending namespaces");
                AGAIN
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = changes.next() => {}
        }
    }
}
