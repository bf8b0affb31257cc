//! Signals that this process was started to ignore, as by `nohup` or by a script's `&`.
//!
//! A process passes on to its children what it ignores, and pods would be deaf to a HUP or INT that
//! one of their processes sends another. Handlers are not passed on: with those, it is as deaf
//! itself, and its pods have what every program expects.

use std::fs;
use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Puts a handler that does nothing in place of each signal that is ignored. It stays when nobody
/// listens any more.
pub(super) fn ignore_alone() -> io::Result<()> {
    let status = fs::read_to_string("/proc/self/status")?;
    ignored(&status).try_for_each(|kind| signal(kind).map(drop))
}

/// The signals that can be ignored without harm and are, by what `/proc` says of a process. Not
/// PIPE, which programs in Rust ignore and do not pass on.
fn ignored(status: &str) -> impl Iterator<Item = SignalKind> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    let kinds = [
        SignalKind::hangup(),
        SignalKind::interrupt(),
        SignalKind::quit(),
        SignalKind::user_defined1(),
        SignalKind::user_defined2(),
        SignalKind::alarm(),
        SignalKind::terminate(),
    ];
    kinds.into_iter().filter(move |kind| mask >> (kind.as_raw_value() - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_is_read() {
        let found = |mask: &str| -> Vec<i32> {
            let status = format!("Name:\tx\nSigBlk:\t00000007\nSigIgn:\t{mask}\n");
            ignored(&status).map(|kind| kind.as_raw_value()).collect()
        };
        assert_eq!(found("0000000000000000"), [0; 0]);
        assert_eq!(found("0000000180001005"), [1, 3]);
        assert_eq!(found("0000000000004002"), [2, 15]);
        assert_eq!(found("unreadable"), [0; 0]);
    }
}
