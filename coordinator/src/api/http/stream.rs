//! Answers that come as they happen: watches and logs.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::Stream;
use http_body_util::StreamBody;
use hyper::body::Frame;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;

/// A body of what comes from `items`, until that ends or the server is to end. Holds `place` as
/// long.
pub(super) fn body<T: Send + 'static>(
    items: mpsc::Receiver<T>,
    encode: impl FnMut(T) -> Bytes + Send + 'static,
    place: OwnedSemaphorePermit,
    shutdown: CancellationToken,
) -> StreamBody<impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send> {
    let state = (items, encode, place, shutdown);
    let stream = futures_util::stream::unfold(
        state,
        |(mut items, mut encode, place, shutdown)| async move {
            let item = tokio::select! {
                () = shutdown.cancelled() => None,
                item = items.recv() => item,
            };
            let bytes = encode(item?);
            Some((Ok(Frame::data(bytes)), (items, encode, place, shutdown)))
        },
    );
    StreamBody::new(stream)
}
