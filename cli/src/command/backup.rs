//! `stint backup` and `stint restore`: all streams, each in a directory of its own, as the `nats`
//! command's backups have them (`backup.json` and `stream.tar.s2`).
//!
//! Jobs are the last that is put back: while anything else is missing, no coordinator knows of a
//! Job that it could act upon.

mod files;

use std::io::IsTerminal as _;
use std::path::Path;

use serde_json::{Value, json};
use stint_common::names::Names;

use self::files::{Backup, Kept, Made};
use super::print::out;
use super::session::Session;
use crate::args::{BackupArgs, RestoreArgs};
use crate::client::{CHUNK, Client};
use crate::exit::{Exit, Expected};
use crate::output::count;

/// Coordinators that live answer a ping within this time.
const PINGS: std::time::Duration = std::time::Duration::from_millis(1500);

/// Streams without which Jobs do not go on, in the order in which they are taken out.
fn needed(names: &Names) -> [String; 3] {
    [names.objects_stream(), names.pods_stream(), names.work_stream()]
}

/// Streams without which they do.
fn output(names: &Names) -> [String; 2] {
    [names.events_stream(), names.logs_stream()]
}

pub(super) async fn backup(args: BackupArgs) -> anyhow::Result<Exit> {
    let session = Session::open(&args.connect).await?;
    let names = Names::default();
    let made =
        Made::begin(&args.directory).map_err(|error| cannot_write(&args.directory, error))?;
    let mut wanted = needed(&names).to_vec();
    if !args.without_output {
        wanted.extend(output(&names));
    }
    let mut kept = Vec::new();
    for stream in &wanted {
        let taken = take(&session.client, stream, &made).await?;
        match taken {
            Some(about) => kept.push(about),
            None if needed(&names).contains(stream) => {
                let what = format!("there is no stream {stream}: nothing of Stint is stored here");
                return Err(Expected::new(Exit::NotFound, what).try_next("stint doctor").into());
            }
            None => {}
        }
    }
    let about = json!({"v": 1, "stint": env!("CARGO_PKG_VERSION"), "streams": kept});
    made.finish(&names.objects_stream(), &about)
        .map_err(|error| cannot_write(&args.directory, error))?;
    Ok(Exit::Success)
}

/// Takes one stream out. What it was like; nothing if there is none.
async fn take(client: &Client, stream: &str, made: &Made) -> anyhow::Result<Option<Value>> {
    let failed = |why: String| {
        let what = format!("taking the stream {stream} out");
        Expected::new(Exit::Unreachable, what)
            .because(anyhow::anyhow!(why))
            .try_next("stint doctor")
    };
    let Some(mut snapshot) = client.snapshot(stream).await.map_err(failed)? else {
        return Ok(None);
    };
    let mut file = made.stream(stream).map_err(|error| cannot_write(made.directory(), error))?;
    let mut progress = Progress::new(stream);
    while let Some(chunk) = snapshot.next().await.map_err(failed)? {
        file.write(&chunk).map_err(|error| cannot_write(made.directory(), error))?;
        progress.more(chunk.len(), None);
    }
    file.finish(&snapshot.about).map_err(|error| cannot_write(made.directory(), error))?;
    progress.end();
    let state = &snapshot.about["state"];
    out(&format!("{stream}: {} messages, {}\n", state["messages"], size(&state["bytes"])))?;
    let (messages, bytes) = (&state["messages"], &state["bytes"]);
    Ok(Some(json!({"name": stream, "messages": messages, "bytes": bytes})))
}

pub(super) async fn restore(args: RestoreArgs) -> anyhow::Result<Exit> {
    let names = Names::default();
    let backup = Backup::open(&args.directory, &needed(&names), &output(&names))
        .map_err(|why| Expected::usage(why).try_next("stint backup DIRECTORY makes one"))?;
    let session = Session::open(&args.connect).await?;
    let client = &session.client;
    nobody_runs(client, &names).await?;
    make_room(client, &names, args.replace).await?;
    // What Jobs rest on first.
    for kept in backup.streams().rev() {
        if kept.name == names.objects_stream() {
            // One that was started meanwhile would take Jobs up as they come.
            nobody_runs(client, &names).await?;
        }
        put_back(client, kept, args.replicas).await?;
    }
    out("start the coordinators again, then the workers\n")?;
    Ok(Exit::Success)
}

