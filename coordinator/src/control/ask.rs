//! Asking workers for pods that they claimed long ago.
//!
//! A claim is ended by the life that made it, or when that life is over. One that this life has
//! forgotten would stay for ever: so it is after JetStream has lost what it had acknowledged, the
//! pod's end among it. A worker ends what it does not know (`disown` there). Nothing is remembered
//! of who was asked, and no answer is waited for: what is still open is asked about again, by
//! whichever owner there is.

use std::time::Duration;

use stint_common::time::Instant;

use super::carry::Round;
use super::owner::Owner;

/// So often within the time after which one is asked about, all claims are looked through.
const LOOKS: u32 = 10;

/// When claims are asked about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asking {
    /// Open for so long; and again after as long.
    after: Duration,
    looked: Instant,
}

impl Asking {
    pub(super) fn new(after: Duration, now: Instant) -> Self {
        Self { after, looked: now }
    }
}

impl Owner {
    /// Every tick: claims whose turn it is.
    pub(super) fn ask_about_claims(&mut self, now: Instant, round: &mut Round) {
        let Asking { after, looked } = self.asking;
        if now.duration_since(looked) < after / LOOKS {
            return;
        }
        self.asking.looked = now;
        for (pod, claimed) in &mut self.claims {
            if now.duration_since(claimed.asked) >= after {
                claimed.asked = now;
                round.ask(&claimed.claim.worker, *pod);
            }
        }
    }
}
