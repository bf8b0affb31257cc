//! What this process may do of what only root may.

use rustix::thread::{CapabilitySet, capabilities};

/// Whether it may mount, and make namespaces of its own.
pub(super) fn may_mount() -> bool {
    has(CapabilitySet::SYS_ADMIN)
}

/// Whether it may become any user, and give files to any.
pub(super) fn may_be_anybody() -> bool {
    has(CapabilitySet::SETUID | CapabilitySet::SETGID | CapabilitySet::CHOWN)
}

fn has(wanted: CapabilitySet) -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.contains(wanted))
}
