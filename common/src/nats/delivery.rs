//! What a consumer says of a delivered message, in its reply subject.

use jiff::Timestamp;

use crate::time::from_nanos;

/// Where a delivered message stands in its stream and its consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// How often it was delivered, this time included.
    pub delivered: u64,
    /// Its sequence in the stream.
    pub stream_sequence: u64,
    /// Its sequence in the consumer; grows by one a message, so a gap means that one was dropped.
    pub consumer_sequence: u64,
    /// When the stream stored it.
    pub time: Timestamp,
    /// How many more wait for this consumer.
    pub pending: u64,
}

/// Reads `$JS.ACK.<stream>.<consumer>.<delivered>.<sseq>.<cseq>.<time>.<pending>`, or the longer
/// form with domain and account before the stream and a token after the end.
#[must_use]
pub fn parse_delivery(reply: &str) -> Option<Delivery> {
    let tokens = reply.strip_prefix("$JS.ACK.")?;
    let count = tokens.split('.').count();
    let skip = if count >= 9 { 4 } else { 2 };
    let mut numbers = tokens.split('.').skip(skip);
    let mut next = || numbers.next()?.parse::<u64>().ok();
    Some(Delivery {
        delivered: next()?,
        stream_sequence: next()?,
        consumer_sequence: next()?,
        time: from_nanos(i64::try_from(next()?).ok()?),
        pending: next()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        let short = parse_delivery("$JS.ACK.S.C.1.20.3.1700000000000000000.4").unwrap();
        let long = parse_delivery("$JS.ACK.hub.acc.S.C.1.20.3.1700000000000000000.4.x").unwrap();
        assert_eq!(short, long);
        assert_eq!((short.stream_sequence, short.consumer_sequence, short.pending), (20, 3, 4));
        assert_eq!(parse_delivery("_INBOX.x"), None);
        assert_eq!(parse_delivery("$JS.ACK.S.C.1"), None);
    }
}
