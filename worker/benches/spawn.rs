//! What the process runtime costs beyond the processes themselves.
//!
//! Bare: threads that spawn `/bin/true` by `posix_spawn` and wait for it, at their best number.
//! Runtime: launch, spawn, output files, process groups, reaping, orphan check, end. Both in turns,
//! in one process, so that the machine's moods hit both alike. `cargo bench -p stint-worker --bench
//! spawn`

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use serde_json::{Value, json};
use stint_common::id::{Attempt, Incarnation, JobUid, PodId, Slot};
use stint_common::wire::{Exit, Template};
use stint_worker::launch::{Host, PreparedJob, RunFacts};
use stint_worker::runtime::process::{
    Config, ProcessRuntime, launcher, watchdog, with_main_thread,
};
use stint_worker::runtime::{RunId, Runtime, RuntimeEvent};

/// Pods of one round.
const PODS: usize = 5_000;
const ROUNDS: usize = 3;
/// Pods under way at a time.
const SLOTS: usize = 8;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|arg| arg == launcher::SUBCOMMAND) {
        return launcher::main();
    }
    if let Some((watchdog::SUBCOMMAND, rest)) = args.split_first().map(|(a, b)| (a.as_str(), b)) {
        return watchdog::main(rest);
    }
    with_main_thread(bench).expect("a thread can be made");
    ExitCode::SUCCESS
}

fn bench() {
    let pods = std::env::var("PODS").ok().and_then(|text| text.parse().ok()).unwrap_or(PODS);
    let slots = std::env::var("SLOTS").ok().and_then(|text| text.parse().ok()).unwrap_or(SLOTS);
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let spawners = std::env::var("SPAWNERS").ok().and_then(|text| text.parse().ok());
    let mut runtime = Stage::new(dir.path().to_owned(), slots, spawners);
    let job = prepared(&["/bin/true"]);
    let echo = prepared(&["/bin/echo", "hello, world"]);
    let mounts = json!([{"name": "v", "mountPath": "/mnt"}]);
    let set_up = [
        (
            "no new privileges",
            json!({"securityContext": {"allowPrivilegeEscalation": false}}),
            json!({}),
        ),
        (
            "with an emptyDir",
            json!({"volumeMounts": mounts}),
            json!({"volumes": [{"name": "v", "emptyDir": {}}]}),
        ),
        ("with limits", json!({"resources": {"limits": {"cpu": 1, "memory": "64Mi"}}}), json!({})),
    ];
    let set_up = set_up
        .map(|(what, container, pod)| (what, prepared_with(&["/bin/true"], &container, &pod)));
    println!("launch alone: {:.2} µs a pod", launch_cost(&job));
    for round in 0..ROUNDS {
        let mut best = (0.0, 0);
        for threads in [1, 2, 3, 4, 8] {
            let rate = bare(pods, threads);
            println!("round {round}: bare, {threads} threads: {rate:.0}/s");
            if rate > best.0 {
                best = (rate, threads);
            }
        }
        let ours = runtime.run(&job, pods);
        let again = bare(pods, best.1);
        let reference = f64::midpoint(best.0, again);
        println!("round {round}: runtime: {ours:.0}/s; bare again: {again:.0}/s");
        println!("round {round}: ratio {:.1} %", 100.0 * ours / reference);
        println!(
            "round {round}: runtime, a line of output each: {:.0}/s",
            runtime.run(&echo, pods)
        );
        for (what, job) in &set_up {
            println!("round {round}: runtime, {what}: {:.0}/s", runtime.run(job, pods / 10));
        }
    }
}

/// Spawns and waits on so many threads.
fn bare(pods: usize, threads: usize) -> f64 {
    let next = AtomicUsize::new(0);
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while next.fetch_add(1, Ordering::Relaxed) < pods {
                    let mut command = Command::new("/bin/true");
                    command.env_clear().stdin(Stdio::null()).stdout(Stdio::null());
                    command.status().expect("it runs");
                }
            });
        }
    });
    rate(pods, start.elapsed())
}

