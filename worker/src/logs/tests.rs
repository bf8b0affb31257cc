//! Real files: what was written is what is read, within the caps.

use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use stint_common::wire::{Exit, InlineOutput};
use tempfile::TempDir;

use super::{CHUNK_BYTES, Capture, CapturePool, HEAD_BYTES, LogReader, StreamName, TAIL_BYTES};

struct World {
    pool: Arc<CapturePool>,
    capture: Arc<Capture>,
    reader: LogReader,
    _dir: TempDir,
}

impl World {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let pool = CapturePool::new(dir.path());
        let capture = pool.capture().unwrap();
        let reader = LogReader::new(capture.clone());
        Self { pool, capture, reader, _dir: dir }
    }

    fn out(&self, text: &[u8]) {
        self.capture.stdout().write_all(text).unwrap();
    }

    fn err(&self, text: &[u8]) {
        self.capture.stderr().write_all(text).unwrap();
    }

    /// Everything that polls give now, stdout and stderr apart.
    fn drain(&mut self) -> (Vec<u8>, Vec<u8>) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        while let Some(chunk) = self.reader.poll(usize::MAX).unwrap() {
            assert!(chunk.bytes.len() <= CHUNK_BYTES);
            match chunk.stream {
                StreamName::Stdout => out.extend_from_slice(&chunk.bytes),
                StreamName::Stderr => err.extend_from_slice(&chunk.bytes),
            }
        }
        (out, err)
    }

    fn disk_bytes(&self) -> u64 {
        self.capture.stdout().metadata().unwrap().blocks() * 512
    }
}

#[test]
fn small_output_rides_inline_and_is_not_read_again() {
    let mut world = World::new();
    world.out(b"hello\xff\n");
    world.err("wörld".as_bytes());
    let summary = world.reader.finish(Exit::Code(1));
    assert_eq!((summary.bytes, summary.dropped, &*summary.stderr_tail), (13, 0, ""));
    let inline = InlineOutput { stdout: "hello\u{fffd}\n".to_owned(), stderr: "wörld".to_owned() };
    assert_eq!(summary.inline, Some(inline));
    assert_eq!(world.drain(), (vec![], vec![]));
}

#[test]
fn silence_costs_nothing_in_the_record() {
    let mut world = World::new();
    let summary = world.reader.finish(Exit::Code(0));
    assert_eq!(summary, stint_common::wire::LogSummary::default());
    assert_eq!(LogReader::empty().finish(Exit::Code(0)), summary);
}

#[test]
fn output_is_read_as_it_comes_and_then_not_inline() {
    let mut world = World::new();
    world.out(b"one\n");
    let chunk = world.reader.poll(2).unwrap().unwrap();
    assert_eq!((chunk.offset, &chunk.bytes[..]), (0, &b"on"[..]));
    world.err(b"bad\n");
    assert_eq!(world.drain(), (b"e\n".to_vec(), b"bad\n".to_vec()));
    world.out(b"two");
    let summary = world.reader.finish(Exit::Code(3));
    assert_eq!((summary.bytes, summary.inline, &*summary.stderr_tail), (11, None, "bad\n"));
    assert_eq!(world.drain(), (b"two".to_vec(), vec![]));
}

#[test]
fn the_tail_of_stderr_is_whole_lines() {
    let mut world = World::new();
    for number in 0..1000 {
        world.err(format!("line {number}\n").as_bytes());
    }
    let tail = world.reader.finish(Exit::Signal(11)).stderr_tail;
    assert!(tail.len() <= 1024 && tail.starts_with("line 8") && tail.ends_with("line 999\n"));
    world = World::new();
    world.err(&b"x".repeat(5000));
    assert_eq!(world.reader.finish(Exit::Code(1)).stderr_tail.len(), 1024);
    world = World::new();
    world.err(&b"x".repeat(5000));
    assert_eq!(world.reader.finish(Exit::Code(0)).stderr_tail, "");
}

