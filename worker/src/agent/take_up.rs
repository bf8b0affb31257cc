//! A new agent of a life that goes on: it takes up the pods that the one before has left.
//!
//! What is known of each comes from three sides: its note says what it is and how far its machine
//! was, the runtime says what became of its runs since, its record says which of the earlier
//! agent's writes stands. All is read before anything is decided, and nothing is pulled meanwhile.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use stint_common::collections::HashMap;
use stint_common::id::{Incarnation, PodId};
use stint_common::nats::{Jet, Stored};
use stint_common::time::after;
use stint_common::wire::{Exit, PodRecord, PodState};
use tokio_util::sync::CancellationToken;

use super::actions::Acting;
use super::claim::unprepared;
use super::intake::clock;
use super::life::REPORT_AFTER;
use super::notes::{ContainerNote, LifeNote, Place, ReadNote};
use super::outbox::Outbox;
use super::pods::{Output, Pod, Run, Stage, tells_itself};
use super::run::Agent;
use super::shipping::Destination;
use super::templates::{Fetched, Name, Ready, fetch};
use crate::pod::{Awaits, Event, Machine};
use crate::runtime::{Kept, KeptRun, RunId, Runtime, RuntimeEvent};

/// Asked at once.
const AT_ONCE: usize = 64;
/// Before another try to read.
const AGAIN: Duration = Duration::from_millis(200);

type Runs = HashMap<RunId, KeptRun>;
type Templates = HashMap<Name, Option<Arc<Ready>>>;

/// A container that was put back as it was noted.
struct PutBack {
    index: usize,
    /// What its machine waited for then.
    awaits: Awaits,
    /// What the supervisor knows of its run.
    kept: Option<KeptRun>,
}

impl<R: Runtime> Agent<R> {
    /// Takes up what the runtime has kept, unless this life is `lost` meanwhile. Whether it did.
    pub(super) async fn takes_up(&mut self, lost: &CancellationToken, out: &mut Outbox) -> bool {
        let kept = self.kept.take().unwrap_or_default();
        tokio::select! {
            biased;
            () = lost.cancelled() => false,
            taken = self.take_up(kept, out) => taken,
        }
    }

    /// Takes up everything. `false` when that cannot be: then this life is over.
    async fn take_up(&mut self, kept: Kept, out: &mut Outbox) -> bool {
        let Kept { notes, runs, last_run } = kept;
        let mut read = Vec::with_capacity(notes.len());
        for note in notes {
            match ReadNote::read(note.get()) {
                Ok(note) => read.push(note),
                Err(error) => {
                    tracing::error!(
                        error,
                        "the note of a pod cannot be read: all pods are given up"
                    );
                    return false;
                }
            }
        }
        let noted = read.iter().map(ReadNote::last_run).max().unwrap_or(0);
        self.last_run = last_run.max(noted);
        let mut runs: Runs = runs.into_iter().map(|run| (run.run, run)).collect();
        let templates = self.read_templates(&read).await;
        let jet = self.post.jet.clone();
        let records = read_records(&jet, &read).await;
        read_progress(&jet, &read, &templates, &mut runs).await;
        let count = read.len();
        for (note, record) in read.into_iter().zip(records) {
            let ready = templates.get(&(note.pod.job, note.template.clone())).cloned().flatten();
            self.take_up_pod(note, ready, record, &mut runs, out);
            self.settle_pending(out);
        }
        for run in runs.into_keys() {
            tracing::warn!(?run, "a run that no pod of this worker asked for is killed");
            self.runtime.kill(run);
            self.to_forget.push(run);
        }
        if count > 0 {
            tracing::info!(pods = count, "took up the pods of the agent before");
        }
        true
    }

