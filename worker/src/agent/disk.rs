//! Whether the disk has room for what pods write, output first of all.
//!
//! A pod whose output cannot be stored may fail of that, and it would be counted. So while there is
//! no room nothing more is claimed; other workers may have room.

use std::path::{Path, PathBuf};
use std::time::Duration;

use stint_common::time::Instant;

use super::intake::clock;
use crate::logs;

/// It is looked at so often.
const LOOK: Duration = Duration::from_secs(1);

/// The disk of a worker's directory.
#[derive(Debug)]
pub(super) struct Disk {
    dir: PathBuf,
    looked: Option<(Instant, bool)>,
}

impl Disk {
    pub(super) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), looked: None }
    }

    /// Whether pods may be taken, as it was within the last second.
    pub(super) fn has_room(&mut self) -> bool {
        let now = clock();
        let before = self.looked;
        if let Some((at, had)) = before
            && now.duration_since(at) < LOOK
        {
            return had;
        }
        let has = logs::has_room(&self.dir);
        if before.is_none_or(|(_, had)| had) && !has {
            tracing::error!(dir = %self.dir.display(), "the disk is full: no pods are taken");
        } else if before.is_some_and(|(_, had)| !had) && has {
            tracing::info!(dir = %self.dir.display(), "the disk has room again");
        }
        self.looked = Some((now, has));
        has
    }
}