/// No coordinator answers.
async fn nobody_runs(client: &Client, names: &Names) -> anyhow::Result<()> {
    let running = client.count_instances(names.prefix(), PINGS).await.map_err(|why| {
        let what = "asking whether coordinators run";
        Expected::new(Exit::Unreachable, what)
            .because(anyhow::anyhow!(why))
            .try_next("stint doctor")
    })?;
    if running == 0 {
        return Ok(());
    }
    let what =
        format!("{running} coordinator(s) run: what they know is newer than what is put back");
    let next = "stop all coordinators and workers first (systemctl stop stint-worker \
                stint-coordinator), then again, with --replace if this had begun";
    Err(Expected::usage(what).try_next(next).into())
}

/// No stream of ours is left; if there are some they are deleted, where that was asked for.
async fn make_room(client: &Client, names: &Names, replace: bool) -> anyhow::Result<()> {
    let ours = needed(names).into_iter().chain(output(names));
    let mut there = Vec::new();
    // All are asked about before one is deleted.
    for stream in ours {
        let is_there = client.has_stream(&stream).await.map_err(|why| {
            let what = format!("asking whether there is a stream {stream}");
            Expected::new(Exit::Unreachable, what).because(anyhow::anyhow!(why))
        })?;
        there.extend(is_there.then_some(stream));
    }
    if !there.is_empty() && !replace {
        let what = format!("there are streams already: {}", there.join(", "));
        let next = "--replace deletes them first, with all that is in them";
        return Err(Expected::usage(what).try_next(next).into());
    }
    // Jobs first: whatever happens next, nobody drives one without its pods.
    for stream in there {
        let deleted = client.ask_jetstream(&format!("STREAM.DELETE.{stream}"), &Value::Null).await;
        // An answer may have been lost: what is not there is deleted.
        if let Err(why) = deleted
            && client.has_stream(&stream).await != Ok(false)
        {
            let what = format!("deleting the stream {stream}");
            let error = Expected::new(Exit::Unreachable, what).because(anyhow::anyhow!(why));
            return Err(error.into());
        }
    }
    Ok(())
}

async fn put_back(client: &Client, kept: &Kept, replicas: Option<u32>) -> anyhow::Result<()> {
    let stream = &kept.name;
    let failed = |why: String| {
        let what = format!("putting the stream {stream} back");
        let next = "mend that, then again with --replace: what was put back so far is not whole";
        Expected::new(Exit::Unreachable, what).because(anyhow::anyhow!(why)).try_next(next)
    };
    let unread =
        |error: std::io::Error| Expected::usage(format!("{}: {error}", kept.path.display()));
    let mut about = kept.about.clone();
    if let Some(replicas) = replicas {
        about["config"]["num_replicas"] = replicas.into();
    }
    let mut file = kept.data().map_err(unread)?;
    let place = client.restore(stream, &about).await.map_err(failed)?;
    let mut progress = Progress::new(stream);
    while let Some(chunk) = file.next(CHUNK).map_err(unread)? {
        progress.more(chunk.len(), Some(kept.bytes));
        client.restore_chunk(&place, chunk).await.map_err(failed)?;
    }
    let state = client.restore_end(&place).await.map_err(failed)?;
    progress.end();
    // Output and Events may have become too old meanwhile.
    let (was, is) = (&about["state"]["last_seq"], &state["last_seq"]);
    if was != is {
        let why = format!("it ended with message {was}, and ends with {is} now");
        return Err(failed(why).into());
    }
    out(&format!("{stream}: {} messages, {}\n", state["messages"], size(&state["bytes"])))?;
    Ok(())
}

fn cannot_write(directory: &Path, error: std::io::Error) -> Expected {
    Expected::usage(format!("writing to {}", directory.display())).because(error)
}

fn size(bytes: &Value) -> String {
    count::bytes(bytes.as_u64().unwrap_or(0))
}

/// Tells a person how far it is.
struct Progress<'a> {
    stream: &'a str,
    done: u64,
    said: u64,
    shown: bool,
}

impl<'a> Progress<'a> {
    /// Between two words.
    const EVERY: u64 = 4 * 1024 * 1024;

    fn new(stream: &'a str) -> Self {
        Self { stream, done: 0, said: 0, shown: std::io::stderr().is_terminal() }
    }

    fn more(&mut self, bytes: usize, of: Option<u64>) {
        self.done += u64::try_from(bytes).unwrap_or(0);
        if self.shown && self.done - self.said >= Self::EVERY {
            self.said = self.done;
            let of = of.map(|of| format!(" of {}", count::bytes(of))).unwrap_or_default();
            eprint!("\r{}: {}{of}\x1b[K", self.stream, count::bytes(self.done));
        }
    }

    fn end(&self) {
        if self.said > 0 {
            eprint!("\r\x1b[K");
        }
    }
}
