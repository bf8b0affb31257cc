//! The words between agent and supervisor, and the frames that they travel in.
//!
//! A frame is four bytes of length, little endian, and a JSON list. It is taken in as a whole or
//! not at all: what an agent says in one frame has been said together, also if it dies while it
//! writes.
//!
//! Agent and supervisor may be of different versions. [`PROTOCOL`] goes up when a word gets a
//! meaning that an older supervisor would pass over, fields of a [`LaunchSpec`] included; an agent
//! that meets another number starts nothing through it. Words and fields that are only more to tell
//! are added without that: who does not know them passes them over.

use std::io::{self, Read};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use stint_common::id::Incarnation;
use stint_common::wire::Exit;

use crate::launch::LaunchSpec;
use crate::runtime::{Abilities, Progress, RunId, StartError};

/// What this version speaks.
pub(super) const PROTOCOL: u32 = 1;
/// A frame is at most this long: a queue full of starts with volumes full of files.
const MOST_BYTES: u32 = 1 << 30;
/// Bytes before a frame's list.
const HEADER: usize = 4;

/// What the agent says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Command {
    /// The first word of an agent; answered by [`Report::Welcome`].
    Hello { protocol: u32 },
    /// To be kept for the next agent, in place of what was kept under this name.
    Note { pod: String, note: Box<RawValue> },
    /// A run is to be started: at once, or when a place is free.
    Start { run: RunId, spec: LaunchSpec, in_line: bool },
    /// How many runs of the line may go on at once.
    Places { places: usize },
    /// TERM to the run's whole tree.
    Terminate { run: RunId },
    /// KILL to the run's whole tree.
    Kill { run: RunId },
    /// KILL to everything.
    KillAll,
    /// The output of these runs is not wanted any more.
    Release { runs: Vec<RunId> },
    /// Nothing of these runs is wanted any more, nor the pod's note.
    Forget { pod: Option<String>, runs: Vec<RunId> },
    /// So much of a run's output was dealt with.
    Progress { run: RunId, progress: Progress },
    /// What was made for the pod is to be removed.
    ClearAway { pod: String },
    /// Pods may run until then, in milliseconds of CLOCK_BOOTTIME.
    Prove { until_ms: i64 },
    /// No agent comes after this one: when it is gone, everything ends.
    Last,
    /// Everything is to be killed, and the supervisor to end.
    End,
}

/// What the supervisor says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Report {
    /// All that there is.
    Welcome(Box<Welcome>),
    /// A run's process runs.
    Started { run: RunId, at: Timestamp, files: Option<[i32; 2]> },
    /// A run has no process and will have none.
    NotStarted { run: RunId, fault: Fault },
    /// The system killed something of it for want of memory.
    OutOfMemory { run: RunId },
    /// A run's process has ended, and all of its tree. `silent`: it has written nothing.
    Exited { run: RunId, exit: Exit, at: Timestamp, silent: bool },
    /// A volume of the pod holds more than it may.
    Overfull { pod: String, message: String },
}

/// What an agent is told when it comes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Welcome {
    pub(super) protocol: u32,
    /// Of the program, for people.
    pub(super) version: String,
    /// Whose open files the numbers of output files are.
    pub(super) process: i32,
    pub(super) life: Incarnation,
    pub(super) abilities: Abilities,
    pub(super) notes: Vec<Box<RawValue>>,
    pub(super) runs: Vec<RunNow>,
    pub(super) last_run: u64,
}

/// A run that no agent has forgotten.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RunNow {
    pub(super) run: RunId,
    pub(super) started_at: Option<Timestamp>,
    pub(super) files: Option<[i32; 2]>,
    pub(super) out_of_memory: bool,
    pub(super) end: Option<RunEnd>,
    pub(super) progress: Progress,
}

/// How a run ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum RunEnd {
    Exited { exit: Exit, at: Timestamp, silent: bool },
    NotStarted { fault: Fault },
}

/// Why a run has no process.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Fault {
    Container { message: String },
    Worker { message: String },
    Cancelled,
}

impl From<StartError> for Fault {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Container { message } => Self::Container { message },
            StartError::Worker { what, source } => {
                Self::Worker { message: format!("{what}: {source}") }
            }
            StartError::Cancelled => Self::Cancelled,
        }
    }
}

impl From<Fault> for StartError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Container { message } => Self::Container { message },
            Fault::Worker { message } => {
                Self::Worker { what: "starting a container", source: io::Error::other(message) }
            }
            Fault::Cancelled => Self::Cancelled,
        }
    }
}

/// Words that go out together.
#[derive(Debug, Default)]
pub(super) struct Frame {
    bytes: Vec<u8>,
}