    /// Templates of all pods; nothing where the Job is gone.
    async fn read_templates(&mut self, notes: &[ReadNote]) -> Templates {
        let mut found = Templates::default();
        for note in notes {
            let name = (note.pod.job, note.template.clone());
            if found.contains_key(&name) {
                continue;
            }
            let ready = loop {
                match fetch(&self.post.jet, &self.post.host, &name).await {
                    Fetched::Ready(ready) => {
                        self.templates.fetched(&name, &Fetched::Ready(Arc::clone(&ready)));
                        break Some(ready);
                    }
                    Fetched::Gone => break None,
                    Fetched::Failed => tokio::time::sleep(AGAIN).await,
                }
            };
            found.insert(name, ready);
        }
        found
    }

    fn take_up_pod(
        &mut self,
        note: ReadNote,
        ready: Option<Arc<Ready>>,
        record: Option<Stored>,
        runs: &mut Runs,
        out: &mut Outbox,
    ) {
        let id = note.pod;
        let standing = standing(record.as_ref(), self.me);
        if matches!(standing, Standing::Over) && self.let_go(&note, runs) {
            return;
        }
        let name = (id.job, note.template.clone());
        let gone = ready.is_none();
        let ready = ready.unwrap_or_else(|| Arc::new(Ready::gone(note.namespace.clone())));
        let (first_run, nonce) = (note.run, note.nonce);
        let (mut pod, life) = self.pod_of(note, ready);
        let started = life.is_some() || runs.contains_key(&first_run);
        if let Standing::Ours(sequence) = standing {
            pod.sequence = sequence;
        }
        self.room.claim(&pod.kind.amounts);
        if !pod.values.is_empty() || pod.files.is_some() {
            pod.make_ready(&self.post.host);
        }
        if !started && matches!(standing, Standing::Nothing) {
            // The claim did not arrive, or is still on its way: the same again, to the byte.
            pod.stage = Stage::Claiming;
            pod.writing = true;
            let payload = pod.record(
                &self.settings.name,
                self.me,
                nonce,
                &self.post.host.ip,
                PodState::Claimed,
            );
            out.claims.push((id, Outbox::write(self.post.jet.names.pod(id), payload, 0)));
            self.pods.insert(id, pod);
            return;
        }
        self.pods.insert(id, pod);
        match life {
            Some(life) => self.take_up_life(id, life, runs, out),
            None if started => self.take_up_run(id, first_run, runs, out),
            None => {
                self.verifying.push(id);
                if gone {
                    self.refuse_all(&name, out);
                } else {
                    self.verify(&name, out);
                }
            }
        }
        self.settle_pending(out);
        match standing {
            Standing::Ours(_) => {}
            Standing::Over => self.step(id, Event::Kill, out),
            Standing::Nothing => {
                tracing::error!(pod = %id, "its record is gone: the pod is killed");
                self.step(id, Event::Kill, out);
            }
        }
    }

    /// A pod whose end is durable is forgotten, unless something of it still runs.
    fn let_go(&mut self, note: &ReadNote, runs: &mut Runs) -> bool {
        let life = note.life.iter();
        let containers = life.clone().flat_map(|life| &life.containers).filter_map(|it| it.run);
        let actions = life.flat_map(|life| &life.actions).filter_map(|it| it.run);
        let own: Vec<RunId> = containers.chain(actions).chain([note.run]).collect();
        let live = |run: &RunId| runs.get(run).is_some_and(|run| run.end.is_none());
        if own.iter().any(live) {
            return false;
        }
        own.iter().for_each(|run| drop(runs.remove(run)));
        self.forget_note(note.pod, &own);
        self.runtime.clear_away(Arc::from(note.pod.uid().to_string()));
        true
    }

