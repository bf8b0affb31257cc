//! Output of pods: riding in the termination record when it is small, else in chunks in the logs'
//! stream.
//!
//! A chunk is one byte that says which stream it is of, then bytes as written: `1` standard output,
//! `2` standard error, `.` the end of the container's log.

mod shape;

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use stint_common::id::PodId;
use stint_common::nats::{Entry, Jet, Tail, TailEvent};
use stint_common::task;
use stint_common::time::now;
use stint_common::wire::{ContainerEnd, ContainerState, InlineOutput, PodRecord, PodState};
use tokio::sync::mpsc;

use super::Error;
use super::options::{LogStreams, Options};
use super::store::Registry;
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
    /// `previous`, since all runs of a container write one log; 404; 503.
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
        if options.previous {
            return Err(no_previous(record.as_ref(), &container, name));
        }
        let reader = Reader {
            jet: self.jet.clone(),
            namespace: namespace.to_owned(),
            pod: found.pod,
            container,
            follow: options.follow,
            streams: options.streams,
            shaper: Shaper::new(wanted(options, now())),
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
fn wanted(options: &Options, now: Timestamp) -> Shape {
    let ago = |seconds| now.checked_sub(Duration::from_secs(seconds)).unwrap_or(Timestamp::MIN);
    Shape {
        since: options.since_time.or_else(|| options.since_seconds.map(ago)),
        timestamps: options.timestamps,
        tail_lines: options.tail_lines,
        limit_bytes: options.limit_bytes,
    }
}

/// The log of a container's run before is not kept apart.
fn no_previous(record: Option<&PodRecord>, container: &str, pod: &str) -> Error {
    let restarts = record.map_or(0, |record| match &record.state {
        PodState::Claimed => 0,
        PodState::Running(running) => running.restarts,
        PodState::Terminated(end) => end.containers.iter().map(|ended| ended.restarts).sum(),
    });
    Error::BadRequest(if restarts == 0 {
        format!("previous terminated container {container:?} in pod {pod:?} not found")
    } else {
        format!(
            "previous: not supported by Stint: all runs of container {container:?} in pod {pod:?} \
             write one log, so ask for it without previous"
        )
    })
}

struct Reader {
    jet: Jet,
    namespace: String,
    pod: PodId,
    container: String,
    follow: bool,
    streams: LogStreams,
    shaper: Shaper,
    sender: mpsc::Sender<Bytes>,
}

/// Nobody reads any more, or has all that was asked for.
struct Enough;

impl Reader {
    async fn run(mut self, record: Option<PodRecord>) {
        let ended = record.as_ref().and_then(|record| ended(record, &self.container));
        let pieces = match ended {
            Some(ContainerEnd { finished_at, logs, .. }) => match &logs.inline {
                Some(output) => vec![(*finished_at, self.pick(output))],
                None => self.collect().await,
            },
            None if record.as_ref().is_some_and(is_over) => Vec::new(),
            None if self.follow => return drop(self.follow().await),
            None => self.collect().await,
        };
        // A reader that is gone needs nothing more.
        drop(self.send_all(&pieces).await);
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

    /// What a chunk holds of the streams that are wanted.
    fn piece(&self, entry: &Entry) -> Option<(Timestamp, Bytes)> {
        let tag = entry.payload.first().filter(|tag| self.wants(**tag))?;
        debug_assert!(tag.is_ascii());
        Some((entry.time, entry.payload.slice(1..)))
    }

    /// All chunks that are there now.
    async fn collect(&self) -> Vec<(Timestamp, Bytes)> {
        let stream = self.jet.names.logs_stream();
        let mut tail = Tail::start(self.jet.clone(), stream, vec![self.subject()]);
        let mut pieces = Vec::new();
        while let Some(TailEvent::Entries(entries)) = tail.next().await {
            pieces.extend(entries.iter().filter_map(|entry| self.piece(entry)));
        }
        pieces
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
        let sender = self.sender.clone();
        loop {
            tokio::select! {
                () = sender.closed() => return Err(Enough),
                event = chunks.next() => match event {
                    Some(TailEvent::Entries(entries)) => {
                        for entry in &entries {
                            let last = entry.payload.first() == Some(&b'.');
                            match (&mut before, self.piece(entry)) {
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
                    let end = ended(&last, &self.container);
                    if end.is_none() && !is_over(&last) {
                        continue;
                    }
                    match end.and_then(|end| end.logs.inline.clone().map(|it| (end, it))) {
                        Some((end, output)) => {
                            return self.send_all(&[(end.finished_at, self.pick(&output))]).await;
                        }
                        // Its last chunks are in the stream, up to the one that ends it.
                        None if end.is_none_or(|end| end.logs.bytes == 0) => return Ok(()),
                        None => {}
                    }
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

fn is_over(record: &PodRecord) -> bool {
    matches!(record.state, PodState::Terminated(_))
}

fn ended<'a>(record: &'a PodRecord, container: &str) -> Option<&'a ContainerEnd> {
    match &record.state {
        PodState::Terminated(end) => end.containers.iter().find(|ended| ended.name == container),
        // Others go on: init containers end before the pod does.
        PodState::Running(running) => {
            let all = running.detail.iter().flat_map(|detail| &detail.containers);
            all.filter(|it| it.name == container).find_map(|it| match &it.state {
                ContainerState::Terminated(end) => Some(&**end),
                ContainerState::Waiting
                | ContainerState::BackingOff { .. }
                | ContainerState::Running { .. } => None,
            })
        }
        PodState::Claimed => None,
    }
}
