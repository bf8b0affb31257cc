//! The only place where tasks are spawned that outlive their caller's await: each belongs to the
//! process that spawned it, which in a simulation is one of many.

use std::future::Future;

/// Runs a future on the current runtime, beside its caller.
pub fn spawn(future: impl Future<Output = ()> + Send + 'static) -> tokio::task::JoinHandle<()> {
    #[cfg(feature = "test-util")]
    if let Some(stage) = crate::stage::current() {
        return stage.spawn(Box::pin(future));
    }
    tokio::spawn(future)
}
