//! Output of pods: riding in the termination record when it is small, else in chunks in the logs'
//! stream.
//!
//! A chunk is one byte that says which stream it is of, then bytes as written: `1` standard output,
//! `2` standard error, `.` the end of the container's log. `>` and a number: what follows is of the
//! run before which the container was started again so often.

mod runs;
mod shape;

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use stint_common::id::PodId;
use stint_common::nats::{Entry, Jet, Tail, TailEvent};
use stint_common::task;
use stint_common::time::now;
use stint_common::wire::{InlineOutput, PodRecord};
use tokio::sync::mpsc;

use super::Error;
use super::options::{LogStreams, Options};
use super::store::Registry;
use runs::{Latest, RunOf, latest};
use shape::{Shape, Shaper};

/// Pieces in which a log that is there already is handed over.
const PIECE: usize = 64 << 10;

/// Chunks that wait for a slow reader; it is cut off then, not waited for by anybody else.
const CHUNKS: usize = 64;

/// A log as it is read: ends when the container has ended, or at once when it is not followed.
pub type LogStream = mpsc::Receiver<Bytes>;

impl Registry {
    /// Opens the log of a pod's container.
    ///
    /// # Errors
    ///
    /// 400 when the container is not named and there are several, or none of this name, and for
    /// `previous` when there was no run before; 404; 503.
    pub async fn open_log(
        &self,
        namespace: &str,
        name: &str,
        options: &Options,
    ) -> Result<LogStream, Error> {
        let found = self.find_pod(namespace, name).await?;
        let kept = found.news.record.is_some() && !found.news.is_deleted_by_client();
        if found.object().is_none() && !kept {
            return Err(found.is_gone(name));
        }
        let container = container(&found.job.object, name, options.container.as_deref())?;
        let (sender, stream) = mpsc::channel(CHUNKS);
        let record = found.news.record;
        let latest =
            record.as_ref().map_or(Latest::NONE, |record| latest(&record.state, &container));
        let before = || {
            Error::BadRequest(format!(
                "previous terminated container {container:?} in pod {name:?} not found"
            ))
        };
        let wanted = match options.previous {
            true => Wanted::Only(latest.before.ok_or_else(before)?),
            false if options.follow => Wanted::From(latest.run),
            false => Wanted::Only(latest.run),
        };
        let reader = Reader {
            jet: self.jet.clone(),
            namespace: namespace.to_owned(),
            pod: found.pod,
            container,
            wanted,
            latest: latest.run,
            streams: options.streams,
            shaper: Shaper::new(shape(options, now())),
            sender,
        };
        task::spawn(async move { reader.run(record).await });
        Ok(stream)
    }
}

fn container(job: &serde_json::Value, pod: &str, wanted: Option<&str>) -> Result<String, Error> {
    let spec = &job["spec"]["template"]["spec"];
    let names = |list: &str| -> Vec<String> {
        let names = spec[list].as_array().into_iter().flatten().map(|it| it["name"].as_str());
        names.flatten().map(str::to_owned).collect()
    };
    let (names, others) = (names("containers"), names("initContainers"));
    match wanted {
        Some(wanted) if names.iter().chain(&others).any(|name| name == wanted) => {
            Ok(wanted.to_owned())
        }
        Some(wanted) => {
            Err(Error::BadRequest(format!("container {wanted} is not valid for pod {pod}")))
        }
        None if names.len() == 1 => Ok(names[0].clone()),
        None => {
            let mut message = format!(
                "a container name must be specified for pod {pod}, choose one of: [{}]",
                names.join(" ")
            );
            if !others.is_empty() {
                let others = others.join(" ");
                message.push_str(&format!(" or one of the init containers: [{others}]"));
            }
            Err(Error::BadRequest(message))
        }
    }
}

