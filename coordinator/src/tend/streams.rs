//! Streams that an administrator, or a tool of his, removes while Stint runs.

use std::time::Duration;

use stint_common::nats::{Jet, StreamLimits, restore_streams};

/// Between two looks: nothing tells of a stream that is removed.
const LOOK: Duration = Duration::from_secs(5);
/// What cannot be mended is said again in every so many looks.
const SAY_AGAIN: u32 = 12;

/// Looks after the streams; never ends by itself.
pub(super) async fn tend_streams(jet: &Jet, limits: &StreamLimits) {
    for look in 0_u32.. {
        tokio::time::sleep(LOOK).await;
        match restore_streams(jet, limits).await {
            Ok(restored) => {
                for stream in restored.made {
                    tracing::error!(stream, "somebody removed this stream: it is made anew, empty");
                }
                for stream in restored.lost.into_iter().filter(|_| look % SAY_AGAIN == 0) {
                    tracing::error!(
                        stream,
                        "somebody removed this stream, and with it what nobody else knows: stop all \
                         coordinators and workers, put a backup back, start them; without one, \
                         restarting the coordinators makes it anew, empty"
                    );
                }
            }
            Err(error) => tracing::debug!(%error, "looking whether all streams are there"),
        }
    }
}