    fn pod_of(&self, note: ReadNote, ready: Arc<Ready>) -> (Pod, Option<LifeNote<()>>) {
        let settings = ready.job.as_ref().map(|job| Arc::clone(job.settings()));
        // A pod that waited for something before anything of it was started begins anew: what it
        // waited for is read again.
        let life = note.life.filter(|life| life.has_begun() || life.machine.is_ended());
        let (mut machine, life) = match life {
            Some(life) => {
                let (mut machine, rest) = life.apart();
                settings.iter().for_each(|settings| machine.goes_by(settings));
                (machine, Some(rest))
            }
            None => {
                let settings = settings.unwrap_or_else(|_| Arc::new(unprepared()));
                (Machine::new(settings, note.claimed_at), None)
            }
        };
        if let Some(by) = note.clock_ms.and_then(|ahead| self.wall.set_since(ahead)) {
            machine.clock_was_set(by);
        }
        let pod = Pod {
            template: note.template,
            created_at: note.created_at,
            index_failures: note.index_failures,
            claimed_at: note.claimed_at,
            claim_nonce: note.nonce,
            first_run: note.run,
            tells_itself: life.is_none() && tells_itself(&note.kind, machine.settings(), &ready),
            to_be_noted: false,
            containers: machine.settings().containers.iter().map(|_| Run::default()).collect(),
            ready,
            machine,
            sequence: 0,
            writing: false,
            stage: Stage::Verifying,
            kind: Arc::new(note.kind),
            apart: false,
            devices: life.as_ref().map(|life| life.devices.clone()).unwrap_or_default(),
            waits_for: None,
            files: life.as_ref().and_then(|life| life.files.clone()),
            values: life.as_ref().map(|life| Arc::clone(&life.values)).unwrap_or_default(),
            actions: Vec::<Acting>::new(),
            report: None,
            wake_at: None,
            evicted: life.as_ref().and_then(|life| life.evicted.clone()),
            end: life.as_ref().and_then(|life| life.end.clone()),
        };
        (pod, life)
    }

    /// A pod of one run, of which only that was noted: it tells the rest.
    fn take_up_run(&mut self, id: PodId, run: RunId, runs: &mut Runs, out: &mut Outbox) {
        let Some(pod) = self.pods.get_mut(&id) else { return };
        let mut asked = Vec::new();
        let mut events = vec![Event::Start];
        if pod.machine.settings().asks_first() {
            // An agent of an older version has started it, with its variables.
            events.push(Event::Configured { index: 0 });
        }
        for event in events {
            if let Err(error) = pod.machine.step(event, self.wall.now(), &mut asked) {
                tracing::error!(pod = %id, %error, "an impossible event");
            }
        }
        pod.stage = Stage::LinedUp;
        self.places.lined_up += 1;
        if let Some(container) = pod.containers.first_mut() {
            container.id = Some(run);
        }
        self.runs.insert(run, id);
        if let Some(run) = runs.remove(&run) {
            self.hear_again(run, out);
        }
    }

    fn take_up_life(&mut self, id: PodId, life: LifeNote<()>, runs: &mut Runs, out: &mut Outbox) {
        let Some(pod) = self.pods.get_mut(&id) else { return };
        self.devices.take(&pod.devices);
        let amounts = &pod.kind.amounts;
        match life.place {
            Place::None => {}
            Place::InLine => {
                pod.stage = Stage::LinedUp;
                self.places.lined_up += 1;
            }
            Place::OutOfLine | Place::Apart => {
                pod.apart = life.place == Place::Apart;
                pod.stage = Stage::Running(clock());
                self.places.running += 1;
                self.room.run(amounts, pod.apart);
            }
        }
        if pod.machine.is_ended() {
            self.vacate(id);
        }
        self.share_places();
        // First all of it is put back as it was noted, and then heard what became of it: what one
        // container's end leads to may be another's start.
        let containers = life.containers.into_iter().enumerate();
        let containers: Vec<PutBack> = containers
            .filter_map(|(index, note)| self.put_back_container(id, index, note, runs))
            .collect();
        let mut heard = Vec::new();
        for action in life.actions {
            let kept = action.run.and_then(|run| runs.remove(&run));
            let known = (action.id, action.index, action.kind);
            let run = kept.as_ref().map(|kept| (kept.run, None));
            self.take_up_action(id, known, run);
            heard.extend(kept);
        }
        // What is to be started is started before anything is heard that stops it again.
        let to_start = |it: &PutBack| it.awaits == Awaits::Start && it.kept.is_none();
        let (starts, others): (Vec<_>, Vec<_>) = containers.into_iter().partition(to_start);
        for container in starts.into_iter().chain(others) {
            self.take_up_container(id, container, out);
        }
        heard.into_iter().for_each(|kept| self.hear_again(kept, out));
        self.settle_pending(out);
        let Some(pod) = self.pods.get_mut(&id) else { return };
        if pod.end.is_some() {
            self.close_logs(id, out);
            return;
        }
        if life.place == Place::None {
            // It waits for a place, as far as its machine still wants one.
            let name = (id.job, pod.template.clone());
            self.verifying.push(id);
            self.verify(&name, out);
        }
        let Some(pod) = self.pods.get_mut(&id) else { return };
        if let Some(running) = pod.machine.running() {
            pod.report = Some(running);
            self.reports.insert((after(self.wall.now(), REPORT_AFTER), id));
        }
        self.set_wake(id);
    }