impl Frame {
    /// Adds a word.
    pub(super) fn add(&mut self, word: &impl Serialize) {
        if self.bytes.is_empty() {
            self.bytes.extend_from_slice(&[0; HEADER]);
            self.bytes.push(b'[');
        } else {
            self.bytes.push(b',');
        }
        let before = self.bytes.len();
        if let Err(error) = serde_json::to_writer(&mut self.bytes, word) {
            // Only maps with keys that are not text fail, and there are none.
            tracing::error!(%error, "a word cannot be written");
            self.bytes.truncate(before - 1);
        }
    }

    /// The frame as it is sent; nothing if nothing was added.
    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        if self.bytes.len() <= HEADER + 1 {
            self.bytes.clear();
            return None;
        }
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.push(b']');
        let length = u32::try_from(bytes.len() - HEADER).unwrap_or(u32::MAX);
        bytes[..HEADER].copy_from_slice(&length.to_le_bytes());
        Some(bytes)
    }
}

/// The list in the first frame of `bytes`, and how long both are; `None` while it is not whole.
///
/// # Errors
///
/// When what comes cannot be a frame.
pub(super) fn first_frame(bytes: &[u8]) -> io::Result<Option<(&[u8], usize)>> {
    let Some((length, rest)) = bytes.split_first_chunk::<HEADER>() else { return Ok(None) };
    let length = length_of(*length)?;
    Ok(rest.get(..length).map(|list| (list, HEADER + length)))
}

/// Reads a frame's list; `None` at the end.
///
/// # Errors
///
/// When it cannot be read, or cannot be a frame.
pub(super) fn read_frame(from: &mut impl Read, list: &mut Vec<u8>) -> io::Result<Option<()>> {
    let mut header = [0; HEADER];
    match from.read_exact(&mut header) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        result => result?,
    }
    list.resize(length_of(header)?, 0);
    from.read_exact(list)?;
    Ok(Some(()))
}

fn length_of(header: [u8; HEADER]) -> io::Result<usize> {
    let length = u32::from_le_bytes(header);
    if length > MOST_BYTES {
        return Err(io::Error::other(format!("a frame of {length} bytes")));
    }
    usize::try_from(length).map_err(io::Error::other)
}

/// The words of a list. Those that this version does not know are passed over, and said.
///
/// # Errors
///
/// When it is no list.
pub(super) fn words<'a, T: Deserialize<'a>>(list: &'a [u8]) -> io::Result<Vec<T>> {
    if let Ok(words) = serde_json::from_slice(list) {
        return Ok(words);
    }
    let each: Vec<&RawValue> = serde_json::from_slice(list).map_err(io::Error::other)?;
    let known = each.into_iter().filter_map(|word| match serde_json::from_str(word.get()) {
        Ok(word) => Some(word),
        Err(error) => {
            tracing::error!(%error, "a word of another version is passed over");
            None
        }
    });
    Ok(known.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_arrive_whole_or_not_at_all() {
        let mut frame = Frame::default();
        assert_eq!(frame.take(), None);
        frame.add(&Command::Kill { run: RunId(7) });
        frame.add(&Command::End);
        let note = serde_json::value::to_raw_value(&[1, 2]).unwrap();
        frame.add(&Command::Note { pod: "a".to_owned(), note });
        let bytes = frame.take().unwrap();
        assert!(first_frame(&bytes[..bytes.len() - 1]).unwrap().is_none());
        let (list, length) = first_frame(&bytes).unwrap().unwrap();
        assert_eq!(length, bytes.len());
        let words: Vec<Command> = words(list).unwrap();
        assert!(matches!(
            &words[..],
            [Command::Kill { run: RunId(7) }, Command::End, Command::Note { note, .. }]
            if note.get() == "[1,2]"
        ));
        let mut read = Vec::new();
        assert!(read_frame(&mut bytes.as_slice(), &mut read).unwrap().is_some());
        assert_eq!(read, list);
        assert!(first_frame(&[255; 8]).is_err());
        assert_eq!(frame.take(), None);
    }

    #[test]
    fn unknown_words_are_passed_over() {
        let list = br#"[{"dance":{"run":1}},{"kill":{"run":2,"nicely":true}},"end"]"#;
        let words: Vec<Command> = words(list).unwrap();
        assert!(matches!(words[..], [Command::Kill { run: RunId(2) }, Command::End]));
        assert!(super::words::<Command>(b"{}").is_err());
    }

    #[test]
    fn faults_keep_whose_they_are() {
        let there_and_back = |error| StartError::from(Fault::from(error));
        let error = io::Error::other("no room");
        let worker = there_and_back(StartError::Worker { what: "spawning", source: error });
        assert!(worker.is_transient());
        let container = there_and_back(StartError::Container { message: "no file".to_owned() });
        assert_eq!(container.to_string(), "no file");
        assert!(matches!(there_and_back(StartError::Cancelled), StartError::Cancelled));
    }
}