#[test]
fn a_flood_keeps_its_head_and_its_tail_and_says_what_is_missing() {
    let mut world = World::new();
    let line = [b'a'; 65_536];
    for number in 0_u8..200 {
        world.out(&[&[number][..], &line[1..]].concat());
        if number == 150 {
            world.reader.tend();
        }
    }
    let summary = world.reader.finish(Exit::Code(0));
    let total = 200 * 65_536;
    let dropped = total - HEAD_BYTES - TAIL_BYTES;
    assert_eq!((summary.bytes, summary.dropped), (total, dropped));
    let (out, _) = world.drain();
    let notice = format!("\n… {dropped} bytes dropped\n");
    let head = usize::try_from(HEAD_BYTES).unwrap();
    assert_eq!(&out[head..head + notice.len()], notice.as_bytes());
    assert_eq!(out.len(), head + notice.len() + 65_536);
    assert_eq!((out[65_536 * 5], out[head + notice.len()]), (5, 199));
}

#[test]
fn the_disk_stays_bounded_while_a_flood_runs() {
    let mut world = World::new();
    let block = vec![b'a'; 1 << 20];
    for round in 0..64 {
        world.out(&block);
        if round % 2 == 0 {
            world.reader.tend();
        } else {
            world.drain();
        }
        let bound = HEAD_BYTES + TAIL_BYTES + (4 << 20);
        assert!(world.disk_bytes() <= bound, "{} bytes in round {round}", world.disk_bytes());
    }
    // The head was read: nothing but what came last is left.
    assert!(world.disk_bytes() <= 4 << 20, "{} bytes", world.disk_bytes());
    assert_eq!(world.reader.finish(Exit::Code(0)).bytes, 64 << 20);
}

#[test]
fn a_tail_shorter_than_the_cap_is_not_dropped() {
    let mut world = World::new();
    let size = usize::try_from(HEAD_BYTES + 10).unwrap();
    world.out(&vec![b'a'; size]);
    world.drain();
    assert_eq!(world.reader.finish(Exit::Code(0)).dropped, 0);
    assert_eq!(world.drain().0.len(), 10);
}

#[test]
fn released_files_are_used_again_empty() {
    let world = World::new();
    let inode = world.capture.stdout().metadata().unwrap().ino();
    world.out(b"secret");
    world.capture.release();
    let World { pool, capture, reader, _dir } = world;
    drop((capture, reader));
    let next = pool.capture().unwrap();
    let inodes = [next.stdout(), next.stderr()].map(|file| file.metadata().unwrap().ino());
    assert!(inodes.contains(&inode));
    assert_eq!(
        next.stdout().metadata().unwrap().len() + next.stderr().metadata().unwrap().len(),
        0
    );
}

#[test]
fn files_that_may_still_be_held_are_not_used_again() {
    let World { pool, capture, reader, _dir } = World::new();
    let inode = capture.stdout().metadata().unwrap().ino();
    // Held as a process would, so that the file system cannot give the number out again.
    let held = capture.stdout().try_clone().unwrap();
    drop((capture, reader));
    let next = pool.capture().unwrap();
    let inodes = [next.stdout(), next.stderr()].map(|file| file.metadata().unwrap().ino());
    assert!(!inodes.contains(&inode));
    drop(held);
}

#[test]
fn last_words_are_the_end_of_what_a_failed_run_said() {
    let mut world = World::new();
    world.reader.keep_last_words();
    world.out(b"first\n");
    world.err(b"then\n");
    world.reader.finish(Exit::Code(1));
    assert_eq!(world.reader.last_words(), "first\nthen\n");

    let mut world = World::new();
    world.reader.keep_last_words();
    (0..100).for_each(|line| world.out(format!("{line}\n").as_bytes()));
    world.reader.finish(Exit::Signal(9));
    let words = world.reader.last_words();
    assert_eq!((words.lines().count(), words.lines().next()), (80, Some("20")));

    let mut world = World::new();
    world.reader.keep_last_words();
    world.out("x".repeat(5000).as_bytes());
    world.err(b"why");
    world.reader.finish(Exit::Code(1));
    let words = world.reader.last_words();
    assert!(words.len() == 2048 && words.ends_with("xwhy"), "{words}");

    let mut world = World::new();
    world.reader.keep_last_words();
    world.out(b"good");
    world.reader.finish(Exit::Code(0));
    assert_eq!(world.reader.last_words(), "");
}