    /// Puts back what is known of a container. Nothing follows from it yet.
    fn put_back_container(
        &mut self,
        id: PodId,
        index: usize,
        note: ContainerNote,
        runs: &mut Runs,
    ) -> Option<PutBack> {
        let pod = self.pods.get_mut(&id)?;
        let awaits = pod.machine.awaits(index);
        let container = pod.containers.get_mut(index)?;
        container.id = note.run;
        container.out_of_memory = note.out_of_memory;
        container.shipped = note.shipped;
        container.log_sequence = note.log_sequence;
        let kept = note.run.and_then(|run| runs.remove(&run));
        if let Some(kept) = kept.as_ref().filter(|_| awaits != Awaits::Nothing) {
            self.runs.insert(kept.run, id);
        }
        Some(PutBack { index, awaits, kept })
    }

    /// Goes on with a container where the agent before was.
    fn take_up_container(&mut self, id: PodId, put_back: PutBack, out: &mut Outbox) {
        let PutBack { index, awaits, kept } = put_back;
        let Some(pod) = self.pods.get_mut(&id) else { return };
        let Some(container) = pod.containers.get_mut(index) else { return };
        match (awaits, kept) {
            (Awaits::Configuration, _) => self.ask_for_variables(id, index),
            (Awaits::Nothing, kept) => self.to_forget.extend(kept.map(|kept| kept.run)),
            (Awaits::Start, Some(kept)) => self.hear_again(kept, out),
            // The machine had no room for it, and it was to be tried again.
            (Awaits::Start, None) => self.start_container(id, index, out),
            (Awaits::Exit, Some(kept)) => {
                if let Some((_, logs)) = kept.started {
                    container.output = Output::Captured(
                        logs.from(kept.progress.stdout, kept.progress.stderr),
                        clock(),
                    );
                    container.shipped |= kept.progress.sequence > 0;
                }
                container.out_of_memory |= kept.out_of_memory;
                if let Some(Ok((exit, at))) = kept.end {
                    self.heard(RuntimeEvent::Exited { run: kept.run, exit, at }, out);
                }
            }
            (Awaits::Exit, None) => {
                tracing::error!(pod = %id, index, "nothing is known of a container that ran");
                let (exit, at) = (Exit::Signal(9), self.wall.now());
                let out_of_memory = container.out_of_memory;
                let (logs, message) = Default::default();
                let event =
                    Event::ContainerExited { index, exit, at, out_of_memory, logs, message };
                self.step(id, event, out);
            }
        }
    }

