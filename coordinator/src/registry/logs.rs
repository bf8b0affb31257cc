//! Output of pods: riding in the termination record when it is small, else in chunks in the logs'
//! stream.
//!
//! A chunk is one byte that says which stream it is of, then bytes as written: `1` standard output,
//! `2` standard error, `.` the end of the container's log.

use bytes::Bytes;
use stint_common::id::PodId;
use stint_common::nats::{Entry, Jet, Tail, TailEvent};
use stint_common::wire::{ContainerEnd, InlineOutput, PodRecord, PodState};
use tokio::sync::mpsc;

use super::Error;
use super::options::{LogStreams, Options};
use super::store::Registry;

/// Chunks that wait for a slow reader; it is cut off then, not waited for by anybody else.
const CHUNKS: usize = 64;

/// A log as it is read: ends when the container has ended, or at once when it is not followed.
pub type LogStream = mpsc::Receiver<Bytes>;

impl Registry {
    /// Opens the log of a pod's container.
    ///
    /// # Errors
    ///
    /// 400 when the container is not named and there are several, or none of this name; 404; 503.
    pub async fn open_log(
        &self,
        namespace: &str,
        name: &str,
        options: &Options,
    ) -> Result<LogStream, Error> {
        let found = self.find_pod(namespace, name).await?;
        let container = container(&found.job.object, name, options.container.as_deref())?;
        let (sender, stream) = mpsc::channel(CHUNKS);
        let reader = Reader {
            jet: self.jet.clone(),
            namespace: namespace.to_owned(),
            pod: found.pod,
            container,
            options: options.clone(),
            sender,
        };
        let record = found.news.record;
        tokio::spawn(async move { reader.run(record).await });
        Ok(stream)
    }
}

fn container(job: &serde_json::Value, pod: &str, wanted: Option<&str>) -> Result<String, Error> {
    let containers = job["spec"]["template"]["spec"]["containers"].as_array();
    let names: Vec<&str> = containers
        .into_iter()
        .flatten()
        .filter_map(|container| container["name"].as_str())
        .collect();
    match wanted {
        Some(wanted) if names.contains(&wanted) => Ok(wanted.to_owned()),
        Some(wanted) => {
            Err(Error::BadRequest(format!("container {wanted} is not valid for pod {pod}")))
        }
        None if names.len() == 1 => Ok(names[0].to_owned()),
        None => Err(Error::BadRequest(format!(
            "a container name must be specified for pod {pod}, choose one of: [{}]",
            names.join(" ")
        ))),
    }
}

struct Reader {
    jet: Jet,
    namespace: String,
    pod: PodId,
    container: String,
    options: Options,
    sender: mpsc::Sender<Bytes>,
}

impl Reader {
    async fn run(self, record: Option<PodRecord>) {
        let text = match record.as_ref().and_then(|record| ended(record, &self.container)) {
            Some(ContainerEnd { logs, .. }) if logs.inline.is_some() => {
                self.pick(logs.inline.as_ref().unwrap_or(&InlineOutput::default()))
            }
            Some(_) => self.collect().await,
            None if record.as_ref().is_some_and(is_over) => Vec::new(),
            None if self.options.follow => return self.follow().await,
            None => self.collect().await,
        };
        let text = limit(text, &self.options);
        for piece in text.chunks(64 << 10) {
            if self.sender.send(Bytes::copy_from_slice(piece)).await.is_err() {
                return;
            }
        }
    }

    fn pick(&self, output: &InlineOutput) -> Vec<u8> {
        match self.options.streams {
            LogStreams::All => [output.stdout.as_bytes(), output.stderr.as_bytes()].concat(),
            LogStreams::Stdout => output.stdout.clone().into_bytes(),
            LogStreams::Stderr => output.stderr.clone().into_bytes(),
        }
    }

    fn wants(&self, tag: u8) -> bool {
        match self.options.streams {
            LogStreams::All => tag == b'1' || tag == b'2',
            LogStreams::Stdout => tag == b'1',
            LogStreams::Stderr => tag == b'2',
        }
    }

    fn subject(&self) -> String {
        self.jet.names.log(&self.namespace, self.pod, &self.container)
    }

