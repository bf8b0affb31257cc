//! Programs whose file somebody has open for writing ("text file busy").
//!
//! Most often that is over in a moment: who has just written it forked another process, which holds
//! the file until it executes something. So the start is tried again for a while, by whatever
//! spawner is free then; nobody waits for it. After that it is the program's own fault.

use std::time::{Duration, Instant};

use crate::launch::LaunchSpec;
use crate::runtime::RunId;

/// It is tried again after this, and after twice as long each time.
const FIRST_AGAIN: Duration = Duration::from_millis(5);
const LONGEST_AGAIN: Duration = Duration::from_millis(100);
/// For so long, which is much for a moment and little for a pod.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(1);

/// A start that is to be tried.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) run: RunId,
    pub(super) spec: LaunchSpec,
    /// What became of it so far, if it was tried before.
    pub(super) tried: Option<Tried>,
}

/// A start that found its program busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tried {
    since: Instant,
    pause: Duration,
}

/// A start that is put off until then.
#[derive(Debug)]
pub(super) struct PutOff {
    pub(super) until: Instant,
    pub(super) start: Start,
}

impl Start {
    /// Puts it off, as it has found its program busy at `now`; gives it back if that was long
    /// enough.
    pub(super) fn put_off(self, now: Instant) -> Result<PutOff, Self> {
        let (since, pause) = match self.tried {
            None => (now, FIRST_AGAIN),
            Some(Tried { since, pause }) => (since, LONGEST_AGAIN.min(pause * 2)),
        };
        if now.saturating_duration_since(since) >= GIVEN_UP_AFTER {
            return Err(self);
        }
        let start = Self { tried: Some(Tried { since, pause }), ..self };
        Ok(PutOff { until: now + pause, start })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_tried_again_for_a_while() {
        let begun = Instant::now();
        let argv = vec!["x".into()];
        let spec = LaunchSpec { argv, env: Vec::new(), working_dir: "/".into(), setup: None };
        let mut start = Start { run: RunId(1), spec, tried: None };
        let mut now = begun;
        let mut at = Vec::new();
        loop {
            match start.put_off(now) {
                Ok(put_off) => (now, start) = (put_off.until, put_off.start),
                Err(given_up) => break assert_eq!(given_up.run, RunId(1)),
            }
            at.push((now - begun).as_millis());
        }
        assert_eq!(at[..7], [5, 15, 35, 75, 155, 255, 355]);
        assert_eq!(*at.last().unwrap(), 1055);
    }
}