    /// What the runtime said of a run while nobody listened.
    fn hear_again(&mut self, kept: KeptRun, out: &mut Outbox) {
        let KeptRun { run, started, out_of_memory, end, progress } = kept;
        if let Some((at, logs)) = started {
            let logs = logs.from(progress.stdout, progress.stderr);
            self.heard(RuntimeEvent::Started { run, at, logs }, out);
        }
        if out_of_memory {
            self.heard(RuntimeEvent::OutOfMemory { run }, out);
        }
        match end {
            Some(Ok((exit, at))) => self.heard(RuntimeEvent::Exited { run, exit, at }, out),
            Some(Err(error)) => self.heard(RuntimeEvent::NotStarted { run, error }, out),
            None => {}
        }
        self.settle_pending(out);
    }
}

/// What stands at the pods' records.
async fn read_records(jet: &Jet, notes: &[ReadNote]) -> Vec<Option<Stored>> {
    let stream = jet.names.pods_stream();
    let mut found = Vec::with_capacity(notes.len());
    for some in notes.chunks(AT_ONCE) {
        found.extend(
            join_all(some.iter().map(|note| async {
                loop {
                    match jet.read_last(&stream, &jet.names.pod(note.pod)).await {
                        Ok(stored) => return stored,
                        Err(_) => tokio::time::sleep(AGAIN).await,
                    }
                }
            }))
            .await,
        );
    }
    found
}

/// The containers of a pod that have a run, and where the logs of their earlier runs end.
fn outputs(note: &ReadNote, templates: &Templates) -> Vec<(Arc<str>, RunId, u64)> {
    let Some(life) = &note.life else {
        let ready = templates.get(&(note.pod.job, note.template.clone())).into_iter().flatten();
        let job = ready.filter_map(|ready| ready.job.as_ref().ok()).next();
        let name = job.and_then(|job| Some(job.settings().containers.first()?.name.clone()));
        return name.map(|name| (name, note.run, 0)).into_iter().collect();
    };
    let names = life.machine.settings().containers.iter().map(|it| it.name.clone());
    let pairs = names.zip(&life.containers);
    pairs.filter_map(|(name, noted)| Some((name, noted.run?, noted.log_sequence))).collect()
}

/// How far the output of runs was shipped: the agent before may have died before it said so.
async fn read_progress(jet: &Jet, notes: &[ReadNote], templates: &Templates, runs: &mut Runs) {
    let asked = notes.iter().flat_map(|note| {
        let pairs = outputs(note, templates);
        pairs.into_iter().map(move |(name, run, before)| {
            (run, jet.names.log(&note.namespace, note.pod, &name), before)
        })
    });
    let asked = asked.filter(|(run, ..)| runs.get(run).is_some_and(|it| it.started.is_some()));
    let asked: Vec<(RunId, String, u64)> = asked.collect();
    for some in asked.chunks(AT_ONCE) {
        let found = join_all(some.iter().map(|(run, subject, before)| {
            let said = runs.get(run).map(|run| run.progress).unwrap_or_default();
            async move {
                loop {
                    match Destination::shipped_so_far(jet, subject, said, *before).await {
                        Some(progress) => return (*run, progress),
                        None => tokio::time::sleep(AGAIN).await,
                    }
                }
            }
        }))
        .await;
        for (run, progress) in found {
            if let Some(run) = runs.get_mut(&run) {
                run.progress = progress;
            }
        }
    }
}

/// What a pod's record says to the life that claimed it.
enum Standing {
    /// It is claimed, at this sequence.
    Ours(u64),
    /// It is over, or another's.
    Over,
    /// There is none.
    Nothing,
}

fn standing(record: Option<&Stored>, me: Incarnation) -> Standing {
    let Some(stored) = record else { return Standing::Nothing };
    let record = serde_json::from_slice::<PodRecord>(&stored.payload);
    let ours = record.is_ok_and(|record| {
        let over = matches!(record.state, PodState::Terminated(_));
        !over && record.claim.is_some_and(|claim| claim.incarnation == me)
    });
    if ours { Standing::Ours(stored.sequence) } else { Standing::Over }
}