/// Which part of the log is wanted.
fn shape(options: &Options, now: Timestamp) -> Shape {
    let ago = |seconds| now.checked_sub(Duration::from_secs(seconds)).unwrap_or(Timestamp::MIN);
    Shape {
        since: options.since_time.or_else(|| options.since_seconds.map(ago)),
        timestamps: options.timestamps,
        tail_lines: options.tail_lines,
        limit_bytes: options.limit_bytes,
    }
}

/// Which runs of the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// This one, as it is now.
    Only(RunOf),
    /// This one and all that follow, as they come.
    From(RunOf),
}

impl Wanted {
    fn takes(self, run: RunOf) -> bool {
        match self {
            Self::Only(wanted) => run == wanted,
            Self::From(first) => run >= first,
        }
    }
}

struct Reader {
    jet: Jet,
    namespace: String,
    pod: PodId,
    container: String,
    wanted: Wanted,
    /// The latest run, as the pod's record says.
    latest: RunOf,
    streams: LogStreams,
    shaper: Shaper,
    sender: mpsc::Sender<Bytes>,
}

/// Nobody reads any more, or has all that was asked for.
struct Enough;

impl Reader {
    async fn run(mut self, record: Option<PodRecord>) {
        let latest = record.as_ref().map(|record| latest(&record.state, &self.container));
        let pieces = match (latest, self.wanted) {
            (Some(Latest { over: true, .. }), Wanted::From(run)) => {
                self.wanted = Wanted::Only(run);
                self.pieces(latest).await
            }
            (_, Wanted::Only(_)) => self.pieces(latest).await,
            (_, Wanted::From(_)) => return drop(self.follow().await),
        };
        // A reader that is gone needs nothing more.
        drop(self.send_all(&pieces).await);
    }

    /// The one run that is wanted.
    async fn pieces(&self, latest: Option<Latest<'_>>) -> Vec<(Timestamp, Bytes)> {
        let end = latest.filter(|latest| self.wanted.takes(latest.run));
        match end.and_then(|latest| latest.inline) {
            Some((at, output)) => vec![(at, self.pick(output))],
            None => self.collect(0).await,
        }
    }

    fn pick(&self, output: &InlineOutput) -> Bytes {
        let text = match self.streams {
            LogStreams::All => format!("{}{}", output.stdout, output.stderr),
            LogStreams::Stdout => output.stdout.clone(),
            LogStreams::Stderr => output.stderr.clone(),
        };
        text.into()
    }

    fn wants(&self, tag: u8) -> bool {
        match self.streams {
            LogStreams::All => tag == b'1' || tag == b'2',
            LogStreams::Stdout => tag == b'1',
            LogStreams::Stderr => tag == b'2',
        }
    }

    fn subject(&self) -> String {
        self.jet.names.log(&self.namespace, self.pod, &self.container)
    }

    /// What a chunk holds of the streams and runs that are wanted; `run` is that of the chunk
    /// before it.
    fn piece(&self, entry: &Entry, run: &mut RunOf) -> Option<(Timestamp, Bytes)> {
        if let Some(next) = RunOf::begun_by(&entry.payload) {
            *run = next;
        }
        let wanted = |tag: &&u8| self.wants(**tag) && self.wanted.takes(*run);
        entry.payload.first().filter(wanted)?;
        Some((entry.time, entry.payload.slice(1..)))
    }

    /// The run of chunks before which no mark stands: the mark is gone with the stream's oldest
    /// messages, or there never was one.
    fn unmarked(&self, chunks: &[Entry]) -> RunOf {
        let first = chunks.iter().find_map(|entry| RunOf::begun_by(&entry.payload));
        first.map_or(self.latest, RunOf::before)
    }

    /// All chunks that are there now.
    async fn chunks(&self) -> Vec<Entry> {
        let stream = self.jet.names.logs_stream();
        let mut tail = Tail::start(self.jet.clone(), stream, vec![self.subject()]);
        let mut chunks = Vec::new();
        while let Some(TailEvent::Entries(entries)) = tail.next().await {
            chunks.extend(entries);
        }
        chunks
    }