    /// All chunks that are there now.
    async fn collect(&self) -> Vec<u8> {
        let stream = self.jet.names.logs_stream();
        let mut tail = Tail::start(self.jet.clone(), stream, vec![self.subject()]);
        let mut text = Vec::new();
        while let Some(TailEvent::Entries(entries)) = tail.next().await {
            for entry in entries {
                if let Some((tag, rest)) = entry.payload.split_first()
                    && self.wants(*tag)
                {
                    text.extend_from_slice(rest);
                }
            }
        }
        text
    }

    /// Chunks as they come, until the container's log says that it has ended, or the pod's end
    /// carries it.
    async fn follow(&self) {
        let names = &self.jet.names;
        let mut chunks = Tail::start(self.jet.clone(), names.logs_stream(), vec![self.subject()]);
        let mut record =
            Tail::start(self.jet.clone(), names.pods_stream(), vec![names.pod(self.pod)]);
        let mut shipped = 0_usize;
        loop {
            tokio::select! {
                () = self.sender.closed() => return,
                event = chunks.next() => {
                    let Some(TailEvent::Entries(entries)) = event else { continue };
                    for entry in &entries {
                        if entry.payload.first() == Some(&b'.') {
                            return;
                        }
                        if !self.pass_on(entry, &mut shipped).await {
                            return;
                        }
                    }
                }
                event = record.next() => {
                    let Some(TailEvent::Entries(entries)) = event else { continue };
                    let Some(last) = entries.last() else { continue };
                    let last = serde_json::from_slice::<PodRecord>(&last.payload);
                    let Ok(last) = last else { continue };
                    if !is_over(&last) {
                        continue;
                    }
                    let end = ended(&last, &self.container);
                    match end.and_then(|end| end.logs.inline.clone()) {
                        Some(output) => {
                            // A reader that is gone needs nothing more.
                            drop(self.sender.send(self.pick(&output).into()).await);
                            return;
                        }
                        // Its last chunks are in the stream, up to the one that ends it.
                        None if end.is_none_or(|end| end.logs.bytes == 0) => return,
                        None => {}
                    }
                }
            }
        }
    }

    async fn pass_on(&self, entry: &Entry, shipped: &mut usize) -> bool {
        let Some(tag) = entry.payload.first().filter(|tag| self.wants(**tag)) else { return true };
        debug_assert!(tag.is_ascii());
        *shipped += entry.payload.len() - 1;
        self.sender.send(entry.payload.slice(1..)).await.is_ok()
    }
}

fn is_over(record: &PodRecord) -> bool {
    matches!(record.state, PodState::Terminated(_))
}

fn ended<'a>(record: &'a PodRecord, container: &str) -> Option<&'a ContainerEnd> {
    match &record.state {
        PodState::Terminated(end) => end.containers.iter().find(|ended| ended.name == container),
        PodState::Claimed | PodState::Running(_) => None,
    }
}

/// `tailLines`, then `limitBytes`.
fn limit(mut text: Vec<u8>, options: &Options) -> Vec<u8> {
    if let Some(lines) = options.tail_lines {
        let end = text.len() - usize::from(text.last() == Some(&b'\n'));
        let mut starts = text[..end].iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
        let start = match lines {
            0 => text.len(),
            lines => starts.nth(lines - 1).map_or(0, |(at, _)| at + 1),
        };
        text.drain(..start);
    }
    if let Some(bytes) = options.limit_bytes {
        text.truncate(bytes);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(text: &str, lines: usize) -> String {
        let options = Options { tail_lines: Some(lines), ..Options::default() };
        String::from_utf8(limit(text.as_bytes().to_vec(), &options)).unwrap()
    }

    #[test]
    fn the_last_lines_are_kept() {
        assert_eq!(tail("a\nb\nc\n", 2), "b\nc\n");
        assert_eq!(tail("a\nb\nc", 2), "b\nc");
        assert_eq!(tail("a\nb\n", 9), "a\nb\n");
        assert_eq!(tail("a\nb\n", 0), "");
        assert_eq!(tail("", 3), "");
    }
}