fn rate(pods: usize, elapsed: Duration) -> f64 {
    f64::from(u32::try_from(pods).expect("few")) / elapsed.as_secs_f64()
}

fn prepared(command: &[&str]) -> PreparedJob {
    prepared_with(command, &json!({}), &json!({}))
}

/// The same with further fields of the container and of the pod.
fn prepared_with(command: &[&str], container: &Value, pod: &Value) -> PreparedJob {
    let mut template = json!({
        "metadata": {"labels": {"app": "bench", "batch.kubernetes.io/job-name": "bench"}},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "command": command}]},
    });
    for (name, value) in container.as_object().into_iter().flatten() {
        template["spec"]["containers"][0][name] = value.clone();
    }
    for (name, value) in pod.as_object().into_iter().flatten() {
        template["spec"][name] = value.clone();
    }
    let template = Template {
        v: 1,
        namespace: "default".to_owned(),
        job_name: "bench".to_owned(),
        job_uid: JobUid::random(),
        indexed: true,
        pod_template: RawValue::from_string(template.to_string()).expect("it is JSON"),
        trace: None,
        changed: false,
    };
    let host = Host::new("bench", "127.0.0.1", "/", std::env::vars());
    PreparedJob::new(&template, &host).expect("it can be prepared")
}

fn pod(slot: u32) -> PodId {
    PodId { job: JobUid(uuid::Uuid::from_u128(1)), slot: Slot(slot), attempt: Attempt(0) }
}

fn launch_cost(job: &PreparedJob) -> f64 {
    const TIMES: u32 = 20_000;
    let start = Instant::now();
    for slot in 0..TIMES {
        std::hint::black_box(job.launch(pod(slot), None, 0, &RunFacts::default()));
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(TIMES)
}

/// The runtime with a fixed number of pods under way.
struct Stage {
    runtime: ProcessRuntime,
    events: Receiver<RuntimeEvent>,
    next: AtomicU64,
    slots: usize,
}

impl Stage {
    fn new(data_dir: PathBuf, slots: usize, spawners: Option<usize>) -> Self {
        let (sender, events) = channel();
        let sender = Arc::new(Mutex::new(sender));
        let mut config = Config::new(data_dir, Incarnation::random());
        config.spawners = spawners.unwrap_or(config.spawners);
        let runtime = ProcessRuntime::open(config, move |event| {
            let _closing = sender.lock().expect("nobody panics").send(event);
        });
        Self { runtime: runtime.expect("it opens"), events, next: AtomicU64::new(0), slots }
    }

    fn run(&mut self, job: &PreparedJob, pods: usize) -> f64 {
        let start = Instant::now();
        let mut readers = std::collections::HashMap::new();
        let (mut begun, mut over) = (0, 0);
        while over < pods {
            while begun < pods && begun - over < self.slots {
                let run = RunId(self.next.fetch_add(1, Ordering::Relaxed));
                let slot = u32::try_from(run.0).expect("few");
                let spec = job.launch(pod(slot), None, 0, &RunFacts::default());
                let spec = spec.expect("it has a container");
                self.runtime.start(run, spec).expect("there is room");
                begun += 1;
            }
            match self.events.recv().expect("the runtime lives") {
                RuntimeEvent::Started { run, logs, .. } => {
                    readers.insert(run, logs);
                }
                RuntimeEvent::Exited { run, exit, .. } => {
                    if job.leaves_something() {
                        let slot = u32::try_from(run.0).expect("few");
                        self.runtime.clear_away(Arc::from(pod(slot).uid().to_string()));
                    }
                    let mut logs = readers.remove(&run).expect("it was started");
                    assert_eq!((exit, logs.finish(exit).dropped), (Exit::Code(0), 0));
                    over += 1;
                }
                RuntimeEvent::NotStarted { error, .. } => panic!("{error}"),
                other @ (RuntimeEvent::Overfull { .. }
                | RuntimeEvent::OutOfMemory { .. }
                | RuntimeEvent::Died) => panic!("{other:?}"),
            }
        }
        rate(pods, start.elapsed())
    }
}