    /// What is wanted of all chunks that are there now, behind the one of sequence `last`.
    async fn collect(&self, last: u64) -> Vec<(Timestamp, Bytes)> {
        let chunks = self.chunks().await;
        let mut run = self.unmarked(&chunks);
        let pieces = chunks.iter().map(|entry| (entry.sequence, self.piece(entry, &mut run)));
        pieces.filter(|(sequence, _)| *sequence > last).filter_map(|(_, piece)| piece).collect()
    }

    /// Chunks as they come, until the container's log says that it has ended, or the pod's end
    /// carries it.
    async fn follow(&mut self) -> Result<(), Enough> {
        let names = &self.jet.names;
        let mut chunks = Tail::start(self.jet.clone(), names.logs_stream(), vec![self.subject()]);
        let mut record =
            Tail::start(self.jet.clone(), names.pods_stream(), vec![names.pod(self.pod)]);
        // What there is at the beginning, while its last lines are to be found.
        let mut before = self.shaper.needs_all().then(Vec::new);
        let (mut run, mut seen) = (RunOf::FIRST, 0);
        if self.latest != RunOf::FIRST {
            run = self.unmarked(&self.chunks().await);
        }
        let sender = self.sender.clone();
        loop {
            tokio::select! {
                () = sender.closed() => return Err(Enough),
                event = chunks.next() => match event {
                    Some(TailEvent::Entries(entries)) => {
                        for entry in &entries {
                            let last = entry.payload.first() == Some(&b'.');
                            let piece = self.piece(entry, &mut run);
                            seen = entry.sequence;
                            match (&mut before, piece) {
                                (Some(before), Some(piece)) => before.push(piece),
                                (None, Some((time, piece))) => self.send(time, &piece).await?,
                                (_, None) => {}
                            }
                            if last {
                                return self.send_all(&before.unwrap_or_default()).await;
                            }
                        }
                    }
                    Some(TailEvent::CaughtUp) => {
                        if let Some(before) = before.take() {
                            self.send_all(&before).await?;
                        }
                    }
                    Some(TailEvent::Resumed(_)) => {}
                    Some(TailEvent::WentBack) | None => return Ok(()),
                },
                event = record.next() => {
                    let entries = match event {
                        Some(TailEvent::Entries(entries)) => entries,
                        Some(TailEvent::CaughtUp | TailEvent::Resumed(_)) => continue,
                        Some(TailEvent::WentBack) | None => return Ok(()),
                    };
                    let Some(last) = entries.last() else { continue };
                    let last = serde_json::from_slice::<PodRecord>(&last.payload);
                    let Ok(last) = last else { continue };
                    let latest = latest(&last.state, &self.container);
                    if !latest.over {
                        continue;
                    }
                    // What was shipped was stored before the end was.
                    let mut rest = before.take().unwrap_or_default();
                    if latest.is_shipped {
                        rest.extend(self.collect(seen).await);
                    }
                    rest.extend(latest.inline.map(|(at, output)| (at, self.pick(output))));
                    return self.send_all(&rest).await;
                }
            }
        }
    }

    async fn send_all(&mut self, pieces: &[(Timestamp, Bytes)]) -> Result<(), Enough> {
        let text = self.shaper.all(pieces);
        for at in (0..text.len()).step_by(PIECE) {
            let piece = text.slice(at..text.len().min(at + PIECE));
            self.sender.send(piece).await.map_err(|_| Enough)?;
        }
        if self.shaper.is_full() { Err(Enough) } else { Ok(()) }
    }

    async fn send(&mut self, time: Timestamp, piece: &Bytes) -> Result<(), Enough> {
        let text = self.shaper.next(time, piece);
        if !text.is_empty() {
            self.sender.send(text).await.map_err(|_| Enough)?;
        }
        if self.shaper.is_full() { Err(Enough) } else { Ok(()) }
    }
}
