//! The groups that live now, in a file: for the watchdog, and for the worker's next life.
//!
//! The marker in the environment finds every process but those that emptied it (`env -i`). Their
//! group is found here. One small write into the page cache when a run starts and one when it is
//! over; never synced, since it says nothing after a reboot.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use nix::unistd::{Pid, getsid};
use stint_common::id::Incarnation;

use super::proc;

/// The file's name in the worker's data directory.
const FILE: &str = "life";
/// Boot, life and session, padded.
const HEADER_BYTES: usize = 128;
/// A pid and the ticks when it was noted, eight bytes each.
const RECORD_BYTES: usize = 16;
/// A process was started at most this long before it was noted (a loaded machine), or its pid is
/// another's.
const NOTED_WITHIN_TICKS: u64 = 1_000;

/// The place of a group in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot(u64);

/// The table of this life.
#[derive(Debug)]
pub(super) struct Table {
    file: File,
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    free: Vec<Slot>,
    used: u64,
}

impl Table {
    /// Begins the table of a new life; what an earlier life noted is forgotten.
    pub(super) fn create(data_dir: &Path, life: Incarnation) -> io::Result<Self> {
        let session = getsid(None)?;
        let mut header = format!("{}\n{life}\n{session}\n", proc::boot_id()).into_bytes();
        header.resize(HEADER_BYTES, b'\n');
        let file = File::create(path(data_dir))?;
        file.write_all_at(&header, 0)?;
        Ok(Self { file, slots: Mutex::default() })
    }

    /// Notes a group.
    pub(super) fn note(&self, group: Pid, now_ticks: u64) -> Slot {
        let slot = self.take_slot();
        self.write(slot, u64::from(group.as_raw().unsigned_abs()), now_ticks);
        slot
    }

    /// The group is gone.
    pub(super) fn forget(&self, slot: Slot) {
        self.write(slot, 0, 0);
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).free.push(slot);
    }

    fn take_slot(&self) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = Slot(slots.used);
        slots.free.pop().unwrap_or_else(|| {
            slots.used += 1;
            fresh
        })
    }

    /// A disk that is full only weakens the second net; the marker still finds the rest.
    fn write(&self, slot: Slot, group: u64, ticks: u64) {
        let mut record = [0; RECORD_BYTES];
        record[..8].copy_from_slice(&group.to_le_bytes());
        record[8..].copy_from_slice(&ticks.to_le_bytes());
        let offset = HEADER_BYTES as u64 + slot.0 * RECORD_BYTES as u64;
        let _weaker = self.file.write_all_at(&record, offset);
    }
}

/// The path of the table in a data directory.
fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(FILE)
}

/// A life of a worker, as its table tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) id: Incarnation,
    /// The session that its groups are in.
    session: Pid,
    groups: Vec<Group>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Group {
    id: Pid,
    noted_ticks: u64,
}

impl Life {
    /// The life that last used this directory, if that was since the machine was started.
    pub(super) fn read(data_dir: &Path) -> Option<Self> {
        let bytes = std::fs::read(path(data_dir)).ok()?;
        let (header, records) = bytes.split_at_checked(HEADER_BYTES)?;
        let mut lines = std::str::from_utf8(header).ok()?.lines();
        if lines.next()? != proc::boot_id() {
            return None;
        }
        Some(Self {
            id: lines.next()?.parse().ok()?,
            session: Pid::from_raw(lines.next()?.parse().ok()?),
            groups: records.chunks_exact(RECORD_BYTES).filter_map(group).collect(),
        })
    }

    /// Whether a process is in one of the groups that were noted.
    pub(super) fn has_in_group(&self, process: &proc::Process) -> bool {
        process.session == self.session
            && self.groups.iter().any(|group| {
                group.id == process.group
                    && process.start_ticks + NOTED_WITHIN_TICKS >= group.noted_ticks
            })
    }
}

fn group(record: &[u8]) -> Option<Group> {
    let (id, ticks) = record.split_first_chunk::<8>()?;
    let id = i32::try_from(u64::from_le_bytes(*id)).ok().filter(|id| *id > 1)?;
    let noted_ticks = u64::from_le_bytes(*ticks.first_chunk()?);
    Some(Group { id: Pid::from_raw(id), noted_ticks })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lives_is_found_by_the_next_life() {
        let dir = tempfile::tempdir().unwrap();
        let life = Incarnation::random();
        let table = Table::create(dir.path(), life).unwrap();
        let first = table.note(Pid::from_raw(100), 5);
        table.note(Pid::from_raw(200), 6);
        table.forget(first);
        table.note(Pid::from_raw(300), 7);
        let found = Life::read(dir.path()).unwrap();
        let groups: Vec<i32> = found.groups.iter().map(|group| group.id.as_raw()).collect();
        assert_eq!((found.id, groups), (life, vec![300, 200]));
        Table::create(dir.path(), life).unwrap();
        assert_eq!(Life::read(dir.path()).unwrap().groups, []);
    }

    #[test]
    fn another_boots_table_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Life::read(dir.path()), None);
        let header = format!("other\n{}\n1\n", Incarnation::random());
        std::fs::write(path(dir.path()), format!("{header:\n<128}")).unwrap();
        assert_eq!(Life::read(dir.path()), None);
    }
}
